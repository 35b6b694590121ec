"""Test models with random, seeded weights: NAME.pt (TorchScript) and NAME.npz (in.K, PyTorch's out.K).

    /usr/bin/python3 tests/models/make_models.py --out DIR [--only NAME ...] [--ci] [--list]

--ci makes the small list of the everyday tests; without it everything, torchvision's families and Whisper-base sizes
included (several gigabytes). index.json names kind and group of each. A model that exists already is kept unless
--force is given.
"""

import argparse
import fcntl
import json
import os
import sys
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "python")]
sys.dont_write_bytecode = True

import edge_sam  # noqa: E402
import nets_scripted as scripted  # noqa: E402
import nets_sequence as seq  # noqa: E402
import nets_vision as vision  # noqa: E402
import torch  # noqa: E402
from npuport_torch import samples, template, trace  # noqa: E402
from torch import nn  # noqa: E402

MODELS = {}  # name -> (group, kind, function returning (module, inputs))


def model(group, name, build, kind="trace"):
    MODELS[name] = (group, kind, build)


class Take(nn.Module):
    """Picks entries of a module's dict output, so that a trace may hold it."""

    def __init__(self, inner, *keys):
        super().__init__()
        self.inner, self.keys = inner, keys

    def forward(self, x):
        out = self.inner(x)
        return tuple(out[k] for k in self.keys)


def picture(*shape):
    return torch.randn(*shape)


def ids(vocab, *shape):
    return torch.randint(1, vocab, shape)


# ------------------------------------------------------------------------------------------------- torchvision
def _torchvision(name, size, **options):
    def build():
        import torchvision
        net = getattr(torchvision.models, name)(weights=None, **options)
        for m in net.modules():
            # ViT's head and ConvNeXt's scale start at (nearly) zero: outputs would say nothing.
            if isinstance(m, nn.Linear) and float(m.weight.abs().max()) == 0:
                nn.init.normal_(m.weight, std=0.02)
            if hasattr(m, "layer_scale") and isinstance(m.layer_scale, nn.Parameter):
                nn.init.constant_(m.layer_scale, 0.5)
        return net, (picture(1, 3, size, size),)
    return build


for _name, _size, _options in (
        ("resnet18", 64, {}), ("mobilenet_v2", 64, {}), ("mobilenet_v3_small", 64, {}), ("shufflenet_v2_x0_5", 64, {}),
        ("squeezenet1_1", 64, {}), ("efficientnet_b0", 64, {}), ("regnet_y_400mf", 64, {}), ("mnasnet0_5", 64, {})):
    model("ci", f"tv_{_name}_64", _torchvision(_name, _size, **_options))
for _name, _size, _options in (
        ("alexnet", 224, {}), ("convnext_tiny", 224, {}), ("densenet121", 224, {}), ("efficientnet_b0", 224, {}),
        ("efficientnet_v2_s", 224, {}), ("googlenet", 224, {"aux_logits": False, "init_weights": False}),
        ("inception_v3", 299, {"aux_logits": False, "init_weights": False}), ("maxvit_t", 224, {}), ("mnasnet1_0", 224, {}),
        ("mobilenet_v2", 224, {}), ("mobilenet_v3_large", 224, {}), ("mobilenet_v3_small", 224, {}), ("regnet_x_400mf", 224, {}),
        ("regnet_y_400mf", 224, {}), ("resnet18", 224, {}), ("resnet50", 224, {}), ("resnext50_32x4d", 224, {}),
        ("shufflenet_v2_x1_0", 224, {}), ("squeezenet1_0", 224, {}), ("squeezenet1_1", 224, {}), ("swin_t", 224, {}),
        ("swin_v2_t", 256, {}), ("vgg11", 224, {}), ("vgg11_bn", 224, {}), ("vit_b_16", 224, {}), ("vit_b_32", 224, {}),
        ("wide_resnet50_2", 224, {})):
    model("full", f"tv_{_name}", _torchvision(_name, _size, **_options))
model("full", "tv_vit_b_16_fastpath", _torchvision("vit_b_16", 224), "trace-fastpath")


def _segmentation(name, *keys, **options):
    def build():
        from torchvision.models import segmentation
        net = getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=21, **options)
        return Take(net, *keys), (picture(1, 3, 160, 224),)
    return build


model("full", "tv_deeplabv3_mobilenet_v3_large", _segmentation("deeplabv3_mobilenet_v3_large", "out"))
model("full", "tv_deeplabv3_resnet50", _segmentation("deeplabv3_resnet50", "out", "aux", aux_loss=True))
model("full", "tv_fcn_resnet50", _segmentation("fcn_resnet50", "out"))
model("full", "tv_lraspp_mobilenet_v3_large", _segmentation("lraspp_mobilenet_v3_large", "out"))

