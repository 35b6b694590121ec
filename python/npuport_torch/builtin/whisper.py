"""OpenAI Whisper (Radford et al. 2022) with the parameter names of OpenAI's checkpoints, as two parts:

    encoder(mel float32 [1, n_mels, 3000])                        -> [1, 1500, n_audio_state]
    decoder(tokens int64 [1, 448], audio [1, 1500, n_audio_state]) -> logits [1, 448, n_vocab]

The token embedding stays inside the decoder (it is also the output projection). The causal mask is a buffer of 0 and
-60000 instead of -inf: exp() of both is exactly 0 in float32, and -60000 also fits float16.
"""

import json
import math
import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from npuport_torch import samples as sample_files
from npuport_torch import whisper_audio, whisper_decode
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
        q, k, v = (self.split(t) for t in (self.query(x), self.key(memory), self.value(memory)))
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


class Whisper(nn.Module):
    def __init__(self, dims):
        super().__init__()
        self.dims = dims
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
    return Whisper({k: int(dims[k]) for k in BASE})


def parts(model):
    d = model.dims
    frames = 2 * d["n_audio_ctx"]
    audio = {"name": "audio", "shape": [1, d["n_audio_ctx"], d["n_audio_state"]], "dtype": "float32"}
    return [
        Part("encoder", model.encoder, [{"name": "mel", "shape": [1, d["n_mels"], frames], "dtype": "float32"}], f"{d['n_mels']}x{frames}"),
        Part("decoder", model.decoder, [{"name": "tokens", "shape": [1, d["n_text_ctx"]], "dtype": "int64",
                                         "range": [0, d["n_vocab"] - 1]}, audio], str(d["n_text_ctx"]), partial_baseline=True)]


def make_samples(model, parts, data_files, count, generator):
    """-> {part name: [inputs]}: the decoder is teacher-forced, fed with PyTorch's own encoder output and ids."""
    info = whisper_decode.decode_info(model.dims)
    d, frames = model.dims, 2 * model.dims["n_audio_ctx"]
    out = {"encoder": [], "decoder": []}
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
        tokens += [info["pad_token"]] * (d["n_text_ctx"] - len(tokens))
        out["encoder"].append([mel])
        out["decoder"].append([torch.tensor([tokens]), audio])
    return out


def _mel(model, path):
    return whisper_audio.log_mel(whisper_audio.read_wav(path), model.dims["n_mels"], 2 * model.dims["n_audio_ctx"])


def finish(model, parts, data_files, out, say):
    """clips/*.npz (mel and the ids PyTorch decodes) for the text gate, whisper_decode.json for the greedy loop."""
    info = whisper_decode.decode_info(model.dims)
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
        clips.append({"name": name, "ids": ids})
        say(f"clip {name}: {len(ids)} ids")
    links = [{"from": "encoder.out.0", "to": "decoder.audio"}]
    if not clips:
        return {"task": None, "links": links}
    return {"task": {"kind": "asr", "samples": ["clips/*.npz"], "decode": "whisper_decode.json", "gate": {"kind": "text"}},
            "links": links, "clips": clips}
