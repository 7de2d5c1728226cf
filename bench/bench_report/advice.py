"""What the figures advise, in sentences. Only what an interval supports is said: one that excludes 1 by more than 3 %.
Paths of a row are compared by repetitions that ran next to each other, setups with each other by all of
theirs."""

import statistics

from bench_report import ratios
from bench_report.measurements import Bench, Row, Run, works_of
from bench_report.path_advice import advise_paths, factor
from bench_report.ratios import Ratio

_NAMED = 4
_LOOPS = ("epoll", "libevent", "libev", "libuv", "asio")


def is_backend(path: str) -> bool:
    """The Backend itself or one of its variants, "Backend, drained"."""
    return path == "Backend" or path.startswith("Backend,")


def is_peer(path: str) -> bool:
    """An event loop, or epoll(7) itself. What else stands in a row is what the work costs without any loop: pread(2), a
    std::multimap, liburing, a single request."""
    return path in _LOOPS or path.split(",")[0] in _LOOPS or path.split(" (")[0] in _LOOPS


def best_peer(row: Row) -> Bench | None:
    """The fastest of the other event loops."""
    return min((bench for bench in row.benches if is_peer(bench.path)), key=lambda bench: bench.ns, default=None)


def _backend(row: Row) -> Bench | None:
    """The Backend as it is used without further thought: the first of its variants."""
    return next((bench for bench in row.benches if is_backend(bench.path)), None)


def _behind(row: Row, speed: Ratio, best: Bench) -> str:
    """Where the Backend is not ahead, and whether one of its variants is."""
    words = f"{row.key.work}, {row.key.setup}, {row.key.size_name} {row.key.size}: {speed.median:.2f} of {best.path}"
    for variant in row.benches:
        beside = ratios.paired(variant, best)
        if is_backend(variant.path) and variant is not _backend(row) and beside and not beside.is_slower:
            return f"{words}, \u201c{variant.path}\u201d {beside.median:.2f}"
    return words


def advise_peers(rows: list[Row]) -> list[str]:
    ahead, level, behind = 0, 0, []
    for row in rows:
        ours, best = _backend(row), best_peer(row)
        speed = ratios.paired(ours, best) if ours and best else None
        if not speed or not speed.supported:
            continue
        if speed.is_faster:
            ahead += 1
        elif speed.is_slower:
            behind.append((speed.median, _behind(row, speed, best)))
        else:
            level += 1
    count = ahead + level + len(behind)
    if not count:
        return []
    rows_there = f"{count} row{'' if count == 1 else 's'}"
    sentence = (f"The Backend is ahead of all peers in {ahead or 'none'} of {rows_there} and level with the best in "
                f"{level or 'none'}")
    if not behind:
        return [f"{sentence}."]
    named = [words for _, words in sorted(behind)[:_NAMED]]
    more = f"; and {len(behind) - _NAMED} more" if len(behind) > _NAMED else ""
    return [f"{sentence}. It is behind in {len(behind)}: {'; '.join(named)}{more}."]


def _costs(rows: list[Row]) -> dict[tuple[str, str], list[Ratio]]:
    """How many times longer a work takes by each path than by the row's first, by the names of both."""
    costs: dict[tuple[str, str], list[Ratio]] = {}
    for row in rows:
        for bench in row.benches:
            if (speed := ratios.speed(row, bench)) and speed.supported:
                costs.setdefault((bench.path, row.baseline.path), []).append(speed.inverse())
    return costs


def advise_harness(rows: list[Row]) -> list[str]:
    costly, free = [], []
    for work, of_work in works_of(rows).items():
        for (path, baseline), found in _costs(of_work).items():
            if any(ratio.differs for ratio in found):
                cost = statistics.median(ratio.median for ratio in found)
                costly.append(f"{path} ({work}) takes {factor(cost)} the time of {baseline}")
            else:
                free.append(f"{path} beside {baseline} ({work})")
    clauses = costly
    if free:
        clauses = [*costly, f"no difference could be seen for {', '.join(free)}"]
    return [f"What Assay itself costs: {'; '.join(clauses)}."] if clauses else []


def advise(run: Run) -> list[str]:
    """The sentences, one a list's item; at least one."""
    repetitions = run.repetitions
    if not ratios.of_values([1.0] * max(repetitions, 1)).supported:
        return [f"With {repetitions} repetition{'' if repetitions == 1 else 's'} no interval is sure enough to advise "
                "anything: it takes 5 or more."]
    kernel = str(run.context.get("kernel", ""))
    sentences = [*advise_paths(run.chapter("paths"), kernel), *advise_peers(run.chapter("peers")),
                 *advise_harness(run.chapter("harness"))]
    return sentences or ["Nothing was measured that shows a difference between setups or paths."]
