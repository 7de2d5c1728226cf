"""Rows of counts, and which of them are too many."""

from dataclasses import dataclass, field

from instruction_counts.counting import Counts
from instruction_counts.pins import Pins, is_pinned

# Of liburing's instructions. A NOP is nothing but the way in and out, of which some 10 are the benchmark's own on either
# side, and 4 for each NOP of a batch.
MOST = 1.00
MOST_OF_NOPS = 0.85
_NOPS = "paths/nop/plain/"
# A pin that is further above what was counted than this wants to be recorded anew.
SLACK = 0.05


@dataclass
class Row:
    """The paths of one work, setup and size, side by side."""

    name: str
    size: str
    by_path: dict[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Ring's instructions as a part of liburing's."""
        ours, peer = self.by_path.get("Ring"), self.by_path.get("liburing")
        return None if ours is None or peer is None else ours / peer

    @property
    def most(self) -> float:
        return MOST_OF_NOPS if f"{self.name}/" == _NOPS else MOST

    def names(self) -> list[str]:
        return [f"{self.name}/{path}/{self.size}" for path in self.by_path]


@dataclass
class Judgement:
    """`too_many` and `notes` are lines for people; `again` names what is counted again before it counts as too many.
    `held` is the number of bounds that counts were held to: where there is none, nothing was found out."""

    too_many: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    held: int = 0


def rows(counts: Counts) -> list[Row]:
    """In the order in which they were counted. A bench is "chapter/work/setup/path/size"."""
    found: dict[tuple[str, str], Row] = {}
    for name, instructions in counts.instructions.items():
        row, path, size = name.rsplit("/", 2)
        found.setdefault((row, size), Row(row, size)).by_path[path] = instructions
    return list(found.values())


def judge(counts: Counts, pins: Pins) -> Judgement:
    judgement = Judgement()
    _judge_rows(counts, judgement)
    if foreign := pins.foreign_to(counts):
        judgement.notes.append(f"{foreign}: they are not held against it")
    else:
        _judge_pins(counts, pins, judgement)
    return judgement


def _judge_rows(counts: Counts, judgement: Judgement) -> None:
    for row in rows(counts):
        judgement.held += row.ratio is not None
        if row.ratio is not None and row.ratio > row.most:
            judgement.too_many.append(f"{row.name} {row.size}: Ring takes {row.by_path['Ring']:.1f} instructions, "
                                      f"{row.ratio:.3f} of liburing's {row.by_path['liburing']:.1f}; at most {row.most:.2f}")
            judgement.again += row.names()


def _judge_pins(counts: Counts, pins: Pins, judgement: Judgement) -> None:
    judgement.held += len(pins.instructions)
    for name, pinned in pins.instructions.items():
        counted = counts.instructions.get(name)
        if counted is None:
            why = counts.left_out.get(name, "there is no such bench")
            judgement.too_many.append(f"{name} is pinned and was not counted: {why}")
        elif counted > pins.most(name):
            judgement.too_many.append(f"{name} takes {counted:.1f} instructions; at most {pins.most(name):.1f}, since it "
                                      f"took {pinned:.1f}")
            judgement.again.append(name)
        elif counted < pinned * (1 - SLACK):
            judgement.notes.append(f"{name} takes {counted:.1f} instructions and took {pinned:.1f}: "
                                   "ci/instructions --record keeps that")
    for name in counts.instructions:
        if is_pinned(name) and name not in pins.instructions:
            judgement.notes.append(f"{name} is to be pinned and is not yet: ci/instructions --record does that")
