"""The command line of `ci/matrix`."""

import argparse
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from conformance_report import terminal
from conformance_report.judgement import Judgement
from conformance_report.judgement import judge as judge_results
from conformance_report.page import check_available, render
from kernel_matrix.catalogue import check_series_words
from kernel_matrix.endings import (ALL_PASSED, BAD_USAGE, HARNESS_TROUBLE, INTERRUPTED, TEST_FAILED, BadUsage,
                                   HarnessTrouble)
from kernel_matrix.guest_image import Orders
from kernel_matrix.kernel_cache import write_whole
from kernel_matrix.matrix import Matrix, Request, exit_status
from kernel_matrix.own_report import Places, conclude, record
from kernel_matrix.own_suites import ASSAY, Simulations, check_assay, judge_own, own_orders
from kernel_matrix.progress import Progress, running
from kernel_matrix.report import as_json, as_junit, results_of, table
from kernel_matrix.verdict import Verdict

_DESCRIPTION = """\
Boots real kernels under QEMU and runs a program in each: its output, exit status and JUnit XML come back, and so does
what the kernel has to say about it. Kernels are Debian's cloud kernels, fetched by apt into a cache of their own.

Without --run the program is Assay itself: its suites run in every guest and, here, on the simulations of the same
kernels; what was skipped, failed or differs is held to ci/expected, and what the probe finds to mocks/profiles."""
_EPILOGUE = """\
examples:
  ci/matrix --list                          what the archive offers
  ci/matrix 5.10 newest --run ./my_test     two kernels
  ci/matrix all --junit out.xml --run ./my_test --gtest_filter='Ring*'
  ci/matrix ./arch/x86/boot/bzImage --run ./my_test
  ci/matrix all --html table.html           Assay's own suites
  ci/matrix --record 7.3                    records a kernel's profile and skips

Everything after --run PROGRAM goes to the program, so options of the matrix stand before it. Exit status: 0 every
kernel passed, 1 the program failed in a guest, a kernel complained or something was not as expected, 2 bad usage, 3 the
matrix could not do its work (which says nothing about the program), or a series is not available. docs/matrix.md says
more."""


_TIMEOUT_S = 120
_OWN_TIMEOUT_S = 300


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise BadUsage(message)


def _whole_number(least: int, most: int):
    def convert(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {least} to {most}")
        return int(text)
    return convert


def _mirror(text: str) -> str:
    if not re.fullmatch(r"(https?|ftp|file|copy|mirror)(\+[a-z]+)?:/\S+", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not an address that apt fetches from, such as http://HOST/debian")
    return text


def _guest_file(text: str) -> tuple[Path, str]:
    """HOST[:GUEST], both files or folders; without GUEST the path is the same in the guest."""
    host, colon, guest = text.partition(":")
    path = Path(host)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"'{host}' does not exist")
    if colon and not guest.startswith("/"):
        raise argparse.ArgumentTypeError(f"'{guest}' is not an absolute path in the guest")
    return path, guest or os.path.abspath(host)


def _guest_path(text: str) -> str:
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"'{text}' is not an absolute path in the guest")
    return text


def _setting(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=.*", text, re.DOTALL):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=VALUE")
    return text


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay" / "matrix"


def parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ci/matrix", description=_DESCRIPTION, epilog=_EPILOGUE, allow_abbrev=False,
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("kernels", nargs="*", metavar="KERNEL",
        help="a series such as 6.12, all, oldest, newest, or the path of a bzImage (with a / in it); default all")
    add("--list", action="store_true", help="list the kernels that the archive offers, and end")
    add("--jobs", type=_whole_number(1, 64), default=2, metavar="N", help="guests at a time (2)")
    add("--timeout", type=_whole_number(1, 86400), metavar="S",
        help=f"seconds that the program may run in a guest ({_TIMEOUT_S}; {_OWN_TIMEOUT_S} for Assay's own suites)")
    add("--boot-timeout", type=_whole_number(1, 86400), default=120, metavar="S", help="seconds that a boot may take (120)")
    add("--accel", choices=("auto", "kvm", "tcg"), default="auto",
        help="KVM, plain emulation, or whichever works (auto)")
    add("--cpus", type=_whole_number(1, 64), default=2, metavar="N", help="processors of a guest (2)")
    add("--memory", type=_whole_number(128, 1 << 20), default=0, metavar="MIB",
        help="memory of a guest (what the program's size asks for, at least 512)")
    add("--append", default="", metavar="PARAMETERS",
        help="more kernel parameters, such as sysctl.kernel.io_uring_disabled=2")
    add("--file", type=_guest_file, action="append", default=[], metavar="HOST[:GUEST]", dest="files",
        help="put a file or folder into the guest; may be repeated")
    add("--env", type=_setting, action="append", default=[], metavar="NAME=VALUE", dest="environment",
        help="set a variable for the program; may be repeated")
    add("--bring-back", type=_guest_path, action="append", default=[], metavar="GUEST",
        help="bring a file that the program leaves in the guest back into --results; may be repeated")
    add("--assay", type=Path, metavar="PATH",
        help="the static Assay whose suites are run (build/release/cli/assay-static)")
    add("--filter", action="append", default=[], metavar="GLOB", dest="filters",
        help="run only these of Assay's own tests, as `assay conformance --filter` has it; may be repeated")
    add("--record", action="store_true",
        help="write mocks/profiles and the skips of ci/expected as Assay finds them in the guests")
    add("--results", type=Path, metavar="DIR", help="where a folder for each kernel is left (below the cache)")
    add("--junit", type=Path, metavar="FILE", help="write JUnit XML, a suite for each kernel")
    add("--json", type=Path, metavar="FILE", help="write the verdicts as JSON")
    add("--html", type=Path, metavar="FILE", help="write the table of tests by kernels as a page of HTML")
    add("--cache", type=Path, default=_cache_folder(), metavar="DIR", help="where kernels are kept (~/.cache/assay/matrix)")
    add("--cache-limit", type=_whole_number(1, 1 << 20), default=1024, metavar="MIB", help="how much the cache may hold (1024)")
    add("--mirror", type=_mirror, metavar="URL", help="the Debian mirror to use (this machine's own)")
    add("--update", action="store_true", help="ask the archive for newer kernels now, not after a week")
    return parser


def _split_at_run(arguments: list[str]) -> tuple[list[str], list[str] | None]:
    """Our arguments, and the program's with the program first: `--run` ends ours."""
    if "--run" not in arguments:
        for argument in arguments:
            if argument.startswith("--run="):
                raise BadUsage(f"'{argument}': the program and its arguments come after --run, as words of their own")
        return arguments, None
    at = arguments.index("--run")
    program = arguments[at + 1 :]
    if not program:
        raise BadUsage("--run needs a program after it, and then the program's arguments")
    return arguments[:at], program


