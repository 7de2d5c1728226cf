"""One HTML page that needs nothing else: the advice, the plots, and all figures folded below them."""

import importlib.util
import shlex
from dataclasses import dataclass
from pathlib import Path

from bench_report import svg, terminal
from bench_report.advice import advise
from bench_report.endings import NotPossibleHere
from bench_report.measurements import Row, Run, works_of

_TEMPLATE = Path(__file__).with_name("page.html.j2")
_PACKAGES = {"matplotlib": "python3-matplotlib", "jinja2": "python3-jinja2"}
_CHAPTERS = {"paths": ("Submission paths", "The same work through raw liburing, through Ring and through Backend, by "
                       "the ring's mode and by how many operations are submitted at a time."),
             "peers": ("Beside other event loops", "Whole pieces of work, as a program would do them."),
             "harness": ("What Assay itself costs", "Its layers beside what they stand on.")}


@dataclass(frozen=True)
class PagePlot:
    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class Section:
    """A work of a chapter, or a whole chapter."""

    id: str
    title: str
    plots: list[PagePlot]


@dataclass(frozen=True)
class Chapter:
    id: str
    title: str
    lead: str
    sections: list[Section]


def check_available() -> None:
    """NotPossibleHere where no page can be drawn, for those who want to know before a long run."""
    for module, package in _PACKAGES.items():
        if importlib.util.find_spec(module) is None:
            raise NotPossibleHere(f"--html needs {module} for Python; Debian's package is {package}")


def _inline(plots: list, name: str) -> list[PagePlot]:
    return [PagePlot(plot.title, plot.caption, svg.inline(plot.figure, f"{name}-{index}", plot.title))
            for index, plot in enumerate(plots)]


def _sections(chapter: str, rows: list[Row]) -> list[Section]:
    """A section a work; sizes of another kind than the others, polls and not a batch, say, have plots of their own."""
    # Only here is matplotlib needed: the rest works where it is not installed.
    from bench_report import bar_plots, plots  # pylint: disable=import-outside-toplevel
    if chapter == "harness":
        return [Section("harness-all", "all", _inline([bar_plots.harness(rows)], "harness"))]
    sections = []
    for work, of_work in works_of(rows).items():
        drawn = []
        for size_name in dict.fromkeys(row.key.size_name for row in of_work):
            alike = [row for row in of_work if row.key.size_name == size_name]
            if chapter == "paths":
                drawn += [plot for draw in (plots.times, plots.speeds, plots.options) if (plot := draw(work, alike))]
            else:
                drawn.append(bar_plots.peers(work, alike))
        name = f"{chapter}-{work}".replace(" ", "-")
        sections.append(Section(name, work, _inline(drawn, name)))
    calls = plots.calls(rows) if chapter == "paths" else None
    return [*sections, Section("paths--calls", "system calls", _inline([calls], "paths--calls"))] if calls else sections


def _chapters(run: Run) -> list[Chapter]:
    import matplotlib  # pylint: disable=import-outside-toplevel
    chapters = []
    with matplotlib.rc_context(svg.settings()):
        for chapter in run.chapters:
            rows = run.chapter(chapter)
            title, lead = _CHAPTERS.get(chapter, (chapter, ""))
            chapters.append(Chapter(chapter, title, lead, _sections(chapter, rows)))
    return chapters


def _facts(run: Run) -> list[tuple[str, str]]:
    """What stands in the header; what a file does not say is left out."""
    context = run.context
    processors = str(context.get("cpu", ""))
    if count := context.get("num_cpus"):
        speed = context.get("mhz_per_cpu")
        processors += f"{', ' if processors else ''}{count} CPU{'' if count == 1 else 's'}"
        processors += f" at {speed / 1000:.1f} GHz" if isinstance(speed, int) and speed > 0 else ""
    taken = [f"preset {context['preset']}"] if context.get("preset") else []
    taken += [f"{run.repetitions} repetitions"] if run.repetitions else []
    taken += [f"{context['min_time_ms']} ms each"] if context.get("min_time_ms") else []
    facts = [("Kernel", " ".join(str(context[key]) for key in ("kernel", "machine") if context.get(key))),
             ("Processor", processors), ("liburing", str(context.get("liburing", ""))),
             ("Assay", str(context.get("assay", ""))), ("Date", str(context.get("date", "")).replace("T", " ")[:16]),
             ("Measured", ", ".join(taken))]
    return [(name, value) for name, value in facts if value]


def _command(run: Run) -> str:
    """How to measure the same again."""
    words = ["assay", "bench", str(run.context.get("preset", "quick"))]
    for glob in str(run.context.get("filters", "")).splitlines():
        words += ["--filter", glob]
    for name in ("repetitions", "min_time_ms"):
        if run.context.get(name):
            words += [f"--{name.replace('_', '-')}", str(run.context[name])]
    return shlex.join([*words, "--html", "bench.html"])


def _table(run: Run) -> tuple[list[str], list[dict]]:
    """Heads and rows, without the columns in which there is nothing."""
    told = [(row, [(bench.path, terminal.cells(row, bench, run.repetitions)) for bench in row.benches])
            for row in run.rows]
    kept = [column for column in range(len(terminal.HEADS))
            if any(cells[column] for _, of_row in told for _, cells in of_row)]
    return [terminal.HEADS[column] for column in kept], [
        {"name": f"{row.key.work}, {row.key.setup}, {row.key.size_name} {row.key.size}", "chapter": row.key.chapter,
         "benches": [(path, [cells[column] for column in kept]) for path, cells in of_row]} for row, of_row in told]


def render(run: Run, command: str = "") -> str:
    """The page. `command` is what was typed, if the run has just been measured."""
    check_available()
    import jinja2  # pylint: disable=import-outside-toplevel
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined)
    heads, table = _table(run)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        facts=_facts(run), advice=advise(run) if run.rows else ["Nothing was measured."], chapters=_chapters(run),
        table=table, heads=heads, notes=run.notes, command=command or _command(run),
        level=terminal.level_text(run) if run.rows else "")
