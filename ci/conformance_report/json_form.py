"""The table as JSON: every row and every cell."""

from conformance_report.judgement import Cell, Judgement


def _cell(cell: Cell) -> dict:
    record = {"verdict": str(cell.verdict)}
    for name, value in (("reason", cell.reason), ("finding", cell.finding), ("expected", cell.expected)):
        if value:
            record[name] = str(value)
    if cell.differs:
        record["differs"] = True
    return record


def as_json(judgement: Judgement) -> dict:
    """`kernels` in the order of columns; of each test what each kernel said; the findings. `expected` is the reason of
    the line in ci/expected that a cell meets."""
    return {
        "kernels": judgement.kernels,
        "tests": [
            {"test": test, "kernels": {kernel: _cell(judgement.cells[kernel, test]) for kernel in judgement.kernels
                                       if (kernel, test) in judgement.cells}}
            for test in judgement.tests],
        "beyond_injection": [{"kernel": kernel, "test": test} for kernel, test in judgement.beyond_injection],
        "findings": [
            {"kind": str(finding.kind), "kernel": finding.kernel, "test": finding.test, "detail": finding.detail}
            for finding in judgement.findings]}
