"""The ways in which the matrix can end, told apart by exit status so that a machine can tell them apart too."""

ALL_PASSED = 0
TEST_FAILED = 1  # The program failed in a guest, or a guest's kernel complained.
BAD_USAGE = 2
HARNESS_TROUBLE = 3  # The matrix itself could not do its work; this says nothing about the program.
INTERRUPTED = 130  # As shells have it for a program that ctrl-C ended.


class BadUsage(Exception):
    """What was asked for makes no sense. The message is one line that names the offending part and what would be right."""


class HarnessTrouble(Exception):
    """The matrix could not do its work. The message is one line; running again later may succeed."""
