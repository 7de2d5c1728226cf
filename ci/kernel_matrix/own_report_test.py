import json
import tempfile
import unittest
import unittest.mock
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from conformance_report.expectations import RECORDED
from conformance_report.judgement import Kind
from kernel_matrix.frames import Transcript
from kernel_matrix.guest import GuestRun
from kernel_matrix.guest_image import JUNIT_PATH
from kernel_matrix.own_report import OwnReport, Places, conclude, record
from kernel_matrix.own_suites import PROFILE_PATH
from kernel_matrix.profile_record import stored_profile
from kernel_matrix.verdict import Counts, Outcome, Verdict

_PROFILE = {"schema": 1, "name": "linux-running", "release": "6.1.2", "opcodes": ["NOP"], "semantics": {"a": True}}
_BODIES = {"p": "", "s": '<skipped message="needs it"/>', "f": '<failure message="a.cc:1: no"/>'}


def _xml(kernels: dict[str, str]) -> bytes:
    """Tests S.0, S.1 ... of each kernel by letters."""
    cases = "".join(
        f'<testcase name="{at}/{kernel.replace(":", "_").replace("-", "_")}" classname="S"><properties><property '
        f'name="kernel" value="{kernel}"/></properties>{_BODIES[letter]}</testcase>'
        for kernel, letters in kernels.items() for at, letter in enumerate(letters))
    return f'<testsuites><testsuite name="S">{cases}</testsuite></testsuites>'.encode()


def guest(series: str, letters: str, profile: dict | None = None) -> Verdict:
    """A guest that ran to its end."""
    files = {JUNIT_PATH: _xml({"linux": letters}), PROFILE_PATH: json.dumps(profile or _PROFILE).encode()}
    told = Transcript(booted=True, ended=True, ending={"run_ns": 10**9, "exit": 0}, files=files, complete=True)
    counts = Counts(letters.count("p"), letters.count("f"), letters.count("s"))
    return Verdict(series, f"{series}.2", Outcome.PASSED, counts=counts, run=GuestRun(told, "", 0, "", 6.0))


_CRASHED = Verdict("7.0", "7.0.1", Outcome.KERNEL, "Kernel panic", ("Kernel panic",),
                   run=GuestRun(Transcript(booted=True), "Kernel panic\n", 0, "", 6.0))
_UNAVAILABLE = Verdict("6.2", "", Outcome.UNAVAILABLE, "the archive has no such series")


class OwnReportTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.places = Places(self.folder / "profiles", self.folder / "expected")
        self.said: list[str] = []
        self.simulated: dict[str, str] = {}
        self.simulations_complaint = ""

    def record(self, *guests: Verdict) -> OwnReport:
        return record(guests, self.places, self.said.append)

    def conclude(self, *guests: Verdict, filters: tuple[str, ...] = ()) -> OwnReport:
        simulations = unittest.mock.Mock()
        simulations.profiles.return_value = ["linux-6.1", "linux-6.1.0"]
        simulations.profile.side_effect = lambda name: stored_profile(self.places.profiles, name.removeprefix("linux-"))

        def run(kernels, given, folder, limit_s):
            self.assertEqual((list(kernels), given, limit_s), (list(self.simulated), filters, 300))
            path = folder / "simulated.xml"
            path.write_bytes(_xml(self.simulated))
            return path, self.simulations_complaint

        simulations.run.side_effect = run
        return conclude(guests, simulations, self.folder, filters, 300, self.places, self.said.append)

    def findings(self, report: OwnReport) -> list[tuple[str, str, str]]:
        return [(finding.kind, finding.kernel, finding.test) for finding in report.judgement.findings]

    def test_what_was_recorded_is_what_the_next_run_finds(self):
        report = self.record(guest("6.1", "psp"))
        self.assertEqual(self.findings(report), [])
        self.assertIn("build again", report.notes[0])
        self.assertRegex(self.said[0], r"linux-6\.1: recorded on 6\.1\.2; profile is new; 1 skips, listed anew")
        stored = json.loads((self.places.profiles / "linux-6.1.json").read_text())
        self.assertEqual(stored, _PROFILE | {"name": "linux-6.1"})
        self.assertTrue((self.places.expected / "linux-6.1").read_text().endswith(f"{RECORDED}\nskip S.1 needs it\n"))
        self.simulated = {"sim:linux-6.1": "psp"}
        report = self.conclude(guest("6.1", "psp"))
        self.assertEqual((self.findings(report), report.notes), ([], []))
        self.assertEqual(report.verdicts[0].outcome, Outcome.PASSED)
        self.record(guest("6.1", "psp"))
        self.assertRegex(self.said[-1], "profile as it was; 1 skips, listed as before")

    def test_a_failure_is_never_recorded(self):
        report = self.record(guest("6.1", "pf"))
        self.assertEqual(self.findings(report), [(Kind.UNEXPECTED_FAILURE, "linux-6.1", "S.1")])
        self.assertNotIn("S.1", (self.places.expected / "linux-6.1").read_text())

    def test_nothing_is_recorded_of_a_guest_that_did_not_end(self):
        report = self.record(_CRASHED, _UNAVAILABLE)
        self.assertEqual(self.findings(report), [(Kind.RUN, "linux-7.0", "guest")])
        self.assertFalse(self.places.profiles.exists() or self.places.expected.exists())
        self.assertEqual(self.said, ["linux-7.0: nothing recorded, since it did not bring back both its profile and its tests"])

    def test_real_and_simulated_are_compared_and_the_kernels_row_says_so(self):
        self.record(guest("6.1", "pp"))
        self.simulated = {"sim:linux-6.1": "pf"}
        report = self.conclude(guest("6.1", "pp"))
        self.assertEqual(self.findings(report), [(Kind.DIFFERS, "sim:linux-6.1", "S.1")])
        self.assertEqual((report.verdicts[0].outcome, report.verdicts[0].reason),
                         (Outcome.FAILED, "real and simulated differ: 1"))

    def test_a_profile_that_differs_is_a_finding_that_names_what(self):
        self.record(guest("6.1", "p"))
        self.simulated = {"sim:linux-6.1": "p"}
        report = self.conclude(guest("6.1", "p", _PROFILE | {"opcodes": ["NOP", "READV"], "release": "6.1.3"}))
        self.assertEqual(self.findings(report), [(Kind.PROFILE, "linux-6.1", "profile.opcodes")])
        self.assertIn("the kernel has READV", report.judgement.findings[0].detail)
        self.assertEqual(report.notes, ["linux-6.1: its profile was recorded on 6.1.2, this guest was 6.1.3"])

    def test_a_kernel_that_was_never_recorded_is_noted(self):
        report = self.conclude(guest("6.3", "ps"))
        self.assertEqual(self.findings(report), [])
        self.assertEqual([note.partition(",")[0] for note in report.notes],
                         ["linux-6.3: no profile is recorded", "linux-6.3: no expectations are listed"])

    def test_a_crash_of_a_guest_or_of_the_simulations_is_a_finding(self):
        self.record(guest("6.1", "p"))
        self.simulated, self.simulations_complaint = {"sim:linux-6.1": "p"}, "killed by SIGSEGV"
        report = self.conclude(guest("6.1", "p"), _CRASHED)
        self.assertEqual(self.findings(report), [(Kind.RUN, "linux-7.0", "guest"), (Kind.RUN, "sim", "simulations")])
        root = ElementTree.fromstring(report.as_junit())
        self.assertEqual({suite.get("name"): suite.get("failures") for suite in root},
                         {"linux-6.1": "0", "linux-7.0": "1", "sim": "1"})

    def test_a_filter_misses_no_test(self):
        self.record(guest("6.1", "ps"))
        self.simulated = {"sim:linux-6.1": "p"}
        self.assertEqual(self.findings(self.conclude(guest("6.1", "p"), filters=("S.0",))), [])
        self.assertEqual(self.findings(self.conclude(guest("6.1", "p"))), [(Kind.UNKNOWN_TEST, "linux-6.1", "S.1")])

    def test_json_and_junit_tell_guests_tests_and_findings(self):
        self.record(guest("6.1", "ps"))
        self.simulated = {"sim:linux-6.1": "ps"}
        report = self.conclude(guest("6.1", "fs"), _UNAVAILABLE)
        told = json.loads(json.dumps(report.as_json()))
        self.assertEqual([each["outcome"] for each in told["guests"]], ["failed", "unavailable"])
        self.assertEqual({finding["kind"] for finding in told["findings"]},
                         {Kind.UNEXPECTED_FAILURE, Kind.DIFFERS})
        root = ElementTree.fromstring(report.as_junit())
        self.assertEqual([(suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("skipped")) for suite in root],
                         [("linux-6.1", "3", "1", "1"), ("sim:linux-6.1", "2", "1", "1"), ("linux-6.2", "1", "0", "1")])


if __name__ == "__main__":
    unittest.main()
