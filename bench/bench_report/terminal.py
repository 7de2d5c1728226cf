"""The figures for a terminal: a table a work, its rows side by side, then what was left out and the advice."""

import textwrap

from bench_report import ratios
from bench_report.advice import advise
from bench_report.measurements import Bench, Row, Run, works_of

# Elapsed and CPU time of a thread that never sleeps are the same up to noise; only where they differ is it told.
_CPU_DIFFERS = 0.1
_WIDTH = 110


def figure(value: float) -> str:
    """Three digits that count, never an exponent."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def small_figure(value: float | None) -> str:
    if value is None:
        return ""
    return "0" if value == 0 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def cpu_text(bench: Bench) -> str:
    cpu = bench.cpu_ns
    return figure(cpu) if cpu is not None and abs(cpu / bench.ns - 1) > _CPU_DIFFERS else ""


def spread_text(bench: Bench) -> str:
    share = 100 * ratios.spread(bench.times)
    return "" if len(bench.samples) < 2 else f"\u00b1{share:.1f} %" if share < 9.95 else f"\u00b1{share:.0f} %"


def cells(row: Row, bench: Bench, repetitions: int) -> tuple[str, ...]:
    """What a table says of a path, after its name. `repetitions` are those of the run."""
    return (figure(bench.ns), spread_text(bench), _repetitions_text(bench, repetitions), cpu_text(bench),
            _count_text(bench.cycles), _count_text(bench.instructions), small_figure(bench.calls),
            small_figure(bench.cqes_per_enter), _speed_text(row, bench))


def _repetitions_text(bench: Bench, repetitions: int) -> str:
    """Only of those that the run's end, or a failure, cut short."""
    return f"{len(bench.samples)} of {repetitions}" if len(bench.samples) < repetitions else ""


def _count_text(count: float | None) -> str:
    return "" if count is None else figure(count)


def _speed_text(row: Row, bench: Bench) -> str:
    speed = ratios.speed(row, bench)
    return str(speed) if speed else ""


HEADS = ("ns/op", "spread", "repetitions", "CPU ns", "cycles", "instructions", "calls/op", "CQEs/enter",
         "speed beside the first")


def _table(rows: list[Row], repetitions: int) -> list[str]:
    lines: list[tuple[str, ...]] = [(f"setup, {rows[0].key.size_name}", "path", *HEADS)]
    for row in rows:
        for bench in row.benches:
            name = f"{row.key.setup}, {row.key.size}" if bench is row.baseline else ""
            lines.append((name, bench.path, *cells(row, bench, repetitions)))
    # A column that says nothing of any of them is left out.
    columns = [column for column in range(len(lines[0])) if any(line[column] for line in lines[1:])]
    widths = {column: max(len(line[column]) for line in lines) for column in columns}
    left = {0, 1, len(lines[0]) - 1}

    def cell(line: tuple[str, ...], column: int) -> str:
        return line[column].ljust(widths[column]) if column in left else line[column].rjust(widths[column])

    return ["  " + "  ".join(cell(line, column) for column in columns).rstrip() for line in lines]


def table(run: Run) -> str:
    blocks = []
    for chapter in run.chapters:
        for work, rows in works_of(run.chapter(chapter)).items():
            sizes: dict[str, list[Row]] = {}
            for row in rows:
                sizes.setdefault(row.key.size_name, []).append(row)
            blocks += ["\n".join([f"{chapter}/{work}", *_table(same, run.repetitions)]) for same in sizes.values()]
    return "\n\n".join(blocks)


def level_text(run: Run) -> str:
    """What the intervals that are shown are worth: the least of them, since an interrupted run has fewer repetitions in
    some rows."""
    if run.repetitions == 1:
        return "A single repetition has no interval."
    speeds = [(len(ratios.paired_values(bench, row.baseline)), speed) for row in run.rows for bench in row.benches
              if (speed := ratios.speed(row, bench)) and speed.has_interval]
    if not speeds:
        return ""
    fewest, most = min(count for count, _ in speeds), max(count for count, _ in speeds)
    # Not that of the fewest: eight repetitions reach 99 %, and nine, which may leave out one at each end, 96 %.
    level = min(speed.level for _, speed in speeds)
    count = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    sure = f"{'' if fewest == most else 'at least '}{level * 100:.4g} % ({count} repetitions)"
    if level >= ratios.LEVEL:
        return f"Intervals in parentheses hold the median with a certainty of {sure}."
    return (f"Intervals in parentheses span all repetitions where those are fewer than 6, and hold the median with a "
            f"certainty of {sure}: 95 % takes 6.")


def text(run: Run) -> str:
    """All of it."""
    if not run.rows:
        return "\n".join([*(f"note: {line}" for line in run.notes), "nothing was measured"])
    notes = [f"note: {line}" for line in run.notes]
    advice = [textwrap.fill(sentence, _WIDTH, initial_indent="- ", subsequent_indent="  ") for sentence in advise(run)]
    parts = [table(run), level_text(run), "\n".join(notes), "\n".join(advice)]
    return "\n\n".join(part for part in parts if part)
