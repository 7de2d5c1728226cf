"""Checks that a page which maps promises to tests names tests that exist, and none without one.

    backend_tests.py PAGE CONFORMANCE BUILD_DIR

Each row of the page's tables has a promise in its first cell and tests in its last, as `Suite.Name` or `Suite.*`. A test
exists if CONFORMANCE (the program assay-conformance) or CTest lists it.
"""

import re
import subprocess
import sys
from pathlib import Path

NAME = re.compile(r"`([A-Za-z]\w*)\.(\w+|\*)`")
# A profile that has everything, and one that lacks most, so that behaviours of either are listed.
KERNELS = ("sim:linux-6.12.0", "sim:linux-5.4")


def listed_by(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def existing_tests(conformance: str, build: str) -> set[str]:
    kernels = [argument for kernel in KERNELS for argument in ("--kernel", kernel)]
    names = {line.split("/")[0] for line in listed_by(conformance, "--list", *kernels).splitlines()}
    for program_and_test in re.findall(r"Test +#\d+: (\S+)", listed_by("ctest", "--test-dir", build, "-N")):
        _, _, test = program_and_test.partition(":")
        # A value-parameterised test is Instantiation/Suite.Name/Value.
        parts = [part for part in test.split("/") if "." in part]
        names.update(parts[:1])
    return names


def problems(page: Path, existing: set[str]) -> list[str]:
    found = []
    suites = {name.split(".")[0] for name in existing}
    rows = 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("|") or line.startswith(("| it must |", "|---")):
            continue
        rows += 1
        tests = NAME.findall(line.rstrip("| ").rpartition("|")[2])
        if not tests:
            found.append(f"{page}:{number}: a promise without a test")
        for suite, name in tests:
            if suite not in suites if name == "*" else f"{suite}.{name}" not in existing:
                found.append(f"{page}:{number}: there is no test {suite}.{name}")
    if rows == 0:
        found.append(f"{page}: no row")
    return found


def main(page: str, conformance: str, build: str) -> int:
    found = problems(Path(page), existing_tests(conformance, build))
    print("\n".join(found) or f"{page}: every test exists")
    return 1 if found else 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        print("usage: backend_tests.py PAGE CONFORMANCE BUILD_DIR", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(*sys.argv[1:]))
