"""Exports PyTorch networks to ONNX and keeps their outputs.

  onnx_torch_models.py OUT

OUT/NAME.onnx and OUT/NAME.npz (in.0, ..., out.0, ...); no onnx package is needed.
"""

import os
import sys
import warnings

import numpy as np
import torch
import torchvision

warnings.filterwarnings("ignore")
torch.manual_seed(5)


class Text(torch.nn.Module):
    """Embedding, a transformer encoder with a padding mask, a head; exporters write shape arithmetic for it."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(50, 32)
        self.position = torch.nn.Parameter(torch.randn(1, 16, 32))
        layer = torch.nn.TransformerEncoderLayer(32, 4, 64, activation="gelu", batch_first=True)
        self.encoder = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = torch.nn.Linear(32, 7)

    def forward(self, ids):
        x = self.embed(ids) + self.position[:, : ids.shape[1]]
        x = self.encoder.layers[1](self.encoder.layers[0](x))
        return self.head(x).log_softmax(-1), x.mean(dim=1).view(x.shape[0], 4, -1)


class Sound(torch.nn.Module):
    """Convolution, LSTM and GRU in both directions."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(6, 8, 3, padding=1, stride=2)
        self.lstm = torch.nn.LSTM(8, 5, bidirectional=True, batch_first=True)
        self.gru = torch.nn.GRU(10, 4, num_layers=2)

    def forward(self, x):
        x = torch.nn.functional.elu(self.conv(x)).transpose(1, 2)
        x, _ = self.lstm(x)
        y, h = self.gru(x.transpose(0, 1))
        return y, h


class Picture(torch.nn.Module):
    """What detectors and super-resolution need."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.up = torch.nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
        self.norm = torch.nn.GroupNorm(2, 4)

    def forward(self, x):
        y = self.norm(self.up(torch.nn.functional.hardswish(self.conv(x))))
        y = torch.nn.functional.pixel_shuffle(y, 2)
        y = torch.nn.functional.interpolate(y, size=(20, 24), mode="bilinear", align_corners=False)
        b, c, h, w = y.shape
        top, at = y.reshape(b, c, h * w).topk(5, dim=-1)
        return y.clamp(0, 1)[..., ::2, 1:-1], top, at, y.flatten(2).norm(dim=-1)


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    image = torch.randn(1, 3, 64, 64)
    ids = torch.randint(0, 50, (2, 11))
    jobs = [("resnet18", torchvision.models.resnet18(), (image,), [17]), ("mobilenet_v2", torchvision.models.mobilenet_v2(), (image,), [11]),
            ("text", Text(), (ids,), [11, 13, 17]), ("sound", Sound(), (torch.randn(2, 6, 18),), [11, 17]),
            ("picture", Picture(), (torch.randn(1, 3, 12, 12),), [11, 13, 17])]
    for name, model, args, opsets in jobs:
        model.eval()
        with torch.no_grad():
            result = model(*args)
        arrays = {"in.%d" % i: a.numpy() for i, a in enumerate(args)}
        results = result if isinstance(result, tuple) else (result,)
        arrays.update({"out.%d" % i: r.numpy() for i, r in enumerate(results)})
        for opset in opsets:
            path = os.path.join(out, "%s_%d" % (name, opset))
            torch.onnx.export(model, args, path + ".onnx", opset_version=opset, do_constant_folding=opset != 13)
            np.savez(path + ".npz", **arrays)


main()
