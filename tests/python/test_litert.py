import json
import os
import subprocess
import sys
import unittest

import numpy as np
from support import ROOT, TempCase, helper

LITERT = os.environ.get("NPUPORT_TEST_LITERT_PYTHON", "")
HAS_LITERT = bool(LITERT) and os.path.isfile(LITERT)

# A model of one ADD: out = a[2,3] + b[3], made with LiteRT's own schema.
ADD_MODEL = """
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


def litert(*args):
    env = {**os.environ, "PYTHONPATH": os.path.join(ROOT, "python"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([LITERT, "-m", "npuport_torch", "litert", *args, "--json"], capture_output=True, text=True, env=env, timeout=300)
    return done.returncode, json.loads(done.stdout)


@unittest.skipUnless(HAS_LITERT, "NPUPORT_TEST_LITERT_PYTHON names no interpreter with LiteRT")
class LiteRT(TempCase):
    def setUp(self):
        super().setUp()
        self.model, self.inputs, self.out = self.path("add.tflite"), self.path("in.npz"), self.path("out.npz")
        subprocess.run([LITERT, "-c", ADD_MODEL, self.model], check=True, capture_output=True)

    def run_with(self, **arrays):
        np.savez(self.inputs, **arrays)
        return litert(self.model, "--inputs", self.inputs, "-o", self.out)

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
        code, out = litert(self.model, "--inputs", self.inputs, "-o", self.out)
        self.assertEqual((code, out["error"]["slug"]), (1, "unsupported-feature"))
        code, out = litert(self.path("none.tflite"), "--inputs", self.inputs, "-o", self.out)
        self.assertEqual((code, out["error"]["slug"]), (2, "file-not-found"))


class NoLiteRT(TempCase):
    def test_a_python_without_litert_says_so(self):
        if subprocess.run([sys.executable, "-c", "import ai_edge_litert"], capture_output=True).returncode == 0:
            self.skipTest("this Python has LiteRT")
        with open(self.path("m.tflite"), "wb") as f:
            f.write(b"    TFL3")
        code, out, _ = helper("litert", self.path("m.tflite"), "--inputs", self.path("i.npz"), "-o", self.path("o.npz"))
        self.assertEqual((code, out["error"]["slug"]), (3, "tool-missing"))
        self.assertIn("NPUPORT_LITERT_PYTHON", out["error"]["hint"])
