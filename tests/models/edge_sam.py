"""A mask decoder in the manner of EdgeSAM, with every construction that compilers refused in it: model, prompts, files.

    /usr/bin/python3 tests/models/edge_sam.py --out DIR [--size 64] [--width 256] [--num-points 5] [--labels equal|abs]
                                              [--part prompt|transformer|masks] [--opset 11] [--seed 0]

writes NAME.pt (TorchScript), NAME.onnx (torch.onnx) and samples/PROMPT.npz for four prompts: two single points,
foreground + background, a box. Random weights of a fixed seed, scaled on the four prompts such that every mask covers
between 5 % and 95 % of the picture and the prompts' masks differ. Written after Kirillov et al. 2023 and Zhou et al. 2023.

inputs   image_embeddings [1, width, size, size], point_coords [1, N, 2] in pixels of the picture (16 size wide),
         point_labels [1, N] float: -1 nothing, 0 background, 1 foreground, 2 and 3 corners of a box
outputs  scores [1, 4] (stability), masks [1, 4, 4 size, 4 size] (logits, threshold 0), iou [1, 4] (predicted)

The constructions: sin/cos of input values (random Fourier features), label == k with cast and where, or clip(|label - k|),
x[:, 0, :] and tokens[:, k, :] (integer indices), b, c, h, w = x.shape, squeeze/unsqueeze, expand, erf GELU, layer norm
over channels, transposed convolutions, sums of boolean masks.
"""

import argparse
import json
import os
import sys
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "python")]
sys.dont_write_bytecode = True

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from nets_vision import Attention, Channels2dNorm, TwoWayBlock  # noqa: E402
from npuport_torch import samples, trace  # noqa: E402
from torch import nn  # noqa: E402

THRESHOLD, OFFSET = 0.0, 1.0  # of the masks; of the stability score


class PromptEncoder(nn.Module):
    """point_coords [1, N, 2], point_labels [1, N] -> sparse_embedding [1, N, width]."""

    def __init__(self, width, picture, labels):
        super().__init__()
        self.picture, self.labels = picture, labels
        self.register_buffer("gauss", torch.randn(2, width // 2))
        self.kinds, self.nothing = nn.Embedding(4, width), nn.Embedding(1, width)

    def features(self, xy):
        """Random Fourier features of places in [0, 1]."""
        turns = 2 * torch.pi * ((2 * xy - 1) @ self.gauss)
        return torch.cat([torch.sin(turns), torch.cos(turns)], dim=-1)

    def is_kind(self, labels, k):
        if self.labels == "abs":
            return 1.0 - torch.clamp(torch.abs(labels - k), 0.0, 1.0)
        return (labels == k).float()

    def forward(self, coords, labels):
        e = self.features((coords + 0.5) / self.picture)
        labels = labels.unsqueeze(-1).expand_as(e)
        if self.labels == "abs":
            e = e * (1.0 - self.is_kind(labels, -1)) + self.nothing.weight * self.is_kind(labels, -1)
        else:
            e = torch.where(labels == -1, self.nothing.weight.expand_as(e), e)
        for k in range(4):
            e = e + self.kinds.weight[k] * self.is_kind(labels, k)
        return e


class TwoWayTransformer(nn.Module):
    """image_embeddings, sparse_embedding -> tokens hs [1, 5 + N, width], picture src [1, size², width]."""

    def __init__(self, width, heads, size, features):
        super().__init__()
        grid = (torch.arange(size) + 0.5) / size
        y, x = torch.meshgrid(grid, grid, indexing="ij")
        self.register_buffer("image_pe", features(torch.stack([x, y], -1)).permute(2, 0, 1).unsqueeze(0))
        self.register_buffer("no_mask", (torch.randn(width) * 0.1).reshape(1, -1, 1, 1).expand(1, width, size, size).clone())
        self.iou_token, self.mask_tokens = nn.Embedding(1, width), nn.Embedding(4, width)
        self.blocks = nn.ModuleList(TwoWayBlock(width, heads, n == 0) for n in range(2))
        self.last, self.last_norm = Attention(width, heads, width // 2), nn.LayerNorm(width)

    def forward(self, image, sparse):
        tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight], dim=0)
        token_pe = torch.cat([tokens.unsqueeze(0).expand(sparse.size(0), -1, -1), sparse], dim=1)
        x = (image + self.no_mask).flatten(2).permute(0, 2, 1)
        image_pe = self.image_pe.flatten(2).permute(0, 2, 1)
        hs = token_pe
        for block in self.blocks:
            hs, x = block(hs, x, token_pe, image_pe)
        return self.last_norm(hs + self.last(hs + token_pe, x + image_pe, x)), x


class Mlp(nn.Module):
    def __init__(self, width, out):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, out)])

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


