"""Runs an .onnx in ONNX Runtime: the second opinion on files npuport writes. Needs onnxruntime and numpy, no PyTorch."""

import os
import sys

import numpy as np

from .errors import HelperError
from .litert import _inputs, _last_line, save_results

# ONNX Runtime's names of element types.
TYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(int64)": "int64",
         "tensor(int32)": "int32", "tensor(int16)": "int16", "tensor(int8)": "int8", "tensor(uint8)": "uint8",
         "tensor(uint16)": "uint16", "tensor(uint32)": "uint32", "tensor(uint64)": "uint64", "tensor(bool)": "bool"}


def _session(path):
    try:
        import onnxruntime as ort
    except ImportError as e:
        raise HelperError("tool-missing", f"this Python ({sys.executable}) has no ONNX Runtime: {e}",
                          "pip install onnxruntime, or name another interpreter by NPUPORT_ONNXRUNTIME_PYTHON")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as e:  # its exceptions share no base of their own
        raise HelperError("unsupported-feature", f"ONNX Runtime does not load {path}: {_last_line(e)}", "")


def run(options, say):
    """out.0, out.1, ... of FILE on --inputs, written to --output as .npz."""
    if not os.path.isfile(options.file):
        raise HelperError("file-not-found", f"{options.file}: no such file", "check the path")
    session = _session(options.file)
    details = [{"name": d.name, "shape": d.shape, "dtype": np.dtype(TYPES.get(d.type, "V1"))} for d in session.get_inputs()]
    feeds = {d["name"]: a for d, a in zip(details, _inputs(options.inputs, details))}
    try:
        results = session.run(None, feeds)
    except Exception as e:
        raise HelperError("unsupported-feature", f"ONNX Runtime cannot run {options.file}: {_last_line(e)}", "")
    return save_results(options.out, [d.name for d in session.get_outputs()], [np.asarray(r) for r in results])
