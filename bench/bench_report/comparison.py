"""Two runs beside each other: which benches became slower or faster, and by how much."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bench_report import mann_whitney, ratios
from bench_report.endings import BadUsage
from bench_report.google_benchmark import PValue
from bench_report.measurements import Bench, Row, Run

ALPHA = 0.05
_NAMED = 3
# Of those that may have changed.
_NAMED_ALONE = 5
# Of what a run's context tells, whatever makes times of one run others than those of another.
_CONTEXT = ("kernel", "liburing", "cpu", "num_cpus", "host_name", "preset", "min_time_ms")


@dataclass(frozen=True)
class Change:
    """One bench in both runs. `change` is how much longer an operation takes, as a share; of ratios, how much longer it
    takes beside the baseline of the same run."""

    name: str
    old: float
    new: float
    change: float
    p: float | None  # Google Benchmark's; None where it gives none.
    adjusted_p: float  # For the number of benches that are tested; of the same test's exact p.
    old_speed: float | None  # Beside the baseline of the same run; None for the baseline.
    new_speed: float | None

    @property
    def is_significant_alone(self) -> bool:
        return self.p is not None and self.p < ALPHA

    @property
    def is_significant(self) -> bool:
        return self.is_significant_alone and self.adjusted_p < ALPHA


def adjusted(p_values: list[float]) -> list[float]:
    """Benjamini and Hochberg's rule: of those below a limit, that share at most is there by chance. Holm's, which lets
    no chance in at all, would ask more of hundreds of benches than nine repetitions can show.

    It is given exact p-values: from nine repetitions on Google Benchmark approximates, and the least p of that, 0.0004
    for nine beside nine, would hide a single bench among 120. The exact one does so among 1,200 only."""
    ordered = sorted((p, index) for index, p in enumerate(p_values))
    told = [1.0] * len(p_values)
    least = 1.0
    for rank in range(len(ordered), 0, -1):
        p, index = ordered[rank - 1]
        least = min(least, p * len(ordered) / rank)
        told[index] = least
    return told


@dataclass
class Comparison:
    """`changes` are all benches in common. A change counts if it is beyond the threshold and significant among all of
    them: among hundreds of benches each alone gives false alarms."""

    threshold: float
    of_ratios: bool
    changes: list[Change] = field(default_factory=list)
    only_old: list[str] = field(default_factory=list)
    only_new: list[str] = field(default_factory=list)
    # In these, no difference could have been significant: they have too few repetitions.
    untestable: int = 0
    least_p: float = 1.0  # That the repetitions of any bench allow.

    @property
    def slower(self) -> list[Change]:
        return self._slower(lambda each: each.is_significant)

    @property
    def faster(self) -> list[Change]:
        return self._faster(lambda each: each.is_significant)

    @property
    def perhaps_slower(self) -> list[Change]:
        """Significant by themselves, but not among so many: neither the exit status nor a count holds them to be."""
        return self._slower(lambda each: each.is_significant_alone and not each.is_significant)

    @property
    def perhaps_faster(self) -> list[Change]:
        return self._faster(lambda each: each.is_significant_alone and not each.is_significant)

    def _slower(self, counts: Callable[[Change], bool]) -> list[Change]:
        found = [each for each in self.changes if counts(each) and each.change > self.threshold]
        return sorted(found, key=lambda each: -each.change)

    def _faster(self, counts: Callable[[Change], bool]) -> list[Change]:
        """By the same factor: 1.05 times slower and 1.05 times faster are as far from nothing."""
        found = [each for each in self.changes if counts(each) and 1 / (1 + each.change) - 1 > self.threshold]
        return sorted(found, key=lambda each: each.change)

    @property
    def significant(self) -> int:
        return sum(each.is_significant for each in self.changes)

    @property
    def tested(self) -> int:
        return len(self.changes) - self.untestable

    @property
    def most_tested(self) -> int:
        """Among how many benches a single one that changed can be significant, with these repetitions."""
        return math.ceil(ALPHA / self.least_p) - 1

    @property
    def enough_repetitions(self) -> int:
        """How many repetitions in both runs let a single one be significant among as many as are tested."""
        return next(count for count in itertools.count(2) if mann_whitney.least_p(count, count) * self.tested < ALPHA)


def _costs_beside_baseline(row: Row, bench: Bench) -> list[float]:
    """What an operation costs in units of the baseline's: more is slower, as with times."""
    return [1 / value for value in ratios.paired_values(bench, row.baseline).values()]


def _values(row: Row, bench: Bench, of_ratios: bool) -> list[float]:
    return _costs_beside_baseline(row, bench) if of_ratios else bench.times


def _speed(row: Row, bench: Bench) -> float | None:
    speed = ratios.speed(row, bench)
    return speed.median if speed else None


