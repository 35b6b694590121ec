"""OpenAI Whisper (Radford et al. 2022) with the parameter names of OpenAI's checkpoints, as four parts:

    encoder(mel float32 [1, n_mels, 3000])                        -> [1, 1500, n_audio_state]
    decoder(tokens int64 [1, 448], audio [1, 1500, n_audio_state]) -> logits [1, 448, n_vocab]
    cross_kv(audio)       -> cross_k0, cross_v0, cross_k1, ... [1, 1500, n_text_state]: once for each 30 s
    decoder_kv(tokens [1, 1], position [1, 1], mask [1, 1, 1, 449], self_k0, self_v0 [1, 448, n_text_state], cross_k0,
               cross_v0, self_k1, ...) -> logits [1, 1, n_vocab], k0, v0 [1, 1, n_text_state], k1, ...

The first two compute every position at each step, the last two one position from cached keys and values: the caller
writes k and v into row `position` of its caches afterwards. The mask is 0 for the cached rows before `position` and for
its last entry (the token itself), -60000 elsewhere. `--set kv=false` leaves them out, `--set timestamps=true` and `--set
language=zh` change the decoding defaults, `--set vocab=FILE` names a tiktoken rank file where the openai-whisper
package is not installed.

The token embedding stays inside the decoder (it is also the output projection). The causal mask is a buffer of 0 and
-60000 instead of -inf: exp() of both is exactly 0 in float32, and -60000 also fits float16.
"""

import hashlib
import json
import math
import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from npuport_torch import samples as sample_files
from npuport_torch import whisper_audio, whisper_decode, whisper_vocab
from npuport_torch.errors import HelperError
from npuport_torch.template import Part

TEMPLATE_NAME = "Whisper"
MASKED = -60000.0
BASE = dict(n_mels=80, n_audio_ctx=1500, n_audio_state=512, n_audio_head=8, n_audio_layer=6,
            n_vocab=51865, n_text_ctx=448, n_text_state=512, n_text_head=8, n_text_layer=6)


def sinusoids(length, channels):
    """Fixed positions of the encoder: sin in the first half of the channels, cos in the second, periods 2 pi .. 20000 pi."""
    rate = torch.exp(-math.log(10000.0) / (channels // 2 - 1) * torch.arange(channels // 2))
    angle = torch.arange(length)[:, None] * rate[None]
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class MultiHeadAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x, memory, mask):
        return self.attend(x, self.key(memory), self.value(memory), mask)

    def attend(self, x, k, v, mask):
        q, k, v = (self.split(t) for t in (self.query(x), k, v))
        scores = (q * self.scale) @ k.transpose(-1, -2)
        if mask is not None:
            scores = scores + mask
        y = torch.softmax(scores, dim=-1) @ v
        return self.out(y.transpose(1, 2).reshape(x.shape))

    def split(self, t):
        return t.view(t.shape[0], t.shape[1], self.heads, -1).transpose(1, 2)


class Block(nn.Module):
    def __init__(self, width, heads, cross):
        super().__init__()
        self.attn, self.attn_ln = MultiHeadAttention(width, heads), nn.LayerNorm(width)
        if cross:
            self.cross_attn, self.cross_attn_ln = MultiHeadAttention(width, heads), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.mlp_ln = nn.LayerNorm(width)
        self.cross = cross

    def forward(self, x, memory=None, mask=None):
        y = self.attn_ln(x)
        x = x + self.attn(y, y, mask)
        if self.cross:
            x = x + self.cross_attn(self.cross_attn_ln(x), memory, None)
        return x + self.mlp(self.mlp_ln(x))


class Encoder(nn.Module):
    half_storage = ("positional_embedding",)

    def __init__(self, n_mels, context, width, heads, layers):
        super().__init__()
        self.conv1 = nn.Conv1d(n_mels, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.register_buffer("positional_embedding", sinusoids(context, width))
        self.blocks = nn.ModuleList(Block(width, heads, False) for _ in range(layers))
        self.ln_post = nn.LayerNorm(width)

    def forward(self, mel):
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.positional_embedding.to(x.dtype)
        for block in self.blocks:
            x = block(x)
        return self.ln_post(x)


class Decoder(nn.Module):
    half_storage = ("positional_embedding", "mask")

    def __init__(self, n_vocab, context, width, heads, layers):
        super().__init__()
        self.token_embedding = nn.Embedding(n_vocab, width)
        self.positional_embedding = nn.Parameter(torch.zeros(context, width))
        self.blocks = nn.ModuleList(Block(width, heads, True) for _ in range(layers))
        self.ln = nn.LayerNorm(width)
        self.register_buffer("mask", torch.full((context, context), MASKED).triu(1), persistent=False)

    def forward(self, tokens, audio):
        n = tokens.shape[1]
        x = self.token_embedding(tokens)
        x = x + self.positional_embedding[:n].to(x.dtype)
        mask = self.mask[:n, :n].to(x.dtype)
        for block in self.blocks:
            x = block(x, audio, mask)
        return self.ln(x) @ self.token_embedding.weight.to(x.dtype).t()


class CrossKV(nn.Module):
    """The keys and values every decoder layer makes of the encoder's output."""

    def __init__(self, decoder):
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleList([b.cross_attn.key, b.cross_attn.value]) for b in decoder.blocks)

    def forward(self, audio):
        return tuple(projection(audio) for layer in self.layers for projection in layer)


class DecoderKV(nn.Module):
    """One position of the decoder; the positions before it as cached keys and values."""

    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, tokens, position, mask, *caches):
        d = self.decoder
        x = d.token_embedding(tokens)
        x = x + F.embedding(position, d.positional_embedding.to(x.dtype))
        new = []
        for n, block in enumerate(d.blocks):
            self_k, self_v, cross_k, cross_v = caches[4 * n:4 * n + 4]
            y = block.attn_ln(x)
            k, v = block.attn.key(y), block.attn.value(y)
            x = x + block.attn.attend(y, torch.cat([self_k, k], 1), torch.cat([self_v, v], 1), mask)
            x = x + block.cross_attn.attend(block.cross_attn_ln(x), cross_k, cross_v, None)
            x = x + block.mlp(block.mlp_ln(x))
            new += [k, v]
        return (d.ln(x) @ d.token_embedding.weight.to(x.dtype).t(), *new)


