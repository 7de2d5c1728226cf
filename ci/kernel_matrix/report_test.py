import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

from kernel_matrix.frames import Transcript
from kernel_matrix.guest import GuestRun
from kernel_matrix.guest_image import JUNIT_PATH
from kernel_matrix.report import as_json, as_junit, progress_line, results_of, table, write_guest_files
from kernel_matrix.verdict import Counts, Outcome, Verdict

_TOLD = Transcript(
    booted=True, boot_seconds=4.2, output=b"out \x00\x1b\xff\n", ended=True, ending={"run_ns": 300000000},
    files={JUNIT_PATH: b'<testsuites><testsuite name="S"><testcase classname="S" name="a"/>'
                       b'<testcase classname="S" name="b"><failure message="m"/></testcase></testsuite></testsuites>',
           "/tmp/../../up": b"brought"}, complete=True)
_RUN = GuestRun(_TOLD, "console\n", 0, "", 6.0)
_VERDICTS = [
    Verdict("5.10", "5.10.0-46", Outcome.FAILED, "exit status 1", (), Counts(1, 1, 0), _RUN),
    Verdict("6.12", "6.12.1", Outcome.TROUBLE, "QEMU was killed by SIGKILL", (), None, replace(_RUN, transcript=Transcript())),
    Verdict("9.9", "", Outcome.UNAVAILABLE, "the archive has no such series")]


class ReportTest(unittest.TestCase):
    def test_a_line_tells_how_a_guest_ended(self):
        self.assertEqual(progress_line(_VERDICTS[0], 1, 3),
                         "[1/3] linux-5.10  failed: exit status 1 (1 passed, 1 failed, 0 skipped), 6 s")
        self.assertEqual(progress_line(replace(_VERDICTS[0], outcome=Outcome.PASSED, reason=""), 2, 3),
                         "[2/3] linux-5.10  ran (1 passed, 1 failed, 0 skipped), 6 s")
        self.assertEqual(progress_line(_VERDICTS[2], 3, 3), "[3/3] linux-9.9  unavailable: the archive has no such series")

    def test_the_table_has_a_line_for_each_kernel(self):
        lines = table(_VERDICTS).splitlines()
        self.assertEqual(len(lines), 4)
        self.assertRegex(lines[1], r"linux-5\.10 +5\.10\.0-46 +failed +1 passed, 1 failed, 0 skipped +4\.2 s +0\.3 s +exit status 1")
        self.assertRegex(lines[3], r"linux-9\.9 +- +unavailable")
        self.assertNotIn("tests", table(_VERDICTS[1:]))

    def test_junit_tells_failure_trouble_and_unavailable_apart(self):
        root = ElementTree.fromstring(as_junit(_VERDICTS))
        failed, trouble, unavailable = root
        self.assertEqual((failed.get("tests"), failed.get("failures")), ("3", "2"))
        self.assertEqual([case.get("classname") for case in failed.iter("testcase")],
                         ["linux-5.10", "linux-5.10.S", "linux-5.10.S"])
        self.assertEqual((trouble.get("errors"), trouble.get("failures")), ("1", "0"))
        self.assertEqual(unavailable.get("skipped"), "1")
        self.assertEqual((root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")),
                         ("5", "2", "1", "1"))

    def test_the_programs_tests_are_rows_of_a_table_of_kernels(self):
        told = {kernel: {test: str(result.verdict) for test, result in tests.items()}
                for kernel, tests in results_of(_VERDICTS).items()}
        self.assertEqual(told, {"linux-5.10": {"Guest.guest": "fail", "S.a": "pass", "S.b": "fail"},
                                "linux-6.12": {"Guest.guest": "fail"}})

    def test_json_says_the_same(self):
        self.assertEqual([record["outcome"] for record in as_json(_VERDICTS)], ["failed", "trouble", "unavailable"])
        self.assertEqual(as_json(_VERDICTS)[0]["tests"], {"passed": 1, "failed": 1, "skipped": 0})

    def test_files_that_a_guest_names_stay_in_their_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            write_guest_files(Path(folder) / "guest", _VERDICTS[0])
            self.assertEqual((Path(folder) / "guest" / "files" / "tmp" / "up").read_bytes(), b"brought")
            self.assertEqual([path.name for path in Path(folder).iterdir()], ["guest"])
            self.assertEqual((Path(folder) / "guest" / "stdout").read_bytes(), _TOLD.output)


if __name__ == "__main__":
    unittest.main()
