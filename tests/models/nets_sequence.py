"""Text and sound networks written for the tests after their papers (no third-party code)."""

import math

import torch
import torch.nn.functional as F
from nets_vision import Attention, conv_bn
from torch import nn


class Bert(nn.Module):
    """Devlin et al. 2019: token + position + type embeddings, post-norm blocks, pooled first token."""

    def __init__(self, vocab=120, width=32, heads=4, layers=2, length=16):
        super().__init__()
        self.word, self.place, self.kind = nn.Embedding(vocab, width, padding_idx=0), nn.Embedding(length, width), nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.attn = nn.ModuleList(Attention(width, heads) for _ in range(layers))
        self.norm1, self.norm2 = (nn.ModuleList(nn.LayerNorm(width, eps=1e-12) for _ in range(layers)) for _ in range(2))
        self.mlp = nn.ModuleList(nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)) for _ in range(layers))
        self.pooler = nn.Linear(width, width)

    def forward(self, ids, mask):
        n = ids.shape[1]
        x = self.word(ids) + self.place(torch.arange(n)[None]) + self.kind(torch.zeros_like(ids))
        x = self.norm(x)
        bias = (1.0 - mask[:, None, None, :].to(x.dtype)) * -10000.0
        for attn, n1, mlp, n2 in zip(self.attn, self.norm1, self.mlp, self.norm2):
            x = n1(x + attn(x, x, x, bias))
            x = n2(x + mlp(x))
        return x, torch.tanh(self.pooler(x[:, 0]))


