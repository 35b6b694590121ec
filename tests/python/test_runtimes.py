"""`litert` and `onnxruntime` of the Python helper: one file run by the runtime it was written for."""
import json
import os
import subprocess
import sys
import unittest

import numpy as np
from support import ROOT, TempCase, helper

PYTHON = os.environ.get("NPUPORT_TEST_LITERT_PYTHON", "")


def has(*modules):
    return bool(PYTHON) and os.path.isfile(PYTHON) and \
        subprocess.run([PYTHON, "-c", "import " + ", ".join(modules)], capture_output=True).returncode == 0


# A model of one ADD: out = a[2,3] + b[3], made with LiteRT's own schema.
ADD_TFLITE = """
import sys
import flatbuffers
from ai_edge_litert import schema_py_generated as s

def tensor(name, shape, buffer):
    t = s.TensorT()
    t.name, t.shape, t.type, t.buffer = name, shape, s.TensorType.FLOAT32, buffer
    return t

m, g, op, code = s.ModelT(), s.SubGraphT(), s.OperatorT(), s.OperatorCodeT()
code.builtinCode = code.deprecatedBuiltinCode = s.BuiltinOperator.ADD
code.version = 1
op.opcodeIndex, op.inputs, op.outputs = 0, [0, 1], [2]
op.builtinOptionsType, op.builtinOptions = s.BuiltinOptions.AddOptions, s.AddOptionsT()
g.tensors = [tensor("a", [2, 3], 0), tensor("b", [3], 0), tensor("sum", [2, 3], 0)]
g.inputs, g.outputs, g.operators, g.name = [0, 1], [2], [op], "main"
m.version, m.operatorCodes, m.subgraphs, m.buffers = 3, [code], [g], [s.BufferT()]
b = flatbuffers.Builder(0)
b.Finish(m.Pack(b), b"TFL3")
open(sys.argv[1], "wb").write(b.Output())
"""

# A model of one Add: sum = a[2,3] + b[3].
ADD_ONNX = """
import sys
import onnx
from onnx import helper as h, TensorProto as t

f = t.FLOAT
graph = h.make_graph([h.make_node("Add", ["a", "b"], ["sum"])], "main",
                     [h.make_tensor_value_info("a", f, [2, 3]), h.make_tensor_value_info("b", f, [3])],
                     [h.make_tensor_value_info("sum", f, [2, 3])])
onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8), sys.argv[1])
"""


class Runtime:
    """The cases; a runtime's class names its verb, package, file ending and a maker of the model of one addition."""

    def setUp(self):
        super().setUp()
        self.model, self.inputs, self.out = self.path("add" + self.ending), self.path("in.npz"), self.path("out.npz")
        subprocess.run([PYTHON, "-c", self.add_model, self.model], check=True, capture_output=True)

    def run_file(self, model):
        env = {**os.environ, "PYTHONPATH": os.path.join(ROOT, "python"), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([PYTHON, "-m", "npuport_torch", self.verb, model, "--inputs", self.inputs, "-o", self.out, "--json"],
                              capture_output=True, text=True, env=env, timeout=300)
        return done.returncode, json.loads(done.stdout)

    def run_with(self, **arrays):
        np.savez(self.inputs, **arrays)
        return self.run_file(self.model)

    def test_runs_by_position_and_by_name(self):
        a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([10, 20, 30], np.float32)
        for arrays in ({"in.0": a, "in.1": b}, {"b": b, "a": a}):
            code, out = self.run_with(**arrays)
            self.assertEqual((code, out["outputs"]), (0, [{"name": "sum", "shape": [2, 3], "dtype": "float32"}]))
            self.assertEqual(np.load(self.out)["out.0"].tolist(), (a + b).tolist())
            os.remove(self.out)

    def test_inputs_that_do_not_fit(self):
        a, b = np.zeros((2, 3), np.float32), np.zeros(3, np.float32)
        for arrays, slug in (({"in.0": a}, "bad-input-data"), ({"in.0": a, "in.1": a}, "shape-mismatch"),
                             ({"in.0": a, "in.1": b.astype(np.float64)}, "bad-input-data")):
            code, out = self.run_with(**arrays)
            self.assertEqual((code, out["error"]["slug"]), (2, slug))
        self.assertFalse(os.path.exists(self.out))

    def test_files_that_are_no_models(self):
        np.savez(self.inputs, a=np.zeros(1))
        with open(self.model, "r+b") as f:
            f.truncate(40)
        code, out = self.run_file(self.model)
        self.assertEqual((code, out["error"]["slug"]), (1, "unsupported-feature"))
        code, out = self.run_file(self.path("none" + self.ending))
        self.assertEqual((code, out["error"]["slug"]), (2, "file-not-found"))


@unittest.skipUnless(has("ai_edge_litert"), "NPUPORT_TEST_LITERT_PYTHON names no interpreter with LiteRT")
class LiteRT(Runtime, TempCase):
    verb, ending, add_model = "litert", ".tflite", ADD_TFLITE


@unittest.skipUnless(has("onnx", "onnxruntime"), "NPUPORT_TEST_LITERT_PYTHON names no interpreter with onnx and onnxruntime")
class OnnxRuntime(Runtime, TempCase):
    verb, ending, add_model = "onnxruntime", ".onnx", ADD_ONNX


class Missing(TempCase):
    def refuses(self, verb, module, content):
        if subprocess.run([sys.executable, "-c", "import " + module], capture_output=True).returncode == 0:
            self.skipTest(f"this Python has {module}")
        with open(self.path("m"), "wb") as f:
            f.write(content)
        code, out, _ = helper(verb, self.path("m"), "--inputs", self.path("i.npz"), "-o", self.path("o.npz"))
        self.assertEqual((code, out["error"]["slug"]), (3, "tool-missing"))
        self.assertIn(f"NPUPORT_{verb.upper()}_PYTHON", out["error"]["hint"])

    def test_a_python_without_litert_says_so(self):
        self.refuses("litert", "ai_edge_litert", b"    TFL3")

    def test_a_python_without_onnxruntime_says_so(self):
        self.refuses("onnxruntime", "onnxruntime", b"\x08\x08")


if __name__ == "__main__":
    unittest.main()
