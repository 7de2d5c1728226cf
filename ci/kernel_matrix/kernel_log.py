"""Finds in a kernel's log what a sound kernel never prints: warnings with a trace, oopses, bugs, stalls, hung tasks."""

import re

# The line that init writes into the log. What stands above it is the boot's doing, and the emulation's.
START_MARK = "assay: the program starts"

_COMPLAINTS = re.compile(
    r"""WARNING:\ |BUG:\ |kernel\ BUG\ at|Oops:|Kernel\ panic|general\ protection\ fault|stack\ segment
    |Unable\ to\ handle|INFO:\ task\ .*\ blocked\ for\ more\ than|rcu:?\ .*(?:detected\ stall|self-detected\ stall)
    |soft\ lockup|hard\ LOCKUP|refcount_t:|UBSAN:|KASAN:|KCSAN:|list_(?:add|del)\ corruption|possible\ .*deadlock
    |nobody\ cared|Attempted\ to\ kill\ init""",
    re.VERBOSE)
_TIME = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")
# One complaint is followed by lines of its own that match too; those within this many lines belong to it.
_LINES_OF_ONE_COMPLAINT = 60


def findings(log: str) -> list[str]:
    """The first line of each complaint that the kernel made while the program ran. A log without the mark ends in boot,
    and then all of it counts."""
    _, mark, after = log.rpartition(START_MARK)
    lines = (after if mark else log).splitlines()
    found = []
    last = -_LINES_OF_ONE_COMPLAINT
    for number, line in enumerate(lines):
        if not _COMPLAINTS.search(line):
            continue
        if number - last >= _LINES_OF_ONE_COMPLAINT or "Kernel panic" in line:
            found.append(_TIME.sub("", line).strip())
            last = number
    return found
