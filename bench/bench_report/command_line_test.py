import contextlib
import io
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from bench_report import command_line, google_benchmark, measuring
from bench_report.constructed_runs import changed, document, path_lines, write
from bench_report.endings import NotMeasured, NotPossibleHere

_BENCH = Path(__file__).parents[1] / "bench"
# Stands in for the measuring program: it keeps its arguments, and figures where it is told to.
_PROGRAM = """#!/bin/sh
echo "$@" > "$0.arguments"
case "$*" in *nonesuch*) echo "assay-bench: no bench has such a name" >&2; exit 2;;
*--list*) echo a/b/c/d/n:1; exit 0;; esac
while [ $# -gt 1 ]; do [ "$1" = --json ] && cp "$0.json" "$2"; shift; done
%s
"""


class CommandLineTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.told = document(path_lines(["nop"]))
        write(self.folder / "old.json", self.told)
        write(self.folder / "program.json", self.told)
        self.measuring_program("exit 0")

    def measuring_program(self, end: str) -> None:
        program = self.folder / "program"
        program.write_text(_PROGRAM % end)
        program.chmod(0o755)

    def bench(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([str(_BENCH), "--assay-bench", str(self.folder / "program"), *arguments],
                              capture_output=True, text=True, check=False, timeout=60, cwd=self.folder)

    def arguments(self) -> str:
        return (self.folder / "program.arguments").read_text()

    def test_measures_and_tells(self):
        told = self.bench()
        self.assertEqual((told.returncode, told.stderr), (0, ""))
        self.assertIn("paths/nop\n", told.stdout)
        self.assertRegex(self.arguments(), "^--preset quick --json ")

    def test_hands_over_what_is_asked_for(self):
        self.bench("--filter", "paths/*", "full", "--filter=x*", "--repetitions", "3", "--min-time-ms", "7",
                   "--no-call-counts", "--json", "kept.json")
        self.assertEqual(self.arguments(), "--preset full --filter paths/* --filter x* --repetitions 3 --min-time-ms 7 "
                         "--no-call-counts --json kept.json\n")
        self.assertEqual(json.loads((self.folder / "kept.json").read_text()), self.told)

    def test_lists(self):
        told = self.bench("full", "--list")
        self.assertEqual((told.returncode, told.stdout), (0, "a/b/c/d/n:1\n"))

    def test_shows_an_earlier_run_as_it_showed_it_then(self):
        told = self.bench("show", "old.json", "--html", "x.html")
        self.assertEqual((told.returncode, told.stdout), (0, self.bench().stdout))
        self.assertIn("assay bench quick", (self.folder / "x.html").read_text())

    def test_what_was_measured_before_it_gave_up_is_shown(self):
        self.measuring_program("exit 1")
        told = self.bench()
        self.assertEqual(told.returncode, 1)
        self.assertIn("paths/nop\n", told.stdout)

    def test_a_program_that_was_killed_is_one_line(self):
        (self.folder / "program").write_text("#!/bin/sh\nkill -SEGV $$\n")
        told = self.bench()
        self.assertEqual((told.returncode, told.stdout, len(told.stderr.splitlines())), (1, "", 1))
        self.assertIn("ended by signal 11 (Segmentation fault)", told.stderr)

    def test_nothing_measured_is_no_success(self):
        write(self.folder / "program.json", document([], notes="io_uring is not available here"))
        told = self.bench()
        self.assertEqual(told.returncode, 1)
        self.assertIn("note: io_uring is not available here\nnothing was measured", told.stdout)

    def test_figures_outlive_a_page_that_cannot_be_written(self):
        self.measuring_program("mkdir x.html; exit 0")
        told = self.bench("--html", "x.html")
        self.assertEqual((told.returncode, len(told.stderr.splitlines())), (2, 1))
        kept = Path(told.stderr.rpartition("the figures are in '")[2].rstrip("'\n"))
        self.addCleanup(kept.unlink)
        self.assertEqual(json.loads(kept.read_text()), self.told)

    def test_figures_outlive_whatever_goes_wrong_with_the_page(self):
        # In a folder of its own, so that what is kept is found.
        kept = self.folder / "kept"
        kept.mkdir()
        for error, ending in ((RuntimeError("a plot"), RuntimeError), (KeyboardInterrupt(), None)):
            with self.subTest(error=error), mock.patch.object(command_line.page, "render", side_effect=error), \
                    mock.patch.object(tempfile, "tempdir", str(kept)), contextlib.redirect_stdout(io.StringIO()), \
                    contextlib.redirect_stderr(io.StringIO()) as said:
                arguments = ["--assay-bench", str(self.folder / "program"), "--html", str(self.folder / "x.html")]
                if ending:
                    self.assertRaises(ending, command_line.main, arguments)
                else:
                    command_line.main(arguments)
                files = list(kept.iterdir())
                self.assertEqual(said.getvalue(), f"assay bench: the figures are in '{files[0]}'\n")
                self.assertEqual([json.loads(file.read_text()) for file in files], [self.told])
                files[0].unlink()

    def test_who_reads_the_table_only_in_part_gets_the_page(self):
        for arguments in ([], ["show", "old.json"]):
            with subprocess.Popen([str(_BENCH), "--assay-bench", str(self.folder / "program"), *arguments, "--html",
                                   "x.html"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  cwd=self.folder) as process:
                process.stdout.close()
                self.assertEqual((process.stderr.read(), process.wait()), ("", 0))
            self.assertIn("</html>", (self.folder / "x.html").read_text())
            (self.folder / "x.html").unlink()

    def test_a_program_that_was_killed_after_it_had_written_is_told(self):
        self.measuring_program("kill -ABRT $$")
        told = self.bench()
        self.assertEqual((told.returncode, told.stderr),
                         (1, "assay bench: assay-bench was ended by signal 6 (Aborted); this is what it had written\n"))
        self.assertIn("paths/nop\n", told.stdout)

    def test_a_place_that_may_not_be_written_is_told_before_measuring(self):
        # Root may write anywhere, so the answer is given here.
        for option in ("--html", "--json"):
            for name, asked in (("new.html", self.folder), ("old.json", self.folder / "old.json")):
                path = str(self.folder / name)
                with mock.patch("os.access", return_value=False) as access, \
                        contextlib.redirect_stderr(io.StringIO()) as said:
                    status = command_line.main(["--assay-bench", str(self.folder / "program"), option, path])
                self.assertEqual(status, 2)
                self.assertIn(f"'{path}' is no file that can be written: permission denied", said.getvalue())
                access.assert_called_with(asked, os.W_OK)
                self.assertFalse((self.folder / "program.arguments").exists())

    def test_an_interrupted_run_is_shown(self):
        # As ctrl-C does, it reaches both.
        self.measuring_program("kill -INT $PPID; exit 0")
        told = self.bench()
        self.assertEqual((told.returncode, told.stderr), (130, ""))
        self.assertIn("paths/nop\n", told.stdout)

    def test_figures_of_another_day_are_not_what_came_of_it(self):
        told = self.bench("--filter", "nonesuch", "--json", "old.json")
        self.assertEqual((told.returncode, told.stdout), (2, ""))
        self.assertEqual(len(told.stderr.splitlines()), 1)

    def test_compares(self):
        write(self.folder / "slow.json", changed(self.told, lambda name: 1.3 if "/Ring/" in name else 1))
        same, slower = self.bench("compare", "old.json", "old.json"), self.bench("compare", "old.json", "slow.json")
        self.assertEqual(same.returncode, 0)
        self.assertIn("nothing changed", same.stdout)
        self.assertEqual(slower.returncode, 1)
        self.assertIn("slower:\n", slower.stdout)
        self.assertEqual(self.bench("compare", "--threshold", "40", "old.json", "slow.json").returncode, 0)
        self.assertEqual(self.bench("compare", "--ratios", "old.json", "slow.json").returncode, 1)

    def test_perhaps_slower_is_no_failure(self):
        old = document(path_lines(["nop"]), repetitions=5)
        write(self.folder / "quick.json", old)
        write(self.folder / "slow.json", changed(old, lambda name: 1.5 if name.endswith("plain/Ring/batch:8") else 1))
        told = self.bench("compare", "quick.json", "slow.json")
        self.assertEqual(told.returncode, 0)
        self.assertRegex(told.stdout, r"perhaps slower:\n.*/Ring/batch:8 .*\n.*a --filter that leaves no more than 6\n")

    def test_bad_usage_is_one_line(self):
        (self.folder / "no.json").write_text("no")
        write(self.folder / "other.json", document(path_lines(["read"])))
        for arguments, words in (
                (["frobnicate"], "there is no 'frobnicate'"), (["--bogus"], "--bogus"), (["quick", "full"], "full"),
                (["--repetitions", "0"], "'0' is not a number from 1 to 1000"), 
                (["--json", "no/such/x.json"], "folder does not exist"),
                (["--html", "."], "it is a folder"), (["show"], "required"),
                (["show", "none.json"], "'none.json' cannot be read"), (["show", "no.json"], "'no.json' is not JSON"),
                (["compare", "old.json"], "required"),
                (["compare", "old.json", "no.json"], "'no.json' is not JSON"),
                (["compare", "old.json", "other.json"], "no bench in common"),
                (["compare", "--threshold", "much", "old.json", "old.json"], "'much' is not a percentage")):
            with self.subTest(arguments=arguments):
                told = self.bench(*arguments)
                self.assertEqual((told.returncode, told.stdout, len(told.stderr.splitlines())), (2, "", 1), told.stderr)
                self.assertTrue(told.stderr.startswith("assay bench: "))
                self.assertIn(words, told.stderr)

    def test_a_missing_measuring_program_is_one_line(self):
        (self.folder / "program").unlink()
        told = self.bench()
        self.assertEqual((told.returncode, len(told.stderr.splitlines())), (1, 1))
        self.assertIn("built where Google Benchmark is", told.stderr)
        self.assertEqual(self.bench("show", "old.json").returncode, 0)

    def test_help_teaches(self):
        for arguments in ([], ["show"], ["compare"]):
            self.assertEqual(self.bench(*arguments, "--help").returncode, 0)
        told = " ".join(self.bench("--help").stdout.split())
        for words in ("examples:", "(quick: 10, full: 40)", "quick in under a minute, full in half an hour",
                      "1 nothing could be measured, or measuring was given up (what was measured until then is shown)"):
            self.assertIn(words, told)
        self.assertIn("(perhaps slower is not slower)", " ".join(self.bench("compare", "--help").stdout.split()))

    def test_handlers_are_put_back(self):
        # A program that a shell started in the background ignores SIGINT from the start.
        before = measuring.signal.signal(measuring.signal.SIGINT, measuring.signal.default_int_handler)
        self.addCleanup(measuring.signal.signal, measuring.signal.SIGINT, before)
        with self.assertRaises(NotMeasured):
            measuring.run(self.folder / "none", [])
        with self.assertRaises(KeyboardInterrupt):
            measuring.signal.raise_signal(measuring.signal.SIGINT)


class GoogleBenchmarkTest(unittest.TestCase):
    def test_its_own_test_is_used(self):
        p_value = google_benchmark.significance_test()
        self.assertAlmostEqual(p_value([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]), 2 / 252)
        self.assertIsNone(p_value([1], [2, 3]))

    def test_missing_packages_are_named(self):
        with self.assertRaisesRegex(NotPossibleHere, "libbenchmark-tools"):
            google_benchmark.significance_test(Path("/nonexistent"))
        with mock.patch("importlib.util.find_spec", lambda name: None), \
                self.assertRaisesRegex(NotPossibleHere, "python3-numpy"):
            google_benchmark.significance_test()


if __name__ == "__main__":
    unittest.main()
