"""Holds the drop-in to liburing: whatever its installed library exports must be defined by ours.

    compare_exports.py NM LIBURING_SO DROP_IN_ARCHIVE

Exit status 1 names what is missing. EXCEPTIONS are exported functions that the drop-in leaves out, each with its reason;
one that is defined after all, or that no library exports, is an error too.
"""

import re
import subprocess
import sys

EXCEPTIONS: dict[str, str] = {}


def defined(command: list[str]) -> set[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    names = (line.split()[-1].split("@")[0] for line in done.stdout.splitlines() if re.search(r" [TW] ", line))
    return {name for name in names if re.match(r"_{0,2}io_uring_", name)}


def main(nm: str, library: str, archive: str) -> int:
    theirs = defined([nm, "-D", "--defined-only", library])
    ours = defined([nm, "--defined-only", archive])
    if len(theirs) < 40:
        print(f"{library}: exports {len(theirs)} functions; that is no liburing", file=sys.stderr)
        return 1
    missing = sorted(theirs - ours - EXCEPTIONS.keys())
    stale = sorted(name for name in EXCEPTIONS if name in ours or name not in theirs)
    for name in missing:
        print(f"{name}: exported by liburing, not defined by assay::liburing", file=sys.stderr)
    for name in stale:
        print(f"{name}: listed as an exception, but it is none", file=sys.stderr)
    print(f"{len(theirs - set(missing))} of {len(theirs)} functions that liburing exports are defined")
    return 1 if missing or stale else 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        print("usage: compare_exports.py NM LIBURING_SO DROP_IN_ARCHIVE", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(*sys.argv[1:]))
