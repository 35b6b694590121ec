"""Runs the unittest cases of __main__ or given modules; writes GoogleTest's JSON where GTEST_OUTPUT=json:DIR/ says, so
that tools/count_results.py counts all tests alike."""

import json
import os
import sys
import unittest


class _Result(unittest.TextTestResult):
    def __init__(self, *args):
        super().__init__(*args)
        self.rows = []

    def _row(self, test, **more):
        suite, _, name = test.id().rpartition(".")
        self.rows.append({"name": name, "suite": suite, "result": "COMPLETED", **more})

    def addSuccess(self, test):
        super().addSuccess(test)
        self._row(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._row(test, failures=[{"failure": self.failures[-1][1]}])

    def addError(self, test, err):
        super().addError(test, err)
        self._row(test, failures=[{"failure": self.errors[-1][1]}])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._row(test, result="SKIPPED", skipped=[{"message": reason}])


def main(name, modules=("__main__",)):
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromName(m) for m in modules)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=_Result).run(suite)
    where = os.environ.get("GTEST_OUTPUT", "")
    if where.startswith("json:") and where.endswith("/"):
        suites = {}
        for r in result.rows:
            suites.setdefault(r["suite"], []).append(r)
        os.makedirs(where[5:], exist_ok=True)
        with open(os.path.join(where[5:], name + ".json"), "w", encoding="utf-8") as f:
            json.dump({"testsuites": [{"name": s, "testsuite": rows} for s, rows in suites.items()]}, f)
    return 0 if result.wasSuccessful() and result.testsRun else 1
