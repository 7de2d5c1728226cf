"""The command line of `ci/report`."""

import argparse
import json
import sys
from pathlib import Path

from conformance_report import expectations, junit_form, terminal
from conformance_report.json_form import as_json
from conformance_report.judgement import judge
from conformance_report.page import check_available, render
from conformance_report.results import Results, read_junit
from kernel_matrix.endings import ALL_PASSED, BAD_USAGE, HARNESS_TROUBLE, TEST_FAILED, BadUsage, HarnessTrouble

EXPECTED = Path(__file__).resolve().parents[1] / "expected"

_DESCRIPTION = """\
Merges JUnit XML of tests on several kernels, real and simulated, into one table: rows are tests, columns kernels, a real
kernel stands beside its simulation. What is not as ci/expected has it, and where real and simulated disagree, is told
test by test."""
_EPILOGUE = """\
examples:
  ci/report --html table.html build/release/junit/conformance.xml
  ci/report linux-6.12=guest.xml simulated.xml      the tests of guest.xml that ran on `linux` ran on linux-6.12
  ci/report --partial ring.xml                      only some of the tests were run

`ci/matrix` prints the same table of its guests. Exit status: 0 nothing was found, 1 something was not as expected,
2 bad usage, 3 no page can be made here. docs/matrix.md says what the findings mean."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise BadUsage(message)


def parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ci/report", description=_DESCRIPTION, epilog=_EPILOGUE, allow_abbrev=False,
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("junit", nargs="+", metavar="[KERNEL=]JUNIT",
        help="JUnit XML; KERNEL names the column of tests that name no kernel, or `linux` (the file's name)")
    add("--html", type=Path, metavar="FILE", help="write the table as one page of HTML that needs nothing else")
    add("--json", type=Path, metavar="FILE", help="write every row and cell as JSON")
    add("--merged", type=Path, metavar="FILE", help="write one JUnit XML of all kernels, whose failures are the findings")
    add("--expected", type=Path, default=EXPECTED, metavar="DIR", help="the folder of expectations (ci/expected)")
    add("--partial", action="store_true", help="do not miss tests that expectations name")
    add("--title", default="Conformance of kernels", metavar="TEXT", help="the page's title")
    return parser


def _read(words: list[str]) -> Results:
    results: Results = {}
    for word in words:
        kernel, equals, path = word.partition("=")
        if not equals or "/" in kernel or not kernel:
            kernel, path = "", word
        read_junit(results, Path(path), kernel or _default_column(Path(path)))
    return results


def _default_column(path: Path) -> str:
    """`linux` for Assay's own XML, which says so; the file's name for any other."""
    try:
        return "linux" if b'<property name="kernel" value="linux"' in path.read_bytes() else path.stem
    except OSError:
        return path.stem


def write(path: Path, content: bytes) -> None:
    """BadUsage, with the reason, if it cannot be written."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise BadUsage(f"'{path}' cannot be written: {error.strerror}") from error


def _run(options: argparse.Namespace) -> int:
    if not options.expected.is_dir():
        raise BadUsage(f"--expected: '{options.expected}' is not a folder")
    if options.html:
        check_available()
    results = _read(options.junit)
    kernels = dict.fromkeys(kernel.removeprefix("sim:") for kernel in results)
    expected = {kernel: found for kernel in kernels if (found := expectations.read(options.expected, kernel))}
    judgement = judge(results, expected, whole=not options.partial)
    if options.html:
        write(options.html, render(judgement, options.title).encode())
    if options.json:
        write(options.json, (json.dumps(as_json(judgement), indent=1) + "\n").encode())
    if options.merged:
        write(options.merged, junit_form.as_junit(judgement, options.title))
    print(terminal.text(judgement))
    return TEST_FAILED if judgement.findings else ALL_PASSED


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit status. Bad usage is told in one line."""
    try:
        return _run(parser().parse_args(arguments))
    except BadUsage as error:
        print(f"ci/report: {error}", file=sys.stderr)
        return BAD_USAGE
    except HarnessTrouble as trouble:
        print(f"ci/report: {trouble}", file=sys.stderr)
        return HARNESS_TROUBLE
    except BrokenPipeError:
        return HARNESS_TROUBLE
