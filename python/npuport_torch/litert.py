"""Runs a .tflite in LiteRT: the second opinion on files npuport writes. Needs ai-edge-litert and numpy, no PyTorch."""

import os
import sys
import zipfile

import numpy as np

from .errors import HelperError


def _interpreter(path, reference):
    try:
        from ai_edge_litert import interpreter as lite
    except ImportError:
        try:
            from tensorflow import lite
        except ImportError as e:
            raise HelperError("tool-missing", f"this Python ({sys.executable}) has no LiteRT: {e}",
                              "pip install ai-edge-litert, or name another interpreter by NPUPORT_LITERT_PYTHON")
    options = {}
    if reference:
        options["experimental_op_resolver_type"] = lite.OpResolverType.BUILTIN_REF
    try:
        runner = lite.Interpreter(model_path=path, num_threads=1, **options)
        runner.allocate_tensors()
    except (ValueError, RuntimeError) as e:
        raise HelperError("unsupported-feature", f"LiteRT does not load {path}: {_last_line(e)}", "")
    return runner


def _last_line(e):
    return (str(e).strip().splitlines() or [type(e).__name__])[-1]


def _inputs(path, details):
    try:
        with np.load(path, allow_pickle=False) as z:
            arrays = {k: z[k] for k in z.files}
    except FileNotFoundError:
        raise HelperError("file-not-found", f"{path}: no such file", "check the path")
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as e:
        raise HelperError("bad-input-data", f"{path} is no readable .npz: {e}", "")
    out = []
    for k, d in enumerate(details):
        name = f"in.{k}" if f"in.{k}" in arrays else d["name"]
        if name not in arrays:
            raise HelperError("bad-input-data", f"{path} has neither in.{k} nor {d['name']}", "arrays there: " + ", ".join(arrays))
        a = arrays[name]
        if list(a.shape) != list(d["shape"]):
            raise HelperError("shape-mismatch", f"{path}: {name} is {list(a.shape)}, the model's input {d['name']} is {list(d['shape'])}", "")
        if a.dtype != d["dtype"]:
            raise HelperError("bad-input-data", f"{path}: {name} is {a.dtype}, the model's input {d['name']} is {np.dtype(d['dtype'])}", "")
        out.append(np.asarray(a, order="C"))  # ascontiguousarray would make a number a vector
    return out


def _ordered(runner):
    """Inputs and outputs in the order of subgraph 0."""
    return runner.get_input_details(), runner.get_output_details()


def run(options, say):
    """out.0, out.1, ... of FILE on --inputs, written to --output as .npz."""
    if not os.path.isfile(options.file):
        raise HelperError("file-not-found", f"{options.file}: no such file", "check the path")
    runner = _interpreter(options.file, options.reference)
    inputs, outputs = _ordered(runner)
    for d, a in zip(inputs, _inputs(options.inputs, inputs)):
        runner.set_tensor(d["index"], a)
    try:
        runner.invoke()
    except (ValueError, RuntimeError) as e:
        raise HelperError("unsupported-feature", f"LiteRT cannot run {options.file}: {_last_line(e)}", "")
    return save_results(options.out, [d["name"] for d in outputs], [runner.get_tensor(d["index"]) for d in outputs])


def save_results(path, names, values):
    """Writes out.0, out.1, ... as .npz and says what they are."""
    tmp = path + ".tmp.npz"
    try:
        np.savez(tmp, **{f"out.{k}": v for k, v in enumerate(values)})
        os.replace(tmp, path)
    except OSError as e:
        if os.path.exists(tmp):
            os.remove(tmp)
        raise HelperError("not-writable", f"{path}: {e.strerror or e}", "check the directory and the free space")
    return {"ok": True, "outputs": [{"name": n, "shape": [int(d) for d in v.shape], "dtype": str(v.dtype)}
                                    for n, v in zip(names, values)]}