def marian_positions(length, width):
    angle = torch.arange(length)[:, None] / 10000 ** (torch.arange(width // 2)[None] * 2 / width)
    return torch.cat([angle.sin(), angle.cos()], 1)


class MarianBlock(nn.Module):
    def __init__(self, width, heads, cross):
        super().__init__()
        self.self_attn, self.cross = Attention(width, heads), Attention(width, heads) if cross else None
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, bias, memory=None, memory_bias=None):
        x = self.norms[0](x + self.self_attn(x, x, x, bias))
        if memory is not None:
            x = self.norms[1](x + self.cross(x, memory, memory, memory_bias))
        return self.norms[2](x + self.fc2(F.silu(self.fc1(x))))


class MarianEncoder(nn.Module):
    """Junczys-Dowmunt et al. 2018: scaled embeddings, sinusoidal positions, post-norm, swish; padding by masked_fill."""

    def __init__(self, vocab=150, width=32, heads=4, layers=2, length=12):
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.register_buffer("positions", marian_positions(length, width))
        self.blocks = nn.ModuleList(MarianBlock(width, heads, False) for _ in range(layers))

    def forward(self, ids, mask):
        x = self.embed(ids) * math.sqrt(self.embed.embedding_dim) + self.positions[: ids.shape[1]]
        bias = torch.zeros(1, 1, 1, ids.shape[1]).masked_fill(mask[:, None, None, :] == 0, -1e9)
        for b in self.blocks:
            x = b(x, bias)
        return x


class MarianDecoder(nn.Module):
    """Causal by tril; tied output projection plus `final_logits_bias`."""

    def __init__(self, vocab=150, width=32, heads=4, layers=2, length=10):
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.register_buffer("positions", marian_positions(length, width))
        self.register_buffer("final_logits_bias", torch.randn(1, vocab) * 0.1)
        self.blocks = nn.ModuleList(MarianBlock(width, heads, True) for _ in range(layers))

    def forward(self, ids, memory, mask):
        n = ids.shape[1]
        x = self.embed(ids) * math.sqrt(self.embed.embedding_dim) + self.positions[:n]
        causal = torch.zeros(n, n).masked_fill(torch.tril(torch.ones(n, n)) == 0, -1e9)
        bias = (1.0 - mask[:, None, None, :].to(x.dtype)) * -1e9
        for b in self.blocks:
            x = b(x, causal, memory, bias)
        return F.linear(x, self.embed.weight) + self.final_logits_bias


class MarianCachedDecoder(nn.Module):
    """One step of a MarianDecoder: keys and values of the rows before in caches [layers, batch, heads, rows, width], given back
    with the new row behind; those of the encoder likewise, computed once. `mask` closes the cache's empty rows."""

    def __init__(self, vocab=150, width=32, heads=4, layers=2):
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.register_buffer("final_logits_bias", torch.randn(1, vocab) * 0.1)
        self.blocks = nn.ModuleList(MarianBlock(width, heads, True) for _ in range(layers))
        self.heads = heads

    def split(self, x):
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def attend(self, layer, x, k, v, bias=None):
        q = self.split(layer.q_proj(x))
        a = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        a = torch.softmax(a if bias is None else a + bias, -1)
        return layer.out_proj((a @ v).transpose(1, 2).reshape(x.shape))

    def forward(self, ids, position, mask, past_key, past_value, cross_key, cross_value):
        x = self.embed(ids) * math.sqrt(self.embed.embedding_dim) + position
        keys, values = [], []
        for i, b in enumerate(self.blocks):
            keys.append(torch.cat([past_key[i], self.split(b.self_attn.k_proj(x))], 2))
            values.append(torch.cat([past_value[i], self.split(b.self_attn.v_proj(x))], 2))
            x = b.norms[0](x + self.attend(b.self_attn, x, keys[-1], values[-1], mask))
            x = b.norms[1](x + self.attend(b.cross, x, cross_key[i], cross_value[i]))
            x = b.norms[2](x + b.fc2(F.silu(b.fc1(x))))
        return F.linear(x, self.embed.weight) + self.final_logits_bias, torch.stack(keys), torch.stack(values)


class Recurrent(nn.Module):
    """One recurrent layer type with its state as second output."""

    def __init__(self, kind, **options):
        super().__init__()
        self.rnn = getattr(nn, kind)(10, 12, **options)

    def forward(self, x):
        y, state = self.rnn(x)
        return (y, *state) if isinstance(state, tuple) else (y, state)


class CellLoop(nn.Module):
    """LSTMCell and GRUCell unrolled over a fixed number of steps."""

    def __init__(self):
        super().__init__()
        self.lstm, self.gru = nn.LSTMCell(6, 8), nn.GRUCell(8, 5)

    def forward(self, x):
        h, c, g = torch.zeros(x.shape[0], 8), torch.zeros(x.shape[0], 8), torch.zeros(x.shape[0], 5)
        out = []
        for t in range(x.shape[1]):
            h, c = self.lstm(x[:, t], (h, c))
            g = self.gru(h, g)
            out.append(g)
        return torch.stack(out, 1)


class CRNN(nn.Module):
    """Shi et al. 2015: convolutions to one row, two bidirectional LSTMs, class per column (log-probabilities)."""

    def __init__(self, classes=20):
        super().__init__()
        self.features = nn.Sequential(conv_bn(1, 8), nn.MaxPool2d(2), conv_bn(8, 16), nn.MaxPool2d(2), conv_bn(16, 16), nn.MaxPool2d((2, 1)),
                                      nn.Conv2d(16, 24, (4, 1)), nn.ReLU())
        self.rnn = nn.LSTM(24, 16, num_layers=2, bidirectional=True)
        self.head = nn.Linear(32, classes)

    def forward(self, x):
        y = self.features(x).squeeze(2).permute(2, 0, 1)
        return F.log_softmax(self.head(self.rnn(y)[0]), 2)


class Wav2Vec2(nn.Module):
    """Baevski et al. 2020: strided 1-D convolutions on the waveform, grouped positional convolution, pre-norm blocks."""

    def __init__(self, width=24, heads=3, layers=2):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(1 if k == 0 else 16, 16, (10, 3, 2)[k], (5, 2, 2)[k], bias=False) for k in range(3))
        self.group = nn.GroupNorm(16, 16)
        self.norm, self.project = nn.LayerNorm(16), nn.Linear(16, width)
        self.place = nn.utils.weight_norm(nn.Conv1d(width, width, 8, padding=4, groups=4), dim=2)
        self.attn = nn.ModuleList(Attention(width, heads) for _ in range(layers))
        self.norm1, self.norm2 = (nn.ModuleList(nn.LayerNorm(width) for _ in range(layers)) for _ in range(2))
        self.mlp = nn.ModuleList(nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(layers))

    def forward(self, wave):
        x = wave[:, None]
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-7).sqrt()
        for k, conv in enumerate(self.convs):
            x = conv(x)
            x = F.gelu(self.group(x) if k == 0 else x)
        x = self.project(self.norm(x.transpose(1, 2)))
        x = x + F.gelu(self.place(x.transpose(1, 2))[:, :, :-1]).transpose(1, 2)
        for attn, n1, mlp, n2 in zip(self.attn, self.norm1, self.mlp, self.norm2):
            y = n1(x)
            x = x + attn(y, y, y)
            x = x + mlp(n2(x))
        return x


class Transformer(nn.Module):
    """nn.TransformerEncoder as PyTorch offers it: traced without gradients it takes the fused fast path."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2)

    def forward(self, x):
        return self.encoder(x)
