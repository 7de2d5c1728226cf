"""Speeds beside a baseline. On a shared machine nothing else means anything: path and baseline of one repetition ran
one after the other, so what slowed one down slowed the other down, too."""

import functools
import math
import statistics
from dataclasses import dataclass

from bench_report.measurements import Bench, Row

LEVEL = 0.95
# Five repetitions reach 93.75 %, which is what the preset `quick` has. Below this an interval supports no statement.
LEAST_LEVEL = 0.9
# What is closer to 1 than this is no difference to speak of, however sure it is.
MARGIN = 0.03


def _two_digits(value: float) -> str:
    """Behind the point, or as many as there must be that two of them count."""
    return f"{value:.2g}" if 0 < value < 0.095 else f"{value:.2f}"


@dataclass(frozen=True)
class Ratio:
    """A median with its interval, and the level that the interval really has."""

    median: float
    low: float
    high: float
    level: float

    def __str__(self) -> str:
        if not self.has_interval:
            return _two_digits(self.median)
        return f"{_two_digits(self.median)} ({_two_digits(self.low)}\u2013{_two_digits(self.high)})"

    @property
    def has_interval(self) -> bool:
        """A single repetition has none."""
        return self.level > 0

    @property
    def supported(self) -> bool:
        return self.level >= LEAST_LEVEL

    @property
    def is_faster(self) -> bool:
        """Surely, and by so much that it matters."""
        return self.supported and self.low > 1 + MARGIN

    @property
    def is_slower(self) -> bool:
        return self.supported and self.high < 1 - MARGIN

    @property
    def differs(self) -> bool:
        return self.is_faster or self.is_slower

    def reaches(self, least: float) -> bool | None:
        """Whether the speed is `least` or more; None where the interval holds both, so that noise neither condemns nor
        praises."""
        if self.supported and self.low >= least:
            return True
        return False if self.supported and self.high < least else None

    def inverse(self) -> "Ratio":
        return Ratio(1 / self.median, 1 / self.high, 1 / self.low, self.level)


@functools.cache
def median_ranks(count: int, level: float = LEVEL) -> tuple[int, float]:
    """How many samples lie outside of the interval of the median, at each end, and the level of that: the most that
    leaves `level`, by the binomial distribution; none where even the whole range has less. Both ends alike, since an
    interval that is chosen by how it comes out is surer of itself than it may be."""
    outside, reached = 0, _coverage(count, 0)
    while 2 * (outside + 1) < count and (next_level := _coverage(count, outside + 1)) >= level:
        outside, reached = outside + 1, next_level
    return outside, reached


def _coverage(count: int, outside: int) -> float:
    """The chance that the median lies between the sample number outside + 1 and the one as far from the end."""
    return max(0.0, 1 - 2 * sum(math.comb(count, k) for k in range(outside + 1)) / 2**count)


def of_values(values: list[float]) -> Ratio:
    ordered = sorted(values)
    outside, level = median_ranks(len(ordered))
    return Ratio(statistics.median(ordered), ordered[outside], ordered[-1 - outside], level)


def paired_values(bench: Bench, baseline: Bench) -> dict[int, float]:
    """baseline_ns / path_ns by repetition index, where both were measured: more is faster."""
    return {index: baseline.samples[index].ns / sample.ns
            for index, sample in bench.samples.items() if index in baseline.samples}


def paired(bench: Bench, baseline: Bench) -> Ratio | None:
    """The speed of a path beside another of the same row, or of another row of the same work: repetitions with the same
    index ran in the same turn."""
    values = paired_values(bench, baseline)
    return of_values(list(values.values())) if values else None


def speed(row: Row, bench: Bench) -> Ratio | None:
    """Beside the row's baseline; None for the baseline itself."""
    return None if bench is row.baseline else paired(bench, row.baseline)


def paired_cpu(bench: Bench, baseline: Bench) -> Ratio | None:
    """The same of the process's CPU time; None where it was not told."""
    values = [baseline.samples[index].cpu_ns / sample.cpu_ns for index, sample in bench.samples.items()
              if sample.cpu_ns and index in baseline.samples and baseline.samples[index].cpu_ns]
    return of_values(values) if values else None


def middle_half(values: list[float]) -> tuple[float, float]:
    """The quartiles; of fewer than four values the whole range."""
    if len(values) < 4:
        return min(values), max(values)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def spread(values: list[float]) -> float:
    """Half of the distance between the quartiles, as a share of the median."""
    low, high = middle_half(values)
    return (high - low) / 2 / statistics.median(values)
