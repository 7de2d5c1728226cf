"""Assay's own suites: the guest's program, its verdict, and the same suites on the simulated kernels, here."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kernel_matrix.endings import BadUsage, HarnessTrouble
from kernel_matrix.guest import GuestRun
from kernel_matrix.guest_image import JUNIT_PATH, Orders
from kernel_matrix.profile_record import parse_profile, says_all_of
from kernel_matrix.verdict import Outcome, Verdict, judge, signal_name

ASSAY = Path(__file__).resolve().parents[2] / "build" / "release" / "cli" / "assay-static"
PROFILE_PATH = "/assay/profile.json"
# assay's exit status when a test failed, or a suite ran nothing since all of it was skipped.
_TESTS_FAILED = 1
# Under emulation a turn of a loop may take longer than the 2 ms that behaviours let pass elsewhere.
_MOMENT_MS = "20"
_ASK_LIMIT_S = 60


def check_assay(assay: Path) -> None:
    if not assay.is_file():
        raise BadUsage(f"{assay} is missing; `cmake --preset release && cmake --build --preset release --target "
                       "assay-static` builds it, --assay names another")
    if not os.access(assay, os.X_OK):
        raise BadUsage(f"{assay} is not executable")


def own_orders(assay: Path, filters: Sequence[str], orders: Orders) -> Orders:
    """What the guest is to run, and what is to come back, added to what the user asked for."""
    arguments = ["conformance", "--kernel", "linux", "--whole-machine", "--junit", JUNIT_PATH, "--profile-json", PROFILE_PATH,
                 "--moment-ms", _MOMENT_MS]
    for pattern in filters:
        arguments += ["--filter", pattern]
    # GoogleTest's own XML would stand in the same file.
    return replace(orders, program=assay, arguments=tuple(arguments), bring_back=(*orders.bring_back, PROFILE_PATH),
                   environment=("GTEST_OUTPUT=", *orders.environment))


def judge_own(series: str, release: str, run: GuestRun) -> Verdict:
    """The verdict on the guest as such. That tests failed is judged by expectations, not here."""
    verdict = judge(series, release, run)
    told = run.transcript
    if (verdict.outcome == Outcome.FAILED and told.ending["exit"] == _TESTS_FAILED and not told.ending["signal"]
            and not told.missing_files and verdict.counts and sum(vars(verdict.counts).values())):
        return replace(verdict, outcome=Outcome.PASSED, reason="")
    if verdict.outcome == Outcome.PASSED and not (verdict.counts and sum(vars(verdict.counts).values())):
        return replace(verdict, outcome=Outcome.FAILED, reason="it exited with 0 and told of no test")
    return verdict


class Simulations:
    """The simulated kernels of a built `assay`."""

    def __init__(self, assay: Path) -> None:
        self._assay = assay

    def _ask(self, *arguments: str) -> str:
        try:
            told = subprocess.run([self._assay, *arguments], capture_output=True, text=True, errors="replace",
                                  timeout=_ASK_LIMIT_S,
                                  stdin=subprocess.DEVNULL, check=False)
        except OSError as error:
            raise HarnessTrouble(f"{self._assay} does not run here: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise HarnessTrouble(f"`{self._assay.name} {' '.join(arguments)}` took more than {_ASK_LIMIT_S} s") from error
        if told.returncode != 0:
            complaint = (told.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise HarnessTrouble(f"`{self._assay.name} {' '.join(arguments)}` failed: {complaint}")
        return told.stdout

    def profiles(self) -> list[str]:
        """The names of the profiles that it was built with."""
        return re.findall(r"^(linux-\S+)", self._ask("profiles"), re.MULTILINE)

    def profile(self, name: str) -> dict:
        """A profile that it was built with."""
        return parse_profile(self._ask("profiles", "show", name, "--json").encode(), f"{self._assay.name}'s profile {name}")

    def check_current(self, folder: Path) -> None:
        """HarnessTrouble if a recorded profile is not the one that it was built with: its verdicts would be old."""
        built = self.profiles()
        for path in sorted(folder.glob("linux-*.json")):
            shown = self.profile(path.stem) if path.stem in built else None
            if shown is None or not says_all_of(shown, parse_profile(path.read_bytes(), str(path))):
                raise HarnessTrouble(f"{self._assay.name} was built before {path.name} was recorded; build it again")

    def run(self, kernels: Sequence[str], filters: Sequence[str], results: Path, limit_s: float) -> tuple[Path, str]:
        """Runs the suites on all of these kernels in one process. Returns its XML's path, and why it failed as a whole,
        in words; empty if it did not."""
        junit = results / "simulated.xml"
        junit.unlink(missing_ok=True)
        command = [str(self._assay), "conformance", "--junit", str(junit)]
        for kernel in kernels:
            command += ["--kernel", kernel]
        for pattern in filters:
            command += ["--filter", pattern]
        with open(results / "simulated.log", "wb") as log:
            try:
                status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                        timeout=limit_s, check=False).returncode
            except subprocess.TimeoutExpired:
                return junit, f"it ran longer than {limit_s:.0f} s"
            except OSError as error:
                raise HarnessTrouble(f"{self._assay} does not run here: {error.strerror}") from error
        if status < 0:
            return junit, f"killed by {signal_name(-status)}"
        if status not in (0, _TESTS_FAILED):
            return junit, f"exit status {status}"
        return junit, "" if junit.is_file() else "it left no XML"
