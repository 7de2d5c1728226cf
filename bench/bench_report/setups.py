"""The setups of chapter "paths": a ring's mode and what is registered, "deferred+ringfd+file". Benches are found by
them."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench_report.measurements import Bench, Row

MODES = {"plain": "a plain ring", "coop": "cooperative task work", "deferred": "deferred task work", "sqpoll": "SQPOLL",
         "sqpoll_spin": "SQPOLL with a spinning waiter", "iopoll": "IOPOLL"}
OPTIONS = {"ringfd": "the ring's fd", "file": "files", "buffer": "buffers", "provided": "a ring of provided buffers"}


# The speed beside raw liburing that Ring and Backend aim at. A NOP is nothing but the way in and out.
_AIM_OF_NOPS, _AIM = 0.90, 0.95


def aim_of(work: str) -> float:
    return _AIM_OF_NOPS if work.startswith("nop") else _AIM


def aims_text(works: Iterable[str]) -> str:
    """What is aimed at in these works, in words."""
    aims = {aim_of(work) for work in works}
    return f"{_AIM_OF_NOPS:.2f} (NOPs) and {_AIM:.2f} (all else)" if len(aims) > 1 else f"{aims.pop():.2f}"


@dataclass(frozen=True)
class Setup:
    mode: str
    options: tuple[str, ...]

    def without(self, option: str) -> "Setup":
        return Setup(self.mode, tuple(each for each in self.options if each != option))


def setup_of(text: str) -> Setup:
    mode, *options = text.split("+")
    return Setup(mode, tuple(options))


@dataclass(frozen=True)
class Place:
    """Where a bench of the grid stands."""

    work: str
    setup: Setup
    path: str
    size: int


def grid_of(rows: list[Row]) -> dict[Place, Bench]:
    return {Place(row.key.work, setup_of(row.key.setup), bench.path, row.key.size): bench
            for row in rows for bench in row.benches}


def front_of(grid: dict[Place, Bench]) -> str | None:
    """The path by which setups are compared with each other: the one that people would use."""
    paths = {place.path for place in grid}
    return next((path for path in ("Backend", "Ring", "liburing") if path in paths), None)
