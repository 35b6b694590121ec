"""Builds an .rknn file from an ONNX file with rknn-toolkit2; run by `npuport compile` with the user's interpreter.

    python build.py MODEL.onnx OUT.rknn --platform rk3588 [--dataset LIST] [--quantized-dtype w8a8] [--opset-check]

Everything the toolkit prints goes through; the last line starting "npuport-rknn " is JSON: what each call returned. Exit
code 0 only when every call returned 0. The judgement (placement, lowering) is made from the log by the caller.
"""

import argparse
import json
import os
import sys


def call(report, name, function, *args, **kwargs):
    """Calls one toolkit function; both ways to fail (a non-zero return, an exception) end the program."""
    try:
        got = function(*args, **kwargs)
    except BaseException as e:  # the toolkit raises SystemExit too
        text = str(e).strip()
        # Its ValueErrors hold a whole traceback; the cause is the last line.
        report[name] = {"error": text.splitlines()[-1] if text else type(e).__name__, "type": type(e).__name__}
        finish(report, 1)
    report[name] = {"returned": got}
    if got not in (0, None):
        report[name]["error"] = f"{name} returned {got}"
        finish(report, 1)


def finish(report, code):
    sys.stdout.flush()
    sys.stderr.flush()
    print("\nnpuport-rknn " + json.dumps(report, sort_keys=True), flush=True)
    # The compiler prints its last words ("No lowering found") when the process ends, so it must end the ordinary way.
    sys.exit(code)


def main():
    p = argparse.ArgumentParser(description="ONNX to .rknn")
    p.add_argument("model")
    p.add_argument("output")
    p.add_argument("--platform", required=True)
    p.add_argument("--dataset", help="list of calibration files: builds an int8 model")
    p.add_argument("--quantized-dtype", default="w8a8")
    p.add_argument("--optimization-level", type=int, default=3)
    a = p.parse_args()
    report = {}
    try:
        from rknn.api import RKNN
    except Exception as e:
        report["import"] = {"error": str(e), "type": type(e).__name__, "interpreter": sys.executable}
        finish(report, 3)
    rknn = RKNN(verbose=True)
    config = {"target_platform": a.platform, "optimization_level": a.optimization_level}
    if a.dataset:
        config["quantized_dtype"] = a.quantized_dtype
    call(report, "config", rknn.config, **config)
    call(report, "load_onnx", rknn.load_onnx, model=a.model)
    build = {"do_quantization": bool(a.dataset)}
    if a.dataset:
        build["dataset"] = a.dataset
    call(report, "build", rknn.build, **build)
    call(report, "export_rknn", rknn.export_rknn, a.output)
    report["bytes"] = os.path.getsize(a.output) if os.path.exists(a.output) else 0
    rknn.release()
    finish(report, 0)


if __name__ == "__main__":
    main()
