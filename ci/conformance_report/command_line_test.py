import json
import subprocess
import tempfile
import unittest
from pathlib import Path

_REPORT = Path(__file__).parents[1] / "report"
_GUEST = """<testsuites><testsuite name="Ring"><testcase name="A/linux" classname="Ring"><properties>
<property name="kernel" value="linux"/></properties>{}</testcase></testsuite></testsuites>"""


class CommandLineTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        (self.folder / "expected").mkdir()
        (self.folder / "guest.xml").write_text(_GUEST.format(""))

    def report(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([str(_REPORT), "--expected", str(self.folder / "expected"), *arguments], capture_output=True,
                              text=True, check=False, timeout=60, cwd=self.folder)

    def test_writes_all_forms_and_passes_what_is_as_expected(self):
        told = self.report("--html", "t.html", "--json", "t.json", "--merged", "t.xml", "linux-6.1=guest.xml")
        self.assertEqual((told.returncode, told.stderr), (0, ""))
        self.assertIn("1 real kernel, 0 simulated, 1 test: 0 disagreements, 0 findings", told.stdout)
        self.assertEqual(json.loads((self.folder / "t.json").read_text())["kernels"], ["linux-6.1"])
        self.assertIn("linux-6.1", (self.folder / "t.html").read_text())
        self.assertEqual(self.report("t.xml").stdout, told.stdout)

    def test_findings_are_exit_status_1(self):
        (self.folder / "expected" / "linux-6.1").write_text("skip Ring.A lacks it\nskip Ring.B lacks it\n")
        told = self.report("linux-6.1=guest.xml")
        self.assertEqual(told.returncode, 1)
        self.assertIn("unexpected pass: 1\n  Ring.A\n", told.stdout)
        self.assertIn("unknown test: 1\n  Ring.B\n", told.stdout)
        self.assertNotIn("unknown test", self.report("--partial", "linux-6.1=guest.xml").stdout)

    def test_columns_of_xml_that_names_no_kernel_are_named_by_the_file(self):
        (self.folder / "mine.xml").write_text('<testsuites><testsuite name="S"><testcase name="a"/></testsuite></testsuites>')
        self.assertRegex(self.report("mine.xml", "guest.xml").stdout, r"(?m)^suite +linux +mine$")

    def test_bad_usage_is_one_line(self):
        (self.folder / "expected" / "linux-6.2").write_text("skip\n")
        (self.folder / "no.xml").write_text("no")
        for arguments, words in (
                ([], "the following arguments are required"), (["none.xml"], "'none.xml' cannot be read"),
                (["no.xml"], "'no.xml' is not JUnit XML"), (["--bogus", "guest.xml"], "--bogus"),
                (["linux-6.2=guest.xml"], "linux-6.2:1: '' is no test's name"),
                (["--expected", "nowhere", "guest.xml"], "--expected: 'nowhere' is not a folder"),
                (["--html", "no/such/x.html", "guest.xml"], "'no/such/x.html' cannot be written")):
            with self.subTest(arguments=arguments):
                told = self.report(*arguments)
                self.assertEqual((told.returncode, told.stdout, len(told.stderr.splitlines())), (2, "", 1), told.stderr)
                self.assertTrue(told.stderr.startswith("ci/report: "))
                self.assertIn(words, told.stderr)

    def test_help_teaches(self):
        self.assertIn("examples:", self.report("--help").stdout)


if __name__ == "__main__":
    unittest.main()
