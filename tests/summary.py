#!/usr/bin/env python3
"""What a test run came to, from the JUnit file that ctest wrote: skipped tests with their reasons, failed ones, the counts.

    summary.py RESULTS.xml

Cases that skipped themselves inside a program that passed are listed too, and not counted: a program counts once.
The last line is `N passed, N failed, N skipped`. Exit status: 0 when at least one test passed and none failed, else 1.
"""
import re
import sys
import xml.etree.ElementTree as ElementTree


def reason_of(case):
    """The last line that a skipped test printed: what it lacks."""
    lines = [line.strip() for line in (case.findtext("system-out") or "").splitlines() if line.strip()]
    return lines[-1].removeprefix("skipped: ") if lines else "no reason given"


def skipped_cases(case):
    """(case, reason) of each GoogleTest case that skipped itself."""
    pattern = re.compile(r": Skipped\n(.*?)\n\[  SKIPPED \] (\S+)", re.S)
    return [(name, " ".join(reason.split())) for reason, name in pattern.findall(case.findtext("system-out") or "")]


def main():
    passed, failed, skipped = [], [], []
    for case in ElementTree.parse(sys.argv[1]).getroot().iter("testcase"):
        status = case.get("status")
        if status == "run":
            passed.append(case)
        elif status in ("notrun", "disabled"):
            skipped.append(case)
        else:
            failed.append(case)
    print()
    slowest = sorted(passed + failed, key=lambda case: -float(case.get("time", 0)))[:5]
    print("slowest: " + ", ".join(f"{case.get('name')} {float(case.get('time', 0)):.0f} s" for case in slowest))
    for case in skipped:
        print(f"skipped: {case.get('name')}: {reason_of(case)}")
    for case in passed:
        for name, reason in skipped_cases(case):
            print(f"skipped case: {case.get('name')}: {name}: {reason}")
    for case in failed:
        print(f"FAILED: {case.get('name')}")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