# ------------------------------------------------------------------------------------------------- own definitions
edsr = lambda: template.find_template("edsr").module
model("ci", "edsr_small", lambda: (edsr().EDSR(2, 2, 8, 0.1), (torch.rand(1, 3, 12, 20) * 255,)))
model("full", "edsr_x2", lambda: (edsr().EDSR(2, 16, 64), (torch.rand(1, 3, 64, 64) * 255,)))
model("full", "edsr_x3", lambda: (edsr().EDSR(3, 4, 16), (torch.rand(1, 3, 32, 48) * 255,)))
model("ci", "rcan", lambda: (vision.RCAN(), (torch.rand(1, 3, 16, 24),)))
model("ci", "rrdb", lambda: (vision.RRDB(), (torch.rand(1, 3, 10, 14),)))
model("ci", "unet", lambda: (vision.UNet(), (picture(1, 3, 26, 34),)))
model("ci", "unet_bilinear", lambda: (vision.UNet(transposed=False), (picture(1, 3, 32, 48),)))
model("ci", "dcgan", lambda: (vision.DCGANGenerator(), (picture(1, 32, 1, 1),)))
model("ci", "swin_stage", lambda: (vision.SwinStage(), (picture(1, 3, 64, 64),)))
model("ci", "mobilevit", lambda: (vision.MobileViT(), (picture(1, 3, 32, 48),)))
model("ci", "sam_decoder_small", lambda: (vision.SamDecoder(32, 4, 8), (picture(1, 32, 8, 8), torch.rand(1, 3, 2) * 128, torch.tensor([[1, 0, -1]]))))
model("full", "sam_decoder", lambda: (vision.SamDecoder(), (picture(1, 256, 64, 64), torch.rand(1, 5, 2) * 1024, torch.tensor([[1, 0, 2, 3, -1]]))))


def _edge_sam(**sizes):
    def build():
        net, image, asked = edge_sam.build(**sizes)
        return net, (image, *asked["fore_background"])
    return build


model("ci", "edge_sam_small", _edge_sam(width=64, heads=4, size=16))
model("ci", "edge_sam_small_abs", _edge_sam(width=32, heads=4, size=8, points=3, labels="abs"))
model("full", "edge_sam", _edge_sam())
model("ci", "operators", lambda: (vision.Operators(), (picture(1, 4, 8, 12),)))
model("ci", "bert", lambda: (seq.Bert(), (ids(120, 1, 16), (torch.arange(16) < 11).long()[None])))
model("full", "bert_base_size", lambda: (seq.Bert(30522, 768, 12, 12, 128), (ids(30522, 1, 128), torch.ones(1, 128, dtype=torch.long))))
model("ci", "marian_encoder", lambda: (seq.MarianEncoder(), (ids(150, 1, 12), (torch.arange(12) < 9).long()[None])))
model("ci", "marian_decoder", lambda: (seq.MarianDecoder(), (ids(150, 1, 10), picture(1, 12, 32), (torch.arange(12) < 9).long()[None])))
model("ci", "marian_decoder_cached", lambda: (seq.MarianCachedDecoder(), (
    ids(150, 1, 1), picture(1, 1, 32), torch.cat([torch.zeros(1, 1, 1, 5), torch.full((1, 1, 1, 2), -1e9), torch.zeros(1, 1, 1, 1)], 3),
    picture(2, 1, 4, 7, 8), picture(2, 1, 4, 7, 8), picture(2, 1, 4, 12, 8), picture(2, 1, 4, 12, 8))))
for _kind, _options in (("RNN", {}), ("GRU", {"batch_first": True}), ("GRU", {"bidirectional": True, "num_layers": 2}), ("LSTM", {}),
                        ("LSTM", {"bidirectional": True, "batch_first": True, "num_layers": 2}), ("LSTM", {"proj_size": 4})):
    _tag = "_".join([_kind.lower()] + [k.split("_")[0] + (str(v) if v is not True else "") for k, v in _options.items()])
    model("ci", _tag, lambda k=_kind, o=_options: (seq.Recurrent(k, **o), (picture(7, 1, 10) if not o.get("batch_first") else picture(1, 7, 10),)))
model("ci", "cell_loop", lambda: (seq.CellLoop(), (picture(1, 5, 6),)))
model("ci", "crnn", lambda: (seq.CRNN(), (picture(1, 1, 32, 64),)))
model("ci", "wav2vec2", lambda: (seq.Wav2Vec2(), (picture(1, 800),)))
model("ci", "transformer_plain", lambda: (seq.Transformer(), (picture(1, 9, 16),)))
model("ci", "transformer_fastpath", lambda: (seq.Transformer(), (picture(1, 9, 16),)), "trace-fastpath")

for _name, _net, _inputs in (
        ("loops", scripted.Loops, lambda: (picture(3, 6),)),
        ("branches", lambda: scripted.Branches(2.0), lambda: (picture(1, 3, 8, 9), picture(1, 4, 1, 1))),
        ("branches_early", lambda: scripted.Branches(None), lambda: (picture(3, 8, 9),)),
        ("containers", scripted.Containers, lambda: (picture(2, 3, 4),)),
        ("writes", scripted.Writes, lambda: (picture(2, 4, 5),)),
        ("parallel", scripted.Parallel, lambda: (picture(2, 5),)),
        ("pyramid", scripted.Pyramid, lambda: (picture(1, 3, 32, 48),))):
    model("ci", "script_" + _name, lambda n=_net, i=_inputs: (n(), i()), "script")