def compare(old: Run, new: Run, threshold: float, of_ratios: bool, p_value: PValue) -> Comparison:
    """BadUsage if the runs have no bench in common."""
    old_benches, new_benches = old.benches(), new.benches()
    if not set(old_benches) & set(new_benches):
        raise BadUsage("the two runs have no bench in common")
    told = Comparison(threshold, of_ratios, only_old=[name for name in old_benches if name not in new_benches],
                      only_new=[name for name in new_benches if name not in old_benches])
    exact: dict[str, float] = {}
    for name, (old_row, old_bench) in old_benches.items():
        if name not in new_benches:
            continue
        new_row, new_bench = new_benches[name]
        if of_ratios and (old_bench is old_row.baseline or old_row.baseline.path != new_row.baseline.path):
            continue
        before, after = _values(old_row, old_bench, of_ratios), _values(new_row, new_bench, of_ratios)
        if not before or not after:
            continue
        old_median, new_median = ratios.of_values(before).median, ratios.of_values(after).median
        p, least_p = p_value(before, after), mann_whitney.least_p(len(before), len(after))
        told.changes.append(Change(name, old_median, new_median, new_median / old_median - 1, p, 1.0,
                                   _speed(old_row, old_bench), _speed(new_row, new_bench)))
        # What cannot be significant however it comes out takes nothing from the others.
        if p is None or least_p >= ALPHA:
            told.untestable += 1
        else:
            exact[name] = mann_whitney.p_value(before, after, mann_whitney.LARGEST_COUNTED)
            told.least_p = min(told.least_p, least_p)
    if not told.changes:
        raise BadUsage("--ratios: no bench that both runs have stands beside a baseline")
    of_all = dict(zip(exact, adjusted(list(exact.values()))))
    told.changes = [replace(change, adjusted_p=of_all.get(change.name, 1.0)) for change in told.changes]
    return told


def _line(change: Change, of_ratios: bool) -> str:
    times = (f"speed {1 / change.old:.3f} -> {1 / change.new:.3f} beside the baseline" if of_ratios
             else f"{change.old:.1f} -> {change.new:.1f} ns")
    beside = ""
    if not of_ratios and change.old_speed and change.new_speed:
        beside = f", speed beside the baseline {change.old_speed:.2f} -> {change.new_speed:.2f}"
    return (f"  {change.change * 100:+6.1f} %  p {_p_text(change.p)}, among all {_p_text(change.adjusted_p)}  "
            f"{change.name}  {times}{beside}")


def _p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _named(names: list[str], where: str) -> str:
    count = "1 bench is" if len(names) == 1 else f"{len(names)} benches are"
    return f"{count} only in {where}: {', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''}"


def _conclusion(told: Comparison) -> str:
    slower, faster, perhaps = len(told.slower), len(told.faster), len(told.perhaps_slower) + len(told.perhaps_faster)
    benches = f"{len(told.changes)} bench{'' if len(told.changes) == 1 else 'es'} compared"
    what = f"{slower} slower and {faster} faster" if slower or faster else "nothing changed"
    beyond = f"by more than {told.threshold * 100:g} %, significant among so many at {ALPHA:g}"
    return f"{benches}: {what} {beyond}{f'; {perhaps} perhaps' if perhaps else ''}"


def _remarks(told: Comparison) -> list[str]:
    lines = []
    if told.untestable:
        lines.append(f"{told.untestable} of {len(told.changes)} have too few repetitions for any difference to be "
                     "significant: it takes 4 in both runs, 3 beside 5, or 2 beside 8")
    if told.tested and told.tested > told.most_tested:
        lines.append(f"among {told.tested} benches one that changed alone cannot be significant with so few "
                     f"repetitions: it takes --repetitions {told.enough_repetitions} or more in both runs, or a "
                     f"--filter that leaves no more than {told.most_tested}")
    if told.perhaps_slower or told.perhaps_faster:
        lines.append("what is perhaps slower or faster would be significant if it were the only bench, as up to "
                     f"{max(1, round(told.tested * ALPHA))} of {told.tested} are by chance; measuring only that again "
                     "in both versions, by --filter, tells")
    return lines


def _lists(told: Comparison) -> list[str]:
    lines = []
    for title, changes, most in (("slower", told.slower, None), ("faster", told.faster, None),
                                 ("perhaps slower", told.perhaps_slower, _NAMED_ALONE),
                                 ("perhaps faster", told.perhaps_faster, _NAMED_ALONE)):
        if changes:
            lines += [f"{title}:", *(_line(each, told.of_ratios) for each in changes[:most])]
        if most and len(changes) > most:
            lines.append(f"  and {len(changes) - most} more")
    return lines


def text(told: Comparison, old: Run, new: Run) -> str:
    """For a terminal: what changed, what cannot be compared, and last the conclusion."""
    lines = _lists(told)
    for names, where in ((told.only_old, "the old run"), (told.only_new, "the new run")):
        if names:
            lines.append(_named(names, where))
    for name in _CONTEXT:
        before, after = (str(run.context.get(name) or "unknown") for run in (old, new))
        if before != after:
            lines.append(f"the runs differ in {name}: {before} and {after}")
    return "\n".join([*lines, *_remarks(told), _conclusion(told)])
