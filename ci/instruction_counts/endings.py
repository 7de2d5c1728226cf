"""The ways in which counting can end, told apart by exit status."""

ALL_WITHIN = 0
TOO_MANY = 1  # More instructions than are allowed somewhere, or something that has to be counted was not.
BAD_USAGE = 2


class BadUsage(Exception):
    """What was asked for makes no sense. The message is one line that names the offending part and what would be right."""


class NotCounted(Exception):
    """assay-bench or valgrind did not come to an end, or nothing could be counted here. The message is one line."""
