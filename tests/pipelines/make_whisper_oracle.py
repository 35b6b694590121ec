"""Writes whisper_oracle.json: what the package openai-whisper answers, for the tests of src/pipelines/whisper.

    python make_whisper_oracle.py [--check]      (--check: compare with the file instead of writing it)

Needs the PyPI packages openai-whisper (20250625) and tiktoken, PyTorch and the bundled clip of demo/whisper-nano.
The decoding loop is OpenAI's own code on scripted logits: a scenario lists, for each window of 30 s and each attempt at it,
the favourite tokens of every step. tests/pipelines/whisper_oracle_test.cpp plays the same scripts.
"""

import hashlib
import io
import json
import os
import random
import sys
import wave

import numpy as np
import torch
import whisper
from whisper import decoding
from whisper.model import ModelDimensions
from whisper.tokenizer import get_tokenizer
from whisper.utils import WriteSRT, WriteVTT

transcribe = sys.modules["whisper.transcribe"]  # `whisper.transcribe` is the function
HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.join(HERE, "whisper_oracle.json")
CLIP = os.path.join(HERE, "..", "..", "demo", "whisper-nano", "clip001.wav")


def tokenizer_of(n_vocab):
    return get_tokenizer(n_vocab >= 51865, num_languages=n_vocab - 51765 - int(n_vocab >= 51865))


class Scripted:
    """A model whose logits are written down: 0 everywhere, the script's scores at a step's favourites."""

    def __init__(self, scenario):
        self.s = scenario
        n_vocab = scenario["n_vocab"]
        self.dims = ModelDimensions(80, 1500, 4, 1, 1, n_vocab, 448, 4, 1, 1)
        self.device = torch.device("cpu")
        self.is_multilingual = n_vocab >= 51865
        self.num_languages = n_vocab - 51765 - int(self.is_multilingual)
        self.tokenizer = tokenizer_of(n_vocab)
        self.window, self.attempt, self.seen = -1, -1, None

    def encoder(self, mel):
        return mel

    def decode(self, mel, options):
        seek = float(mel[0, 0])
        if seek != self.seen:
            self.seen, self.window, self.attempt = seek, self.window + 1, -1
        self.attempt += 1
        return decoding.decode(self, mel, options)

    def detect_language(self, mel):
        # all_language_codes comes in the order of a set: go by the tokens' ids.
        codes = list(self.tokenizer.all_language_codes)
        place = {self.tokenizer.to_language_token(c): k for k, c in enumerate(codes)}
        logits = torch.zeros(len(codes))
        for id, score in self.s["language_scores"]:
            logits[place[id]] = score
        p = logits.softmax(-1)
        return None, {c: p[k].item() for k, c in enumerate(codes)}

    def logits(self, tokens, begin, sot_index):
        """[1, n, n_vocab] for the rows the loop looks at."""
        windows = self.s["windows"]
        attempts = windows[min(self.window, len(windows) - 1)]["attempts"]
        steps = attempts[min(self.attempt, len(attempts) - 1)]
        out = torch.zeros(1, tokens.shape[1], self.dims.n_vocab)
        n = tokens.shape[1] - begin
        row = steps[n % len(steps) if self.s["loop"] else min(n, len(steps) - 1)]
        for id, score in row:
            out[0, -1, id] = score
        if n == 0:
            out[0, sot_index] = 0
            out[0, sot_index, self.tokenizer.no_speech] = windows[min(self.window, len(windows) - 1)]["no_speech"]
        return out


class ScriptedInference:
    def __init__(self, model, initial_token_length):
        self.model, self.begin = model, initial_token_length

    def logits(self, tokens, audio_features):
        return self.model.logits(tokens, self.begin, tokens[0].tolist().index(self.model.tokenizer.sot))

    def cleanup_caching(self):
        pass


def transcribed(scenario):
    model = Scripted(scenario)
    frames = scenario["samples"] // 160
    mel = torch.arange(frames + 3000, dtype=torch.float32).repeat(80, 1)  # a window knows where it begins
    options = {k: v for k, v in scenario["options"].items()}
    with np.errstate(all="ignore"):
        decoding.PyTorchInference = ScriptedInference
        transcribe.log_mel_spectrogram = lambda *a, **k: mel
        r = transcribe.transcribe(model, "", fp16=False, **options)
    subtitles = {}
    for name, writer in (("srt", WriteSRT), ("vtt", WriteVTT)):
        page = io.StringIO()
        writer(".").write_result(r, page, {})
        subtitles[name] = page.getvalue()
    for s in r["segments"]:
        s.pop("id")
    return {"text": r["text"], "language": r["language"], "segments": r["segments"], **subtitles}


