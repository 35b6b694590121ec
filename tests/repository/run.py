"""Rules of the repository that no compiler checks: include order, no machine paths, file sizes, no unfinished marks."""

import os
import re
import subprocess
import sys
import tempfile
import unittest
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "python"))
import results  # noqa: E402

# A folder of src/ includes only itself and folders before it.
ORDER = ["base", "ir", "ops", "exec", "frontends", "passes", "target", "writers", "drivers", "runtime", "pipelines", "app"]
# Folders that run on a device see less than the order would allow. runtime/host/ is the host backend: executor and readers.
ONLY = {"runtime": ["base", "runtime"], "pipelines": ["base", "runtime", "pipelines"]}
TEXT = (".cpp", ".h", ".py", ".txt", ".cmake", ".md", ".toml", ".json", ".sh", ".fbs", ".html", ".css", ".js", ".ir", "")


def tracked():
    """Files git knows, or all outside build directories when this is no git checkout."""
    try:
        out = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True).stdout.decode()
        return [f for f in out.split("\0") if f and os.path.isfile(os.path.join(ROOT, f))]
    except (OSError, subprocess.CalledProcessError):
        found = []
        for folder, dirs, files in os.walk(ROOT):
            dirs[:] = [d for d in dirs if not d.startswith(("build", ".git", "out", "__pycache__"))]
            found += [os.path.relpath(os.path.join(folder, f), ROOT) for f in files]
        return found


def text_of(path):
    """The file's text, or None for a binary one."""
    with open(os.path.join(ROOT, path), "rb") as f:
        data = f.read()
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def include_faults(path, text):
    """Includes in `path` (src/FOLDER/...) of folders that come later, or that are none."""
    folder = path.split("/")[1]
    out = []
    for n, line in enumerate(text.splitlines(), 1):
        m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not m or "/" not in m[1]:
            continue
        other = m[1].split("/")[0]
        narrow = ONLY.get(folder) if not path.startswith("src/runtime/host/") else None
        if other in ORDER and (ORDER.index(other) > ORDER.index(folder) or (narrow and other not in narrow)):
            out.append(f"{path}:{n}: {folder} includes {m[1]}")
        elif m[1].startswith(".."):
            out.append(f"{path}:{n}: relative include {m[1]}")
    return out


