import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from kernel_matrix.command_line import parse
from kernel_matrix.endings import BAD_USAGE, HARNESS_TROUBLE, BadUsage

_MATRIX = Path(__file__).parents[1] / "matrix"


class CommandLineTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.cache = Path(temporary.name) / "cache"

    def run_matrix(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([str(_MATRIX), "--cache", str(self.cache), *arguments], capture_output=True, text=True,
                              check=False, timeout=60)

    def test_the_programs_arguments_are_its_own(self):
        options, request = parse(["5.10", "./bzImage", "--jobs", "1", "--run", "./test", "--jobs", "7", "--run"])
        self.assertEqual((request.series, request.images), (("5.10",), (Path("./bzImage"),)))
        self.assertEqual((request.orders.program, request.orders.arguments), (Path("./test"), ("--jobs", "7", "--run")))
        self.assertEqual(options.jobs, 1)

    def test_all_kernels_are_meant_when_none_is_named(self):
        self.assertEqual(parse(["--run", "/bin/true"])[1].series, ("all",))

    def test_the_program_is_assay_where_none_is_named(self):
        options, request = parse(["6.12", "--assay", "/bin/true", "--filter", "Ring*", "--env", "A=1", "--bring-back", "/x"])
        self.assertTrue(options.own)
        self.assertEqual(request.orders.program, Path("/bin/true"))
        self.assertEqual(request.orders.arguments, (
            "conformance", "--kernel", "linux", "--whole-machine", "--junit", "/assay/junit.xml", "--profile-json",
            "/assay/profile.json", "--moment-ms", "20", "--filter", "Ring*"))
        self.assertEqual(request.orders.bring_back, ("/x", "/assay/profile.json"))
        self.assertEqual(request.orders.timeout_s, 300)
        self.assertEqual(parse(["--run", "/bin/true"])[1].orders.timeout_s, 120)
        self.assertEqual(parse(["--timeout", "7", "--assay", "/bin/true"])[1].orders.timeout_s, 7)

    def test_files_are_named_here_and_in_the_guest(self):
        files = parse(["--file", "/etc/passwd:/own/passwd", "--file", "/etc", "--run", "x"])[1].orders.files
        self.assertEqual(files, ((Path("/etc/passwd"), "/own/passwd"), (Path("/etc"), "/etc")))

    def test_bad_usage_is_one_line_that_names_the_offending_part(self):
        for arguments, words in (
                (["--assay", "/no/such"], "/no/such is missing; `cmake --preset release && cmake --build --preset release "
                                          "--target assay-static` builds it"),
                (["--record", "--run", "/bin/true"], "--record is about Assay's own suites"),
                (["--filter", "Ring*", "--run", "/bin/true"], "--filter is about Assay's own suites"),
                (["--assay", "/no/such", "--run", "/bin/true"], "--assay is about Assay's own suites"),
                (["--record", "./bzImage"], "--record records whole runs of the archive's kernels"),
                (["--record", "--filter", "Ring*"], "--record records whole runs of the archive's kernels"),
                (["--html", "/no/such/x.html", "--run", "/bin/true"], "--html /no/such/x.html: its folder does not exist"),
                (["six", "--run", "/bin/true"], "'six' is neither a kernel series such as 6.12"),
                (["--bogus", "--run", "/bin/true"], "--bogus"),
                (["--jobs", "0", "--run", "/bin/true"], "--jobs: '0' is not a number from 1"),
                (["--timeout", "soon", "--run", "/bin/true"], "--timeout: 'soon' is not a number"),
                (["--accel", "hvf", "--run", "/bin/true"], "--accel: invalid choice: 'hvf'"),
                (["--run"], "--run needs a program"),
                (["--run=./test"], "'--run=./test': the program and its arguments come after --run"),
                (["--run", "/no/such/program"], "'/no/such/program' is not a file"),
                (["--run", "/etc/passwd"], "'/etc/passwd' is not executable"),
                (["/etc/passwd", "--run", "/bin/true"], "'/etc/passwd' is not a bzImage"),
                (["--file", "/no/such", "--run", "/bin/true"], "--file: '/no/such' does not exist"),
                (["--file", "/etc:x", "--run", "/bin/true"], "--file: 'x' is not an absolute path in the guest"),
                (["--bring-back", "x", "--run", "/bin/true"], "--bring-back: 'x' is not an absolute path"),
                (["--env", "1X=2", "--run", "/bin/true"], "--env: '1X=2' is not NAME=VALUE"),
                (["--mirror", "nowhere", "--run", "/bin/true"], "--mirror: 'nowhere' is not an address"),
                (["--junit", "/no/such/x.xml", "--run", "/bin/true"], "--junit /no/such/x.xml: its folder does not exist")):
            with self.subTest(arguments=arguments):
                told = self.run_matrix(*arguments)
                self.assertEqual((told.returncode, told.stdout), (BAD_USAGE, ""))
                self.assertEqual(len(told.stderr.splitlines()), 1, told.stderr)
                self.assertTrue(told.stderr.startswith("ci/matrix: "))
                self.assertIn(words, told.stderr)

    def test_a_cut_off_archive_is_trouble_in_one_line(self):
        told = self.run_matrix("newest", "--mirror", "http://127.0.0.1:1/debian", "--run", "/bin/true")
        self.assertEqual((told.returncode, told.stdout), (HARNESS_TROUBLE, ""))
        self.assertRegex(told.stderr.splitlines()[-1], "^ci/matrix: the archive's indexes could not be fetched")

    def test_a_cache_that_cannot_be_written_is_trouble_in_one_line(self):
        self.cache.touch()
        told = self.run_matrix("newest", "--run", "/bin/true")
        self.assertEqual((told.returncode, told.stdout), (HARNESS_TROUBLE, ""))
        self.assertRegex(told.stderr, r"^ci/matrix: the cache in \S+ cannot be used: .*\n$")

    def test_help_teaches(self):
        told = self.run_matrix("--help")
        self.assertEqual(told.returncode, 0)
        self.assertIn("examples:", told.stdout)

    def test_programs_that_the_guest_would_hide_are_refused(self):
        if not os.access("/dev/shm", os.W_OK):
            raise unittest.SkipTest("there is no /dev/shm to write to here")
        with tempfile.NamedTemporaryFile(dir="/dev/shm") as program:
            os.chmod(program.name, 0o755)
            told = self.run_matrix("--run", program.name)
        self.assertEqual(told.returncode, BAD_USAGE)
        self.assertIn("is kept below dev, which the guest covers", told.stderr)

    def test_parse_raises_and_prints_nothing(self):
        with self.assertRaises(BadUsage):
            parse(["--jobs"])


if __name__ == "__main__":
    unittest.main()
