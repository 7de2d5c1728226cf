"""The plots of the chapter "paths": time, speed beside liburing and system calls by batch, what registering is worth.

Ring modes stand side by side on one scale, each in a panel of its own with a line for each path: fifteen lines in one
panel nobody can tell apart."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench_report import ratios, svg
from bench_report.measurements import Bench, Row, works_of
from bench_report.setups import MODES, Setup, aim_of, setup_of

# The same path always has the same colour. Markers differ in size too, so that what is equal is seen as all of them.
COLOURS = {"liburing": svg.BLUE, "Ring": svg.GREEN, "Backend": svg.VERMILION}
_MARKERS = {"liburing": ("o", 7.5), "Ring": ("s", 5), "Backend": ("D", 3)}
_WIDTH, _PANEL_INCHES, _HEIGHT, _MARGIN = 11.0, 2.5, 2.75, 0.75
# Speeds beyond these are cut off, and written at the edge: one disturbed row would flatten all others.
_SLOWEST, _FASTEST = 0.5, 1.6


@dataclass(frozen=True)
class Plot:
    title: str
    caption: str
    figure: Figure


def colour_of(path: str) -> str:
    return COLOURS.get(path, svg.VERMILION if path.startswith("Backend,") else svg.GREY)


def _in_unit(ns: float) -> tuple[float, str]:
    units = (("s", 1e9), ("ms", 1e6), ("\u00b5s", 1e3))
    return next(((ns / scale, unit) for unit, scale in units if ns >= scale), (ns, "ns"))


def tick_text(ns: float, _position: int = 0) -> str:
    value, unit = _in_unit(ns)
    return f"{value:.3g} {unit}"


def time_text(ns: float) -> str:
    """Three digits, all of which count."""
    value, unit = _in_unit(ns)
    return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f} {unit}"


def _modes(rows: list[Row]) -> dict[Setup, list[Row]]:
    """A setup for each mode, with its rows in the order of their sizes: the bare mode, or what was measured at most
    sizes where that was not."""
    setups: dict[Setup, list[Row]] = {}
    for row in sorted(rows, key=lambda each: each.key.size):
        setups.setdefault(setup_of(row.key.setup), []).append(row)
    modes = {}
    for mode in dict.fromkeys([*MODES, *(setup.mode for setup in setups)]):
        of_mode = [setup for setup in setups if setup.mode == mode]
        if of_mode:
            chosen = max(of_mode, key=lambda setup: (not setup.options, len(setups[setup]), -len(setup.options)))
            modes[chosen] = setups[chosen]
    return modes


def _title(setup: Setup) -> str:
    name = MODES.get(setup.mode, setup.mode).removeprefix("a ").replace(" with a ", ", ")  # a panel is not wide
    lines = [name[0].upper() + name[1:], " + ".join(setup.options)]
    return "\n+ ".join(line for line in lines if line)


def _line(rows: list[Row], path: str,
          value: Callable[[Bench], float | None]) -> tuple[list[int], list[float], list[Bench]]:
    """Sizes and values of a path, and its benches."""
    found = [(row.key.size, told, bench) for row in rows
             if (bench := row.find(path)) and (told := value(bench)) is not None]
    return [each[0] for each in found], [each[1] for each in found], [each[2] for each in found]


def _paths(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(bench.path for row in rows for bench in row.benches))


def _panels(titles: list[str], rows: list[list[Row]], lines: int = 1) -> tuple[Figure, list[Axes]]:
    """So many panels side by side, with one scale for all."""
    columns = -(-len(titles) // lines)
    width = min(_PANEL_INCHES, (_WIDTH - _MARGIN) / columns) * max(2, columns) + _MARGIN
    figure = Figure(figsize=(width, _HEIGHT * lines - 0.4 * (lines - 1)), layout="constrained")
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False).flatten()
    for spare in grid[len(titles) :]:
        spare.set_visible(False)
    for panel, title, of_panel in zip(grid, titles, rows):
        sizes = sorted({row.key.size for row in of_panel})
        panel.set_title(title)
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_locator(FixedLocator(sizes))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:g}"))
        panel.set_xlim(sizes[0] / 1.5, sizes[-1] * 1.5)
        panel.set_xlabel(of_panel[0].key.size_name)
        panel.grid(visible=False, axis="x")
        panel.tick_params(length=0)
    return figure, list(grid[: len(titles)])


def _legend(figure: Figure, panels: list[Axes], paths: list[str]) -> None:
    """Above the panels, in the order of the paths."""
    handles: dict[str, object] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels()):
            handles.setdefault(label, handle)
    labels = [path for path in paths if path in handles]
    # Room for it is made by hand: this matplotlib keeps no place for a legend that belongs to no axes.
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - 0.28 / figure.get_size_inches()[1]))
    figure.legend([handles[label] for label in labels], labels, loc="upper left", ncols=max(1, len(labels)), fontsize=9,
                  borderaxespad=0, handlelength=1.6, columnspacing=1.6)


def _scale(axes: Axes, values: list[float]) -> None:
    """Logarithmic where values differ by more than 4 times; else from zero, so that a small difference looks small."""
    if max(values) > 4 * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, max(values) * 1.15)
        axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(tick_text))


def times(work: str, rows: list[Row]) -> Plot | None:
    modes = _modes(rows)
    figure, panels = _panels([_title(mode) for mode in modes], list(modes.values()))
    paths, values = _paths(rows), []
    for mode, panel in zip(modes, panels):
        for other, of_other in modes.items():
            sizes, medians, _ = _line(of_other, paths[-1], lambda bench: bench.ns)
            if other != mode and len(sizes) > 1:
                panel.plot(sizes, medians, color=svg.FAINT, linewidth=1.2)
        for path in paths:
            sizes, medians, benches = _line(modes[mode], path, lambda bench: bench.ns)
            if not sizes:
                continue
            values += medians
            marker, size = _MARKERS.get(path, ("o", 4))
            bands = [ratios.middle_half(bench.times) for bench in benches]
            panel.fill_between(sizes, [low for low, _ in bands], [high for _, high in bands], color=colour_of(path),
                               alpha=0.18, linewidth=0)
            panel.plot(sizes, medians, color=colour_of(path), marker=marker, markersize=size * 0.7, label=path)
    _scale(panels[0], values)
    _legend(figure, panels, paths)
    others = f" Grey: {paths[-1]} in the other modes." if len(modes) > 1 else ""
    return Plot(f"{work}: time an operation", f"Medians; half of the repetitions lie within the bands.{others}", figure)


def _speed_bar(panel: Axes, at: float, speed: ratios.Ratio, path: str) -> None:
    shown = min(max(speed.median, _SLOWEST), _FASTEST)
    panel.fill_between([at / 1.17, at * 1.17], 1, shown, color=colour_of(path), linewidth=0, label=path)
    if shown == speed.median:
        panel.plot([at, at], [max(speed.low, _SLOWEST), min(speed.high, _FASTEST)], color=svg.INK, linewidth=1.1)
    else:
        # Within the bar, on its colour, which is dark enough for white.
        panel.text(at, shown, f" {speed.median:.2f} ", fontsize=7.5, rotation=90, ha="center", color="white",
                   va="bottom" if shown < 1 else "top")


def speeds(work: str, rows: list[Row]) -> Plot | None:
    """Bars from 1.0, where the baseline is, with the interval of the median."""
    modes = _modes(rows)
    paths = [path for path in _paths(rows) if any(row.find(path) not in (None, row.baseline) for row in rows)]
    if not paths:
        return None
    figure, panels = _panels([_title(mode) for mode in modes], list(modes.values()))
    aim = aim_of(work)
    reach = [aim - 0.03, 1.05]
    for of_mode, panel in zip(modes.values(), panels):
        for index, path in enumerate(paths):
            for row in of_mode:
                bench = row.find(path)
                speed = ratios.speed(row, bench) if bench else None
                if speed:
                    _speed_bar(panel, row.key.size * 2 ** ((index - (len(paths) - 1) / 2) * 0.5), speed, path)
                    reach += [speed.low, speed.high]
        panel.axhline(1, color=svg.INK, linewidth=0.9)
        panel.axhline(aim, color=svg.SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
        panel.set_xlim(panel.get_xlim()[0] / 1.25, panel.get_xlim()[1] * 1.25)
    panels[0].set_ylim(max(min(reach), _SLOWEST) - 0.02, min(max(reach), _FASTEST) + 0.02)
    panels[0].yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    panels[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2f}"))
    _legend(figure, panels, paths)
    baseline = rows[0].baseline.path
    return Plot(f"{work}: speed beside {baseline}", f"1.00 is as fast as {baseline}, more is faster; lines at the bars "
                f"are the interval of the median, dashed is the aim of {aim:.2f}.", figure)


def calls(rows: list[Row]) -> Plot | None:
    """All works in one: how often a path enters the kernel hardly depends on the mode, but for SQPOLL."""
    counted = works_of([row for row in rows if any(bench.calls is not None for bench in row.benches)])
    if not counted:
        return None
    figure, panels = _panels(list(counted), list(counted.values()), lines=-(-len(counted) // 5))
    paths, counts, has_sqpoll = _paths(rows), [], False
    for of_work, panel in zip(counted.values(), panels):
        modes = _modes(of_work)
        shown = [next(iter(modes)), *(mode for mode in list(modes)[1:] if mode.mode == "sqpoll_spin")]
        for mode in shown:
            for path in paths:
                sizes, of_path, _ = _line(modes[mode], path, lambda bench: bench.calls)
                marker, size = _MARKERS.get(path, ("o", 4))
                is_sqpoll = mode.mode == "sqpoll_spin" and len(modes) > 1
                if sizes:
                    panel.plot(sizes, of_path, color=colour_of(path), marker=marker, markersize=size, linewidth=1.1,
                               linestyle=(0, (4, 2)) if is_sqpoll else "solid", label=None if is_sqpoll else path)
                    counts += of_path
                    has_sqpoll = has_sqpoll or is_sqpoll
    _call_scale(panels[0], counts)
    _legend(figure, panels, paths)
    return Plot("System calls an operation", "Counted under ptrace, for the whole process. Where paths make as many, "
                f"their markers lie within each other.{' Dashed: SQPOLL with a spinning waiter.' if has_sqpoll else ''}", figure)


def _call_scale(axes: Axes, counts: list[float]) -> None:
    """Logarithmic, with a place for none at all."""
    least = 0.001 if min([1.0, *(count for count in counts if count > 0)]) < 0.01 else 0.01
    axes.set_yscale("symlog", linthresh=least, linscale=0.4)
    axes.set_ylim(-least / 4, max([1.0, *counts]) * 1.5)
    axes.yaxis.set_major_locator(FixedLocator([0, *(tick for tick in (0.001, 0.01, 0.1, 1, 10, 100) if tick >= least)]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _registered(rows: list[Row]) -> dict[int, dict[Setup, list[tuple[str, ratios.Ratio]]]]:
    """By size and setup: the speed of each path beside the same path in the bare mode."""
    bare = {(row.key.setup, row.key.size): row for row in rows}
    found: dict[int, dict[Setup, list[tuple[str, ratios.Ratio]]]] = {}
    for row in rows:
        setup = setup_of(row.key.setup)
        base = bare.get((setup.mode, row.key.size))
        if not setup.options or not base:
            continue
        for bench in row.benches:
            other = base.find(bench.path)
            if other and (speed := ratios.paired(bench, other)):
                found.setdefault(row.key.size, {}).setdefault(setup, []).append((bench.path, speed))
    return dict(sorted(found.items()))


def options(work: str, rows: list[Row]) -> Plot | None:
    """What registering is worth: the smallest and a large batch, side by side."""
    found = _registered(rows)
    sizes = [size for size in found if size in (1, 32)] or list(found)[:2]
    if not sizes:
        return None
    setups = list(dict.fromkeys(setup for size in sizes for setup in found[size]))
    paths = _paths(rows)
    figure = Figure(figsize=(2.6 + 3.6 * len(sizes), 0.95 + 0.34 * len(setups)), layout="constrained")
    axes = figure.subplots(1, len(sizes), sharex=True, sharey=True, squeeze=False)[0]
    for size, panel in zip(sizes, axes):
        panel.set_title(f"{rows[0].key.size_name} {size}")
        for line, setup in enumerate(setups):
            for path, speed in found[size].get(setup, []):
                at = line + (paths.index(path) - (len(paths) - 1) / 2) * 0.22
                panel.plot([speed.low, speed.high], [at, at], color=colour_of(path), linewidth=1.6)
                panel.plot([speed.median], [at], color=colour_of(path), marker=_MARKERS.get(path, ("o", 4))[0],
                           markersize=4.5, linestyle="none", label=path)
        panel.axvline(1, color=svg.INK, linewidth=0.9)
        panel.set_xlim(min(panel.get_xlim()[0], 0.95), max(panel.get_xlim()[1], 1.05))
        panel.tick_params(length=0)
        panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2f}"))
        panel.set_xlabel("speed beside the same mode with nothing registered")
    axes[0].set_yticks(range(len(setups)), [" + ".join([setup.mode, *setup.options]) for setup in setups])
    axes[0].set_ylim(len(setups) - 0.4, -0.6)
    _legend(figure, list(axes), paths)
    return Plot(f"{work}: what registering is worth", "Medians and their intervals, more is faster.", figure)
