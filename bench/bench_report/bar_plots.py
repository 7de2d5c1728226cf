"""Bars, a panel a row: whole pieces of work by the Backend and its peers, and what Assay itself costs."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench_report import ratios, svg
from bench_report.advice import best_peer, is_backend
from bench_report.measurements import Bench, Row
from bench_report.plots import COLOURS, Plot, tick_text, time_text

_COLUMNS = 3
_BAR_INCHES = 0.235


@dataclass(frozen=True)
class Bar:
    name: str
    bench: Bench
    colour: str
    pale: bool
    words: str  # Behind the time.
    bold: bool


@dataclass(frozen=True)
class Panel:
    title: str
    bars: list[Bar]


def _draw(axes: Axes, panel: Panel) -> None:
    longest = max(bar.bench.ns for bar in panel.bars)
    for line, bar in enumerate(panel.bars):
        axes.barh(line, bar.bench.ns, height=0.72, color=bar.colour, alpha=0.5 if bar.pale else 1, linewidth=0)
        low, high = ratios.middle_half(bar.bench.times)
        axes.plot([low, high], [line, line], color=svg.INK, linewidth=1.1)
        axes.text(min(high, longest * 1.1) + longest * 0.02, line, f"{time_text(bar.bench.ns)}{bar.words}", va="center",
                  fontsize=8, color=svg.INK, fontweight="bold" if bar.bold else "normal")
    axes.set_title(panel.title, fontsize=9)
    axes.set_yticks(range(len(panel.bars)), [bar.name for bar in panel.bars])
    for label, bar in zip(axes.get_yticklabels(), panel.bars):
        label.set_color(svg.INK)
        label.set_fontweight("bold" if bar.bold else "normal")
    axes.set_ylim(len(panel.bars) - 0.4, -0.6)
    # Room for what stands behind the longest bar.
    axes.set_xlim(0, longest * 1.55)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(tick_text))
    axes.grid(visible=False, axis="y")
    axes.tick_params(length=0)
    axes.spines["bottom"].set_visible(False)


def _figure(panels: list[Panel]) -> Figure:
    columns = min(_COLUMNS, len(panels))
    lines = [panels[at : at + columns] for at in range(0, len(panels), columns)]
    heights = [max(len(panel.bars) for panel in line) * _BAR_INCHES + 0.62 for line in lines]
    figure = Figure(figsize=(3.65 * columns if columns > 1 else 5.5, sum(heights)), layout="constrained")
    grid = figure.subplots(len(lines), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    figure.get_layout_engine().set(h_pad=0.09)
    for line, axes_line in zip(lines, grid):
        for axes in axes_line[len(line) :]:
            axes.set_visible(False)
        for panel, axes in zip(line, axes_line):
            _draw(axes, panel)
    return figure


def _beside_best(bench: Bench, best: Bench) -> str:
    speed = ratios.paired(bench, best)
    return f" \u00b7 {speed.median:.2f}\u00d7" if speed else ""


def _peer_panel(row: Row) -> Panel:
    best = best_peer(row)
    first = next((bench for bench in row.benches if is_backend(bench.path)), None)
    bars = []
    for bench in sorted(row.benches, key=lambda each: each.ns):
        # The Backend beside the best of the others, and each of those too: what is above 1 is faster than it.
        words = _beside_best(bench, best) if best and bench is not best else ""
        colour = COLOURS["Backend"] if is_backend(bench.path) else COLOURS.get(bench.path, svg.GREY)
        bars.append(Bar(bench.path, bench, colour, is_backend(bench.path) and bench is not first, words,
                        is_backend(bench.path)))
    return Panel(f"{row.key.setup}, {row.key.size_name} {row.key.size:,}", bars)


def peers(work: str, rows: list[Row]) -> Plot:
    figure = _figure([_peer_panel(row) for row in rows])
    return Plot(f"{work}: time an operation", "Fastest on top. Behind the time: the speed beside the best peer, above "
                "1 is faster.", figure)


def _harness_panel(row: Row) -> Panel:
    bars = []
    for bench in row.benches:
        speed = ratios.speed(row, bench)
        words = f" \u00b7 {speed.inverse().median:.2f}\u00d7 the time" if speed else ""
        colour = COLOURS.get(bench.path, svg.VERMILION if speed else svg.GREY)
        bars.append(Bar(bench.path, bench, colour, False, words, bool(speed)))
    return Panel(f"{row.key.work}: {row.key.setup}, {row.key.size_name} {row.key.size:,}", bars)


def harness(rows: list[Row]) -> Plot:
    figure = _figure([_harness_panel(row) for row in rows])
    return Plot("What Assay itself costs", "The first bar of each is what the others are beside.", figure)
