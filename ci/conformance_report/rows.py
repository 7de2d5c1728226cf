"""The rows of the table: tests, where those variants of a behaviour that say the same on every kernel share one."""

from dataclasses import dataclass, field

from conformance_report.judgement import Cell, Judgement
from conformance_report.results import TestVerdict, behaviour_of, simulation_of, suite_of


@dataclass
class Row:
    """`tests` are the variants that share the row."""

    tests: list[str]
    cells: dict[str, Cell] = field(default_factory=dict)

    @property
    def suite(self) -> str:
        return suite_of(self.tests[0])

    @property
    def name(self) -> str:
        """The behaviour, or the one variant of it that the row is about."""
        test = self.tests[0] if len(self.tests) == 1 else behaviour_of(self.tests[0])
        return test.partition(".")[2]

    @property
    def differs(self) -> bool:
        return any(cell.differs for cell in self.cells.values())

    @property
    def has_finding(self) -> bool:
        return any(cell.finding for cell in self.cells.values())

    def takes(self, cells: dict[str, Cell]) -> bool:
        """Whether a variant with these cells can share the row: what it says where both ran is what the row says.
        Variants with findings or disagreements share only with their exact like."""
        if self.differs or self.has_finding or any(cell.differs or cell.finding for cell in cells.values()):
            return self.cells == cells
        return all(self.cells[kernel] == cell for kernel, cell in cells.items() if kernel in self.cells)


def rows_of(judgement: Judgement) -> list[Row]:
    """All rows, suite by suite and behaviour by behaviour in the order of the tests."""
    suites: dict[str, dict[str, list[Row]]] = {}
    for test in judgement.tests:
        cells = {kernel: judgement.cells[kernel, test]
                 for kernel in judgement.kernels if (kernel, test) in judgement.cells}
        rows = suites.setdefault(suite_of(test), {}).setdefault(behaviour_of(test), [])
        for row in rows:
            if row.takes(cells):
                row.tests.append(test)
                row.cells = cells | row.cells
                break
        else:
            rows.append(Row([test], cells))
    return [row for behaviours in suites.values() for rows in behaviours.values() for row in rows]


@dataclass
class Counts:
    """Tests of a suite on a kernel. `unexpected` counts findings other than disagreement."""

    passed: int = 0
    skipped: int = 0
    failed: int = 0
    differ: int = 0
    differ_unlisted: int = 0
    findings: int = 0

    def add(self, cell: Cell, differ: bool, listed: bool) -> None:
        self.passed += cell.verdict == TestVerdict.PASS
        self.skipped += cell.verdict == TestVerdict.SKIP
        self.failed += cell.verdict == TestVerdict.FAIL
        self.findings += cell.finding is not None
        self.differ += differ
        self.differ_unlisted += differ and not listed

    @property
    def words(self) -> str:
        told = f"{self.passed} passed, {self.skipped} skipped, {self.failed} failed"
        return f"{told}, {self.differ} differ" if self.differ else told


def counts_of(judgement: Judgement) -> dict[tuple[str, str], Counts]:
    """By kernel and suite; with "" for the suite, the kernel's sums. A disagreement is counted on both of the pair."""
    counts: dict[tuple[str, str], Counts] = {}
    for (kernel, test), cell in judgement.cells.items():
        simulated = judgement.cells.get((simulation_of(kernel), test)) if not kernel.startswith("sim:") else cell
        listed = bool(simulated and simulated.expected)
        for suite in (suite_of(test), ""):
            counts.setdefault((kernel, suite), Counts()).add(cell, cell.differs, listed)
    return counts
