"""What a run of Assay's own suites comes to: the table of guests and simulations, held to ci/expected and to the
recorded profiles; or, with --record, both of these written anew."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from conformance_report import expectations, junit_form
from conformance_report.expectations import Expectations
from conformance_report.json_form import as_json as judgement_json
from conformance_report.judgement import Finding, Judgement, Kind, judge
from conformance_report.results import Results, TestVerdict, add_junit, column_order
from kernel_matrix import report
from kernel_matrix.endings import HarnessTrouble
from kernel_matrix.guest_image import JUNIT_PATH
from kernel_matrix.kernel_cache import write_whole
from kernel_matrix.own_suites import PROFILE_PATH, Simulations
from kernel_matrix.profile_record import (PROFILES, differences, parse_profile, release_note, stored_profile,
                                          write_profile)
from kernel_matrix.verdict import Outcome, Verdict

EXPECTED = Path(__file__).resolve().parents[1] / "expected"


@dataclass(frozen=True)
class Places:
    """Where recorded profiles and expectations are kept."""

    profiles: Path = PROFILES
    expected: Path = EXPECTED


@dataclass
class OwnReport:
    """What the run comes to."""

    guests: Sequence[Verdict]  # As guests; that a test failed is no failure of the guest.
    judgement: Judgement
    notes: list[str] = field(default_factory=list)

    @property
    def verdicts(self) -> list[Verdict]:
        """Those of the guests, failed where anything about their kernel was not as expected."""
        return _marked(self.guests, self.judgement.findings)

    @property
    def failed(self) -> bool:
        return bool(self.judgement.findings)

    def as_json(self) -> dict:
        return {"guests": report.as_json(self.verdicts), "notes": self.notes} | judgement_json(self.judgement)

    def as_junit(self) -> bytes:
        suites = []
        told = {f"linux-{verdict.series}": verdict for verdict in self.guests}
        # A guest's failure is told by its own case.
        rest = [finding for finding in self.judgement.findings if finding.kind != Kind.RUN or finding.kernel not in told]
        judgement = replace(self.judgement, findings=rest)
        columns = dict.fromkeys([*told, *judgement.kernels, *(finding.kernel for finding in rest)])
        for kernel in sorted(columns, key=column_order):
            suite = junit_form.kernel_suite(judgement, kernel)
            if kernel in told:
                suite.insert(1, report.guest_case(told[kernel]))
                junit_form.count(suite)
            suites.append(suite)
        return junit_form.as_bytes(suites, "matrix")


def guest_results(verdicts: Sequence[Verdict]) -> Results:
    """What the tests in the guests said, by kernel."""
    results: Results = {}
    for verdict in verdicts:
        if verdict.counts:
            add_junit(results, verdict.run.transcript.files[JUNIT_PATH], f"linux-{verdict.series}")
    return results


def found_profile(verdict: Verdict) -> dict | None:
    """What the probe found in a guest; None if it did not get that far."""
    content = verdict.run.transcript.files.get(PROFILE_PATH) if verdict.run else None
    return parse_profile(content, f"the profile that linux-{verdict.series} brought back") if content else None


def _run_findings(verdicts: Sequence[Verdict]) -> list[Finding]:
    return [Finding(Kind.RUN, f"linux-{verdict.series}", "guest", f"{verdict.outcome.value}: {verdict.reason}")
            for verdict in verdicts if verdict.is_failure]


def _profile_findings(verdicts: Sequence[Verdict], simulations: Simulations,
                      built: Sequence[str]) -> tuple[list[Finding], list[str]]:
    """Compares with the profiles that the simulations are built from: those are what the verdicts rest on."""
    findings, notes = [], []
    for verdict in verdicts:
        found, kernel = found_profile(verdict), f"linux-{verdict.series}"
        if not found:
            continue
        if kernel not in built:
            notes.append(f"{kernel}: no profile is recorded, so nothing is simulated; --record makes one")
            continue
        stored = simulations.profile(kernel)
        findings += [Finding(Kind.PROFILE, kernel, f"profile.{member}", f"{member}: the kernel {words}")
                     for member, words in differences(found, stored).items()]
        notes += filter(None, [release_note(found, stored, verdict.series)])
    return findings, notes


def _marked(verdicts: Sequence[Verdict], findings: Sequence[Finding]) -> list[Verdict]:
    """Guests that passed as such fail by the findings about their kernel, its simulation's included."""
    marked = []
    for verdict in verdicts:
        kernel = f"linux-{verdict.series}"
        kinds = Counter(finding.kind for finding in findings if finding.kernel.removeprefix("sim:") == kernel)
        if verdict.outcome == Outcome.PASSED and kinds:
            reason = ", ".join(f"{kind}: {count}" for kind, count in kinds.items())
            verdict = replace(verdict, outcome=Outcome.FAILED, reason=reason)
        marked.append(verdict)
    return marked


