"""Runs the unittest cases of __main__ or given modules; writes GoogleTest's XML where GTEST_OUTPUT=xml:DIR/ says, so
that tools/count_results.py counts all tests alike."""

import os
import sys
import unittest
import xml.etree.ElementTree as xml


class _Result(unittest.TextTestResult):
    def __init__(self, *args):
        super().__init__(*args)
        self.cases = xml.Element("testsuites")

    def _case(self, test, result="completed", **child):
        suite, _, name = test.id().rpartition(".")
        case = xml.SubElement(self.cases, "testcase", name=name, classname=suite, status="run", result=result)
        for tag, message in child.items():
            xml.SubElement(case, tag, message=message)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._case(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._case(test, failure=self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self._case(test, failure=self.errors[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._case(test, result="skipped", skipped=reason)


def main(name, modules=("__main__",)):
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromName(m) for m in modules)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=_Result).run(suite)
    where = os.environ.get("GTEST_OUTPUT", "")
    if where.startswith("xml:") and where.endswith("/"):
        os.makedirs(where[4:], exist_ok=True)
        xml.ElementTree(result.cases).write(os.path.join(where[4:], name + ".xml"), encoding="utf-8")
    return 0 if result.wasSuccessful() and result.testsRun else 1
