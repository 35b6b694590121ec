"""What the oracles' processes share: litert_run.py, onnx_run.py and torch_run.py are `SCRIPT MANIFEST RESULT`.

MANIFEST: JSON list of {"model": path, "inputs": [[dtype, shape, path of raw bytes], in the model's order], "outputs":
path prefix, "source" and "class": for PyTorch}. RESULT: JSON list of {"error": text} or {"outputs": [{"dtype", "shape",
"file"}], and what the runtime adds}.
"""
import json
import sys


def main(run):
    with open(sys.argv[1], encoding="utf-8") as f:
        cases = json.load(f)
    results = []
    for case in cases:
        try:
            results.append(run(case))
        except Exception as error:  # each case reports its own failure
            results.append({"error": str(error)})
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        json.dump(results, f)
