"""What `assay-bench` measured, read from the JSON that Google Benchmark writes: rows of paths, and their
repetitions."""

import json
import math
import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench_report.endings import BadUsage

_NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
_NAME = re.compile(r"([^/]+)/([^/]+)/([^/]+)/([^/]+)/([^/:]+):(\d+)")


@dataclass(frozen=True)
class RowKey:
    """What the paths of a row share. They were measured side by side."""

    chapter: str
    work: str
    setup: str
    size_name: str
    size: int

    def __str__(self) -> str:
        return f"{self.chapter}/{self.work}/{self.setup}, {self.size_name} {self.size}"


@dataclass(frozen=True)
class Sample:
    """One repetition, in nanoseconds an operation. `cpu_ns` is the whole process's, kernel threads of its rings too."""

    ns: float
    cpu_ns: float | None = None
    instructions: float | None = None
    cycles: float | None = None


def _median_of(counts: Iterable[float | None]) -> float | None:
    counted = [count for count in counts if count is not None]
    return statistics.median(counted) if counted else None


@dataclass
class Bench:
    """One path of a row. Samples are by repetition index: those of a work with the same index ran in the same turn."""

    name: str
    path: str
    samples: dict[int, Sample] = field(default_factory=dict)
    calls: float | None = None  # System calls an operation.
    cqes_per_enter: float | None = None

    @property
    def times(self) -> list[float]:
        return [sample.ns for sample in self.samples.values()]

    @property
    def ns(self) -> float:
        return statistics.median(self.times)

    @property
    def cpu_times(self) -> list[float]:
        return [sample.cpu_ns for sample in self.samples.values() if sample.cpu_ns is not None]

    @property
    def cpu_ns(self) -> float | None:
        return statistics.median(self.cpu_times) if self.cpu_times else None

    @property
    def instructions(self) -> float | None:
        return _median_of(sample.instructions for sample in self.samples.values())

    @property
    def cycles(self) -> float | None:
        return _median_of(sample.cycles for sample in self.samples.values())


@dataclass
class Row:
    key: RowKey
    benches: list[Bench] = field(default_factory=list)

    @property
    def baseline(self) -> Bench:
        """What the others' speeds refer to: the first path."""
        return self.benches[0]

    def find(self, path: str) -> Bench | None:
        return next((bench for bench in self.benches if bench.path == path), None)


@dataclass
class Run:
    """All of a file."""

    context: dict
    rows: list[Row]

    @property
    def notes(self) -> list[str]:
        return [line for line in str(self.context.get("notes", "")).split("\n") if line.strip()]

    @property
    def repetitions(self) -> int:
        """The most that any bench has; an interrupted run has fewer than were asked for."""
        return max((len(bench.samples) for row in self.rows for bench in row.benches), default=0)

    def benches(self) -> dict[str, tuple[Row, Bench]]:
        return {bench.name: (row, bench) for row in self.rows for bench in row.benches}

    def chapter(self, name: str) -> list[Row]:
        return [row for row in self.rows if row.key.chapter == name]

    @property
    def chapters(self) -> list[str]:
        return list(dict.fromkeys(row.key.chapter for row in self.rows))


def works_of(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows by the work that they do, in their order."""
    works: dict[str, list[Row]] = {}
    for row in rows:
        works.setdefault(row.key.work, []).append(row)
    return works


def _number(entry: dict, name: str) -> float | None:
    """None too for what is no finite number: JSON of a failed measurement may hold NaN."""
    value = entry.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _ns_per_op(entry: dict) -> float | None:
    for ns in (_number(entry, "ns_per_op"), 1e9 / rate if (rate := _number(entry, "items_per_second")) else None):
        if ns and ns > 0:
            return ns
    time, unit = _number(entry, "real_time"), _NANOSECONDS.get(entry.get("time_unit", "ns"))
    return time * unit if time and unit and time > 0 else None


def _place_in_list(entry: dict) -> float:
    """Rows are told in the order of the list of benches, in which they do not run. What has no such place keeps its
    own."""
    return (_number(entry, "family_index") if isinstance(entry, dict) else None) or 0


def _add(entry: dict, rows: dict[RowKey, Row]) -> None:
    """Aggregates, failed benches and names of another form are no measurements of ours."""
    if not isinstance(entry, dict) or entry.get("run_type") == "aggregate" or entry.get("error_occurred"):
        return
    matched = _NAME.fullmatch(str(entry.get("name", "")))
    ns = _ns_per_op(entry)
    if not matched or not ns:
        return
    chapter, work, setup, path, size_name, size = matched.groups()
    key = RowKey(chapter, work, setup, size_name, int(size))
    row = rows.setdefault(key, Row(key))
    bench = row.find(path)
    if not bench:
        bench = Bench(matched[0], path)
        row.benches.append(bench)
    index = entry.get("repetition_index")
    index = index if isinstance(index, int) and index not in bench.samples else len(bench.samples)
    bench.samples[index] = Sample(ns, *(_number(entry, name) for name in ("cpu_ns_per_op", "instructions_per_op",
                                                                          "cycles_per_op")))
    # Counted once for all repetitions, which carry the same figure.
    if (calls := _number(entry, "calls_per_op")) is not None:
        bench.calls = calls
    if (cqes := _number(entry, "cqes_per_enter")) is not None:
        bench.cqes_per_enter = cqes


def parse(text: str | bytes, name: str) -> Run:
    """BadUsage, one line, for what is no such JSON; `name` is the file's there. A run may well hold no rows at all:
    it was interrupted before the first."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise BadUsage(f"'{name}' is not JSON as `assay bench --json` writes it: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("benchmarks"), list):
        raise BadUsage(f"'{name}' is not JSON as `assay bench --json` writes it: it has no list \"benchmarks\"")
    rows: dict[RowKey, Row] = {}
    for entry in sorted(document["benchmarks"], key=_place_in_list):
        _add(entry, rows)
    if document["benchmarks"] and not rows:
        raise BadUsage(f"'{name}' holds no bench of Assay's, whose names are chapter/work/setup/path/size_name:N")
    context = document.get("context")
    return Run(context if isinstance(context, dict) else {}, list(rows.values()))


def read(path: Path) -> Run:
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise BadUsage(f"'{path}' cannot be read: {error.strerror}") from error
