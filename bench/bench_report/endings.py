"""The ways in which `assay bench` can end, told apart by exit status so that a machine can tell them apart too."""

ALL_WELL = 0
SLOWER = 1  # `compare` found a regression, or the measuring program gave up.
BAD_USAGE = 2
NOT_POSSIBLE_HERE = 3  # A Python package is missing; what was measured is kept.
INTERRUPTED = 130  # As shells have it for a program that ctrl-C ended.


class BadUsage(Exception):
    """What was asked for makes no sense. The message is one line that names the offending part and what would be
    right."""


class NotMeasured(Exception):
    """Nothing could be measured. The message is one line."""


class NotPossibleHere(Exception):
    """What was asked for needs a package that is missing. The message is one line and names it."""
