"""Checks many ONNX files by the onnx package and runs them by ONNX Runtime, in one process; see oracle.py.

"error" begins with "checker: " where the file breaks the standard.
"""
import numpy as np
import onnx
import onnxruntime as ort
from oracle import main


def check(path):
    """The standard's rules, and that shape inference finds nothing else than what the file says of its values."""
    try:
        onnx.checker.check_model(path, full_check=True)
        model = onnx.load(path, load_external_data=False)
        said = [*model.graph.value_info, *model.graph.output]
        names = {name for node in model.graph.node for name in node.output if name}
        silent = names - {v.name for v in said}
        if silent:
            return f"checker: no shape of {sorted(silent)[:3]}"
        if any(not d.HasField("dim_value") for v in said for d in v.type.tensor_type.shape.dim):
            return "checker: a dimension has no value"
    except Exception as error:  # the checker raises many types
        return f"checker: {error}"
    return ""


def run(case):
    error = check(case["model"])
    if error:
        return {"error": error}
    if any(dtype == "bfloat16" for dtype, _, _ in case["inputs"]):
        return {"error": "NumPy has no bfloat16"}
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(case["model"], options, providers=["CPUExecutionProvider"])
    if len(session.get_inputs()) != len(case["inputs"]):
        return {"error": f"{len(session.get_inputs())} inputs, {len(case['inputs'])} given"}
    feeds = {}
    for given, (dtype, shape, path) in zip(session.get_inputs(), case["inputs"]):
        feeds[given.name] = np.fromfile(path, dtype=dtype).reshape(shape)
    outputs = []
    for i, value in enumerate(session.run(None, feeds)):
        value = np.asarray(value)
        path = f"{case['outputs']}{i}.raw"
        np.asarray(value, order="C").tofile(path)
        outputs.append({"dtype": str(value.dtype), "shape": list(value.shape), "file": path})
    return {"outputs": outputs}


main(run)
