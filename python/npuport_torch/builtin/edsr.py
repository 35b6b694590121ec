"""EDSR super-resolution (Lim et al. 2017, "Enhanced Deep Residual Networks for Single Image Super-Resolution").

Names of parameters as in the published EDSR-PyTorch checkpoints; input and output are RGB in 0..255, NCHW:
    sub_mean, head.0, body.N.body.{0,2}, body.<blocks>, tail.0.{0,2,..}, tail.1, add_mean
"""

import os

import torch
from torch import nn

from npuport_torch import image
from npuport_torch.errors import HelperError
from npuport_torch.template import Part

TEMPLATE_NAME = "EDSR"
GATE = {"kind": "image", "peak": 255}
SIZE = (96, 128)  # H, W of the low-resolution input; deliberately not square
MEAN = (0.4488, 0.4371, 0.4040)  # RGB mean of the DIV2K pictures


def _conv(i, o):
    return nn.Conv2d(i, o, 3, padding=1)


class ResBlock(nn.Module):
    def __init__(self, features, res_scale):
        super().__init__()
        self.body = nn.Sequential(_conv(features, features), nn.ReLU(inplace=True), _conv(features, features))
        self.res_scale = res_scale

    def forward(self, x):
        r = self.body(x)
        return x + (r if self.res_scale == 1 else r * self.res_scale)


class EDSR(nn.Module):
    def __init__(self, scale=2, blocks=16, features=64, res_scale=1.0):
        super().__init__()
        self.scale = scale
        self.sub_mean = nn.Conv2d(3, 3, 1)
        self.head = nn.Sequential(_conv(3, features))
        self.body = nn.Sequential(*[ResBlock(features, res_scale) for _ in range(blocks)], _conv(features, features))
        steps = []
        for factor in ([3] if scale == 3 else [2] * (scale.bit_length() - 1)):
            steps += [_conv(features, factor * factor * features), nn.PixelShuffle(factor)]
        self.tail = nn.Sequential(nn.Sequential(*steps), _conv(features, 3))
        self.add_mean = nn.Conv2d(3, 3, 1)
        for shift, sign in ((self.sub_mean, -1.0), (self.add_mean, 1.0)):
            shift.weight.data = torch.eye(3).view(3, 3, 1, 1)
            shift.bias.data = sign * 255.0 * torch.tensor(MEAN)

    def forward(self, x):
        x = self.head(self.sub_mean(x))
        x = x + self.body(x)
        return self.add_mean(self.tail(x))


def build(num_classes, pretrained=False):
    return EDSR()


def build_from(state, extra):
    """Sizes from the checkpoint. `res_scale` is not stored in it: the published models use 0.1 from 256 features on and
    1 below; others say --set res_scale=VALUE."""
    if "head.0.weight" not in state:
        return EDSR()
    features = int(state["head.0.weight"].shape[0])
    blocks = len({k.split(".")[1] for k in state if k.startswith("body.") and ".body." in k})
    ups = [int(t.shape[0]) // features for k, t in state.items() if k.startswith("tail.0.") and k.endswith("weight")]
    if any(u not in (4, 9) for u in ups) or (9 in ups and len(ups) > 1):
        raise HelperError("unsupported-feature", f"EDSR: up-sampling factors {ups} (squared) are not 2, 4, 8 or 3", "write a template of your own")
    scale = 3 if ups == [9] else 2 ** len(ups)
    res_scale = float(extra.get("res_scale", 0.1 if features >= 256 else 1.0))
    return EDSR(scale, blocks, features, res_scale)


def parts(model):
    h, w = SIZE
    return [Part("edsr", model, [{"name": "image", "shape": [1, 3, h, w], "dtype": "float32", "range": [0, 255]}], f"{h}x{w}", GATE)]


def load_sample(path, model, inputs):
    """A PNG: its central part, reduced by 2 with a 2x2 mean when it is large enough, rounded to 8 bits."""
    h, w = inputs[0]["shape"][2:]
    return {"image": image.central_crop(image.read_png(path), h, w, reduce=2)}


def finish(model, parts, data_files, out, say):
    """pictures/NAME.png: each data picture reduced by 2 (its centre, at most 320x240); NAME_pytorch.png: what PyTorch makes of it."""
    os.makedirs(os.path.join(out, "pictures"), exist_ok=True)
    for path in data_files:
        whole = image.read_png(path)
        h, w = min(240, whole.shape[0] // 2), min(320, whole.shape[1] // 2)
        small = image.central_crop(whole, h, w, reduce=2)
        large = model(torch.from_numpy(small))[0].permute(1, 2, 0).numpy()
        stem = os.path.join(out, "pictures", os.path.splitext(os.path.basename(path))[0])
        image.write_png(stem + ".png", small[0].transpose(1, 2, 0).astype("uint8"))
        image.write_png(stem + "_pytorch.png", large.round().clip(0, 255).astype("uint8"))
        say(f"picture {stem}.png: {w}x{h}")
    return {"task": {"kind": "sr", "samples": ["samples/edsr/*.npz"], "gate": GATE}, "links": []}
