"""The models of make_models.py through npuport: imported, rewritten for mt8371, written, run again here and in LiteRT.

    python3 tests/models/run_suite.py --npuport build/npuport --models DIR [--ci] [--only NAME ...] [--table docs/models.md]

Makes the models that DIR lacks. Five tests per model:
  imported   `npuport run` on the archive = PyTorch
  findings   what `npuport convert --target mt8371 --split-host` refuses = expected.json, no more and no less
  graph      operators at or below expected.json, no TRANSPOSE inside a CNN
  executor   the written .tflite run by npuport = PyTorch
  litert     the written .tflite run by LiteRT = PyTorch (NPUPORT_TEST_LITERT_PYTHON names its interpreter)
A model with expected findings is written for generic-tflite instead; one that TFLite cannot hold at all ("unwritable" in
expected.json, part of the message) is only imported.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "python"))
sys.dont_write_bytecode = True

try:
    import numpy as np
except ImportError as missing:
    print(f"SKIPPED: {sys.executable} has no numpy ({missing}); NPUPORT_TEST_TORCH_PYTHON names another interpreter")
    sys.exit(0)
import results  # noqa: E402

MAX_DIFF, RELATIVE = 1e-3, 1e-3  # the general gate
ASPECTS = ("imported", "findings", "graph", "executor", "litert")


# ------------------------------------------------------------------------------------------------- comparing
def baselines(sample):
    """Per output: (values, places in the flattened output or None, shape)."""
    out = []
    with np.load(sample, allow_pickle=False) as z:
        while f"out.{len(out)}" in z.files:
            k = f"out.{len(out)}"
            whole = k + ".index" not in z.files
            out.append((z[k], None if whole else z[k + ".index"], z[k].shape if whole else tuple(z[k + ".shape"])))
    return out


def difference(path, sample):
    """(largest |difference|, None) or (None, what is wrong) of a result file against PyTorch's outputs."""
    wanted = baselines(sample)
    with np.load(path, allow_pickle=False) as z:
        got = [z[f"out.{k}"] for k in range(len([n for n in z.files if re.fullmatch(r"out\.\d+", n)]))]
    if len(got) != len(wanted) or not wanted:
        return None, f"{len(got)} outputs, PyTorch has {len(wanted)}"
    worst = 0.0
    for k, (g, (want, index, shape)) in enumerate(zip(got, wanted)):
        if tuple(g.shape) != tuple(shape):
            return None, f"out.{k} is {list(g.shape)}, PyTorch's is {list(shape)}"
        if g.dtype.kind == "f" and not np.isfinite(g).all() and np.isfinite(want).all():
            return None, f"out.{k} holds NaN or Inf"
        g = g.reshape(-1)[index] if index is not None else g
        if want.dtype.kind != "f":
            if not np.array_equal(g.astype(np.int64), want.astype(np.int64)):
                return None, f"out.{k}: integers differ"
            continue
        if want.size == 0:
            continue
        w, g = want.astype(np.float64), g.astype(np.float64)
        if not np.array_equal(np.isfinite(w), np.isfinite(g)):
            return None, f"out.{k}: NaN or Inf in other places than PyTorch's"
        delta = np.where(np.isfinite(w), g - np.where(np.isfinite(w), w, 0), 0)
        spread = float(np.linalg.norm((w - w.mean()).reshape(-1)))
        largest = float(np.abs(delta).max())
        relative = float(np.linalg.norm(delta.reshape(-1))) / spread if spread > 0 else 0.0
        if largest >= MAX_DIFF or relative >= RELATIVE:
            return None, f"out.{k}: max_diff {largest:.3g}, relative {relative:.3g}"
        worst = max(worst, largest)
    return worst, None


# ------------------------------------------------------------------------------------------------- running
class Tool:
    """npuport's command line."""

    def __init__(self, path):
        self.path = path

    def __call__(self, *args):
        """(JSON of the command, None) or (JSON, one line about the failure)."""
        done = subprocess.run([self.path, *args, "--json"], capture_output=True, text=True, timeout=1200)
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            return {}, f"exit code {done.returncode}, no JSON: {(done.stderr.strip() or 'nothing on stderr')[-300:]}"
        return answer, None if done.returncode == 0 else answer.get("error", {}).get("message", f"exit code {done.returncode}")


