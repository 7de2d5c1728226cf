"""What a guest's run means: did the program pass, did it fail, did the kernel complain, or did the matrix break?"""

import signal
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from enum import Enum

from kernel_matrix.guest import GuestRun
from kernel_matrix.guest_image import JUNIT_PATH
from kernel_matrix.kernel_log import findings


class Outcome(Enum):
    """In the words that tables and files use."""

    PASSED = "passed"
    FAILED = "failed"  # The program said so, by its exit status, a signal or its XML.
    TIMED_OUT = "timed out"
    KERNEL = "kernel"  # The kernel warned, oopsed, or hung.
    UNAVAILABLE = "unavailable"  # The archive has no such series.
    TROUBLE = "trouble"  # The matrix broke; this says nothing about the program or the kernel.


@dataclass(frozen=True)
class Counts:
    """Tests in the program's own XML."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class Verdict:
    """One row of the table."""

    series: str
    release: str
    outcome: Outcome
    reason: str = ""  # One line; empty where the outcome says all.
    kernel_findings: tuple[str, ...] = ()
    counts: Counts | None = None
    run: GuestRun | None = field(default=None, repr=False)

    @property
    def is_failure(self) -> bool:
        return self.outcome in (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.KERNEL)

    @property
    def is_trouble(self) -> bool:
        """Nothing was learned about a kernel that was asked for."""
        return self.outcome in (Outcome.UNAVAILABLE, Outcome.TROUBLE)


def count_junit(content: bytes) -> Counts:
    """Counts the test cases of JUnit XML, GoogleTest's included. ValueError if it is none."""
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error
    passed = failed = skipped = 0
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None or case.get("status") == "notrun":
            skipped += 1
        else:
            passed += 1
    return Counts(passed, failed, skipped)


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _program_failure(run: GuestRun, counts: Counts | None, junit_complaint: str) -> str:
    """Why the program's run counts as failed; empty if it passed."""
    ending = run.transcript.ending
    if ending["signal"]:
        return f"killed by {signal_name(ending['signal'])}"
    if ending["exit"] != 0:
        return f"exit status {ending['exit']}"
    if run.transcript.missing_files:
        path, reason = next(iter(run.transcript.missing_files.items()))
        return f"it left no readable {path} ({reason})"
    if junit_complaint:
        return f"it wrote XML that cannot be read ({junit_complaint})"
    if counts and counts.failed:
        return f"{counts.failed} tests failed by its XML, although it exited with 0"
    return ""


def _incomplete(run: GuestRun, complaints: list[str]) -> tuple[Outcome, str]:
    """A guest that did not say all that it had to say."""
    told = run.transcript
    if complaints:
        return Outcome.KERNEL, complaints[-1] if "panic" in complaints[-1] else complaints[0]
    if run.qemu_status is None:
        if not told.booted:
            return Outcome.KERNEL, f"it hung in boot for {run.seconds:.0f} s"
        return Outcome.KERNEL, f"it hung: the guest did not answer {run.seconds:.0f} s after its start"
    # Asked to end by a signal that it catches, QEMU exits with 0 and says so on standard error.
    if "terminating on signal" in run.qemu_complaint:
        return Outcome.TROUBLE, "QEMU was told to end by a signal from outside"
    if run.qemu_status < 0:
        return Outcome.TROUBLE, f"QEMU was killed by {signal_name(-run.qemu_status)}"
    if run.qemu_status > 0:
        complaint = run.qemu_complaint.splitlines()
        return Outcome.TROUBLE, f"QEMU ended with {run.qemu_status}: {complaint[-1] if complaint else 'it said nothing'}"
    if not told.booted and not run.console.strip():
        return Outcome.TROUBLE, "the guest ended before its kernel said a word"
    return Outcome.KERNEL, "it restarted without a word"


def judge(series: str, release: str, run: GuestRun) -> Verdict:
    """The verdict on one guest."""
    told = run.transcript
    complaints = findings(run.console)
    counts, junit_complaint = None, ""
    if JUNIT_PATH in told.files:
        try:
            counts = count_junit(told.files[JUNIT_PATH])
        except ValueError as error:
            junit_complaint = str(error)
    if not told.complete:
        outcome, reason = _incomplete(run, complaints)
    elif told.damage:
        outcome, reason = Outcome.TROUBLE, f"the serial port lost something: {told.damage}"
    elif not told.ended:
        outcome, reason = Outcome.TROUBLE, "init could not start the program"
    elif complaints:
        outcome, reason = Outcome.KERNEL, complaints[0]
    elif told.ending["unkillable"]:
        outcome, reason = Outcome.KERNEL, "it hung: the program did not even end when it was killed"
    elif told.ending["timed_out"]:
        outcome, reason = Outcome.TIMED_OUT, f"after {told.ending['run_ns'] / 1e9:.0f} s"
    else:
        reason = _program_failure(run, counts, junit_complaint)
        outcome = Outcome.FAILED if reason else Outcome.PASSED
    return Verdict(series, release, outcome, reason, tuple(complaints), counts, run)
