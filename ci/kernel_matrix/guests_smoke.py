"""Boots real guests and holds the matrix to what docs/matrix.md says of it: about ten boots of Debian's oldest and
newest kernels. Run by `python3 -m unittest`, apart from the tests that need neither QEMU nor the archive."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from kernel_matrix.own_suites import ASSAY

_FOLDER = Path(__file__).parent
_MATRIX = _FOLDER.parent / "matrix"

_HANGS = """
#include <stdio.h>
#include <unistd.h>
int main(void) {
  puts("here");
  fflush(stdout);
  for (;;) pause();
}
"""
_WRITES = """
#include <stdio.h>
#include <stdlib.h>
int main(int count, char** arguments) {
  for (int line = 0; line < 20000; line++) printf("%d\\n", line);
  FILE* file = fopen("/tmp/written", "w");
  for (unsigned value = 1, at = 0; at < 300000; at++, value = value * 1103515245 + 12345) putc(value >> 16 & 255, file);
  fclose(file);
  fprintf(stderr, "%s %s", getenv("COLOUR"), count > 2 ? arguments[2] : "-");
  return system("cat /own/file > /tmp/copied") == -1;
}
"""
_CRASHES = "int main(void) { *(volatile int*)0 = 1; }\n"


def _guests(matrix: subprocess.Popen) -> list[int]:
    """The process ids of QEMUs that the matrix has started, as soon as there is one."""
    found = []
    while not found and matrix.poll() is None:
        time.sleep(0.05)
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                name, _, fields = stat.read_text().partition("(")[2].rpartition(")")
            except OSError:
                continue  # It has ended meanwhile.
            if name.startswith("qemu") and int(fields.split()[1]) == matrix.pid:
                found.append(int(stat.parent.name))
    return found


class GuestsSmoke(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def compile(self, source: str, *options: str) -> str:
        target = self.folder / "program"
        subprocess.run(["cc", "-x", "c", "-", "-o", str(target), *options], input=source, text=True, check=True)
        return str(target)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(_MATRIX), "--json", str(self.folder / "out.json"), "--junit",
                str(self.folder / "out.xml"), "--results", str(self.folder / "results"), *arguments]

    def run_matrix(self, *arguments: str) -> tuple[int, list[dict], str]:
        told = subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False, timeout=600)
        records = self.folder / "out.json"
        return told.returncode, json.loads(records.read_text()) if records.exists() else [], told.stdout + told.stderr

    def test_the_example_fails_on_the_oldest_and_passes_on_the_newest(self):
        program = self.compile((_FOLDER / "example" / "accept_twice.c").read_text(), "-luring")
        status, (oldest, unavailable, newest), told = self.run_matrix("oldest", "newest", "6.99", "--run", program)
        self.assertEqual(status, 1, told)
        self.assertEqual((oldest["outcome"], oldest["reason"]), ("failed", "exit status 1"), told)
        self.assertEqual(oldest["output"], "client 1 was not accepted: Invalid argument\n")
        self.assertEqual((newest["outcome"], newest["output"]), ("passed", "client 1 accepted\nclient 2 accepted\n"), told)
        self.assertEqual(unavailable["outcome"], "unavailable")
        self.assertIn('message="exit status 1"', (self.folder / "out.xml").read_text())

    @unittest.skipUnless(ASSAY.is_file(), f"{ASSAY} is not built")
    def test_assays_own_suites_say_on_a_kernel_and_its_simulation_what_is_listed(self):
        told = subprocess.run(self.command("oldest", "--html", str(self.folder / "out.html"), "--filter", "RingSetup.*"),
                              capture_output=True, text=True, check=False, timeout=600)
        self.assertEqual(told.returncode, 0, told.stdout + told.stderr)
        record = json.loads((self.folder / "out.json").read_text())
        (guest,) = record["guests"]
        kernel = f"linux-{guest['series']}"
        self.assertEqual((guest["outcome"], record["kernels"]), ("passed", [kernel, f"sim:{kernel}"]))
        self.assertGreater(len(record["tests"]), 10)
        self.assertTrue(all(set(test["kernels"]) == set(record["kernels"]) for test in record["tests"]))
        self.assertIn(f"sim:{kernel}", (self.folder / "out.html").read_text())

    def test_a_series_that_is_not_there_keeps_a_run_from_passing(self):
        status, _, told = self.run_matrix("oldest", "6.99", "--run", "/bin/true")
        self.assertEqual(status, 3, told)
        self.assertRegex(told, r"linux-6\.99 .*unavailable")

    def test_brings_output_files_and_status_back_whole(self):
        own = self.folder / "own"
        own.mkdir()
        (own / "file").write_text("carried\n")
        program = self.compile(_WRITES, "-static")
        status, (record,), told = self.run_matrix(
            "oldest", "--file", f"{own}:/own", "--file", "/bin/sh", "--file", "/bin/cat", "--env", "COLOUR=dark blue",
            "--bring-back", "/tmp/written", "--bring-back", "/tmp/copied", "--run", program, "one", "two words")
        self.assertEqual((status, record["outcome"]), (0, "passed"), told)
        self.assertEqual(record["output"], "".join(f"{line}\n" for line in range(20000)))
        self.assertEqual(record["error_output"], "dark blue two words")
        files = self.folder / "results" / f"linux-{record['series']}" / "files" / "tmp"
        subprocess.run([program], env={"COLOUR": "-"}, capture_output=True, check=True)
        here = Path("/tmp/written")
        self.addCleanup(here.unlink)
        Path("/tmp/copied").unlink(missing_ok=True)
        self.assertEqual(hashlib.sha256((files / "written").read_bytes()).digest(),
                         hashlib.sha256(here.read_bytes()).digest())
        self.assertEqual((files / "copied").read_text(), "carried\n")

    def test_a_file_that_is_not_left_and_a_crash_are_failures(self):
        status, (record,), told = self.run_matrix("oldest", "--bring-back", "/tmp/none", "--run", "/bin/true")
        self.assertEqual((status, record["reason"]), (1, "it left no readable /tmp/none (No such file or directory)"), told)
        status, (record,), told = self.run_matrix("oldest", "--run", self.compile(_CRASHES))
        self.assertEqual((status, record["reason"]), (1, "killed by SIGSEGV"), told)

    def test_a_program_that_hangs_is_told_with_where_it_hangs(self):
        status, (record,), told = self.run_matrix("oldest", "--timeout", "3", "--run", self.compile(_HANGS))
        self.assertEqual((status, record["outcome"], record["output"]), (1, "timed out", "here\n"), told)
        threads = (self.folder / "results" / f"linux-{record['series']}" / "threads").read_text()
        self.assertIn("pause", threads)
        self.assertIn("program", threads)

    def test_a_kernel_that_panics_is_a_finding_with_its_log(self):
        script = self.folder / "panic"
        script.write_text("#!/bin/sh\necho c > /proc/sysrq-trigger\n")
        script.chmod(0o755)
        status, (record,), told = self.run_matrix("newest", "--run", str(script))
        self.assertEqual((status, record["outcome"]), (1, "kernel"), told)
        self.assertIn("Kernel panic - not syncing: sysrq triggered crash", record["kernel_findings"])
        console = (self.folder / "results" / f"linux-{record['series']}" / "console.log").read_text(errors="replace")
        self.assertIn("Call Trace", console)

    def test_io_uring_can_be_forbidden_by_a_kernel_parameter(self):
        program = self.compile((_FOLDER / "example" / "accept_twice.c").read_text(), "-luring")
        status, (record,), told = self.run_matrix(
            "newest", "--append", "sysctl.kernel.io_uring_disabled=2", "--run", program)
        self.assertEqual((status, record["output"]), (1, "no ring: Operation not permitted\n"), told)

    def test_a_qemu_that_is_killed_is_trouble_and_the_next_run_recovers(self):
        with subprocess.Popen(self.command("oldest", "--accel", "tcg", "--run", self.compile(_HANGS)),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as matrix:
            guests = _guests(matrix)
            self.assertEqual(len(guests), 1)
            os.kill(guests[0], signal.SIGKILL)
            told = matrix.communicate(timeout=60)[0]
        self.assertEqual(matrix.returncode, 3, told)
        self.assertIn("trouble: QEMU was killed by SIGKILL", told)
        status, (record,), told = self.run_matrix("oldest", "--run", "/bin/true")
        self.assertEqual((status, record["outcome"]), (0, "passed"), told)

    def test_an_interrupted_matrix_takes_its_guests_along(self):
        with subprocess.Popen(self.command("oldest", "--accel", "tcg", "--run", self.compile(_HANGS)),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as matrix:
            guests = _guests(matrix)
            self.assertEqual(len(guests), 1)
            matrix.send_signal(signal.SIGTERM)
            told = matrix.communicate(timeout=60)[0]
        self.assertEqual(matrix.returncode, 130, told)
        self.assertFalse([pid for pid in guests if Path(f"/proc/{pid}").exists()])


if __name__ == "__main__":
    unittest.main()
