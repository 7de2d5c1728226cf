"""What the chapter "paths" advises: which mode, what to register, how large a batch, and what Ring and Backend cost."""

import statistics

from bench_report import ratios
from bench_report.measurements import Bench, Row
from bench_report.ratios import Ratio
from bench_report.setups import MODES, OPTIONS, Place, Setup, aim_of, aims_text, front_of, grid_of

# A batch from which on the system call is shared by so many that the rest of the cost shows.
_LARGE = 8

# Speed and thrift in CPU time of a setup beside another, by the place of the first.
Compared = dict[Place, tuple[Ratio, Ratio | None]]


def percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def factor(value: float) -> str:
    return f"{value:.0f}\u00d7" if value >= 9.95 else f"{value:.2g}\u00d7" if value >= 1.95 else f"{value:.2f}\u00d7"


def _join(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _of_rows(count: int, of: int) -> str:
    if of == 1:
        return "in the one row there is" if count else "not in the one row there is"
    if count == of:
        return "in both rows" if of == 2 else f"in all {of} rows"
    return f"in {count or 'none'} of {of} rows"


def _compared(grid: dict[Place, Bench], better: Setup, worse: Setup, large: bool) -> Compared:
    """One setup beside another, through one front."""
    front = front_of(grid)
    told = {}
    for place, bench in grid.items():
        other = grid.get(Place(place.work, worse, place.path, place.size))
        if place.setup == better and place.path == front and other and (place.size >= _LARGE) == large:
            speed = ratios.paired(bench, other)
            if speed and speed.supported:
                told[place] = (speed, ratios.paired_cpu(bench, other))
    return told


def _cpu_words(ratios_of_cpu: list[Ratio | None]) -> str:
    known = [ratio.inverse() for ratio in ratios_of_cpu if ratio and ratio.differs]
    if len(known) * 2 <= len(ratios_of_cpu):
        return ""
    return f" and takes {factor(statistics.median(ratio.median for ratio in known))} the CPU time"


def _name(setup: Setup) -> str:
    fd = " with the ring's fd registered" if setup.options == ("ringfd",) else ""
    return f"{MODES[setup.mode]}{fd}"


def _where(places: list[Place]) -> str:
    """By name while there are few."""
    return _join([f"{place.work} by {place.size}" for place in places]) if len(places) <= 3 else _join(
        list(dict.fromkeys(place.work for place in places)))


def _mode_words(told: Compared, better: str, worse: str) -> str:
    """One clause on two modes."""
    faster = [place for place in told if told[place][0].is_faster]
    slower = [place for place in told if told[place][0].is_slower]
    if not faster and not slower:
        return f"no difference could be seen between {better} and {worse}"
    if faster and slower:
        return (f"{better} is faster than {worse} {_of_rows(len(faster), len(told))} ({_where(faster)}) and slower in "
                f"{len(slower)} ({_where(slower)})")
    winner, loser, places = (better, worse, faster) if faster else (worse, better, slower)
    speeds = [told[place][0] if faster else told[place][0].inverse() for place in places]
    cpu = [told[place][1] if faster or not told[place][1] else told[place][1].inverse() for place in places]
    return (f"{winner} beats {loser} by {factor(statistics.median(speed.median for speed in speeds))} in time "
            f"{_of_rows(len(places), len(told))}{_cpu_words(cpu)}")


def advise_modes(rows: list[Row], kernel: str) -> list[str]:
    grid = grid_of(rows)
    sentences = []
    for large, size_words in ((True, f"in batches of {_LARGE} and more"), (False, "one or two at a time")):
        clauses = []
        for better, worse in (("deferred", "plain"), ("deferred", "sqpoll"), ("deferred", "sqpoll_spin"),
                              ("iopoll", "plain")):
            # The quick preset has deferred task work in most works only with the ring's fd registered.
            setups = [Setup(better, ()), Setup(better, ("ringfd",))]
            told = [_compared(grid, setup, Setup(worse, ()), large) for setup in setups]
            setup = setups[0] if len(told[0]) >= len(told[1]) else setups[1]
            if told[setups.index(setup)]:
                clauses.append(_mode_words(told[setups.index(setup)], _name(setup), MODES[worse]))
        if clauses:
            this_kernel = f"On this kernel{f' ({kernel})' if kernel else ''}, {size_words}"
            where = size_words.capitalize() if sentences else this_kernel
            sentences.append(f"{where}: {'; '.join(clauses)}.")
    return sentences


def _saved(speeds: list[Ratio]) -> tuple[str, str] | None:
    """What an option is worth at one size, in most of the rows that show it: a verb, and how much."""
    for verb, share in (("saves", lambda each: 1 - 1 / each.median), ("costs", lambda each: 1 / each.median - 1)):
        found = [each for each in speeds if (each.is_faster if verb == "saves" else each.is_slower)]
        if len(found) * 2 > len(speeds):
            return verb, percent(statistics.median(share(each) for each in found))
    return None


def _nothing(speeds: list[Ratio]) -> str:
    """The same where it is worth nothing in most rows."""
    counts = ((sum(each.is_faster for each in speeds), "faster"), (sum(each.is_slower for each in speeds), "slower"))
    some = [f"{count} {words}" for count, words in counts if count]
    return f"nothing in most rows ({_join(some)} of {len(speeds)})" if some else "nothing that could be seen"


def _option_clause(name: str, by_size: dict[int, list[Ratio]]) -> str:
    said: dict[tuple[str, str], list[str]] = {}
    idle = []
    for size in sorted(by_size):
        saved = _saved(by_size[size])
        if saved:
            said.setdefault(saved, []).append(str(size))
        else:
            idle.append(size)
    clauses, last = [], ""
    for (verb, amount), sizes in said.items():
        clauses.append(f"{verb + ' ' if verb != last else ''}{amount} at batch {_join(sizes)}")
        last = verb
    if idle:
        # Told of all such sizes together: that nothing comes of it is no news at each of them.
        where = f" at batch {_join([str(size) for size in idle])}" if clauses else " at any batch"
        nothing = _nothing([speed for size in idle for speed in by_size[size]])
        clauses.append(f"{'saves ' if last != 'saves' else ''}{nothing}{where}")
    return f"{name} {_join(clauses)}"


def advise_options(rows: list[Row]) -> list[str]:
    """One sentence for each option, as one piece of advice."""
    grid = grid_of(rows)
    sentences = []
    for option, words in OPTIONS.items():
        by_size: dict[int, list[Ratio]] = {}
        works: list[str] = []
        for place, bench in grid.items():
            other = grid.get(Place(place.work, place.setup.without(option), place.path, place.size))
            if option not in place.setup.options or not other:
                continue
            speed = ratios.paired(bench, other)
            if speed and speed.supported:
                by_size.setdefault(place.size, []).append(speed)
                works.append(place.work)
        if by_size:
            name = f"Registering {words}" if option != "provided" else "Taking buffers from a ring of provided ones"
            where = f" ({_join(list(dict.fromkeys(works)))})" if len(set(works)) <= 3 else ""
            sentences.append(f"{_option_clause(name + where, by_size)}.")
    return [" ".join(sentences)] if sentences else []


def _batching_of(sizes: dict[int, Bench], work: str) -> str | None:
    ordered = sorted(sizes)
    alone, largest = sizes[ordered[0]], ordered[-1]
    if ordered[0] != 1 or len(ordered) < 2:
        return None
    beside = {(more, size): ratios.paired(sizes[more], sizes[size])
              for size in ordered for more in ordered if more > size}
    if not all(speed and speed.supported for speed in beside.values()):
        return None
    enough = next(size for size in ordered if not any(beside[more, size].is_faster for more in ordered if more > size))
    what = "a NOP" if work == "nop" else f"an operation of {work}"
    if enough == 1:
        return f"{what} costs no less in batches of {largest} than alone"
    beyond = f"; beyond {enough} nothing is gained" if enough != largest else ""
    return f"{what} costs {factor(beside[enough, 1].median).rstrip(chr(0xd7))} times less in batches of {enough} than alone{beyond}"


def advise_batches(rows: list[Row]) -> list[str]:
    grid = grid_of(rows)
    front = front_of(grid)
    clauses = []
    for work in ("nop", "read", "tcp"):
        for mode in ("deferred", "plain", "coop"):
            sizes = {place.size: bench for place, bench in grid.items()
                     if (place.work, place.setup, place.path) == (work, Setup(mode, ()), front)}
            clause = _batching_of(sizes, work) if sizes else None
            if clause:
                clauses.append(f"{clause} ({front}, {MODES[mode]})")
                break
    if not clauses:
        return []
    return [". ".join([f"Batching: {clauses[0]}", *(clause[0].upper() + clause[1:] for clause in clauses[1:])]) + "."]


def _counted(count: int, of_one: str, of_more: str) -> str:
    return f"{count or 'none'} {of_one if count < 2 else of_more}"


def _beside_liburing(rows: list[Row], path: str) -> str | None:
    """How many rows surely reach the path's aim, how many surely do not, and of how many noise lets nothing be told."""
    speeds = {row.key: speed for row in rows if row.baseline.path == "liburing"
              and (bench := row.find(path)) and (speed := ratios.speed(row, bench)) and speed.supported}
    if not speeds:
        return None
    reaches = {key: speed.reaches(aim_of(key.work)) for key, speed in speeds.items()}
    missed = [key for key, reached in reaches.items() if reached is False]
    slowest = ""
    if missed:
        key = min(missed, key=lambda each: speeds[each].median)
        slowest = f" (the slowest: {speeds[key]} in {key.work}, {key.setup}, {key.size_name} {key.size})"
    told = list(reaches.values())
    aim = aims_text(key.work for key in speeds)
    return (f"{path} aims at {aim} of raw liburing's speed: of {_counted(len(told), 'row', 'rows')}, "
            f"{_counted(told.count(True), 'surely reaches that', 'surely reach that')}, "
            f"{_counted(len(missed), 'surely falls short', 'surely fall short')}{slowest}, and "
            f"{_counted(told.count(None), 'is too noisy to tell', 'are too noisy to tell')}")


def advise_wrappers(rows: list[Row]) -> list[str]:
    clauses = [clause for path in ("Ring", "Backend") if (clause := _beside_liburing(rows, path))]
    return [f"{'. '.join(clauses)}."] if clauses else []


def advise_paths(rows: list[Row], kernel: str) -> list[str]:
    # Sizes of another kind, polls that are in flight beside, say nothing of batches.
    batches = [row for row in rows if row.key.size_name == "batch"]
    return [*advise_modes(batches, kernel), *advise_batches(batches), *advise_options(batches), *advise_wrappers(rows)]