def parse(arguments: list[str]) -> tuple[argparse.Namespace, Request]:
    """The options and the request in them. Raises BadUsage."""
    ours, program = _split_at_run(arguments)
    options = parser().parse_args(ours)
    words = options.kernels or ["all"]
    images = tuple(Path(word) for word in words if "/" in word)
    series = [word for word in words if "/" not in word]
    check_series_words(series)
    for name in ("assay", "filters", "record"):
        if program is not None and getattr(options, name):
            raise BadUsage(f"--{name.removesuffix('s')} is about Assay's own suites; --run runs another program")
    if options.record and (images or options.filters):
        raise BadUsage("--record records whole runs of the archive's kernels: it takes series, no bzImage and no --filter")
    for name in ("junit", "json", "html"):
        path = getattr(options, name)
        if path and not path.absolute().parent.is_dir():
            raise BadUsage(f"--{name} {path}: its folder does not exist")
    orders = Orders(
        program=Path(program[0]) if program else None, arguments=tuple(program[1:]) if program else (),
        timeout_s=options.timeout or (_TIMEOUT_S if program else _OWN_TIMEOUT_S), environment=tuple(options.environment), files=tuple(options.files),
        bring_back=tuple(options.bring_back))
    if options.html:
        check_available()
    options.assay = (options.assay or ASSAY).absolute()
    if program is None and not options.list:
        check_assay(options.assay)
        orders = own_orders(options.assay, options.filters, orders)
    options.own = program is None
    request = Request(
        series=tuple(series), images=images, orders=orders, jobs=options.jobs, boot_limit_s=options.boot_timeout,
        acceleration=options.accel, cpus=options.cpus, memory_mib=options.memory, append=options.append,
        mirror=options.mirror, cache=options.cache.absolute(), cache_limit_mib=options.cache_limit,
        update=options.update, results=options.results)
    return options, request


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _list(matrix: Matrix) -> int:
    kernels = matrix.list_kernels()
    for kernel in kernels.values():
        print(f"{kernel.series:6} {kernel.release:32} {kernel.package} {kernel.version}")
    return ALL_PASSED if kernels else HARNESS_TROUBLE


def _write(options: argparse.Namespace, junit: Callable[[], bytes], told: Callable[[], dict | list],
           page: Callable[[], str]) -> None:
    """Writes what was asked for."""
    try:
        if options.junit:
            write_whole(options.junit, junit())
        if options.json:
            write_whole(options.json, (json.dumps(told(), indent=1) + "\n").encode())
        if options.html:
            write_whole(options.html, page().encode())
    except OSError as error:
        raise HarnessTrouble(f"{error.filename}: {error.strerror}") from error


def _page(judgement: Judgement, verdicts: list[Verdict], notes: list[str]) -> str:
    releases = ", ".join(verdict.release for verdict in verdicts if verdict.release)
    return render(judgement, "The kernel matrix", [f"Guests: {releases}", *notes])


def _run(matrix: Matrix, options: argparse.Namespace) -> int:
    """A program of the user's."""
    verdicts, results = matrix.run()
    _write(options, lambda: as_junit(verdicts), lambda: as_json(verdicts),
           lambda: _page(judge_results(results_of(verdicts), {}, whole=False), verdicts, []))
    print(table(verdicts))
    print(f"what came back from the guests: {results}")
    return exit_status(verdicts)


def _run_own(request: Request, options: argparse.Namespace, progress: Progress) -> int:
    """Assay's own suites, judged or recorded."""
    places, simulations = Places(), Simulations(options.assay)
    if not options.record:
        simulations.check_current(places.profiles)
    guests, results = Matrix(request, progress, judge_own).run()
    if options.record:
        told = record(guests, places, progress)
    else:
        with running(progress, "simulations"):
            told = conclude(guests, simulations, results, options.filters, request.orders.timeout_s, places, progress)
    verdicts = told.verdicts
    _write(options, told.as_junit, told.as_json, lambda: _page(told.judgement, verdicts, told.notes))
    print(terminal.text(told.judgement), end="\n\n")
    print(table(verdicts))
    for note in told.notes:
        print(f"note: {note}")
    print(f"what came back from the guests: {results}")
    return TEST_FAILED if told.judgement.findings else exit_status(verdicts)


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit status. What goes wrong is told in one line."""
    # A terminated matrix takes its guests along, as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options, request = parse(arguments)
        with Progress() as progress:
            if options.list:
                return _list(Matrix(request, progress))
            return _run_own(request, options, progress) if options.own else _run(Matrix(request, progress), options)
    except BadUsage as error:
        _say(f"ci/matrix: {error}")
        return BAD_USAGE
    except HarnessTrouble as error:
        _say(f"ci/matrix: {error}")
        return HARNESS_TROUBLE
    except KeyboardInterrupt:
        _say("ci/matrix: interrupted")
        return INTERRUPTED
