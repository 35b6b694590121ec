"""Adds up test results: count_results.py DIR CTEST_STATUS. Prints skipped tests by reason and "N passed, N failed"."""

import collections
import glob
import json
import os
import sys


def main(folder, ctest_failed):
    passed, failed, skipped = 0, [], collections.Counter()
    for path in sorted(glob.glob(os.path.join(folder, "*", "*.json"))):
        with open(path, encoding="utf-8") as f:
            report = json.load(f)
        for suite in report["testsuites"]:
            for case in suite["testsuite"]:
                if case.get("failures"):
                    failed.append(f"{suite['name']}.{case['name']}")
                elif case.get("result") == "SKIPPED":
                    reasons = [s.get("message", "") for s in case.get("skipped", [])] or [""]
                    skipped[reasons[0].strip().splitlines()[-1] if reasons[0].strip() else "no reason given"] += 1
                elif case.get("result") == "COMPLETED":
                    passed += 1
    for reason, n in skipped.most_common():
        print(f"{n} skipped: {reason}")
    for name in failed:
        print(f"failed: {name}")
    broken = ctest_failed and not failed
    if broken:
        print("failed: a test program that left no result (crash, time limit), see above")
    print(f"{passed} passed, {len(failed) + int(broken)} failed")
    return 1 if failed or ctest_failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) != 0))
