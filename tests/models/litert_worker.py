"""Runs written .tflite files in LiteRT on samples of the model's own interface, many in one process.

One JSON object per line on standard input: {"file": X.tflite, "sample": S.npz, "out": R.npz}; one per line as answer:
{"ok": true} or {"ok": false, "reason": ...}. Host steps and permutations of the file's "npuport.io" metadata are done
here with numpy and LiteRT, a second reading of that contract beside npuport's own.
"""

import json
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
sys.dont_write_bytecode = True

from ai_edge_litert import schema_py_generated as schema  # noqa: E402
from npuport_torch import litert  # noqa: E402
from npuport_torch.errors import HelperError  # noqa: E402


def contract(path):
    """The JSON of the file's npuport.io entry, None without one."""
    with open(path, "rb") as f:
        model = schema.Model.GetRootAsModel(f.read(), 0)
    for k in range(model.MetadataLength()):
        entry = model.Metadata(k)
        if entry.Name() == b"npuport.io":
            return json.loads(bytes(model.Buffers(entry.Buffer()).DataAsNumpy()))
    return None


def run_file(path, arrays):
    """Outputs in the file's order; integers are converted to the file's types where that loses nothing."""
    runner = litert._interpreter(path, False)
    for d, a in zip(runner.get_input_details(), arrays, strict=True):
        given = np.ascontiguousarray(a.astype(d["dtype"]))
        if not np.array_equal(given.astype(a.dtype), a, equal_nan=a.dtype.kind == "f"):
            raise ValueError(f"input {d['name']}: {a.dtype} does not fit {np.dtype(d['dtype'])}")
        if list(given.shape) != list(d["shape"]):
            raise ValueError(f"input {d['name']} is {list(d['shape'])}, not {list(given.shape)}")
        runner.set_tensor(d["index"], given)
    runner.invoke()
    return [runner.get_tensor(d["index"]) for d in runner.get_output_details()]


def host_step(step, values, folder):
    path = os.path.join(folder, step["file"])
    if step["kind"] == "embedding_lookup":
        table = np.load(path, allow_pickle=False)
        values[step["outputs"][0]] = table[values[step["inputs"][0]]]
    else:
        outputs = run_file(path, [values[n] for n in step["inputs"]])
        values.update(zip(step["outputs"], outputs, strict=True))


def run_original(path, inputs):
    io = contract(path)
    if io is None:
        return run_file(path, inputs)
    folder = os.path.dirname(path)
    values = dict(zip((p["name"] for p in io["inputs"]), inputs, strict=True))
    for step in io.get("host_steps", []):
        if step["when"] == "before":
            host_step(step, values, folder)
    given = []
    for b in io["file_inputs"]:
        a = values[b["name"]]
        a = np.transpose(a, b["permutation"]) if b.get("permutation") else a
        given.append(a.reshape(b["shape"]) if b.get("shape") else a)
    for b, a in zip(io["file_outputs"], run_file(path, given), strict=True):
        if b.get("shape"):
            model = next(p["shape"] for p in io["outputs"] if p["name"] == b["name"])
            a = a.reshape([model[d] for d in b.get("permutation") or range(len(model))])
        values[b["name"]] = np.transpose(a, np.argsort(b["permutation"])) if b.get("permutation") else a
    for step in io.get("host_steps", []):
        if step["when"] != "before":
            host_step(step, values, folder)
    return [values[p["name"]] for p in io["outputs"]]


def inputs_of(sample):
    with np.load(sample, allow_pickle=False) as z:
        count = 0
        while f"in.{count}" in z.files:
            count += 1
        return [z[f"in.{k}"] for k in range(count)]


def main():
    for line in sys.stdin:
        job = json.loads(line)
        try:
            outputs = run_original(job["file"], inputs_of(job["sample"]))
            np.savez(job["out"], **{f"out.{k}": a for k, a in enumerate(outputs)})
            answer = {"ok": True}
        except (HelperError, ValueError, RuntimeError, KeyError, IndexError, OSError) as e:
            answer = {"ok": False, "reason": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
