"""Prints how many tests of JUnit XML files passed, failed and were skipped: three numbers. Fails where none ran."""

import sys
import xml.etree.ElementTree as ElementTree


def count(path: str) -> tuple[int, int, int]:
    passed = failed = skipped = 0
    for case in ElementTree.parse(path).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main(paths: list[str]) -> int:
    if not paths:
        print("usage: count_junit.py FILE ...", file=sys.stderr)
        return 2
    try:
        totals = [sum(column) for column in zip(*map(count, paths))]
    except (OSError, ElementTree.ParseError) as error:
        print(f"count_junit.py: {error}", file=sys.stderr)
        return 1
    if totals[0] + totals[1] == 0:
        print(f"count_junit.py: no test ran in {', '.join(paths)}", file=sys.stderr)
        return 1
    print(*totals)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
