"""Marian translators (Junczys-Dowmunt et al. 2018; Helsinki-NLP's opus-mt) with the parameter names of Hugging Face's
MarianMTModel, as three parts (S source tokens, T rows of cache, L decoder layers, d wide, V words):

    encoder(tokens int64 [1, S], mask [1, 1, 1, S])  -> hidden [1, S, d]
    cross_kv(hidden)                                 -> cross_k, cross_v [L, 1, S, d]: once for each sentence
    decoder_kv(tokens int64 [1, 1], position int64 [1, 1], mask [1, 1, 1, T + 1], cross_mask [1, 1, 1, S],
               self_k, self_v [L, 1, T, d], cross_k, cross_v) -> logits [1, 1, V], new_k, new_v [L, 1, 1, d]

The last computes one position from cached keys and values; the caller writes new_k and new_v into row `position` of its
caches afterwards. Masks are added to scores: 0 for what may be seen, -1e9 for the rest. In `mask` the cached rows before
`position` and the last entry (the token itself) are 0; `mask` of the encoder and `cross_mask` are 0 for the tokens of
the sentence, its end token included, and -1e9 for the padding behind them.

config.json is read from the checkpoint's folder, vocab.json, source.spm and target.spm travel with the port.
`--data FILE.txt` gives sentences, one per line, behind a tab a reference translation if there is one (needs the Python
package sentencepiece). `--set source_tokens=N`, `--set max_tokens=N` change S and T (64).
"""

import json
import math
import os
import shutil

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from npuport_torch import marian_text
from npuport_torch import samples as sample_files
from npuport_torch.errors import HelperError
from npuport_torch.template import Part

TEMPLATE_NAME = "Marian"
BESIDE = ("config.json", "generation_config.json", *marian_text.FILES.values())
MASKED = -1e9
ACTIVATIONS = {
    "swish": F.silu, "silu": F.silu, "relu": F.relu, "gelu": F.gelu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "gelu_new": lambda x: 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))}
SIZES = ("d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads",
         "encoder_ffn_dim", "decoder_ffn_dim", "vocab_size")
SHARED = "model.shared.weight"
EMBED = "model.{}.embed_tokens.weight"
POSITIONS = "model.{}.embed_positions.weight"