def read_expectations(verdicts: Sequence[Verdict], folder: Path) -> dict[str, Expectations]:
    names = [f"linux-{verdict.series}" for verdict in verdicts]
    return {name: found for name in names if (found := expectations.read(folder, name))}


def conclude(verdicts: Sequence[Verdict], simulations: Simulations, results_folder: Path, filters: Sequence[str],
             limit_s: float, places: Places, say: Callable[[str], None]) -> OwnReport:
    """Runs the simulated leg for the recorded profiles of these kernels, and judges everything."""
    expected = read_expectations(verdicts, places.expected)
    results = guest_results(verdicts)
    findings = _run_findings(verdicts)
    built = simulations.profiles()
    simulated = [f"sim:linux-{verdict.series}" for verdict in verdicts if f"linux-{verdict.series}" in built]
    if simulated:
        say(f"running the suites on {len(simulated)} simulated kernels")
        junit, complaint = simulations.run(simulated, filters, results_folder, limit_s)
        if not complaint:
            try:
                add_junit(results, junit.read_bytes(), "sim")
            except ValueError as error:
                complaint = f"it wrote XML that cannot be read ({error})"
        if complaint:
            findings.append(Finding(Kind.RUN, "sim", "simulations", f"{complaint}; its output is simulated.log in the results"))
    about_profiles, notes = _profile_findings(verdicts, simulations, built)
    judgement = judge(results, expected, whole=not filters)
    judgement.findings = [*findings, *about_profiles, *judgement.findings]
    notes += [f"{kernel}: no expectations are listed, so its skips are not judged" for kernel in judgement.kernels
              if not kernel.startswith("sim:") and kernel not in expected]
    return OwnReport(verdicts, judgement, notes)


def record(verdicts: Sequence[Verdict], places: Places, say: Callable[[str], None]) -> OwnReport:
    """Writes the profile and the expected skips of each guest that told its whole story. Failures are recorded by
    nobody but a person, who knows the reason: they stay findings."""
    results = guest_results(verdicts)
    for verdict in verdicts:
        kernel, found = f"linux-{verdict.series}", found_profile(verdict)
        if not found or kernel not in results:
            if not verdict.is_trouble:
                say(f"{kernel}: nothing recorded, since it did not bring back both its profile and its tests")
            continue
        stored = stored_profile(places.profiles, verdict.series)
        try:
            write_profile(places.profiles, verdict.series, found)
            path = places.expected / kernel
            old = path.read_text(encoding="utf-8") if path.is_file() else ""
            about = f"What {kernel} does otherwise than pass the suites. docs/matrix.md says what the lines mean."
            new = expectations.recorded(old, results[kernel], str(path), about)
            write_whole(path, new.encode())
        except OSError as error:
            raise HarnessTrouble(f"{error.filename}: {error.strerror}") from error
        if not stored:
            news = "profile is new"
        else:
            news = "; ".join(f"profile: {member} {words}" for member, words in differences(found, stored).items())
        skips = sum(result.verdict == TestVerdict.SKIP for result in results[kernel].values())
        say(f"{kernel}: recorded on {found.get('release')}; {news or 'profile as it was'}; {skips} skips, "
            f"{'listed as before' if new == old else 'listed anew'}")
    judgement = judge(results, read_expectations(verdicts, places.expected))
    judgement.findings = [*_run_findings(verdicts), *judgement.findings]
    notes = ["build again: the simulations are built from the recorded profiles"]
    return OwnReport(verdicts, judgement, notes)


def write_json(path: Path, told: dict | list) -> None:
    write_whole(path, (json.dumps(told, indent=1) + "\n").encode())
