"""Models for the benchmark: NAME.pt, NAME.npz (inputs, PyTorch's outputs) and NAME.onnx for the peers, seeded random weights.

    python3 bench/models.py --out DIR [--only NAME ...]

The nets are those of tests/models; this adds the ONNX files.
"""

import argparse
import os
import sys
import warnings
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "tests", "models"), os.path.join(HERE, "..", "python")]
sys.dont_write_bytecode = True

import make_models  # noqa: E402
import torch  # noqa: E402
from npuport_torch import trace  # noqa: E402

NAMES = ["tv_resnet18", "tv_mobilenet_v2", "edsr_x2", "tv_vit_b_16", "whisper_base_encoder", "whisper_base_decoder", "sam_decoder"]


def export_onnx(name, out):
    """The same weights as make_models.make gives: the seed follows from the name."""
    _, _, build = make_models.MODELS[name]
    torch.manual_seed(zlib.crc32(name.encode()))
    net, inputs = build()
    net.eval()
    make_models.calibrate_batch_norm(net, inputs)
    net.eval()
    names = [f"in.{k}" for k in range(len(inputs))]
    with trace.plain_attention(net), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, inputs, os.path.join(out, name + ".onnx"), input_names=names, opset_version=17)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--only", nargs="+", default=NAMES, metavar="NAME")
    a = parser.parse_args()
    os.makedirs(a.out, exist_ok=True)
    for name in a.only:
        if not os.path.exists(os.path.join(a.out, name + ".npz")):
            make_models.make(name, a.out)
        if not os.path.exists(os.path.join(a.out, name + ".onnx")):
            export_onnx(name, a.out)
        print(name, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
