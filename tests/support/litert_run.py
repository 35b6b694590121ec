"""Runs many TFLite files by LiteRT in one process; see oracle.py."""
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from oracle import main


def run(case):
    interpreter = Interpreter(case["model"], num_threads=1)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()
    if len(details) != len(case["inputs"]):
        raise ValueError(f"{len(details)} inputs, {len(case['inputs'])} given")
    for detail, (_, _, path) in zip(details, case["inputs"]):
        data = np.fromfile(path, dtype=detail["dtype"]).reshape(detail["shape"])
        interpreter.set_tensor(detail["index"], data)
    interpreter.invoke()
    outputs = []
    for i, detail in enumerate(interpreter.get_output_details()):
        value = interpreter.get_tensor(detail["index"])
        path = f"{case['outputs']}{i}.raw"
        np.ascontiguousarray(value).tofile(path)
        outputs.append({"dtype": str(value.dtype), "shape": list(value.shape), "file": path})
    return {"outputs": outputs}


main(run)