class Whisper(nn.Module):
    def __init__(self, dims, options=None):
        super().__init__()
        self.dims, self.options = dims, options or {}
        self.encoder = Encoder(dims["n_mels"], dims["n_audio_ctx"], dims["n_audio_state"], dims["n_audio_head"], dims["n_audio_layer"])
        self.decoder = Decoder(dims["n_vocab"], dims["n_text_ctx"], dims["n_text_state"], dims["n_text_head"], dims["n_text_layer"])

    def forward(self, mel, tokens):
        return self.decoder(tokens, self.encoder(mel))


def build(num_classes, pretrained=False):
    return Whisper(BASE)


def build_from(state, extra):
    """OpenAI stores `dims` beside the weights."""
    dims = extra.get("dims")
    if not isinstance(dims, dict) or set(BASE) - set(dims):
        raise HelperError("bad-input-data", "the checkpoint has no complete `dims` (OpenAI's ModelDimensions)",
                          "expected {\"dims\": {...}, \"model_state_dict\": {...}}")
    options = {k: extra[k] for k in ("kv", "timestamps", "language", "vocab") if k in extra}
    return Whisper({k: int(dims[k]) for k in BASE}, options)


def _flag(model, name, otherwise):
    return str(model.options.get(name, otherwise)).lower() in ("1", "true", "yes", "on")


def _decode_info(model):
    language = str(model.options.get("language", "en"))
    if language not in whisper_decode.LANGUAGES:
        raise HelperError("usage", f"--set language={language}: no language code of Whisper", "codes: " + " ".join(whisper_decode.LANGUAGES))
    return whisper_decode.decode_info(model.dims, language, _flag(model, "timestamps", False))


def parts(model):
    d = model.dims
    frames = 2 * d["n_audio_ctx"]
    audio = {"name": "audio", "shape": [1, d["n_audio_ctx"], d["n_audio_state"]], "dtype": "float32"}
    tokens = {"name": "tokens", "shape": [1, d["n_text_ctx"]], "dtype": "int64", "range": [0, d["n_vocab"] - 1]}
    out = [
        Part("encoder", model.encoder, [{"name": "mel", "shape": [1, d["n_mels"], frames], "dtype": "float32"}], f"{d['n_mels']}x{frames}"),
        Part("decoder", model.decoder, [tokens, audio], str(d["n_text_ctx"]), partial_baseline=True)]
    if not _flag(model, "kv", True):
        return out
    inputs = [{**tokens, "shape": [1, 1]},
              {"name": "position", "shape": [1, 1], "dtype": "int64", "range": [0, d["n_text_ctx"] - 1]},
              {"name": "mask", "shape": [1, 1, 1, d["n_text_ctx"] + 1], "dtype": "float32"}]
    for n in range(d["n_text_layer"]):
        for kind, rows in (("self", d["n_text_ctx"]), ("cross", d["n_audio_ctx"])):
            inputs += [{"name": f"{kind}_{c}{n}", "shape": [1, rows, d["n_text_state"]], "dtype": "float32"} for c in "kv"]
    return out + [
        Part("cross_kv", CrossKV(model.decoder), [dict(audio)], str(d["n_audio_ctx"]), partial_baseline=True),
        Part("decoder_kv", DecoderKV(model.decoder), inputs, str(d["n_text_ctx"]))]


