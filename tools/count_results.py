"""Adds up test results: count_results.py DIR CTEST_STATUS. Prints skipped tests by reason and "N passed, N failed"."""

import collections
import glob
import os
import sys
import xml.etree.ElementTree as xml


def main(folder, ctest_failed):
    passed, failed, skipped = 0, [], collections.Counter()
    for path in sorted(glob.glob(os.path.join(folder, "*", "*.xml"))):
        for case in xml.parse(path).getroot().iter("testcase"):
            why = case.find("skipped")
            if case.find("failure") is not None:
                failed.append(f"{case.get('classname')}.{case.get('name')}")
            elif why is not None:
                reason = why.get("message", "").strip()
                skipped[reason.splitlines()[-1] if reason else "no reason given"] += 1
            elif case.get("result") == "completed":
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
