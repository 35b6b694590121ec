"""The command line of the helper; `npuport trace` starts it with --json and shows its result."""

import argparse
import json
import os
import re
import sys

from .errors import BUG, HelperError, printable

_EXAMPLES = """examples:
  python3 -m npuport_torch trace base.pt --template whisper --data jfk.wav -o out
  python3 -m npuport_torch trace net.pth --template my_net.py --num-classes 10 --shape input=1x3x96x160 -o out
  python3 -m npuport_torch inspect net.pth
  python3 -m npuport_torch templates"""


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise HelperError("usage", message, f"see `{self.prog} --help`")


def _shape(text):
    """NAME=1x3x64x64[:dtype] -> (name, spec)"""
    m = re.fullmatch(r"(?P<name>.+?)=(?P<dims>\d+(?:x\d+)*)(?::(?P<dtype>\w+))?", text)
    if not m:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=1x3x64x64[:dtype]")
    dtype = m["dtype"] or "float32"
    if dtype not in ("float32", "float16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"):
        raise argparse.ArgumentTypeError(f"'{text}': unknown dtype {dtype}")
    dims = [int(d) for d in m["dims"].split("x")]
    if any(d < 1 for d in dims):
        raise argparse.ArgumentTypeError(f"'{text}': every dimension must be at least 1")
    return m["name"], {"name": m["name"], "shape": dims, **({"dtype": dtype} if m["dtype"] else {})}


def _size(text):
    m = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not m or int(m[1]) < 1 or (m[2] and int(m[2]) < 1):
        raise argparse.ArgumentTypeError(f"'{text}' is not SIZE or HxW")
    return int(m[1]), int(m[2] or m[1])


