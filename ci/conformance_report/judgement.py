"""Holds results to expectations: what every cell of the table means, and the findings, of which there are several kinds."""

from dataclasses import dataclass, field
from enum import StrEnum

from conformance_report.expectations import Expectations
from conformance_report.results import Results, TestResult, TestVerdict, behaviour_of, column_order, simulation_of


class Kind(StrEnum):
    """In the words that tables and files use. The first two come from ci/matrix, not from results."""

    RUN = "run failed"  # A guest, or the simulations as a whole: it crashed, hung, or its kernel complained.
    PROFILE = "profile differs"  # What the probe finds is not what was recorded.
    UNEXPECTED_FAILURE = "unexpected failure"
    UNEXPECTED_SKIP = "unexpected skip"
    UNEXPECTED_PASS = "unexpected pass"  # Listed as skip or fail, but passed.
    UNKNOWN_TEST = "unknown test"  # An expectation names a test that does not exist.
    DIFFERS = "real and simulated differ"  # And no line of ci/expected says so.
    AGREES = "listed difference is none"  # Any more.


_UNEXPECTED = {TestVerdict.FAIL: Kind.UNEXPECTED_FAILURE, TestVerdict.SKIP: Kind.UNEXPECTED_SKIP,
               TestVerdict.PASS: Kind.UNEXPECTED_PASS}


@dataclass(frozen=True)
class Finding:
    kind: Kind
    kernel: str  # The column; for what concerns an expectation, the kernel whose file it stands in.
    test: str
    detail: str  # What was said, and what had been expected.


@dataclass(frozen=True)
class Cell:
    """A test on a kernel."""

    verdict: TestVerdict
    reason: str = ""
    finding: Kind | None = None
    expected: str = ""  # The reason of the expectation that the cell meets.
    differs: bool = False  # Real and simulated do not say the same, listed or not; set on both.


@dataclass
class Judgement:
    """`kernels` are the columns in order, `tests` the rows, `cells` is by kernel and test. `beyond_injection` are kernels
    and tests that a simulation passes and its kernel cannot be made to show: neither agreement nor disagreement."""

    kernels: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    beyond_injection: list[tuple[str, str]] = field(default_factory=list)

    def pairs(self) -> list[tuple[str, str]]:
        """The real kernels that stand beside their simulation."""
        return [(kernel, simulation_of(kernel)) for kernel in self.kernels if simulation_of(kernel) in self.kernels]


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _words(result: TestResult) -> str:
    told = {TestVerdict.PASS: "passes", TestVerdict.SKIP: "is skipped", TestVerdict.FAIL: "fails"}[result.verdict]
    return f"{told} ({_first_line(result.reason)})" if result.reason else told


def _against(result: TestResult, test: str, expected: Expectations | None) -> tuple[Kind | None, str, str]:
    """The finding, its detail, and the reason of the line that is met. Without expectations a skip is taken as it is."""
    line = expected.of_real(test) if expected else None
    if result.verdict == (line.verdict if line else TestVerdict.PASS):
        return None, "", line.reason if line else ""
    if not expected and result.verdict == TestVerdict.SKIP:
        return None, "", ""
    detail = f"{_words(result)}, listed as {line.verdict}: {line.reason}" if line else _words(result)
    return _UNEXPECTED[result.verdict], detail, ""


def _judge_real(judgement: Judgement, kernel: str, tests: dict[str, TestResult], expected: Expectations | None) -> None:
    for test, result in tests.items():
        kind, detail, met = _against(result, test, expected)
        judgement.cells[kernel, test] = Cell(result.verdict, result.reason, kind, met)
        if kind:
            judgement.findings.append(Finding(kind, kernel, test, detail))


def _judge_simulated(judgement: Judgement, kernel: str, column: str, tests: dict[str, TestResult],
                     real: dict[str, TestResult], expected: Expectations | None) -> None:
    for test, result in tests.items():
        line = expected.of_simulated(test) if expected else None
        beside = real.get(test)
        differs = beside is not None and beside.verdict != result.verdict
        if differs and beside.is_beyond_injection and result.verdict == TestVerdict.PASS:
            judgement.beyond_injection.append((kernel, test))
            judgement.cells[column, test] = Cell(result.verdict, result.reason)
            continue
        kind, detail, met = None, "", ""
        if line and result.verdict == line.verdict:
            met = line.reason
            if beside is not None and not differs:
                kind, detail = Kind.AGREES, f"both: {result.verdict}, listed as sim={line.verdict}: {line.reason}"
        elif differs:
            listed = f", listed as sim={line.verdict}: {line.reason}" if line else ""
            kind, detail = Kind.DIFFERS, f"the kernel {_words(beside)}, the simulation {_words(result)}{listed}"
        elif line:
            kind = Kind.AGREES if beside is not None else _UNEXPECTED[result.verdict]
            who = "both" if beside is not None else "the simulation"
            detail = f"{who}: {result.verdict}, listed as sim={line.verdict}: {line.reason}"
        else:
            kind, detail, met = _against(result, test, expected)
        judgement.cells[column, test] = Cell(result.verdict, result.reason, kind, met, differs)
        if differs:
            cell = judgement.cells[kernel, test]
            judgement.cells[kernel, test] = Cell(cell.verdict, cell.reason, cell.finding, cell.expected, True)
        if kind:
            judgement.findings.append(Finding(kind, column, test, detail))


def _unknown_tests(kernel: str, expected: Expectations, real: dict[str, TestResult],
                   simulated: dict[str, TestResult] | None) -> list[Finding]:
    """Lines that no test meets. Without the simulation a behaviour may lack those variants that only it has."""
    findings = []
    known = list(dict.fromkeys([*real, *(simulated or {})]))
    behaviours = {behaviour_of(test) for test in known}
    for lines in (expected.real, expected.differs):
        for line in lines.values():
            is_known = any(line.covers(test) for test in known)
            if not is_known and (simulated is not None or behaviour_of(line.test) not in behaviours):
                findings.append(Finding(Kind.UNKNOWN_TEST, kernel, line.test,
                                        f"{expected.name}:{line.number} names it, and there is no such test"))
    return findings


def judge(results: Results, expectations: dict[str, Expectations], whole: bool = True) -> Judgement:
    """Judges all results. `expectations` is by the real kernel's name. `whole`: no test was left out of the runs, so
    what an expectation names must be there."""
    judgement = Judgement(sorted(results, key=column_order))
    judgement.tests = list(dict.fromkeys(test for kernel in judgement.kernels for test in results[kernel]))
    simulations = {simulation_of(kernel): kernel for kernel in [*results, *expectations]}
    for kernel in judgement.kernels:
        if not kernel.startswith("sim:"):
            _judge_real(judgement, kernel, results[kernel], expectations.get(kernel))
    for column in judgement.kernels:
        if column.startswith("sim:"):
            kernel = simulations.get(column, "")
            _judge_simulated(judgement, kernel, column, results[column], results.get(kernel, {}), expectations.get(kernel))
    if whole:
        for kernel, expected in expectations.items():
            if kernel in results:
                judgement.findings += _unknown_tests(kernel, expected, results[kernel], results.get(simulation_of(kernel)))
    order = list(Kind)
    judgement.findings.sort(key=lambda finding: (order.index(finding.kind), finding.test, column_order(finding.kernel)))
    return judgement