def make_samples(model, parts, data_files, count, generator):
    """-> {part name: [inputs]}: every part is fed with what PyTorch's own other parts made (teacher-forced)."""
    info = _decode_info(model)
    d, module = model.dims, {p.name: p.module for p in parts}
    out = {p.name: [] for p in parts}
    for k in range(count):
        if k < len(data_files):
            mel = _mel(model, data_files[k])
        else:
            mel = sample_files.random_input(parts[0].inputs[0], generator)
        audio = model.encoder(mel)
        if k < len(data_files):
            ids = whisper_decode.greedy(model.decoder, audio, info)
        else:
            ids = torch.randint(0, d["n_vocab"], (12,), generator=generator).tolist()
        tokens = info["initial_tokens"] + ids
        padded = tokens + [info["pad_token"]] * (d["n_text_ctx"] - len(tokens))
        out["encoder"].append([mel])
        out["decoder"].append([torch.tensor([padded]), audio])
        if "decoder_kv" in module:
            out["cross_kv"].append([audio.half().float()])
            # The first sample at the very beginning, with empty caches, the others behind all their tokens.
            out["decoder_kv"].append(_step_inputs(model, module, audio, tokens[:1] if k == 0 and count > 1 else tokens))
    return out


def _step_inputs(model, module, audio, tokens):
    """The inputs of decoder_kv for the last of `tokens`, its caches filled by running it on the ones before."""
    context, width, layers = (model.dims[k] for k in ("n_text_ctx", "n_text_state", "n_text_layer"))
    # Values that float16 holds: half the bytes in the sample's archive, and the baseline is computed from the same.
    cross = [t.half().float() for t in module["cross_kv"](audio)]
    caches = [[torch.zeros(1, context, width) for _ in range(2)] + cross[2 * n:2 * n + 2] for n in range(layers)]
    for position, token in enumerate(tokens):
        mask = torch.full((1, 1, 1, context + 1), MASKED)
        mask[..., :position] = 0
        mask[..., context] = 0
        inputs = [torch.tensor([[token]]), torch.tensor([[position]]), mask] + [t.clone() for layer in caches for t in layer]
        new = module["decoder_kv"](*inputs)[1:]
        for n in range(layers):
            for c in range(2):
                caches[n][c][:, position] = new[2 * n + c][:, 0].half().float()
    return inputs


def _mel(model, path):
    return whisper_audio.log_mel(whisper_audio.read_wav(path), model.dims["n_mels"], 2 * model.dims["n_audio_ctx"])


def _write_baseline(out, path, ids, info, ranks, model):
    """baseline/baseline_NAME.json: PyTorch's text of one clip, keyed by the hashes of model and input."""
    state = hashlib.sha256()
    for name, t in sorted(model.state_dict().items()):
        state.update(name.encode() + b"\0" + t.contiguous().numpy().tobytes())
    with open(path, "rb") as f:
        sound = hashlib.sha256(f.read()).hexdigest()
    text = b"".join(ranks[i] for i in ids if i < len(ranks)).decode("utf-8", errors="replace").strip()
    os.makedirs(os.path.join(out, "baseline"), exist_ok=True)
    name = os.path.splitext(os.path.basename(path))[0]
    with open(os.path.join(out, "baseline", f"baseline_{name}.json"), "w", encoding="utf-8") as f:
        json.dump({"version": 1, "file": os.path.basename(path), "text": text, "tokens": ids, "language": info["language"],
                   "model_sha256": state.hexdigest(), "input_sha256": sound}, f, indent=1, ensure_ascii=False)
        f.write("\n")


def finish(model, parts, data_files, out, say):
    """clips/*.npz (mel and the ids PyTorch decodes) for the text gate, whisper_decode.json for the loop,
    vocab.txt, baseline/*.json (PyTorch's texts)."""
    info = _decode_info(model)
    vocab = whisper_vocab.write(model.dims["n_vocab"], out, model.options.get("vocab"))
    if vocab:
        info["vocab"] = vocab
    else:
        say("note: no vocabulary: the package openai-whisper is not installed here; install it or add --set vocab=FILE.tiktoken, "
            "or name the file to `npuport transcribe --vocab`")
    with_kv = any(p.name == "decoder_kv" for p in parts)
    with open(os.path.join(out, "whisper_decode.json"), "w", encoding="utf-8") as f:
        json.dump(info, f, indent=1, sort_keys=True)
        f.write("\n")
    os.makedirs(os.path.join(out, "clips"), exist_ok=True)
    clips = []
    for path in data_files:
        mel = _mel(model, path)
        ids = whisper_decode.greedy(model.decoder, model.encoder(mel), info)
        name = os.path.splitext(os.path.basename(path))[0]
        sample_files.save_npz(os.path.join(out, "clips", name + ".npz"), {"mel": mel.numpy(), "ids": np.array(ids, np.int64)})
        if vocab:
            _write_baseline(out, path, ids, info, whisper_vocab.read_ranks(os.path.join(out, vocab)), model)
        clips.append({"name": name, "ids": ids})
        say(f"clip {name}: {len(ids)} ids")
    links = [{"from": "encoder.out.0", "to": "decoder.audio"}]
    if with_kv:
        links.append({"from": "encoder.out.0", "to": "cross_kv.audio"})
        for n in range(model.dims["n_text_layer"]):
            links += [{"from": f"cross_kv.out.{2 * n + c}", "to": f"decoder_kv.cross_{'kv'[c]}{n}"} for c in range(2)]
    if not clips:
        return {"task": None, "links": links}
    return {"task": {"kind": "asr", "samples": ["clips/*.npz"], "decode": "whisper_decode.json", "gate": {"kind": "text"}},
            "links": links, "clips": clips}
