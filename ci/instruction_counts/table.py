"""Counts as people read them."""

from instruction_counts.counting import Counts
from instruction_counts.judgement import Row, rows

_PEERS = ("liburing", "Ring", "Backend")


def text(counts: Counts) -> str:
    """A line for each row: the three that submit, side by side."""
    all_rows = rows(counts)
    width = max([len(_label(row)) for row in all_rows], default=0)
    liburing = f"liburing {counts.made_by.get('liburing', '?')}"
    lines = [f"{'instructions an operation':<{width}}  {liburing:>12}  {'Ring':>8}  ratio  {'Backend':>8}"]
    lines += [_line(row, width) for row in all_rows]
    return "\n".join(lines)


def _label(row: Row) -> str:
    return f"{row.name} {row.size}"


def _line(row: Row, width: int) -> str:
    cells = [f"{row.by_path[path]:.1f}" if path in row.by_path else "" for path in _PEERS]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return f"{_label(row):<{width}}  {cells[0]:>12}  {cells[1]:>8}  {ratio:>5}  {cells[2]:>8}".rstrip()
