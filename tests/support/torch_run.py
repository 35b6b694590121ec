"""Runs written models with PyTorch, all cases of a test in one process.

    torch_run.py MANIFEST RESULT

MANIFEST is a JSON list of {"model": path of a .pt, "source": path of a Python file or "", "class": its class,
"inputs": [[dtype, shape, path], …], "outputs": path prefix}. RESULT becomes a list of {"error": text} or {"outputs":
[[dtype, shape, path], …], "source": ""}, where "source" says how the Python file's result differs from the archive's.
"""

import importlib.util
import json
import sys

import torch

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
    with open(path, "rb") as f:
        data = bytearray(f.read())
    if not data:
        return torch.zeros(shape, dtype=TYPES[dtype])
    return torch.frombuffer(data, dtype=TYPES[dtype]).reshape(shape).clone()


def write(tensor, path):
    dense = tensor.detach().contiguous().clone().reshape(-1)
    with open(path, "wb") as f:
        if dense.numel():
            f.write(bytes(dense.view(torch.uint8).numpy() if dense.dtype != torch.bool else dense.numpy()))
    return [NAMES[tensor.dtype], list(tensor.shape), path]


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
    try:
        model = torch.jit.load(case["model"])
        results = as_tuple(model(*[x.clone() for x in inputs]))
    except Exception as e:  # pylint: disable=broad-except
        return {"error": str(e)}
    outputs = [write(r, "%s%d" % (case["outputs"], k)) for k, r in enumerate(results)]
    source = difference(case["source"], case["class"], inputs, results) if case["source"] else ""
    return {"outputs": outputs, "source": source}


def main():
    torch.set_num_threads(1)
    sys.dont_write_bytecode = True
    torch._C._jit_set_profiling_executor(False)  # no second compilation on the first runs
    with open(sys.argv[1], encoding="utf-8") as f:
        cases = json.load(f)
    with torch.no_grad():
        results = [run(c) for c in cases]
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        json.dump(results, f)


main()