# ------------------------------------------------------------------------------------------------- Whisper
def _whisper(part, **dims):
    def build():
        module = template.find_template("whisper").module
        sizes = {**module.BASE, **dims}
        net = module.Whisper(sizes)
        nn.init.normal_(net.decoder.positional_embedding, std=0.02)
        nn.init.normal_(net.decoder.token_embedding.weight, std=0.05)
        if part == "encoder":
            return net.encoder, (picture(1, sizes["n_mels"], 2 * sizes["n_audio_ctx"]),)
        return net.decoder, (ids(sizes["n_vocab"], 1, sizes["n_text_ctx"]), picture(1, sizes["n_audio_ctx"], sizes["n_audio_state"]))
    return build


_small = dict(n_audio_ctx=40, n_audio_state=32, n_audio_head=4, n_audio_layer=2, n_vocab=300, n_text_ctx=16, n_text_state=32, n_text_head=4,
              n_text_layer=2)
for _part in ("encoder", "decoder"):
    model("ci", "whisper_small_" + _part, _whisper(_part, **_small))
    model("full", "whisper_base_" + _part, _whisper(_part))


# ------------------------------------------------------------------------------------------------- making them
def calibrate_batch_norm(net, inputs):
    """Running statistics from eight random pictures, else a deep net of random weights vanishes or explodes."""
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms or len(inputs) != 1:
        return
    for m in norms:
        m.reset_running_stats()
        m.momentum = None
        m.train()
    with torch.no_grad():
        net(torch.cat([inputs[0]] + [torch.randn_like(inputs[0]) for _ in range(7)]))
    for m in norms:
        m.momentum = 0.1


def make(name, out):
    group, kind, build = MODELS[name]
    torch.manual_seed(zlib.crc32(name.encode()))
    net, inputs = build()
    net.eval()
    calibrate_batch_norm(net, inputs)
    net.eval()
    path = os.path.join(out, name + ".pt")
    with torch.no_grad():
        if kind == "script":
            archive = torch.jit.script(net)
            outputs = samples.flatten(net(*inputs))
        elif kind == "trace-fastpath":
            archive = torch.jit.trace(net, inputs, check_trace=False)
            outputs = samples.flatten(net(*inputs))
        else:
            outputs = trace.run_module(net, inputs)
            with trace.plain_attention(net):
                archive = torch.jit.trace(net, inputs, check_trace=False)
    for p in archive.parameters():
        p.requires_grad_(False)
    trace.save_archive(archive, path)
    for k, t in enumerate(outputs):
        if t.is_floating_point() and not (bool(torch.isfinite(t).all()) and 1e-4 < float(t.abs().max()) < 1e5):
            raise SystemExit(f"{name}: output {k} is useless as a test (largest value {float(t.abs().max())})")
    with torch.no_grad():
        diff, why = trace.worst_difference([t.detach() for t in samples.flatten(torch.jit.load(path)(*inputs))], [t.detach() for t in outputs])
    if not diff < 1e-4:
        raise SystemExit(f"{name}: the archive differs from the module: {why or diff}")
    partial = sum(t.numel() for t in outputs) > 4_000_000
    samples.save_npz(os.path.join(out, name + ".npz"), samples.sample_arrays(inputs, [t.detach() for t in outputs], partial))
    return {"group": group, "kind": kind, "parameters": sum(p.numel() for p in net.parameters()), "bytes": os.path.getsize(path),
            "inputs": [list(t.shape) for t in inputs], "outputs": [list(t.shape) for t in outputs]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", metavar="DIR")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--ci", action="store_true", help="only the small list")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--list", action="store_true")
    a = parser.parse_args()
    names = a.only or [n for n, (group, _, _) in MODELS.items() if group == "ci" or not a.ci]
    unknown = [n for n in names if n not in MODELS]
    if unknown:
        parser.error("unknown model " + ", ".join(unknown))
    if a.list:
        print("\n".join(f"{n} {MODELS[n][0]} {MODELS[n][1]}" for n in names))
        return 0
    if not a.out:
        parser.error("--out DIR is needed")
    os.makedirs(a.out, exist_ok=True)
    lock = open(os.path.join(a.out, ".lock"), "w", encoding="utf-8")  # tests share a folder: the second one waits, then finds all
    fcntl.flock(lock, fcntl.LOCK_EX)
    index_path = os.path.join(a.out, "index.json")
    index = {}
    if os.path.exists(index_path):
        with open(index_path, encoding="utf-8") as f:
            index = json.load(f)
    for name in names:
        if not a.force and name in index and os.path.exists(os.path.join(a.out, name + ".npz")):
            continue
        start = time.time()
        index[name] = make(name, a.out)
        print(f"{name}: {index[name]['bytes']} bytes, {time.time() - start:.1f} s", flush=True)
        with open(index_path + ".tmp", "w", encoding="utf-8") as f:
            json.dump(index, f, indent=1, sort_keys=True)
            f.write("\n")
        os.replace(index_path + ".tmp", index_path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
