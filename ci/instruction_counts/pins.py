"""What was counted once and must not grow: ci/instructions.json."""

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from instruction_counts.counting import Counts
from instruction_counts.endings import BadUsage

# What is pinned: a NOP through Ring and through the Backend, and the parts of a request's way.
PINNED = ("paths/nop/plain/Ring/*", "paths/nop/plain/Backend/*", "harness/submit/*/Ring/*", "harness/reap/*/Ring/*",
          "harness/event_turn/*")


@dataclass
class Pins:
    """`tolerance_of` has those whose tolerance is not `tolerance`."""

    made_by: dict[str, str]
    tolerance: float
    tolerance_of: dict[str, float]
    instructions: dict[str, float]

    def most(self, name: str) -> float:
        return self.instructions[name] * (1 + self.tolerance_of.get(name, self.tolerance))

    def foreign_to(self, counts: Counts) -> str | None:
        """Why they say nothing of these counts: another compiler's instructions are others."""
        ours, theirs = _kind(self.made_by), _kind(counts.made_by)
        return None if ours == theirs else f"pins are of {ours}, and this was made by {theirs}"


def _kind(made_by: dict[str, str]) -> str:
    compiler = made_by.get("compiler", "?").partition(".")[0]
    return f"{compiler} on {made_by.get('machine', '?')}"


def is_pinned(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in PINNED)


def read(path: Path) -> Pins:
    try:
        return Pins(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise BadUsage(f"{path} cannot be read: {error}") from error


def record(path: Path, pins: Pins, counts: Counts) -> dict[str, str]:
    """Writes today's counts in the place of the old ones; tolerances stay, and so does what cannot be counted here.
    Returns the names of old pins that are gone, with the reason."""
    today = {name: round(count, 2) for name, count in counts.instructions.items() if is_pinned(name)}
    foreign = pins.foreign_to(counts)
    lost = {}
    for name, pin in pins.instructions.items():
        if name in today:
            continue
        if name in counts.left_out and not foreign:
            today[name] = pin
        else:
            lost[name] = foreign or ("it is not among what is pinned" if name in counts.instructions
                                     else "there is no such bench")
    made_by = {key: counts.made_by[key] for key in ("compiler", "machine")}
    content = {"made_by": made_by, "tolerance": pins.tolerance, "tolerance_of": pins.tolerance_of,
               "instructions": today}
    path.write_text(json.dumps(content, indent=2) + "\n")
    return lost