class LiteRt:
    """One LiteRT process for all models; requests wait for each other."""

    def __init__(self, python):
        self.lock = threading.Lock()
        self.process = subprocess.Popen([python, os.path.join(HERE, "litert_worker.py")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __call__(self, file, sample, out):
        with self.lock:
            try:
                self.process.stdin.write(json.dumps({"file": file, "sample": sample, "out": out}) + "\n")
                self.process.stdin.flush()
                answer = self.process.stdout.readline()
            except BrokenPipeError:
                answer = ""
        if not answer:
            return "the LiteRT process ended"
        answer = json.loads(answer)
        return None if answer["ok"] else answer["reason"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)


def findings(answer):
    """{"operator: reason": count} of a refused conversion, without names of values and of the target."""
    counts = collections.Counter()
    for note in answer.get("error", {}).get("notes", []):
        reason = re.sub(r" \(%.*\)$", "", note["message"]).replace("MediaTek MT8371 (Genio 520)", "mt8371")
        counts[f"{note.get('node', '?').split()[0]}: {reason}"] += 1
    return dict(counts)


class Row:
    """What happened to one model: a failure text per aspect, and figures for the table."""

    def __init__(self, name):
        self.name, self.failed, self.skipped = name, {}, {}
        self.findings, self.operators, self.target, self.worst = {}, {}, "", {}
        self.seconds, self.written = 0.0, True

    def check(self, aspect, result, sample, why):
        if why is None:
            self.worst[aspect], why = difference(result, sample)
        if why is not None:
            self.failed[aspect] = why


def convert(row, tool, source, sample, out, expected):
    """For mt8371, else for generic-tflite; the findings go into the row. False when nothing was written."""
    unwritable = expected.get("unwritable")
    common = ["convert", source, "--samples", sample, "-o", out, "--io-layout", "nhwc", "--split-host", "--target"]
    answer, why = tool(*common, "mt8371")
    row.target = "mt8371"
    if why is not None:
        row.findings = findings(answer)
        if not row.findings and not unwritable:
            row.failed["findings"] = why
        answer, why = tool(*common, "generic-tflite")
        row.target = "generic-tflite"
    if why is None:
        if unwritable:
            row.failed["graph"] = f"expected a refusal with \"{unwritable}\", got none"
        return True
    if unwritable is None or unwritable not in why:
        row.failed["graph"] = why + "".join("; " + k for k in findings(answer))
    row.written = False
    return False


def judge_findings(row, expected):
    wanted = expected.get("findings", {})
    if row.findings == wanted or "findings" in row.failed:
        return
    more = [f"{n} x {k}" for k, n in row.findings.items() if n > wanted.get(k, 0)]
    fewer = [f"{row.findings.get(k, 0)} instead of {n} x {k}" for k, n in wanted.items() if n > row.findings.get(k, 0)]
    row.failed["findings"] = "; ".join((["more: " + ", ".join(more)] if more else []) + (["fewer: " + ", ".join(fewer)] if fewer else []))


def judge_graph(row, expected):
    total = sum(row.operators.values())
    wrong = []
    if expected.get("cnn") and row.operators.get("TRANSPOSE", 0):
        wrong.append(f"{row.operators['TRANSPOSE']} TRANSPOSE inside a CNN")
    if "operators" in expected and total > expected["operators"]:
        wrong.append(f"{total} operators, the best peer writes {expected['operators']}")
    if wrong:
        row.failed["graph"] = "; ".join(wrong)


def run_model(name, models, folder, tool, litert, expected):
    row = Row(name)
    start = time.time()
    folder = os.path.join(folder, name)
    os.mkdir(folder)
    source, sample = os.path.join(models, name + ".pt"), os.path.join(models, name + ".npz")
    result, written = os.path.join(folder, name + ".out.npz"), os.path.join(folder, name + ".tflite")
    _, why = tool("run", source, "--samples", sample, "-o", result)
    row.check("imported", result, sample, why)
    if convert(row, tool, source, sample, written, expected):
        answer, why = tool("inspect", written)
        row.operators = answer.get("operators", {})
        if why is not None:
            row.failed["graph"] = why
        else:
            judge_graph(row, expected)
        _, why = tool("run", written, "--samples", sample, "-o", result)
        row.check("executor", result, sample, why)
        run_litert(row, litert, written, sample, result, expected)
    judge_findings(row, expected)
    row.seconds = time.time() - start
    shutil.rmtree(folder)
    return row


def run_litert(row, litert, written, sample, result, expected):
    if litert is None:
        row.skipped["litert"] = "no LiteRT: NPUPORT_TEST_LITERT_PYTHON is not set or has no ai_edge_litert"
        return
    why = litert(written, sample, result)
    refusal = expected.get("litert")  # part of LiteRT's message where it lacks an operator
    if refusal is None:
        row.check("litert", result, sample, why)
    elif why is None or refusal not in why:
        row.failed["litert"] = f"expected a refusal with \"{refusal}\", got: {why or 'none'}"


# ------------------------------------------------------------------------------------------------- reporting
def table(rows, expected):
    """docs/models.md: one line per model."""
    out = ["# Models", "", "Made by `tools/check-all models`: seeded random weights, Debian's PyTorch, one sample each. Columns: largest difference from",
           "PyTorch of the imported graph, of the written file in npuport and in LiteRT; operators of the file (the best peer's in",
           "parentheses) and how many of them are TRANSPOSE, borders in NHWC; findings left for mt8371 (such a model is written for",
           "generic-tflite).", "", "| model | imported | file | LiteRT | operators | TRANSPOSE | findings |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        facts = expected.get(row.name, {})
        peer = f" ({facts['operators']})" if "operators" in facts else ""
        cells = []
        for aspect in ("imported", "executor", "litert"):
            if row.worst.get(aspect) is not None:
                cells.append(f"{row.worst[aspect]:.1e}")
            elif aspect in row.failed:
                cells.append("FAILED")
            elif not row.written:
                cells.append("not written: " + facts.get("unwritable", ""))
            else:
                cells.append(f"refused: {facts['litert']}" if "litert" in facts and aspect not in row.skipped else "not run")
        left = ", ".join(f"{n} x {k}" for k, n in sorted(row.findings.items())) or "none"
        out.append(f"| {row.name} | {' | '.join(cells)} | {sum(row.operators.values())}{peer} | {row.operators.get('TRANSPOSE', 0)} | {left} |")
    return "\n".join(out) + "\n"


class Models(unittest.TestCase):
    """test_NAME_ASPECT methods are added by add_tests."""


def add_tests(rows):
    for row in rows:
        for aspect in ASPECTS if row.written else ASPECTS[:3]:
            def case(self, row=row, aspect=aspect):
                if aspect in row.skipped:
                    self.skipTest(row.skipped[aspect])
                if aspect in row.failed:
                    self.fail(f"{row.name}: {row.failed[aspect]}")
            setattr(Models, f"test_{row.name}_{aspect}", case)


def make_models(options):
    """Names of the models to run, made where they are missing; None without a PyTorch."""
    python = os.environ.get("NPUPORT_TEST_TORCH_PYTHON") or "/usr/bin/python3"
    if not shutil.which(python):
        print(f"SKIPPED: no Python with PyTorch: {python} (NPUPORT_TEST_TORCH_PYTHON)")
        return None
    choice = (["--only", *options.only] if options.only else []) + (["--ci"] if options.ci else [])
    command = [python, "-W", "ignore", os.path.join(HERE, "make_models.py"), *choice]
    listed = subprocess.run([*command, "--list"], capture_output=True, text=True)
    if listed.returncode != 0 and "No module named 'torch" in listed.stderr:
        print(f"SKIPPED: {python} has no PyTorch (NPUPORT_TEST_TORCH_PYTHON)")
        return None
    if listed.returncode != 0:
        raise SystemExit(listed.stderr)
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    if not options.made:
        subprocess.run([*command, "--out", options.models], check=True)
    return [n for n in names if os.path.exists(os.path.join(options.models, n + ".npz"))]


def litert_process():
    python = os.environ.get("NPUPORT_TEST_LITERT_PYTHON")
    if not python or subprocess.run([python, "-c", "import ai_edge_litert"], capture_output=True).returncode != 0:
        return None
    return LiteRt(python)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--npuport", required=True)
    parser.add_argument("--models", required=True, metavar="DIR")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--ci", action="store_true", help="only the small list")
    parser.add_argument("--made", action="store_true", help="only models that DIR holds already")
    parser.add_argument("--table", metavar="FILE")
    parser.add_argument("--jobs", type=int, default=2, help="models at a time")
    options = parser.parse_args()
    names = make_models(options)
    if names is None:
        return 0
    with open(os.path.join(HERE, "expected.json"), encoding="utf-8") as f:
        expected = json.load(f)
    litert = litert_process()
    with tempfile.TemporaryDirectory(prefix="npuport-models-") as folder:
        def one(name):
            row = run_model(name, options.models, folder, Tool(options.npuport), litert, expected.get(name, {}))
            print(f"{name}: {row.seconds:.1f} s, {sum(row.operators.values())} operators", flush=True)
            return row
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            rows = list(pool.map(one, names))
    if litert:
        litert.close()
    if options.table:
        with open(options.table, "w", encoding="utf-8") as f:
            f.write(table(rows, expected))
    add_tests(rows)
    return results.main("models")


if __name__ == "__main__":
    sys.exit(main())
