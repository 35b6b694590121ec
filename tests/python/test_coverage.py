"""tools/coverage: what counts as equal, as a valid refusal and as a failure, and how the table is written."""

import importlib.machinery
import importlib.util
import os
import unittest

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def load():
    loader = importlib.machinery.SourceFileLoader("coverage_tool", os.path.join(ROOT, "tools", "coverage"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("coverage_tool", loader))
    loader.exec_module(module)
    return module


tool = load()


def record(**changes):
    r = {"name": "m", "import_error": None, "imported": "", "convert_error": None, "operators": 7, "left": [], "host": [],
         "litert": "", "onnx_error": None, "onnx": "", "torch_error": None, "torch": ""}
    r.update(changes)
    return r


class Gate(unittest.TestCase):
    def test_floats(self):
        x = np.array([1.0, 2.0, 3.0], np.float32)
        self.assertEqual(tool.compare(x, x), "")
        self.assertEqual(tool.compare(x + np.float32(5e-4), x), "")
        self.assertIn("max_diff", tool.compare(x + np.float32(2e-3), x))
        self.assertIn("relative", tool.compare(x * 1e-3 * np.float32(1.01), x * np.float32(1e-3)))
        self.assertEqual(tool.compare(np.array([np.nan, 2, 3], np.float32), x), "NaN or Inf")
        self.assertIn("shape", tool.compare(x[:2], x))

    def test_integers_and_kinds(self):
        i = np.array([1, 2, 3])
        self.assertEqual(tool.compare(i.astype(np.int32), i), "")
        self.assertIn("1 of 3", tool.compare(np.array([1, 2, 4]), i))
        self.assertIn("float", tool.compare(i.astype(np.float32), i))
        self.assertIn("bool", tool.compare(i.astype(bool), i))
        self.assertIn("2 outputs", tool.compare_all([i, i], [i]))

    def test_inputs_are_narrowed_only_where_values_allow(self):
        wanted = {"name": "ids", "dtype": np.int32, "shape": [2]}
        self.assertEqual(tool.fit(np.array([1, 2]), wanted).dtype, np.int32)
        number = {"name": "k", "dtype": np.int64, "shape": []}
        self.assertEqual(tool.fit(np.array(3), number).shape, ())
        for bad in (np.array([1, 2**40]), np.array([1.0, 2.0]), np.array([1, 2, 3])):
            with self.assertRaises(ValueError):
                tool.fit(bad, wanted)


class Verdicts(unittest.TestCase):
    def state(self, **changes):
        return tool.verdict(record(**changes))[1]

    def test_states(self):
        self.assertEqual(self.state(), "equal")
        self.assertEqual(self.state(imported="out.0 max_diff 1.0e+00"), "failed")
        self.assertEqual(self.state(litert="out.0 max_diff 1.0e+00"), "failed")
        self.assertEqual(self.state(onnx="out.0 max_diff 1.0e+00"), "failed")
        self.assertEqual(self.state(torch="out.0 max_diff 1.0e+00"), "failed")
        self.assertEqual(self.state(torch_error={"kind": "not-representable", "message": "x"}), "failed")
        self.assertEqual(self.state(onnx_error={"kind": "not-representable", "message": "x"}), "failed")
        self.assertEqual(self.state(import_error={"kind": "data-dependent", "message": "if"}), "refused")
        self.assertEqual(self.state(import_error={"kind": "unsupported-operator", "message": "aten::mul"}), "failed")

    def test_executor_alone_counts_only_where_the_format_lacks_the_operator(self):
        lacking = {"kind": "illegal-for-target", "message": "2 findings", "notes": [
            {"severity": "note", "message": "TFLite has no operator for atan2"}] * 2}
        self.assertEqual(self.state(convert_error=lacking), "executor")
        limits = {"kind": "illegal-for-target", "message": "1 finding", "notes": [
            {"severity": "note", "message": "PADV2 takes at most rank 5, not 6"}]}
        self.assertEqual(self.state(convert_error=limits), "failed")
        self.assertEqual(self.state(convert_error={"kind": "crash", "message": "status -11"}), "failed")
        self.assertEqual(self.state(imported="out.0 NaN or Inf", convert_error=lacking), "failed")

    def test_table(self):
        rows = [("a|b", ("equal", "equal", "equal", "equal", "3", "zero", "x\n\x1b[31m y"), "equal"), ("c", ("refused", "-", "-", "-", "-", "-", "why"), "refused")]
        text = tool.markdown(rows, "mt8371")
        self.assertIn("1 of 2 models equal PyTorch in every format: 1 as TFLite run by LiteRT, 1 as ONNX run by ONNX Runtime, 1 as .pt run by PyTorch", text)
        self.assertIn("| a\\|b | equal | equal | equal | equal | 3 | zero | x [31m y |", text)
        self.assertNotIn("\x1b", text)

    def test_check_finds_what_changed(self):
        equal, refused = ("equal", "equal", "equal", "equal", "3", "zero", ""), ("refused", "-", "-", "-", "-", "-", "why")
        rows = [("a", equal, "equal"), ("b", refused, "refused")]
        table = tool.markdown(rows, "mt8371")
        self.assertEqual(tool.recorded(table), {"a": ("equal", "equal", "equal", "equal"), "b": ("refused", "-", "-", "-")})
        self.assertEqual(tool.changes(rows, table), [])
        more_operators = ("equal", "equal", "equal", "equal", "9", "zero (host: cast)", "")
        self.assertEqual(tool.changes([("a", more_operators, "equal"), rows[1]], table), [])
        self.assertEqual(len(tool.changes([("a", ("equal", "differs", "equal", "equal", "3", "zero", "x"), "failed"), rows[1]], table)), 1)
        self.assertEqual(len(tool.changes([rows[0], ("b", equal, "equal")], table)), 1)  # better than the table is news, too
        self.assertEqual(len(tool.changes(rows[:1], table)), 1)


if __name__ == "__main__":
    unittest.main()