def stability(masks):
    """Share of the pixels above threshold - offset that are above threshold + offset too: counts of booleans."""
    inner = (masks > THRESHOLD + OFFSET).sum(-1).sum(-1)
    outer = (masks > THRESHOLD - OFFSET).sum(-1).sum(-1)
    return inner / outer


class MaskHead(nn.Module):
    """hs, src -> scores [1, 4], masks [1, 4, 4 size, 4 size], iou [1, 4]."""

    def __init__(self, width, size):
        super().__init__()
        self.size, self.up1, self.up2 = size, self.smooth(width, width // 4), self.smooth(width // 4, width // 8)
        self.norm = Channels2dNorm(width // 4)
        self.hyper, self.iou = nn.ModuleList(Mlp(width, width // 8) for _ in range(4)), Mlp(width, 4)

    @staticmethod
    def smooth(i, o):
        """Its four taps nearly equal, so that masks are areas rather than a pattern of the up-scaling."""
        conv = nn.ConvTranspose2d(i, o, 2, 2)
        nn.init.normal_(conv.weight, std=i ** -0.5)
        with torch.no_grad():
            conv.weight.copy_(conv.weight.mean((2, 3), keepdim=True) * 2 + 0.15 * conv.weight)
        return conv

    def forward(self, hs, src):
        iou_token_out = hs[:, 0, :]
        mask_tokens_out = hs[:, 1:5, :]
        up = src.transpose(1, 2).view(1, -1, self.size, self.size)
        up = F.gelu(self.up2(F.gelu(self.norm(self.up1(up)))))
        weights = torch.stack([self.hyper[k](mask_tokens_out[:, k, :]) for k in range(4)], dim=1)
        b, c, h, w = up.shape
        masks = (weights @ up.view(b, c, h * w)).view(b, -1, h, w)
        return stability(masks), masks, torch.sigmoid(self.iou(iou_token_out))


class EdgeSamDecoder(nn.Module):
    def __init__(self, width=256, heads=8, size=64, labels="equal"):
        super().__init__()
        self.size, self.width, self.picture = size, width, 16 * size
        self.prompt = PromptEncoder(width, float(self.picture), labels)
        self.transformer = TwoWayTransformer(width, heads, size, self.prompt.features)
        self.masks = MaskHead(width, size)

    def forward(self, image_embeddings, point_coords, point_labels):
        sparse = self.prompt(point_coords, point_labels)
        hs, src = self.transformer(image_embeddings, sparse)
        return self.masks(hs, src)


# ------------------------------------------------------------------------------------------------- prompts, weights
def prompts(size, points=5):
    """name -> (point_coords, point_labels), padded with label -1 at (0, 0)."""
    side = 16.0 * size
    chosen = {"point_a": [(0.27, 0.31, 1)], "point_b": [(0.71, 0.58, 1)], "fore_background": [(0.33, 0.64, 1), (0.8, 0.2, 0)],
              "box": [(0.18, 0.22, 2), (0.66, 0.79, 3)]}
    out = {}
    for name, rows in chosen.items():
        if len(rows) > points:
            raise SystemExit(f"prompt {name} needs {len(rows)} points, --num-points is {points}")
        rows = rows + [(0.0, 0.0, -1)] * (points - len(rows))
        table = torch.tensor(rows)
        out[name] = ((table[:, :2] * side).round().unsqueeze(0), table[:, 2].unsqueeze(0))
    return out


def picture(width, size):
    """An image embedding that varies slowly over the picture, as an encoder's does."""
    coarse = torch.randn(1, width, 6, 6)
    return F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False) + 0.1 * torch.randn(1, width, size, size)


def calibrate(net, image, asked):
    """Scales and centres each mask over the prompts: logits of standard deviation 6 about 0 -> the masks [prompt, 4, h, w]."""
    for mlp in net.masks.hyper:
        nn.init.normal_(mlp.layers[-1].weight, std=0.2)
    for linear in (m for m in net.modules() if isinstance(m, Attention)):
        for projection in (linear.q_proj, linear.k_proj):  # attention that looks somewhere instead of everywhere
            projection.weight.mul_(2.5)
    collected = []
    hook = net.masks.up2.register_forward_hook(lambda m, i, o: collected.append(F.gelu(o)))
    masks = torch.cat([net(image, *p)[1] for p in asked.values()])
    hook.remove()
    up = torch.cat(collected)  # [prompt, width / 8, h, w]; a mask is a weighted sum of it
    for k, mlp in enumerate(net.masks.hyper):
        scale = 6.0 / float(masks[:, k].std())
        mlp.layers[-1].weight.mul_(scale)
        mlp.layers[-1].bias.mul_(scale)
        mean = up.mean((0, 2, 3))
        shift = mean * (float(masks[:, k].mean()) * scale / float(mean @ mean))
        mlp.layers[-1].bias.sub_(shift)
        masks[:, k] = masks[:, k] * scale - torch.einsum("pchw,c->phw", up, shift)
    return masks


def check_masks(masks, names):
    """Stops where a mask would prove nothing: empty, full, or the same for other prompts."""
    masks = masks > THRESHOLD
    for name, shares in zip(names, masks.float().mean((2, 3)).tolist()):
        if not 0.05 < min(shares) <= max(shares) < 0.95:
            raise SystemExit(f"the masks of {name} cover {shares} of the picture")
    for a, b in ((a, b) for b in range(len(names)) for a in range(b)):
        overlap = (masks[a] & masks[b]).sum((1, 2)) / (masks[a] | masks[b]).sum((1, 2))
        if float(overlap.min()) > 0.97:
            raise SystemExit(f"the masks of {names[a]} and {names[b]} are nearly the same (IoU at least {float(overlap.min()):.3f})")


def build(width=256, heads=8, size=64, points=5, labels="equal", seed=0):
    """(module, image_embeddings, prompts): weights, picture and prompts by the seed alone."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = EdgeSamDecoder(width, heads, size, labels).eval()
        image, asked = picture(width, size), prompts(size, points)
        check_masks(calibrate(net, image, asked), list(asked))
    return net, image, asked


# ------------------------------------------------------------------------------------------------- parts and files
IN_NAMES = {"all": ["image_embeddings", "point_coords", "point_labels"], "prompt": ["point_coords", "point_labels"],
            "transformer": ["image_embeddings", "sparse_embedding"], "masks": ["hs", "src"]}
OUT_NAMES = {"all": ["scores", "masks", "iou"], "prompt": ["sparse_embedding"], "transformer": ["hs", "src"], "masks": ["scores", "masks", "iou"]}


def part_inputs(net, part, image, prompt):
    """(module, inputs) of a part, fed with what the parts before it compute."""
    if part == "all":
        return net, (image, *prompt)
    if part == "prompt":
        return net.prompt, prompt
    sparse = net.prompt(*prompt)
    if part == "transformer":
        return net.transformer, (image, sparse)
    return net.masks, net.transformer(image, sparse)


def write(out, name, net, image, asked, part="all", opset=11):
    """NAME.pt, NAME.onnx, NAME.json and samples/PROMPT.npz below `out`."""
    os.makedirs(os.path.join(out, "samples"), exist_ok=True)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module, inputs = part_inputs(net, part, image, next(iter(asked.values())))
        archive = torch.jit.trace(module, tuple(inputs), check_trace=False)
        trace.save_archive(archive, os.path.join(out, name + ".pt"))
        onnx = os.path.join(out, name + ".onnx")
        torch.onnx.export(module, tuple(inputs), onnx + ".tmp", opset_version=opset, input_names=IN_NAMES[part], output_names=OUT_NAMES[part])
        os.replace(onnx + ".tmp", onnx)
        for prompt, values in asked.items():
            module, inputs = part_inputs(net, part, image, values)
            outputs = samples.flatten(module(*inputs))
            samples.save_npz(os.path.join(out, "samples", prompt + ".npz"), samples.sample_arrays(inputs, outputs))
        # The last prompt: the archive was traced with the first.
        wrong, why = trace.worst_difference(samples.flatten(archive(*inputs)), outputs)
        if not wrong < 1e-4:
            raise SystemExit(f"{prompt}: the archive differs from the module: {why or wrong}")
    facts = {"inputs": {n: list(t.shape) for n, t in zip(IN_NAMES[part], inputs)},
             "outputs": {n: list(t.shape) for n, t in zip(OUT_NAMES[part], outputs)}, "part": part, "prompts": list(asked), "opset": opset,
             "parameters": sum(p.numel() for p in module.parameters()), "mask_threshold": THRESHOLD}
    with open(os.path.join(out, name + ".json"), "w", encoding="utf-8") as f:
        json.dump(facts, f, indent=1, sort_keys=True)
        f.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--name", default="edge_sam")
    parser.add_argument("--size", type=int, default=64, help="side of the image embedding (64: a picture of 1024)")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--num-points", type=int, default=5)
    parser.add_argument("--labels", choices=("equal", "abs"), default="equal", help="how a label is compared")
    parser.add_argument("--part", choices=list(IN_NAMES), default="all")
    parser.add_argument("--opset", type=int, default=11)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    net, image, asked = build(a.width, a.heads, a.size, a.num_points, a.labels, a.seed)
    write(a.out, a.name, net, image, asked, a.part, a.opset)
    return 0


if __name__ == "__main__":
    sys.exit(main())
