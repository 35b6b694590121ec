"""Runs written models with PyTorch, all cases of a test in one process; see oracle.py.

"source" and "class" name a Python file and its class; "source" of the result says how its outputs differ from the
archive's, empty when they do not.
"""
import importlib.util
import sys

import numpy as np
import torch
from oracle import main

try:
    import torchvision  # noqa: F401  (registers operators)
except ImportError:
    pass

TYPES = {
    "float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64,
    "int8": torch.int8, "uint8": torch.uint8, "int16": torch.int16, "int32": torch.int32, "int64": torch.int64,
    "bool": torch.bool,
}
NAMES = {v: k for k, v in TYPES.items()}


def read(entry):
    dtype, shape, path = entry
    narrow = dtype == "bfloat16"  # numpy has none
    with open(path, "rb") as f:
        data = np.frombuffer(f.read(), dtype="int16" if narrow else dtype).reshape(shape).copy()
    t = torch.from_numpy(data)
    return t.view(torch.bfloat16) if narrow else t


def write(tensor, path):
    dense = tensor.detach().contiguous().clone().reshape(-1)
    with open(path, "wb") as f:
        f.write((dense.view(torch.int16) if dense.dtype == torch.bfloat16 else dense).numpy().tobytes())
    return {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "file": path}


def as_tuple(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def difference(source, name, inputs, expected):
    """Empty when the class of the Python file gives what the archive gave."""
    try:
        spec = importlib.util.spec_from_file_location("written_model", source)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        got = as_tuple(getattr(module, name)()(*inputs))
    except Exception as e:  # pylint: disable=broad-except
        return "%s: %s" % (type(e).__name__, e)
    if len(got) != len(expected):
        return "%d results instead of %d" % (len(got), len(expected))
    for k, (a, b) in enumerate(zip(got, expected)):
        if a.dtype != b.dtype or a.shape != b.shape:
            return "output %d is %s %s instead of %s %s" % (k, a.dtype, list(a.shape), b.dtype, list(b.shape))
        if a.numel() and not torch.allclose(a.double(), b.double(), rtol=1e-6, atol=1e-7, equal_nan=True):
            return "output %d differs" % k
    return ""


def run(case):
    inputs = [read(e) for e in case["inputs"]]
    with torch.no_grad():
        results = as_tuple(torch.jit.load(case["model"])(*[x.clone() for x in inputs]))
        source = difference(case["source"], case["class"], inputs, results) if case["source"] else ""
    outputs = [write(r, "%s%d" % (case["outputs"], k)) for k, r in enumerate(results)]
    return {"outputs": outputs, "source": source}


torch.set_num_threads(1)
sys.dont_write_bytecode = True
torch._C._jit_set_profiling_executor(False)  # no second compilation on the first runs
main(run)
