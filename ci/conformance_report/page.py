"""The table as one HTML page that needs nothing else: disagreements first, then the suites, folded."""

import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from conformance_report.judgement import Cell, Judgement, Kind
from conformance_report.results import TestVerdict, suite_of
from conformance_report.rows import Counts, Row, counts_of, rows_of
from conformance_report.terminal import conclusion
from kernel_matrix.endings import HarnessTrouble

_TEMPLATE = Path(__file__).with_name("page.html.j2")
_SYMBOLS = {TestVerdict.PASS: "\u2713", TestVerdict.SKIP: "\u2013", TestVerdict.FAIL: "\u2717"}
_LONGEST_REASON = 1000


@dataclass(frozen=True)
class Column:
    """`place` is where it stands in a pair: "real", "sim", or "" alone."""

    kernel: str
    place: str
    tint: bool  # Every other pair has a background of its own.


@dataclass(frozen=True)
class PageCell:
    classes: str
    symbol: str
    title: str


@dataclass(frozen=True)
class Reason:
    """What several kernels say for one reason."""

    words: str
    kernels: str
    text: str


def _columns(judgement: Judgement) -> list[Column]:
    pairs = judgement.pairs()
    place = {real: "real" for real, _ in pairs} | {simulated: "sim" for _, simulated in pairs}
    columns, tint = [], False
    for kernel in judgement.kernels:
        if place.get(kernel) != "sim":
            tint = not tint
        columns.append(Column(kernel, place.get(kernel, ""), tint))
    return columns


def _words(cell: Cell) -> str:
    told = {TestVerdict.PASS: "passed", TestVerdict.SKIP: "skipped", TestVerdict.FAIL: "failed"}[cell.verdict]
    if cell.finding:
        return f"{told}, {cell.finding}"
    return f"{told}, as listed" if cell.expected else told


def _page_cell(row: Row, column: Column, columns: list[Column]) -> PageCell:
    cell = row.cells.get(column.kernel)
    classes = [column.place] * bool(column.place) + ["t"] * column.tint
    if not cell:
        return PageCell(" ".join(classes), "", "")
    classes.append({TestVerdict.PASS: "p", TestVerdict.SKIP: "s", TestVerdict.FAIL: "f"}[cell.verdict])
    if cell.differs:
        simulated = cell
        if column.place == "real":
            simulated = row.cells[columns[columns.index(column) + 1].kernel]
        classes.append("d" if simulated.finding else "l")
    symbol = _SYMBOLS[cell.verdict]
    if cell.finding and cell.finding != Kind.DIFFERS:
        classes.append("u")
        symbol += "!"
    if cell.verdict == TestVerdict.PASS and not cell.finding and not cell.differs:
        return PageCell(" ".join(classes), symbol, "")
    told = " ".join(filter(None, (f"{column.kernel}: {_words(cell)}.", cell.reason[:_LONGEST_REASON])))
    return PageCell(" ".join(classes), symbol, f"{told}\nListed: {cell.expected}" if cell.expected else told)


def _reasons(row: Row, judgement: Judgement) -> list[Reason]:
    groups: dict[tuple[str, str], list[str]] = {}
    for kernel in judgement.kernels:
        cell = row.cells.get(kernel)
        if not cell or (cell.verdict == TestVerdict.PASS and not cell.finding and not cell.differs):
            continue
        text = cell.reason[:_LONGEST_REASON]
        if cell.expected and cell.expected != cell.reason:
            text = "\n".join(filter(None, (text, f"Listed: {cell.expected}")))
        groups.setdefault((_words(cell), text), []).append(kernel)
    return [Reason(words, ", ".join(kernels), text) for (words, text), kernels in groups.items()]


def _page_row(row: Row, judgement: Judgement, columns: list[Column]) -> dict:
    reasons = _reasons(row, judgement)
    variants = [test.partition("/")[2] or "no plan" for test in row.tests] if len(row.tests) > 1 else []
    searched = " ".join([*row.tests, *(reason.text for reason in reasons)]).lower()
    unlisted = any(cell.differs and cell.finding for cell in row.cells.values())
    return {"suite": row.suite, "name": row.name, "variants": variants, "reasons": reasons, "searched": searched[:2000],
            "mark": "\u2260" if row.differs else "!" if row.has_finding else "", "unlisted": unlisted,
            "interesting": row.differs or row.has_finding,
            "cells": [_page_cell(row, column, columns) for column in columns]}


def _sum_cells(counts: dict[tuple[str, str], Counts], suite: str, columns: Iterable[Column]) -> list[dict]:
    cells = []
    for column in columns:
        found = counts.get((column.kernel, suite))
        cells.append({"classes": f"{column.place} {'t' if column.tint else ''} {'x' if found and found.failed else ''}".strip(),
                      "count": found.passed if found else "", "title": f"{column.kernel}: {found.words}" if found else ""})
    return cells


def _heads(counts: dict[tuple[str, str], Counts], columns: list[Column]) -> list[dict]:
    """What stands below the names of kernels: for a pair, how many tests disagree."""
    heads = []
    for column in columns:
        if column.place == "sim":
            continue
        found = counts.get((column.kernel, ""), Counts())
        heads.append({"span": 2 if column.place else 1, "tint": column.tint, "paired": bool(column.place),
                      "differ": found.differ, "unlisted": found.differ_unlisted})
    return heads


def check_available() -> None:
    """HarnessTrouble where no page can be made, for those who want to know before a long run."""
    if importlib.util.find_spec("jinja2") is None:
        raise HarnessTrouble("--html needs Jinja2 for Python; Debian's package is python3-jinja2")


def _words_of(name: str) -> list[str]:
    """Between these a long name may break. They begin with capitals."""
    return re.split(r"(?<=[a-z0-9])(?=[A-Z])|(?<=/)", name)


def render(judgement: Judgement, title: str, notes: Iterable[str] = ()) -> str:
    """The page. `notes` are lines that stand below the title, such as the kernels' releases."""
    # Only the page needs it, so the rest works where it is not installed.
    import jinja2  # pylint: disable=import-outside-toplevel
    import markupsafe  # pylint: disable=import-outside-toplevel
    columns = _columns(judgement)
    counts = counts_of(judgement)
    rows = rows_of(judgement)
    page_rows = [_page_row(row, judgement, columns) for row in rows]
    suites = []
    for suite in dict.fromkeys(suite_of(test) for test in judgement.tests):
        members = [row for row in page_rows if row["suite"] == suite]
        suites.append({"name": suite, "rows": members, "sums": _sum_cells(counts, suite, columns),
                       "interesting": sum(row["interesting"] for row in members)})
    differing = [row for row in page_rows if row["mark"] == "\u2260"]
    differing.sort(key=lambda row: not row["unlisted"])
    unexpected = [row for row in page_rows if row["mark"] == "!"]
    lost = [finding for finding in judgement.findings if (finding.kernel, finding.test) not in judgement.cells]
    pairs = judgement.pairs()
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["breakable"] = lambda name: markupsafe.Markup("<wbr>").join(_words_of(name))
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=title, notes=list(notes), conclusion=conclusion(judgement), columns=columns, suites=suites, lost=lost,
        heads=_heads(counts, columns), differing=differing, unexpected=unexpected, pairs=pairs,
        sums=_sum_cells(counts, "", columns),
        differ=sum(counts[real, ""].differ for real, _ in pairs),
        unlisted=sum(counts[real, ""].differ_unlisted for real, _ in pairs))
