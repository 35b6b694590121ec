"""Marian's tokeniser: SentencePiece cuts a sentence into pieces, vocab.json (shared by both languages) numbers them."""

import json
import os
import re

import numpy as np

from .errors import HelperError

# Entries of marian_decode.json and the files beside a checkpoint that they name.
FILES = {"source_spm": "source.spm", "target_spm": "target.spm", "vocab": "vocab.json"}
LANGUAGE = re.compile(r"^\s*(>>.+?<<)")  # what models of several target languages expect in front


def read_json(path):
    """The object of a JSON file; HelperError for anything else."""
    try:
        with open(path, encoding="utf-8") as f:
            value = json.load(f)
    except FileNotFoundError:
        raise HelperError("file-not-found", f"{path}: no such file",
                          "config.json, vocab.json, source.spm and target.spm must lie beside the checkpoint")
    except (OSError, ValueError, RecursionError) as e:
        raise HelperError("bad-input-data", f"{path} is no readable JSON: {e}", "")
    if not isinstance(value, dict):
        raise HelperError("bad-input-data", f"{path} holds a {type(value).__name__}, no object", "")
    return value


class Tokenizer:
    """Needs the Python package sentencepiece."""

    def __init__(self, folder, eos):
        import sentencepiece
        self.eos = eos
        self.ids = read_json(os.path.join(folder, FILES["vocab"]))
        self.pieces = {i: p for p, i in self.ids.items()}
        self.special = {self.ids.get(p) for p in ("</s>", "<unk>", "<pad>")} | {eos}
        try:
            self.source, self.target = (sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, FILES[k]))
                                        for k in ("source_spm", "target_spm"))
        except (OSError, RuntimeError) as e:
            raise HelperError("bad-input-data", f"{folder}: source.spm or target.spm cannot be read: {e}", "")

    @staticmethod
    def or_none(folder, eos):
        try:
            return Tokenizer(folder, eos)
        except ImportError:
            return None

    def encode(self, text):
        """Ids of a sentence with the end token; pieces the vocabulary lacks are <unk>."""
        language = LANGUAGE.match(text)
        pieces = [language[1]] if language else []
        pieces += self.source.encode(text[language.end():] if language else text, out_type=str)
        unknown = self.ids.get("<unk>")
        ids = [self.ids.get(p, unknown) for p in pieces]
        if None in ids:
            raise HelperError("bad-input-data", f"vocab.json has neither '{pieces[ids.index(None)]}' nor <unk>", "")
        return ids + [self.eos]

    def decode(self, ids):
        return self.target.decode([self.pieces.get(i, "<unk>") for i in ids if i not in self.special]).replace("\u2581", " ").strip()


def read_sentences(files, folder, config, info):
    """--data: texts (a sentence per line, a reference behind a tab) and .npz of ids -> [{"source", "text", "reference"}]."""
    out = []
    tokenizer = None
    for path in files:
        if path.endswith(".npz"):
            out += _ids_of(path, config)
            continue
        tokenizer = tokenizer or Tokenizer.or_none(folder, info["eos"])
        if not tokenizer:
            raise HelperError("tool-missing", f"{path}: cutting sentences into tokens needs the Python package sentencepiece",
                              "install python3-sentencepiece (or pip install sentencepiece), or give .npz files with ids in `source`")
        out += _texts_of(path, tokenizer, info)
    for s in out:
        if len(s["source"]) > info["source_tokens"]:
            raise HelperError("bad-input-data", f"{s['place']}: {len(s['source'])} tokens, the encoder takes {info['source_tokens']}",
                              "cut the sentence, or trace with --set source_tokens=N")
    return out


def _ids_of(path, config):
    try:
        with np.load(path, allow_pickle=False) as data:
            ids = data["source"].reshape(-1).tolist()
    except FileNotFoundError:
        raise HelperError("file-not-found", f"{path}: no such file", "check the path")
    except Exception as e:
        raise HelperError("bad-input-data", f"{path} is no .npz with an array `source`: {e}", "")
    if not ids or not all(isinstance(i, int) and 0 <= i < config["vocab_size"] for i in ids):
        raise HelperError("bad-input-data", f"{path}: `source` must hold token ids from 0 to {config['vocab_size'] - 1}", "")
    return [{"source": ids, "place": path}]


def _texts_of(path, tokenizer, info):
    try:
        with open(path, encoding="utf-8") as f:
            lines = f.read().splitlines()
    except FileNotFoundError:
        raise HelperError("file-not-found", f"{path}: no such file", "check the path")
    except (OSError, ValueError) as e:
        raise HelperError("bad-input-data", f"{path} is no readable UTF-8 text: {e}", "")
    out = []
    for k, line in enumerate(lines, 1):
        text, _, reference = line.partition("\t")
        if text.strip():
            out.append({"source": tokenizer.encode(text), "text": text, "reference": reference, "place": f"{path}:{k}"})
    return out