def scenarios():
    rng = random.Random(20250625)
    out = []
    for k in range(36):
        n_vocab = [51865, 51864, 51866][k % 3] if k % 4 == 3 else 51865
        t = tokenizer_of(n_vocab)
        timestamps = k % 6 != 5
        words = [rng.randrange(300, 30000) for _ in range(25)]
        loop = k in (10, 22)
        windows = []
        for w in range(rng.randrange(1, 5)):
            attempts = []
            for a in range(rng.randrange(2, 4)):
                steps = []
                pool = words[:2] if rng.random() < 0.25 else words
                for n in range(rng.randrange(1, 30 if not loop else 4)):
                    row = {}
                    for _ in range(rng.randrange(2, 5)):
                        kind = rng.random()
                        if kind < (0.35 if timestamps else 0.03):
                            row[t.timestamp_begin + rng.randrange(0, 1501)] = 0
                        elif kind < 0.93 or loop:
                            row[rng.choice(pool)] = 0
                        elif n > 3:
                            row[t.eot] = 0
                    for id in row:
                        row[id] = rng.randrange(600, 1600) / 100.0
                    steps.append(row)
                if not loop:
                    steps.append({t.eot: 30.0})
                if a > 0:  # a warm attempt draws: one favourite so far ahead that the draw is certain, whatever is forbidden
                    for n, row in enumerate(steps):
                        order = list(row) + [i for i in (words[0], t.eot, t.timestamp_begin + 20, t.timestamp_begin + 1500) if i not in row]
                        row.clear()
                        row.update({i: 4000.0 - 500 * j for j, i in enumerate(order)})
                attempts.append([[[i, v] for i, v in row.items()] for row in steps])
            windows.append({"no_speech": rng.choice([0.0, 0.0, 5.0, 14.0]), "attempts": attempts})
        options = {"without_timestamps": not timestamps, "task": "translate" if k % 9 == 8 and n_vocab != 51864 else "transcribe"}
        if k % 5 != 4:
            options["language"] = "en" if n_vocab == 51864 else rng.choice(["en", "zh", "de"])
        if k % 7 == 3:
            options["condition_on_previous_text"] = False
        if k % 7 == 5:
            options["no_speech_threshold"] = None
        if k % 8 == 6:
            options["logprob_threshold"] = None
        if k % 8 == 7:
            options["compression_ratio_threshold"] = None
        options["temperature"] = [(0.0, 0.2, 0.4, 0.6, 0.8, 1.0), (0.0,), (0.0, 0.8)][k % 3]
        first = t.sot + 1
        out.append({"n_vocab": n_vocab, "samples": rng.randrange(100, 16000 * 110), "loop": loop, "options": options, "windows": windows,
                    "language_scores": [[first + i, rng.randrange(100, 900) / 100.0] for i in rng.sample(range(90), 4)]})
    out[0]["samples"] = 100  # less than one frame
    out[1]["samples"] = 480000
    out[2]["samples"] = 480160
    return out


def tokens_facts():
    rng = random.Random(7)
    out = []
    for n_vocab in (51864, 51865, 51866):
        t = tokenizer_of(n_vocab)
        digest = hashlib.sha256()
        for i in range(n_vocab):
            b = t.encoding.decode_single_token_bytes(i)
            digest.update(len(b).to_bytes(4, "little") + b)
        rows = []
        for _ in range(60):
            ids = [rng.choice([rng.randrange(0, 300), rng.randrange(0, n_vocab)]) for _ in range(rng.randrange(1, 12))]
            rows.append({"ids": ids, "text": t.decode(ids), "stripped": t.decode(ids).strip()})
        out.append({"n_vocab": n_vocab, "sha256_of_all": digest.hexdigest(), "rows": rows, "eot": t.eot, "sot": t.sot, "translate": t.translate,
                    "transcribe": t.transcribe, "sot_lm": t.sot_lm, "sot_prev": t.sot_prev, "no_speech": t.no_speech,
                    "no_timestamps": t.no_timestamps, "timestamp_begin": t.timestamp_begin})
    return out


def noise(n):
    """The same integers in every language: x' = 1664525 x + 1013904223 mod 2^32, its top 16 bits, louder in the middle."""
    x, out = 1, np.empty(n, np.float32)
    for i in range(n):
        x = (1664525 * x + 1013904223) & 0xFFFFFFFF
        out[i] = ((x >> 16) - 32768) / 32768.0 * (0.5 if n // 3 < i < n // 2 else 0.01)
    return out


def mel_facts():
    with wave.open(CLIP, "rb") as w:
        clip = np.frombuffer(w.readframes(w.getnframes()), "<i2").astype(np.float32) / 32768.0
    out = []
    for name, audio in (("clip001", clip), ("noise", noise(16000 * 41 + 77))):
        for n_mels in (80, 128):
            padded = whisper.log_mel_spectrogram(audio, n_mels, padding=480000)
            content = padded.shape[1] - 3000
            frames = sorted({0, 1, 2, 97, content // 2, content - 2, content - 1, content, content + 1, content + 2, content + 50})
            out.append({"sound": name, "samples": len(audio), "n_mels": n_mels, "content_frames": content, "frames": frames,
                        "values": [[round(float(v), 6) for v in padded[:, f]] for f in frames]})
            if name == "clip001":
                cut = whisper.log_mel_spectrogram(whisper.pad_or_trim(audio), n_mels)
                out[-1]["same_as_decode"] = bool(torch.equal(cut[:, :3000], padded[:, :3000]))
    return out


def facts():
    made = scenarios()
    for s in made:
        s["result"] = transcribed(s)
    ratios = [{"text": t, "ratio": whisper.utils.compression_ratio(t)} for t in ("", "a", "hello world", "la " * 40, "ÄÖ 中文 " * 9)]
    return {"package": whisper.__version__, "tokens": tokens_facts(), "mel": mel_facts(), "compression": ratios, "scenarios": made}


def alike(a, b):
    """Equal, numbers within what another PyTorch may round differently."""
    if isinstance(a, float) or isinstance(b, float):
        return abs(a - b) <= 1e-4 * max(1.0, abs(a))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(alike(x, y) for x, y in zip(a, b))
    return a == b


def main():
    got = json.loads(json.dumps(facts()))
    if "--check" in sys.argv:
        with open(TARGET, encoding="utf-8") as f:
            same = alike(json.load(f), got)
        print("equal" if same else "different")
        return 0 if same else 1
    with open(TARGET, "w", encoding="utf-8") as f:
        json.dump(got, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
