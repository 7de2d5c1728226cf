"""Puts verdicts where people and machines read them: lines, a table, JSON, JUnit XML, and a folder for each kernel."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from conformance_report import junit_form
from conformance_report.results import Results, add_junit
from kernel_matrix.guest_image import JUNIT_PATH
from kernel_matrix.verdict import Outcome, Verdict

_LONGEST_OUTPUT = 64 * 1024


def _times(verdict: Verdict) -> tuple[str, str]:
    if not verdict.run or not verdict.run.transcript.booted:
        return "-", "-"
    told = verdict.run.transcript
    run_s = f"{told.ending['run_ns'] / 1e9:.1f} s" if told.ended else "-"
    return f"{told.boot_seconds:.1f} s", run_s


def _tests(verdict: Verdict) -> str:
    if not verdict.counts:
        return "-"
    return f"{verdict.counts.passed} passed, {verdict.counts.failed} failed, {verdict.counts.skipped} skipped"


def progress_line(verdict: Verdict, done: int, count: int) -> str:
    seconds = f", {verdict.run.seconds:.0f} s" if verdict.run else ""
    reason = f": {verdict.reason}" if verdict.reason else ""
    # That a test of Assay's own failed is judged only when all kernels have told theirs.
    outcome = "ran" if verdict.outcome == Outcome.PASSED and verdict.counts and verdict.counts.failed else verdict.outcome.value
    tests = f" ({_tests(verdict)})" if verdict.counts else ""
    return f"[{done}/{count}] linux-{verdict.series}  {outcome}{reason}{tests}{seconds}"


def table(verdicts: list[Verdict]) -> str:
    """Kernels by rows. The columns of times are the guest's own: until init ran, and how long the program ran."""
    rows = [("kernel", "release", "result", "tests", "boot", "run", "")]
    for verdict in verdicts:
        boot, run = _times(verdict)
        rows.append((f"linux-{verdict.series}", verdict.release or "-", verdict.outcome.value, _tests(verdict),
                     boot, run, verdict.reason))
    if all(row[3] == "-" for row in rows[1:]):
        rows = [row[:3] + row[4:] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def as_json(verdicts: list[Verdict]) -> list[dict]:
    """One object a kernel. Output is text, with what is not UTF-8 replaced."""
    records = []
    for verdict in verdicts:
        record = {"series": verdict.series, "release": verdict.release, "outcome": verdict.outcome.value,
                  "reason": verdict.reason, "kernel_findings": list(verdict.kernel_findings)}
        if verdict.counts:
            record["tests"] = vars(verdict.counts)
        if verdict.run:
            told = verdict.run.transcript
            record |= {
                "seconds": round(verdict.run.seconds, 3), "boot_seconds": round(told.boot_seconds, 3),
                "ending": told.ending, "output": told.output.decode(errors="replace"),
                "error_output": told.error_output.decode(errors="replace"), "files": sorted(told.files)}
        records.append(record)
    return records


def _clean(text: str) -> str:
    text = junit_form.clean(text)
    if len(text) > _LONGEST_OUTPUT:
        text = text[:_LONGEST_OUTPUT] + f"\n[{len(text) - _LONGEST_OUTPUT} more characters]\n"
    return text


def _log_since_start(verdict: Verdict) -> str:
    return verdict.run.console[-16384:] if verdict.run else ""


def guest_case(verdict: Verdict) -> ElementTree.Element:
    """The run of a guest as a test case."""
    seconds = f"{verdict.run.seconds:.3f}" if verdict.run else "0"
    case = ElementTree.Element("testcase", classname=f"linux-{verdict.series}", name="guest", time=seconds)
    message = _clean(verdict.reason or verdict.outcome.value)
    if verdict.outcome == Outcome.UNAVAILABLE:
        ElementTree.SubElement(case, "skipped", message=message)
    elif verdict.outcome == Outcome.TROUBLE:
        ElementTree.SubElement(case, "error", message=message, type="harness").text = _clean(_log_since_start(verdict))
    elif verdict.is_failure:
        told = verdict.run.transcript
        failure = ElementTree.SubElement(case, "failure", message=message, type=verdict.outcome.value)
        failure.text = _clean("\n".join(filter(None, (*verdict.kernel_findings, told.threads))))
    if verdict.run:
        told = verdict.run.transcript
        ElementTree.SubElement(case, "system-out").text = _clean(told.output.decode(errors="replace"))
        errors = told.error_output.decode(errors="replace")
        if verdict.outcome != Outcome.PASSED:
            errors += "\n--- the kernel's console\n" + _log_since_start(verdict)
        ElementTree.SubElement(case, "system-err").text = _clean(errors)
    return case


def _suite(verdict: Verdict) -> ElementTree.Element:
    """A suite of its own for each kernel: the guest's own case, and those of the program's XML if it wrote some."""
    name = f"linux-{verdict.series}"
    suite = ElementTree.Element("testsuite", name=name)
    junit_form.set_properties(suite, {"kernel": name, "release": verdict.release})
    suite.append(guest_case(verdict))
    if verdict.counts:
        for own in ElementTree.fromstring(verdict.run.transcript.files[JUNIT_PATH]).iter("testcase"):
            own.set("classname", f"{name}.{own.get('classname', '')}".rstrip("."))
            suite.append(own)
    junit_form.count(suite)
    return suite


def as_junit(verdicts: list[Verdict]) -> bytes:
    return junit_form.as_bytes([_suite(verdict) for verdict in verdicts], "matrix")


def results_of(verdicts: list[Verdict]) -> Results:
    """The runs of the guests, and the tests that the program told of in its XML, as `ci/report` reads them."""
    results: Results = {}
    add_junit(results, as_junit([verdict for verdict in verdicts if verdict.run]), "linux")
    return results


def write_guest_files(folder: Path, verdict: Verdict) -> None:
    """Leaves all that came back from a guest in a folder: output, logs, and under files/ what was brought back."""
    folder.mkdir(parents=True, exist_ok=True)
    told = verdict.run.transcript
    (folder / "stdout").write_bytes(told.output)
    (folder / "stderr").write_bytes(told.error_output)
    if told.kernel_log:
        (folder / "kernel.log").write_text(told.kernel_log)
    if told.threads:
        (folder / "threads").write_text(told.threads)
    for path, content in told.files.items():
        # A guest names these itself, so none may climb out of the folder.
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        target = folder.joinpath("files", *parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    (folder / "verdict.json").write_text(json.dumps(as_json([verdict])[0], indent=1) + "\n")