def _setting(text):
    key, sep, value = text.partition("=")
    if not sep or not key:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _positive(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return int(text)


def _parser():
    p = _Parser(prog="python3 -m npuport_torch", description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(dest="verb", metavar="VERB")
    common = _Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="one JSON document on stdout, errors too")
    common.add_argument("--quiet", action="store_true", help="no log on stderr")
    common.add_argument("--lang", choices=("en", "zh"), default="en", help="language of the checkpoint message")
    common.add_argument("--templates-dir", action="append", default=[], metavar="DIR", help="more templates (may be repeated)")
    t = sub.add_parser("trace", parents=[common], help="checkpoint -> TorchScript, samples, baseline, port.toml", epilog=_EXAMPLES,
                       formatter_class=argparse.RawDescriptionHelpFormatter)
    t.add_argument("checkpoint", metavar="CKPT")
    t.add_argument("--template", help="name or file of the template (for a state_dict)")
    t.add_argument("-o", "--out", required=True, metavar="DIR")
    t.add_argument("--name", help="name of the project (default: the checkpoint's)")
    t.add_argument("--target", default="mt8371", help="target written to port.toml (default mt8371)")
    t.add_argument("--num-classes", type=_positive, default=1000)
    t.add_argument("--in-channels", type=_positive, help="channels of the picture (default: from the checkpoint)")
    t.add_argument("--input-size", type=_size, metavar="SIZE|HxW", help="picture size (default: the template's, else 224x224)")
    t.add_argument("--shape", type=_shape, action="append", default=[], metavar="NAME=1x3x64x64[:dtype]")
    t.add_argument("--set", type=_setting, action="append", default=[], metavar="KEY=VALUE", help="an option of the template")
    t.add_argument("--data", nargs="+", default=[], metavar="FILE", help="real data the template understands (.wav, .png ...)")
    t.add_argument("--sample", nargs="+", default=[], metavar="FILE", help=".npz or .npy files with ready inputs")
    t.add_argument("--count", type=_positive, default=2, help="samples per part (default 2)")
    t.add_argument("--seed", type=int, default=0)
    t.add_argument("--script", action="store_true", help="torch.jit.script instead of trace (keeps control flow)")
    t.add_argument("--layers", action="store_true", help="save the outputs of every submodule for bisection")
    t.add_argument("--half-storage", action="store_true", help="store weights as float16, computed in float32")
    t.add_argument("--no-ema", action="store_true", help="take the raw weights where averaged ones are there too")
    t.add_argument("--key", metavar="NAME", help="the entry of the checkpoint that holds the weights, where there are several")
    t.add_argument("--trust-pickle", action="store_true", help="run the code a full-module pickle names")
    i = sub.add_parser("inspect", parents=[common], help="what a checkpoint holds; runs nothing in it")
    i.add_argument("checkpoint", metavar="CKPT")
    i.add_argument("--key", help=argparse.SUPPRESS)
    i.add_argument("--no-ema", action="store_true", help=argparse.SUPPRESS)
    r = sub.add_parser("litert", parents=[common], help="run a .tflite in LiteRT (needs ai-edge-litert instead of PyTorch)")
    r.add_argument("file", metavar="FILE")
    r.add_argument("--inputs", required=True, metavar="NPZ", help="arrays in.0, in.1, ... or by input name")
    r.add_argument("-o", "--out", required=True, metavar="NPZ", help="results as out.0, out.1, ...")
    r.add_argument("--reference", action="store_true", help="LiteRT's reference kernels instead of its fast ones")
    o = sub.add_parser("onnxruntime", parents=[common], help="run an .onnx in ONNX Runtime (needs onnxruntime instead of PyTorch)")
    o.add_argument("file", metavar="FILE")
    o.add_argument("--inputs", required=True, metavar="NPZ", help="arrays in.0, in.1, ... or by input name")
    o.add_argument("-o", "--out", required=True, metavar="NPZ", help="results as out.0, out.1, ...")
    sub.add_parser("templates", parents=[common], help="known templates, and files that are none")
    return p


def _inspect(options, say):
    from . import checkpoint
    from .project import _facts
    ck = checkpoint.read_checkpoint(options.checkpoint, use_ema=not options.no_ema, key=options.key)
    say(ck.message(options.lang))
    facts = _facts(ck, options)
    for k in ("bytes", "nested", "stored_dtypes", "parameters", "input_channels"):
        say(f"{k}: {facts[k]}")
    if ck.classes:
        say("classes (not loaded): " + ", ".join(ck.classes[:20]) + (" ..." if len(ck.classes) > 20 else ""))
    return {"ok": True, **facts, "tensors": [{"name": k, "shape": list(v.shape), "dtype": str(v.dtype)[6:]} for k, v in ck.state.items()]}


def _templates(options, say):
    from . import template
    good, bad = template.list_templates(options.templates_dir)
    for t in good:
        say(f"{t.id}: {t.name}")
    for b in bad:
        say(f"warning: {b['problem']}")
    return {"ok": True, "templates": [{"id": t.id, "name": t.name, "file": t.path} for t in good], "problems": bad}


def _litert(options, say):
    from . import litert
    return litert.run(options, say)


def _onnxruntime(options, say):
    from . import ort
    return ort.run(options, say)


def _trace(options, say):
    from . import project
    options.shape, options.set = dict(options.shape), dict(options.set)
    return project.run(options, say)


def _need_torch(seed):
    try:
        import numpy  # noqa: F401
        import torch
    except ImportError as e:
        raise HelperError("tool-missing", f"this Python ({sys.executable}) cannot import PyTorch or numpy: {e}",
                          "install python3-torch, or name another interpreter by NPUPORT_PYTHON or --tool python=PATH (lesson NPU-T01)")
    torch.manual_seed(seed)


def main(argv):
    """-> the exit code. Results go to stdout (text lines, or one JSON document), the log of `trace` to stderr."""
    as_json, quiet = "--json" in argv, "--quiet" in argv
    try:
        options = _parser().parse_args(argv)
        if not options.verb:
            raise HelperError("usage", "no verb given", "trace, inspect or templates; see `python3 -m npuport_torch --help`")
        if options.verb not in ("litert", "onnxruntime"):
            _need_torch(getattr(options, "seed", 0))
        to_stdout = options.verb != "trace" and not as_json
        stream = sys.stdout if to_stdout else sys.stderr
        say = (lambda text: None) if quiet or (as_json and options.verb != "trace") else \
            (lambda text: print(printable(text), file=stream, flush=True))
        result = {"trace": _trace, "inspect": _inspect, "templates": _templates, "litert": _litert,
                  "onnxruntime": _onnxruntime}[options.verb](options, say)
        if as_json:
            print(json.dumps(result, ensure_ascii=False, sort_keys=True))
        elif options.verb == "trace":
            print(os.path.join(options.out, "port.toml"))
        return 0
    except HelperError as e:
        error = e
    except KeyboardInterrupt:
        return 130
    except Exception as e:
        import traceback
        error = HelperError("internal", f"{type(e).__name__}: {e}", "please report this with the lines above",
                            notes=traceback.format_exc().splitlines()[-8:])
    if as_json:
        print(json.dumps(error.as_json(), ensure_ascii=False, sort_keys=True, default=str))
    if not as_json or not quiet:
        print(error.as_text(), file=sys.stderr)
    return error.exit_code
