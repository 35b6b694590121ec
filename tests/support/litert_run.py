"""Runs many TFLite files by LiteRT in one process.

Usage: litert_run.py MANIFEST RESULT
MANIFEST: JSON list of {"model": path, "inputs": [path of raw bytes, in the model's order], "outputs": path prefix}.
RESULT: JSON list of {"error": text} or {"outputs": [{"dtype", "shape", "file"}]}.
"""
import json
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def run(case):
    interpreter = Interpreter(case["model"], num_threads=1)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()
    if len(details) != len(case["inputs"]):
        raise ValueError(f"{len(details)} inputs, {len(case['inputs'])} given")
    for detail, path in zip(details, case["inputs"]):
        data = np.fromfile(path, dtype=detail["dtype"]).reshape(detail["shape"])
        interpreter.set_tensor(detail["index"], data)
    interpreter.invoke()
    outputs = []
    for i, detail in enumerate(interpreter.get_output_details()):
        value = interpreter.get_tensor(detail["index"])
        path = f"{case['outputs']}{i}.raw"
        np.ascontiguousarray(value).tofile(path)
        outputs.append({"dtype": str(value.dtype), "shape": list(value.shape), "file": path, "name": detail["name"]})
    return {"outputs": outputs}


def main():
    results = []
    with open(sys.argv[1]) as f:
        cases = json.load(f)
    for case in cases:
        try:
            results.append(run(case))
        except Exception as error:  # each case reports its own failure
            results.append({"error": str(error)})
    with open(sys.argv[2], "w") as f:
        json.dump(results, f)


main()
