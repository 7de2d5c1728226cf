"""The table for a terminal: suites by kernels, in counts; then in detail only what was not expected."""

from conformance_report.judgement import Finding, Judgement, Kind
from conformance_report.results import behaviour_of, column_order, simulation_of, suite_of
from conformance_report.rows import Counts, counts_of

_LINES_OF_ONE_KIND = 40
_LEGEND = ("passed -skipped !failed on the kernel, \u2260 where its simulation says otherwise; simulations alone have "
           "columns of their own")


def _cell(counts: Counts | None) -> str:
    if not counts:
        return ""
    parts = [str(counts.passed)]
    parts += [f"-{counts.skipped}"] * bool(counts.skipped) + [f"!{counts.failed}"] * bool(counts.failed)
    return " ".join(parts + [f"\u2260{counts.differ}"] * bool(counts.differ))


def suites_table(judgement: Judgement) -> str:
    """A simulation beside its kernel has no column: of it the disagreements are told, in the kernel's."""
    counts = counts_of(judgement)
    beside = {simulated for _, simulated in judgement.pairs()}
    kernels = [kernel for kernel in judgement.kernels if kernel not in beside]
    rows = [("suite", *(kernel.removeprefix("linux-") for kernel in kernels))]
    for suite in dict.fromkeys(suite_of(test) for test in judgement.tests):
        rows.append((suite, *(_cell(counts.get((kernel, suite))) for kernel in kernels)))
    rows.append(("all", *(_cell(counts.get((kernel, ""))) for kernel in kernels)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, f"({_LEGEND})"])


def _grouped(findings: list[Finding]) -> list[tuple[str, list[str], list[str], str]]:
    """Findings of a behaviour that are the same in several variants on several kernels are told once: behaviour,
    variants, kernels, detail."""
    kernels: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        kernels.setdefault((finding.test, finding.detail), []).append(finding.kernel)
    variants: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for (test, detail), where in kernels.items():
        variants.setdefault((behaviour_of(test), tuple(where), detail), []).append(test.partition("/")[2])
    return [(behaviour, names, list(where), detail) for (behaviour, where, detail), names in variants.items()]


def _kernel_names(kernels: list[str], everywhere: list[str]) -> str:
    """A kernel and its simulation are named as one: linux-6.12 (and sim)."""
    if len(kernels) > 2 and set(kernels) in ({*everywhere}, {each for each in everywhere if not each.startswith("sim:")}):
        return "everywhere" if len(kernels) == len(everywhere) else "every real kernel"
    named = []
    for kernel in sorted(kernels, key=column_order):
        if kernel.startswith("sim:") and kernel[4:] in kernels:
            continue
        named.append(f"{kernel} (and sim)" if simulation_of(kernel) in kernels else kernel)
    return ", ".join(named)


def findings_text(judgement: Judgement) -> str:
    """Empty if there is none."""
    lines = []
    for kind in Kind:
        of_kind = [finding for finding in judgement.findings if finding.kind == kind]
        if not of_kind:
            continue
        if kind in (Kind.DIFFERS, Kind.AGREES):
            of_kind = [Finding(each.kind, each.kernel.removeprefix("sim:"), each.test, each.detail) for each in of_kind]
        groups = _grouped(of_kind)
        lines.append(f"{kind}: {len(of_kind)}")
        for behaviour, variants, kernels, detail in groups[:_LINES_OF_ONE_KIND]:
            told = ", ".join(name or "no plan" for name in variants)
            lines.append(f"  {behaviour}{f' ({told})' if told != 'no plan' else ''}")
            lines.append(f"      {_kernel_names(kernels, judgement.kernels)}: {detail}")
        if len(groups) > _LINES_OF_ONE_KIND:
            lines.append(f"  and {len(groups) - _LINES_OF_ONE_KIND} more, which --json and --html tell")
    return "\n".join(lines)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def conclusion(judgement: Judgement) -> str:
    """One line."""
    real = [kernel for kernel in judgement.kernels if not kernel.startswith("sim:")]
    differ = sum(cell.differs for (kernel, _), cell in judgement.cells.items() if kernel.startswith("sim:"))
    return (f"{_count(len(real), 'real kernel')}, {len(judgement.kernels) - len(real)} simulated, "
            f"{_count(len(judgement.tests), 'test')}: {_count(differ, 'disagreement')}, "
            f"{_count(len(judgement.findings), 'finding')}"
            + (f"; {_count(len(judgement.beyond_injection), 'fault')} on simulations alone" if judgement.beyond_injection else ""))


def text(judgement: Judgement) -> str:
    """All of it."""
    return "\n".join(filter(None, (suites_table(judgement), findings_text(judgement), conclusion(judgement))))