class Repository(unittest.TestCase):
    def test_include_order(self):
        faults = []
        for path in tracked():
            parts = path.split("/")
            if parts[0] == "src" and len(parts) > 2 and parts[1] in ORDER and path.endswith((".h", ".cpp")):
                faults += include_faults(path, text_of(path))
        self.assertEqual(faults, [])

    def test_include_order_rule_itself(self):
        self.assertTrue(include_faults("src/ir/x.h", '#include "ops/aten.h"\n'))
        self.assertTrue(include_faults("src/base/x.cpp", '  #  include "ir/graph.h"'))
        self.assertTrue(include_faults("src/runtime/x.cpp", '#include "ir/graph.h"'))
        self.assertTrue(include_faults("src/pipelines/x.cpp", '#include "exec/executor.h"'))
        self.assertFalse(include_faults("src/runtime/host/x.cpp", '#include "exec/executor.h"'))
        self.assertFalse(include_faults("src/ops/x.cpp", '#include "ir/graph.h"\n#include "ops/aten.h"\n#include <vector>'))

    def test_every_folder_of_src_is_in_the_order(self):
        folders = {p.split("/")[1] for p in tracked() if p.startswith("src/") and p.count("/") > 1}
        self.assertEqual(folders - set(ORDER), set())

    def test_no_machine_paths(self):
        # Written in pieces so that this file does not find itself.
        bad = re.compile("(?<![A-Za-z0-9_.-])(" + "|".join("/" + p for p in ("work/", "root/", "opt/litert", "home/", "tmp/")) + ")")
        faults = []
        for path in tracked():
            text = text_of(path)
            if text is None or path == "LICENSE":
                continue
            for n, line in enumerate(text.splitlines(), 1):
                if bad.search(line):
                    faults.append(f"{path}:{n}: {line.strip()[:100]}")
        self.assertEqual(faults, [])

    def test_no_machine_paths_in_archives(self):
        # PyTorch keeps the names of source files in what it saves.
        bad = re.compile(("/(?:" + "|".join(("work", "root", "opt/litert", "home", "tmp")) + ")/[A-Za-z0-9_.-]+").encode())
        faults = []
        for path in tracked():
            if zipfile.is_zipfile(os.path.join(ROOT, path)):
                with zipfile.ZipFile(os.path.join(ROOT, path)) as z:
                    # Weights are numbers; a debug table or a pickle is small.
                    small = [i for i in z.infolist() if i.file_size < 1 << 20 and "/data/" not in i.filename]
                    faults += [f"{path}:{i.filename}: {m}" for i in small for m in bad.findall(z.read(i))]
        self.assertEqual(faults, [])

    def test_no_unfinished_marks(self):
        bad = re.compile(r"\b(" + "|".join(a + b for a, b in (("TO", "DO"), ("FIX", "ME"), ("XX", "X"))) + r")\b")
        faults = [f"{p}:{n}" for p in tracked() if p.endswith((".cpp", ".h", ".py", ".toml", ".md")) and text_of(p) is not None
                  for n, line in enumerate(text_of(p).splitlines(), 1) if bad.search(line)]
        self.assertEqual(faults, [])

    def test_sources_stay_readable(self):
        long = [f"{p}: {text_of(p).count(chr(10))} lines" for p in tracked()
                if p.startswith(("src/", "python/", "templates/")) and p.endswith((".cpp", ".h", ".py")) and text_of(p).count("\n") > 800]
        self.assertEqual(long, [])

    def test_public_headers_have_a_first_comment(self):
        bare = [p for p in tracked() if p.startswith("src/") and p.endswith(".h") and not text_of(p).startswith("//")]
        self.assertEqual(bare, [])

    def test_licence_and_size(self):
        self.assertIn("Apache License", text_of("LICENSE"))
        size = sum(os.path.getsize(os.path.join(ROOT, p)) for p in tracked())
        self.assertLess(size, 60e6, "the checkout grew beyond 60 MB")

    def test_shell_scripts_parse(self):
        scripts = [p for p in tracked() if p.startswith(("tools/", ".ci/")) and (text_of(p) or "").startswith("#!/bin/sh")]
        self.assertLessEqual({".ci/run", "tools/test", "tools/demo", "tools/check-all"}, set(scripts))
        for path in scripts:
            done = subprocess.run(["sh", "-n", os.path.join(ROOT, path)], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), path)
            self.assertTrue(os.access(os.path.join(ROOT, path), os.X_OK), f"{path} is not executable")

    def test_documents_link_to_files_that_exist(self):
        broken = []
        for path in tracked():
            if path.endswith(".md"):
                for link in re.findall(r"\]\(([^)#:]+)\)", text_of(path)):
                    if not os.path.exists(os.path.join(ROOT, os.path.dirname(path), link)):
                        broken.append(f"{path}: {link}")
        self.assertEqual(broken, [])

    def test_python_only_where_it_belongs(self):
        # The product's only Python: the PyTorch helper, and the script that calls rknn-toolkit2 (it has no other interface).
        # A demo's training script is no part of it: it says where the demo's weights come from.
        allowed = ("python/npuport_torch/", "python/npuport_rknn/", "templates/", "tests/", "tools/", "bench/", "docs/",
                   "demo/marian-nano/train.py")
        self.assertEqual([p for p in tracked() if p.endswith(".py") and not p.startswith(allowed)], [])


class CountResults(unittest.TestCase):
    """tools/count_results.py, whose last line and exit code decide a run of tools/test."""

    def count(self, cases, ctest_failed=0):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "release"))
            with open(os.path.join(folder, "release", "test_x.xml"), "w", encoding="utf-8") as f:
                f.write("<testsuites><testsuite name='X'>" + "".join(cases) + "</testsuite></testsuites>")
            done = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "count_results.py"), folder, str(ctest_failed)],
                                  capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines()

    def test_counts(self):
        case = "<testcase classname='X' name='{}' status='{}' result='{}'>{}</testcase>".format
        good, bad = case("a", "run", "completed", ""), case("b", "run", "completed", "<failure message='no'/>")
        skip = case("c", "run", "skipped", "<skipped message='file.cpp:1&#x0A;no LiteRT here'/>")
        off = case("d", "notrun", "suppressed", "")
        self.assertEqual(self.count([good, good, off]), (0, ["2 passed, 0 failed"]))
        self.assertEqual(self.count([good, skip]), (0, ["1 skipped: no LiteRT here", "1 passed, 0 failed"]))
        self.assertEqual(self.count([good, bad], 1), (1, ["failed: X.b", "1 passed, 1 failed"]))
        self.assertEqual(self.count([bad])[0], 1)

    def test_a_crash_or_no_tests_at_all_is_a_failure(self):
        code, lines = self.count(["<testcase classname='X' name='a' result='completed'/>"], 1)
        self.assertEqual((code, lines[-1]), (1, "1 passed, 1 failed"))
        self.assertEqual(self.count([])[0], 1)


if __name__ == "__main__":
    sys.exit(results.main("repository"))
