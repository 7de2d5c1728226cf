"""The command line of `assay bench`."""

import argparse
import math
import os
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from bench_report import comparison, measuring, page, terminal
from bench_report.endings import (ALL_WELL, BAD_USAGE, INTERRUPTED, NOT_POSSIBLE_HERE, SLOWER, BadUsage, NotMeasured,
                                  NotPossibleHere)
from bench_report.google_benchmark import significance_test
from bench_report.measurements import Run, read

_DESCRIPTION = """\
Measures submission paths (liburing, Ring, Backend), whole pieces of work beside other event loops, and what Assay
itself costs; says what came of it in a table and in words."""
_EPILOGUE = """\
commands:
  assay bench [quick|full] [OPTION ...]                  measures; quick in under a minute, full in half an hour
  assay bench show FILE.json [--html FILE]               shows an earlier run
  assay bench compare OLD.json NEW.json [OPTION ...]     which benches became slower or faster?

examples:
  assay bench --filter 'paths/nop/*' --html nop.html
  assay bench full --json today.json --html today.html
  assay bench compare --ratios --threshold 10 yesterday.json today.json

All paths and setups of a work run in turn, so speeds beside each other hold even where the machine is not idle. Exit
status: 0 done; 1 nothing could be measured, or measuring was given up (what was measured until then is shown), or
`compare` found something slower; 2 bad usage; 3 a Python package is missing (the figures are kept); 130 interrupted
(what was measured is shown). bench/README.md says more."""
_COMPARE_DESCRIPTION = """\
Compares two runs by Google Benchmark's own test, Mann-Whitney U. A bench is slower or faster if its median changed by
more than the threshold and that is significant among so many benches: of all that are told, at most one in twenty is so
by chance, on average (the rule of Benjamini and Hochberg, at 0.05). What would be significant only if it were the only
bench is told as perhaps slower or faster, and does not count: one in twenty of all that are compared would be."""
_COMPARE_EPILOGUE = """\
Five repetitions, as of the preset quick, show what became slower in many benches, but one bench only among six: that
takes more --repetitions, or a --filter; `compare` says which. Exit status: 0 nothing became slower (perhaps slower is
not slower); 1 something did; 2 bad usage; 3 a package is missing."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise BadUsage(f"{message} (see {self.prog} --help)")


def _whole_number(least: int, most: int):
    def convert(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {least} to {most}")
        return int(text)
    return convert


def _percent(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"'{text}' is not a percentage from 0 to 1000, such as 5")
    return value / 100


def _writable(text: str) -> Path:
    """Found out before minutes of measuring."""
    path = Path(text)
    folder = path.absolute().parent
    why = ("it is a folder" if path.is_dir() else "its folder does not exist" if not folder.is_dir()
           else "" if os.access(path if path.exists() else folder, os.W_OK) else "permission denied")
    if why:
        raise argparse.ArgumentTypeError(f"'{text}' is no file that can be written: {why}")
    return path


def _measure_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="assay bench", description=_DESCRIPTION, epilog=_EPILOGUE, allow_abbrev=False,
                     formatter_class=argparse.RawDescriptionHelpFormatter,
                     usage="assay bench [quick|full] [OPTION ...]\n       assay bench show|compare ...")
    add = parser.add_argument
    add("preset", nargs="?", default="quick", metavar="quick|full", help="what is measured, and how long (quick)")
    add("--filter", action="append", default=[], metavar="GLOB", dest="filters",
        help="only benches whose whole name matches, such as 'paths/nop/*'; may be repeated")
    add("--repetitions", type=_whole_number(1, 1000), metavar="N", help="repetitions of each bench (quick: 5, full: 9)")
    add("--min-time-ms", type=_whole_number(1, 60_000), metavar="N",
        help="how long each repetition takes (quick: 10, full: 40)")
    add("--no-call-counts", action="store_true", help="do not count system calls under ptrace")
    add("--json", type=_writable, metavar="FILE", help="keep the figures, as Google Benchmark writes them")
    add("--html", type=_writable, metavar="FILE", help="write one page with plots, which needs nothing else")
    add("--list", action="store_true", help="print the names of what would be measured, and measure nothing")
    return parser


def _show_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="assay bench show", description="Shows the figures of an earlier run.", allow_abbrev=False)
    parser.add_argument("run", type=Path, metavar="FILE.json", help="what `assay bench --json` wrote")
    parser.add_argument("--html", type=_writable, metavar="FILE", help="write one page with plots")
    return parser


def _compare_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="assay bench compare", description=_COMPARE_DESCRIPTION, allow_abbrev=False,
                     formatter_class=argparse.RawDescriptionHelpFormatter,
                     epilog=_COMPARE_EPILOGUE)
    add = parser.add_argument
    add("old", type=Path, metavar="OLD.json")
    add("new", type=Path, metavar="NEW.json")
    add("--threshold", type=_percent, default=0.05, metavar="PERCENT", help="smaller changes do not count (5)")
    add("--ratios", action="store_true",
        help="compare speeds beside the baseline of the same run, not times: right where others use the machine, too")
    return parser


def _show(path: Path, html: Path | None, command: str = "") -> bool:
    """Prints the table; the page comes after it, so that what is missing for it keeps nothing else back. False where
    there is nothing to tell."""
    run = read(path)
    try:
        print(terminal.text(run), flush=True)
    except BrokenPipeError:
        # Whoever has read enough of the table wants the page all the same.
        _write_page(run, html, command)
        raise
    _write_page(run, html, command)
    return bool(run.rows)


def _write_page(run: Run, html: Path | None, command: str) -> None:
    if not html:
        return
    document = page.render(run, command)
    try:
        html.write_text(document, encoding="utf-8")
    except OSError as error:
        raise BadUsage(f"'{html}' cannot be written: {error.strerror}") from error


def _measure(program: Path | None, arguments: list[str]) -> int:
    options = _measure_parser().parse_intermixed_args(arguments)
    if options.preset not in ("quick", "full"):
        raise BadUsage(f"there is no '{options.preset}'; it takes quick, full, show or compare "
                       "(see assay bench --help)")
    words = ["--preset", options.preset]
    for glob in options.filters:
        words += ["--filter", glob]
    for name in ("repetitions", "min_time_ms"):
        if getattr(options, name):
            words += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    words += ["--no-call-counts"] * options.no_call_counts
    if options.list:
        return measuring.run(program, [*words, "--list"])[0]
    if options.html and not options.json:
        page.check_available()
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        figures = options.json or Path(folder) / "figures.json"
        before = figures.stat().st_mtime_ns if figures.exists() else None
        status, interrupted = measuring.run(program, [*words, "--json", str(figures)])
        killed = "" if status >= 0 or interrupted else (f"assay-bench was ended by signal {-status} "
                                                        f"({signal.strsignal(-status)})")
        # Refused or killed, it has written nothing: an older file there is not what came of it.
        if not figures.exists() or figures.stat().st_mtime_ns == before or not figures.stat().st_size:
            if killed:
                raise NotMeasured(killed)
            return INTERRUPTED if interrupted else BAD_USAGE if status == BAD_USAGE else SLOWER
        if killed:
            print(f"assay bench: {killed}; this is what it had written", file=sys.stderr)
        measured = _show_or_keep(figures, options, shlex.join(["assay", "bench", *arguments]))
    return INTERRUPTED if interrupted else ALL_WELL if status == 0 and measured else SLOWER


def _show_or_keep(figures: Path, options: argparse.Namespace, command: str) -> bool:
    """As `_show`. Whatever goes wrong there, figures are kept that cannot be measured again at once."""
    try:
        return _show(figures, options.html, command)
    except (BadUsage, NotPossibleHere) as error:
        raise type(error)(f"{error}; the figures are in '{_kept(figures, options.json)}'") from error
    except BrokenPipeError:
        raise  # Only of the table; the page is there.
    except BaseException:
        print(f"assay bench: the figures are in '{_kept(figures, options.json)}'", file=sys.stderr)
        raise


def _kept(figures: Path, json: Path | None) -> Path:
    """Where figures are that would go with their folder. They are moved and not copied, since the disk may be full."""
    if json:
        return json
    descriptor, name = tempfile.mkstemp(prefix="assay-bench-", suffix=".json")
    os.close(descriptor)
    return figures.replace(name)


def _compare(arguments: list[str]) -> int:
    options = _compare_parser().parse_args(arguments)
    old, new = read(options.old), read(options.new)
    told = comparison.compare(old, new, options.threshold, options.ratios, significance_test())
    print(comparison.text(told, old, new))
    return SLOWER if told.slower else ALL_WELL


def _run(arguments: list[str]) -> int:
    program = None
    # So `assay` hands over where the measuring program is.
    if arguments[:1] == ["--assay-bench"] and len(arguments) > 1:
        program, arguments = Path(arguments[1]), arguments[2:]
    if arguments[:1] == ["compare"]:
        return _compare(arguments[1:])
    if arguments[:1] == ["show"]:
        options = _show_parser().parse_args(arguments[1:])
        _show(options.run, options.html)
        return ALL_WELL
    return _measure(program, arguments)


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit status. What goes wrong is told in one line."""
    try:
        return _run(arguments)
    except (BadUsage, NotMeasured, NotPossibleHere) as error:
        print(f"assay bench: {error}", file=sys.stderr)
        return {BadUsage: BAD_USAGE, NotMeasured: SLOWER, NotPossibleHere: NOT_POSSIBLE_HERE}[type(error)]
    except BrokenPipeError:
        # Whoever read the table has enough; Python would complain once more as it flushes at its end.
        sys.stderr.close()
        return ALL_WELL
    except KeyboardInterrupt:
        return INTERRUPTED
