"""Two runs beside each other: which benches became slower or faster, and by how much."""

import functools
from dataclasses import dataclass, field

from bench_report import mann_whitney, ratios
from bench_report.endings import BadUsage
from bench_report.google_benchmark import PValue
from bench_report.measurements import Bench, Row, Run

ALPHA = 0.05
_NAMED = 3


@dataclass(frozen=True)
class Change:
    """One bench in both runs. `change` is how much longer an operation takes, as a share; of ratios, how much longer it
    takes beside the baseline of the same run."""

    name: str
    old: float
    new: float
    change: float
    p: float | None
    adjusted_p: float  # The exact one, for the number of benches that are compared.
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
    no chance in at all, would ask more of hundreds of benches than nine repetitions can show."""
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

    @property
    def slower(self) -> list[Change]:
        found = [each for each in self.changes if each.is_significant and each.change > self.threshold]
        return sorted(found, key=lambda each: -each.change)

    @property
    def faster(self) -> list[Change]:
        """By the same factor: 1.05 times slower and 1.05 times faster are as far from nothing."""
        found = [each for each in self.changes if each.is_significant and 1 / (1 + each.change) - 1 > self.threshold]
        return sorted(found, key=lambda each: each.change)

    @property
    def significant(self) -> int:
        return sum(each.is_significant for each in self.changes)

    @property
    def alone(self) -> int:
        """Beyond the threshold and significant by themselves, but not among so many."""
        return sum(each.is_significant_alone and not each.is_significant
                   and max(each.change, 1 / (1 + each.change) - 1) > self.threshold for each in self.changes)

    @property
    def tested(self) -> int:
        return len(self.changes) - self.untestable


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
    found, p_values, exact = [], [], []
    for name, (old_row, old_bench) in old_benches.items():
        if name not in new_benches:
            continue
        new_row, new_bench = new_benches[name]
        if of_ratios and (old_bench is old_row.baseline or old_row.baseline.path != new_row.baseline.path):
            continue
        before, after = _values(old_row, old_bench, of_ratios), _values(new_row, new_bench, of_ratios)
        if not before or not after:
            continue
        told.untestable += mann_whitney.least_p(len(before), len(after)) >= ALPHA
        old_median, new_median = ratios.of_values(before).median, ratios.of_values(after).median
        found.append(functools.partial(Change, name, old_median, new_median, new_median / old_median - 1,
                                       old_speed=_speed(old_row, old_bench), new_speed=_speed(new_row, new_bench)))
        p_values.append(p_value(before, after))
        exact.append(mann_whitney.p_value(before, after, mann_whitney.LARGEST_COUNTED))
    if not found:
        raise BadUsage("--ratios: no bench that both runs have stands beside a baseline")
    told.changes = [change(p=p, adjusted_p=of_all) for change, p, of_all in zip(found, p_values, adjusted(exact))]
    return told


def _line(change: Change, of_ratios: bool) -> str:
    times = (f"speed {1 / change.old:.3f} -> {1 / change.new:.3f} beside the baseline" if of_ratios
             else f"{change.old:.1f} -> {change.new:.1f} ns")
    beside = ""
    if not of_ratios and change.old_speed and change.new_speed:
        beside = f", speed beside the baseline {change.old_speed:.2f} -> {change.new_speed:.2f}"
    sure = "p < 0.001" if change.p is not None and change.p < 0.001 else f"p = {change.p:.3f}"
    return f"  {change.change * 100:+6.1f} %  {sure}  {change.name}  {times}{beside}"


def _named(names: list[str], where: str) -> str:
    count = "1 bench is" if len(names) == 1 else f"{len(names)} benches are"
    return f"{count} only in {where}: {', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''}"


def _conclusion(told: Comparison) -> str:
    slower, faster = len(told.slower), len(told.faster)
    beyond = f"by more than {told.threshold * 100:g} %"
    benches = f"{len(told.changes)} bench{'' if len(told.changes) == 1 else 'es'} compared"
    if not slower and not faster:
        return f"{benches}: nothing changed {beyond} (significant among so many at {ALPHA:g})"
    return f"{benches}: {slower} slower and {faster} faster {beyond} (significant among so many at {ALPHA:g})"


def _remarks(told: Comparison) -> list[str]:
    lines = []
    if told.alone:
        lines.append(f"{told.alone} more changed as much and would be significant alone, as about {told.tested * ALPHA:.0f} "
                     f"of {told.tested} are by chance; more repetitions, or fewer benches by --filter, would tell")
    if told.untestable:
        lines.append(f"{told.untestable} of {len(told.changes)} have too few repetitions for any difference to be "
                     "significant: 4 in both runs are enough for one bench, 9 or more for many")
    return lines


def text(told: Comparison, old: Run, new: Run) -> str:
    """For a terminal: what changed, what cannot be compared, and last the conclusion."""
    lines = []
    for title, changes in (("slower", told.slower), ("faster", told.faster)):
        if changes:
            lines += [f"{title}:", *(_line(each, told.of_ratios) for each in changes)]
    for names, where in ((told.only_old, "the old run"), (told.only_new, "the new run")):
        if names:
            lines.append(_named(names, where))
    for name in ("kernel", "liburing", "cpu", "num_cpus", "host_name", "preset", "min_time_ms"):
        before, after = old.context.get(name), new.context.get(name)
        if before != after:
            lines.append(f"the runs differ in {name}: {before} and {after}")
    return "\n".join([*lines, *_remarks(told), _conclusion(told)])
