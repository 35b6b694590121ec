import json
import os
import subprocess
import sys
import unittest

import numpy as np
from support import ROOT, TempCase, helper

PYTHON = os.environ.get("NPUPORT_TEST_LITERT_PYTHON", "")
HAS_ORT = bool(PYTHON) and os.path.isfile(PYTHON) and \
    subprocess.run([PYTHON, "-c", "import onnx, onnxruntime"], capture_output=True).returncode == 0

# A model of one Add: sum = a[2,3] + b[3].
ADD_MODEL = """
import sys
import onnx
from onnx import helper as h, TensorProto as t

f = t.FLOAT
graph = h.make_graph([h.make_node("Add", ["a", "b"], ["sum"])], "main",
                     [h.make_tensor_value_info("a", f, [2, 3]), h.make_tensor_value_info("b", f, [3])],
                     [h.make_tensor_value_info("sum", f, [2, 3])])
onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8), sys.argv[1])
"""


def ort(*args):
    env = {**os.environ, "PYTHONPATH": os.path.join(ROOT, "python"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([PYTHON, "-m", "npuport_torch", "onnxruntime", *args, "--json"], capture_output=True, text=True, env=env,
                          timeout=300)
    return done.returncode, json.loads(done.stdout)


@unittest.skipUnless(HAS_ORT, "NPUPORT_TEST_LITERT_PYTHON names no interpreter with onnx and onnxruntime")
class OnnxRuntime(TempCase):
    def setUp(self):
        super().setUp()
        self.model, self.inputs, self.out = self.path("add.onnx"), self.path("in.npz"), self.path("out.npz")
        subprocess.run([PYTHON, "-c", ADD_MODEL, self.model], check=True, capture_output=True)

    def run_with(self, **arrays):
        np.savez(self.inputs, **arrays)
        return ort(self.model, "--inputs", self.inputs, "-o", self.out)

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
        code, out = ort(self.model, "--inputs", self.inputs, "-o", self.out)
        self.assertEqual((code, out["error"]["slug"]), (1, "unsupported-feature"))
        code, out = ort(self.path("none.onnx"), "--inputs", self.inputs, "-o", self.out)
        self.assertEqual((code, out["error"]["slug"]), (2, "file-not-found"))


class NoOnnxRuntime(TempCase):
    def test_a_python_without_it_says_so(self):
        if subprocess.run([sys.executable, "-c", "import onnxruntime"], capture_output=True).returncode == 0:
            self.skipTest("this Python has ONNX Runtime")
        with open(self.path("m.onnx"), "wb") as f:
            f.write(b"\x08\x08")
        code, out, _ = helper("onnxruntime", self.path("m.onnx"), "--inputs", self.path("i.npz"), "-o", self.path("o.npz"))
        self.assertEqual((code, out["error"]["slug"]), (3, "tool-missing"))
        self.assertIn("NPUPORT_ONNXRUNTIME_PYTHON", out["error"]["hint"])


if __name__ == "__main__":
    unittest.main()