def sinusoids(length, channels):
    """Fixed positions: sin of position * 10000^(-2i / channels) in the first half of the channels, cos in the second."""
    angle = np.arange(length)[:, None] / np.power(10000.0, 2 * np.arange((channels + 1) // 2) / channels)[None]
    table = np.concatenate([np.sin(angle), np.cos(angle[:, :channels // 2])], axis=1)
    return torch.from_numpy(table.astype(np.float32))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x, k, v, mask):
        """k, v: keys and values [1, rows, width] of what is looked at."""
        q, k, v = (self.split(t) for t in (self.q_proj(x) * self.scale, k, v))
        y = torch.softmax(q @ k.transpose(-1, -2) + mask, dim=-1) @ v
        return self.out_proj(y.transpose(1, 2).flatten(2))

    def split(self, t):
        return t.view(t.shape[0], t.shape[1], self.heads, -1).transpose(1, 2)


class Layer(nn.Module):
    """Norms come behind the sums ("post-norm")."""

    def __init__(self, width, heads, inner, activation, cross):
        super().__init__()
        self.self_attn, self.self_attn_layer_norm = Attention(width, heads), nn.LayerNorm(width)
        if cross:
            self.encoder_attn, self.encoder_attn_layer_norm = Attention(width, heads), nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.activation, self.cross = activation, cross

    def forward(self, x, k, v, mask, cross_k=None, cross_v=None, cross_mask=None):
        x = self.self_attn_layer_norm(x + self.self_attn(x, k, v, mask))
        if self.cross:
            x = self.encoder_attn_layer_norm(x + self.encoder_attn(x, cross_k, cross_v, cross_mask))
        return self.final_layer_norm(x + self.fc2(self.activation(self.fc1(x))))


class Stack(nn.Module):
    """Encoder or decoder: tables and layers. Tables a checkpoint does not store are computed or shared."""
    half_storage = ("positions",)

    def __init__(self, config, side, embedding, state):
        super().__init__()
        width, length = config["d_model"], config.get("max_position_embeddings", 512)
        self.scale = math.sqrt(width) if config.get("scale_embedding", True) else 1.0
        if EMBED.format(side) in state:
            self.embed_tokens = embedding
        self.embed = [embedding]  # in a list: not a name of its own in the state_dict
        if POSITIONS.format(side) in state:
            self.embed_positions = nn.Embedding(length, width)
            self.embed_positions.weight.data = sinusoids(length, width)
        else:
            self.register_buffer("positions", sinusoids(length, width), persistent=False)
        activation = ACTIVATIONS[config["activation_function"]]
        self.layers = nn.ModuleList(
            Layer(width, config[f"{side}_attention_heads"], config[f"{side}_ffn_dim"], activation, side == "decoder")
            for _ in range(config[f"{side}_layers"]))

    def table(self):
        return self.embed_positions.weight if hasattr(self, "embed_positions") else self.positions

    def embedded(self, tokens):
        x = self.embed[0](tokens)
        return x * self.scale if self.scale != 1.0 else x


class Encoder(nn.Module):
    def __init__(self, stack, embedding):
        super().__init__()
        self.shared, self.encoder = embedding, stack

    def forward(self, tokens, mask):
        e = self.encoder
        x = e.embedded(tokens)
        x = x + e.table()[:tokens.shape[1]].to(x.dtype)
        for layer in e.layers:
            x = layer(x, layer.self_attn.k_proj(x), layer.self_attn.v_proj(x), mask)
        return x


class CrossKV(nn.Module):
    """The keys and values every decoder layer makes of the encoder's output."""

    def __init__(self, stack):
        super().__init__()
        self.keys = nn.ModuleList(layer.encoder_attn.k_proj for layer in stack.layers)
        self.values = nn.ModuleList(layer.encoder_attn.v_proj for layer in stack.layers)

    def forward(self, hidden):
        return torch.stack([p(hidden) for p in self.keys]), torch.stack([p(hidden) for p in self.values])


class DecoderKV(nn.Module):
    """One position of the decoder; the positions before it as cached keys and values."""
    half_storage = ("final_logits_bias",)

    def __init__(self, net, rows):
        super().__init__()
        self.shared, self.decoder, self.head, self.rows = net.decoder_embedding[0], net.model.decoder, net.head(), rows
        self.register_buffer("final_logits_bias", net.final_logits_bias)

    def forward(self, tokens, position, mask, cross_mask, self_k, self_v, cross_k, cross_v):
        d = self.decoder
        x = d.embedded(tokens)
        x = x + F.embedding(position, d.table()[:self.rows].to(x.dtype))
        new_k, new_v = [], []
        # unbind, not self_k[n]: an integer index is exported to ONNX as Gather
        for layer, own_k, own_v, far_k, far_v in zip(d.layers, *(c.unbind(0) for c in (self_k, self_v, cross_k, cross_v))):
            k, v = layer.self_attn.k_proj(x), layer.self_attn.v_proj(x)
            x = layer(x, torch.cat([own_k, k], 1), torch.cat([own_v, v], 1), mask, far_k, far_v, cross_mask)
            new_k.append(k)
            new_v.append(v)
        logits = F.linear(x, self.head.weight.to(x.dtype)) + self.final_logits_bias.to(x.dtype)
        return logits, torch.stack(new_k), torch.stack(new_v)


class Body(nn.Module):
    def __init__(self, shared, encoder, decoder):
        super().__init__()
        if shared is not None:
            self.shared = shared
        self.encoder, self.decoder = encoder, decoder


class Marian(nn.Module):
    half_storage = ("final_logits_bias",)

    def __init__(self, config, options=None, state=None):
        """`state`: the checkpoint; what it stores twice is one parameter here if the values are one, too."""
        super().__init__()
        self.config, self.options, state = config, options or {}, state or {}
        width, words = config["d_model"], config.get("decoder_vocab_size") or config["vocab_size"]
        tables = {}

        def table(key, rows, otherwise):
            same = tables.get(otherwise)
            if otherwise and (key not in state or same is not None and torch.equal(state[key], same)):
                return otherwise
            made = nn.Embedding(rows, width)
            tables[made] = state.get(key)
            return made

        apart = {side: EMBED.format(side) in state for side in ("encoder", "decoder")}
        shared = None if SHARED not in state and apart["encoder"] else table(SHARED, config["vocab_size"], None)
        encoder = table(EMBED.format("encoder"), config["vocab_size"], shared)
        decoder = table(EMBED.format("decoder"), words, shared or (None if apart["decoder"] else encoder))
        self.encoder_embedding, self.decoder_embedding = [encoder], [decoder]
        self.model = Body(shared, Stack(config, "encoder", encoder, state), Stack(config, "decoder", decoder, state))
        if "lm_head.weight" in state:
            self.lm_head = nn.Linear(width, words, bias=False)
            if tables[decoder] is not None and torch.equal(state["lm_head.weight"], tables[decoder]):
                self.lm_head.weight = decoder.weight
        self.register_buffer("final_logits_bias", torch.zeros(1, words))

    def head(self):
        return self.lm_head if hasattr(self, "lm_head") else self.decoder_embedding[0]

    def forward(self, tokens, mask, target):
        """Logits [1, n, V] of all positions of `target` at once: what the cached decoder must equal."""
        return self.decode(self.encode(tokens, mask), mask, target)

    def decode(self, hidden, mask, target):
        d = self.model.decoder
        n = target.shape[1]
        x = d.embedded(target) + d.table()[:n].float()
        causal = torch.full((n, n), MASKED).triu(1)
        for layer in d.layers:
            a, c = layer.self_attn, layer.encoder_attn
            x = layer(x, a.k_proj(x), a.v_proj(x), causal, c.k_proj(hidden), c.v_proj(hidden), mask)
        return F.linear(x, self.head().weight.float()) + self.final_logits_bias.float()

    def encode(self, tokens, mask):
        return Encoder(self.model.encoder, self.encoder_embedding[0])(tokens, mask)


def build(num_classes, pretrained=False):
    raise HelperError("usage", "a Marian network is sized by config.json beside its checkpoint", "give the checkpoint of the model")


def build_from(state, extra):
    """Sizes from config.json in the checkpoint's folder."""
    folder = os.path.dirname(extra.get("checkpoint_path", ""))
    config = marian_text.read_json(os.path.join(folder, "config.json"))
    generation = os.path.join(folder, "generation_config.json")
    if os.path.isfile(generation):
        config = {**config, **marian_text.read_json(generation)}
    _check(config)
    options = {k: extra[k] for k in ("source_tokens", "max_tokens") if k in extra}
    return Marian(config, {**options, "folder": folder}, state)


def _check(config):
    for key in (*SIZES, "eos_token_id", "pad_token_id", "decoder_start_token_id"):
        if not isinstance(config.get(key), int) or isinstance(config[key], bool) or config[key] < (1 if key in SIZES else 0):
            raise HelperError("bad-input-data", f"config.json: no usable {key}", "expected the config.json of a MarianMTModel")
    for key in ("normalize_before", "normalize_embedding", "add_final_layer_norm"):
        if config.get(key):
            raise HelperError("unsupported-feature", f"config.json: {key} is true; Marian's published models are post-norm without it",
                              "write a template of your own")
    if config.get("activation_function") not in ACTIVATIONS:
        raise HelperError("unsupported-feature", f"config.json: activation_function {config.get('activation_function')}",
                          "known: " + ", ".join(ACTIVATIONS))
    for side in ("encoder", "decoder"):
        if config["d_model"] % config[f"{side}_attention_heads"]:
            raise HelperError("bad-input-data", f"config.json: d_model {config['d_model']} is no multiple of the {side}'s heads", "")


def _length(model, name):
    n, most = model.options.get(name, 64), model.config.get("max_position_embeddings", 512)
    if not isinstance(n, int) or isinstance(n, bool) or not 2 <= n <= most:
        raise HelperError("usage", f"--set {name}={n} must be a number from 2 to max_position_embeddings ({most})", "")
    return n


def decode_info(model):
    """What the decoding loop needs, as written to marian_decode.json."""
    c = model.config
    rows = _length(model, "max_tokens")
    banned = [ids for ids in c.get("bad_words_ids") or [] if isinstance(ids, list)]
    if any(len(ids) != 1 for ids in banned):
        raise HelperError("unsupported-feature", "bad_words_ids holds a sequence of several tokens", "leave only single tokens in it")
    return {
        "version": 1,
        "kind": "marian_greedy",
        "dims": {k: c[k] for k in SIZES} | {"decoder_vocab_size": c.get("decoder_vocab_size") or c["vocab_size"]},
        "source_tokens": _length(model, "source_tokens"),
        "max_tokens": rows,
        "max_new_tokens": min(rows, c.get("max_length") or rows) - 1,  # the start token takes one place
        "decoder_start_token": c["decoder_start_token_id"],
        "eos": c["eos_token_id"],
        "pad_token": c["pad_token_id"],
        "suppress_tokens": sorted({*(ids[0] for ids in banned), *(c.get("suppress_tokens") or []), c["pad_token_id"]}),
        "masked": MASKED,
        **marian_text.FILES,
    }


def parts(model):
    c = model.config
    s, t, d, layers = _length(model, "source_tokens"), _length(model, "max_tokens"), c["d_model"], c["decoder_layers"]
    words = c.get("decoder_vocab_size") or c["vocab_size"]
    floats = lambda name, *shape: {"name": name, "shape": list(shape), "dtype": "float32"}
    ids = lambda name, n, count: {"name": name, "shape": [1, n], "dtype": "int64", "range": [0, count - 1]}
    return [
        Part("encoder", Encoder(model.model.encoder, model.encoder_embedding[0]),
             [ids("tokens", s, c["vocab_size"]), floats("mask", 1, 1, 1, s)], str(s)),
        Part("cross_kv", CrossKV(model.model.decoder), [floats("hidden", 1, s, d)], str(s)),
        Part("decoder_kv", DecoderKV(model, t),
             [ids("tokens", 1, words), ids("position", 1, t), floats("mask", 1, 1, 1, t + 1), floats("cross_mask", 1, 1, 1, s),
              floats("self_k", layers, 1, t, d), floats("self_v", layers, 1, t, d),
              floats("cross_k", layers, 1, s, d), floats("cross_v", layers, 1, s, d)], f"{s}x{t}")]


def padded(ids, info):
    """(tokens [1, S], mask [1, 1, 1, S]) of one sentence's ids."""
    s = info["source_tokens"]
    mask = torch.full((1, 1, 1, s), MASKED)
    mask[..., :len(ids)] = 0
    return torch.tensor([list(ids) + [info["pad_token"]] * (s - len(ids))]), mask


@torch.no_grad()
def greedy(model, ids, info):
    """Token ids of the translation without start and end token, by all positions at once (no cache)."""
    tokens, mask = padded(ids, info)
    hidden = model.encode(tokens, mask)
    out = [info["decoder_start_token"]]
    while len(out) < info["max_tokens"] and len(out) - 1 < info["max_new_tokens"]:
        logits = model.decode(hidden, mask, torch.tensor([out]))[0, -1]
        logits[torch.tensor(info["suppress_tokens"])] = float("-inf")
        best = int(logits.argmax())
        if best == info["eos"]:
            break
        out.append(best)
    return out[1:]


def make_samples(model, parts, data_files, count, generator):
    """-> {part name: [inputs]}: every part is fed with what PyTorch's own other parts made (teacher-forced)."""
    info = decode_info(model)
    sentences = marian_text.read_sentences(data_files, model.options["folder"], model.config, info)
    module = {p.name: p.module for p in parts}
    out = {p.name: [] for p in parts}
    for k in range(count):
        if k < len(sentences):
            source = sentences[k]["source"]
            answer = greedy(model, source, info)
        else:
            source, answer = (torch.randint(0, info["dims"]["vocab_size"], (n,), generator=generator).tolist() + [info["eos"]] * m
                              for n, m in ((info["source_tokens"] // 2 - 1, 1), (info["max_tokens"] // 4, 0)))
            answer = [i % info["dims"]["decoder_vocab_size"] for i in answer]
        tokens, mask = padded(source, info)
        hidden = module["encoder"](tokens, mask)
        out["encoder"].append([tokens, mask])
        out["cross_kv"].append([hidden.half().float()])
        # The first sample at the very beginning, with empty caches, the others behind all their tokens.
        target = [info["decoder_start_token"]] + answer[:info["max_tokens"] - 1]
        out["decoder_kv"].append(_step_inputs(module, hidden, mask, target[:1] if k == 0 and count > 1 else target, info))
    return out


def _step_inputs(module, hidden, cross_mask, tokens, info):
    """The inputs of decoder_kv for the last of `tokens`, its caches filled by running it on the ones before."""
    rows = info["max_tokens"]
    # Values that float16 holds: half the bytes in the sample's archive, and the baseline is computed from the same.
    cross = [t.half().float() for t in module["cross_kv"](hidden)]
    layers, _, _, width = cross[0].shape
    caches = [torch.zeros(layers, 1, rows, width) for _ in range(2)]
    for position, token in enumerate(tokens):
        mask = torch.full((1, 1, 1, rows + 1), MASKED)
        mask[..., :position], mask[..., rows] = 0, 0
        inputs = [torch.tensor([[token]]), torch.tensor([[position]]), mask, cross_mask, *(c.clone() for c in caches), *cross]
        new = module["decoder_kv"](*inputs)[1:]
        for cache, row in zip(caches, new):
            cache[:, :, position] = row[:, :, 0].half().float()
    return inputs


def finish(model, parts, data_files, out, say):
    """sentences/*.npz (the ids of a sentence and of PyTorch's translation) for the text gate, sentences.tsv with their
    texts, marian_decode.json for the loop, and the tokeniser's files."""
    info = decode_info(model)
    folder = model.options["folder"]
    for name in marian_text.FILES.values():
        if not os.path.isfile(os.path.join(folder, name)):
            raise HelperError("file-not-found", f"{os.path.join(folder, name)}: no such file",
                              "config.json, vocab.json, source.spm and target.spm must lie beside the checkpoint")
        shutil.copyfile(os.path.join(folder, name), os.path.join(out, name))
    with open(os.path.join(out, "marian_decode.json"), "w", encoding="utf-8") as f:
        json.dump(info, f, indent=1, sort_keys=True)
        f.write("\n")
    links = [{"from": "encoder.out.0", "to": "cross_kv.hidden"}] + \
        [{"from": f"cross_kv.out.{n}", "to": f"decoder_kv.cross_{c}"} for n, c in enumerate("kv")]
    sentences = marian_text.read_sentences(data_files, folder, model.config, info)
    # Without sentences the gate is unverified, but the port still carries what translating needs.
    task = {"kind": "nmt", "samples": ["sentences/*.npz"] if sentences else [], "decode": "marian_decode.json", "gate": {"kind": "text"}}
    if not sentences:
        return {"task": task, "links": links}
    tokenizer = marian_text.Tokenizer.or_none(folder, info["eos"])
    os.makedirs(os.path.join(out, "sentences"), exist_ok=True)
    clips, rows = [], []
    for k, s in enumerate(sentences, 1):
        ids = greedy(model, s["source"], info)
        name = f"s{k:03d}"
        sample_files.save_npz(os.path.join(out, "sentences", name + ".npz"),
                              {"source": np.array(s["source"], np.int64), "ids": np.array(ids, np.int64)})
        clips.append({"name": name, "ids": ids})
        if "text" in s and tokenizer:
            rows.append("\t".join((name, s["text"], tokenizer.decode(ids), s.get("reference", ""))) + "\n")
    if rows:
        with open(os.path.join(out, "sentences.tsv"), "w", encoding="utf-8") as f:
            f.write("name\tsource\tpytorch\treference\n")
            f.writelines(rows)
    say(f"{len(clips)} sentences, {sum(len(c['ids']) for c in clips)} ids")
    return {"task": task, "links": links, "clips": clips}
