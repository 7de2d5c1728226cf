import contextlib
import io
import json
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest.mock import patch

from instruction_counts import command_line
from instruction_counts.counting import Counts
from instruction_counts.endings import NotCounted

_PROGRAM = Path(__file__).parents[1] / "instructions"
_HERE = {"compiler": "g++ 12.2.0", "machine": "x86_64", "liburing": "2.3"}
_ROW = "paths/nop/sqpoll/{}/batch:1"


def _counted(ring: float) -> Counts:
    return Counts(_HERE, {_ROW.format("liburing"): 100.0, _ROW.format("Ring"): ring})


class CommandLineTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.pins = self.folder / "pins.json"
        self.pins.write_text(json.dumps({"made_by": _HERE, "tolerance": 0.02, "tolerance_of": {}, "instructions": {}}))

    def run_with(self, counts: list[Counts], *arguments: str) -> tuple[int, str]:
        """Runs it with these counts, one after the other, and returns its status and what it printed."""
        told = io.StringIO()
        with patch.object(command_line, "count", side_effect=counts) as self.count, contextlib.redirect_stdout(told):
            status = command_line.main(["--pins", str(self.pins), *arguments])
        return status, told.getvalue()

    def test_what_is_within_its_bounds_is_counted_once(self):
        status, told = self.run_with([_counted(90)])
        self.assertEqual((status, self.count.call_count), (0, 1))
        self.assertIn("0.90", told)

    def test_what_seems_too_many_is_counted_again_and_the_least_is_taken(self):
        status, _ = self.run_with([_counted(120), _counted(99)])
        self.assertEqual((status, self.count.call_count), (0, 2))
        self.assertEqual(self.count.call_args.args[1], [_ROW.format("liburing"), _ROW.format("Ring")])

    def test_what_stays_too_many_is_status_1(self):
        status, told = self.run_with([_counted(120)] * 4)
        self.assertEqual(status, 1)
        self.assertIn("TOO MANY: paths/nop/sqpoll batch:1: Ring takes 120.0", told)

    def test_recording_writes_pins(self):
        counts = _counted(90)
        counts.instructions["harness/reap/plain/Ring/batch:8"] = 12.625
        status, _ = self.run_with([counts], "--record", "--json", str(self.folder / "all.json"))
        self.assertEqual(status, 0)
        self.assertEqual(json.loads(self.pins.read_text())["instructions"], {"harness/reap/plain/Ring/batch:8": 12.62})
        self.assertEqual(len(json.loads((self.folder / "all.json").read_text())["instructions"]), 3)

    def test_why_paths_were_left_out_is_told_once_with_their_number(self):
        counts = _counted(90)
        counts.left_out = {"a": "one CPU", "b": "one CPU"}
        self.assertIn("left out: 2 paths, one CPU\n", self.run_with([counts])[1])

    def test_counting_nothing_is_no_success(self):
        for made_by in (_HERE, {**_HERE, "compiler": "clang++ 14"}):
            with contextlib.redirect_stderr(io.StringIO()) as said:
                status, _ = self.run_with([Counts(made_by, {}, {"a": "no io_uring", "b": "no io_uring"})])
            self.assertEqual((status, said.getvalue()), (1, "ci/instructions: not counted: not one of 2 paths can be taken "
                                                            "here: no io_uring\n"))

    def test_counts_without_any_bound_are_no_success(self):
        # Pins are another compiler's, and no row has liburing beside Ring.
        counts = Counts({**_HERE, "compiler": "clang++ 14"}, {"harness/event_turn/Timer/Backend/events:1": 1000.0})
        with contextlib.redirect_stderr(io.StringIO()) as said:
            status, _ = self.run_with([counts])
        self.assertEqual(status, 1)
        self.assertEqual(said.getvalue(), "ci/instructions: not counted: what was counted here has no bound: no path has "
                                          "both liburing and Ring; pins are of g++ 12 on x86_64, and this was made by "
                                          "clang++ 14 on x86_64: they are not held against it\n")
        status, _ = self.run_with([counts], "--record")
        self.assertEqual(status, 0)

    def test_recording_tells_which_pins_are_gone(self):
        self.pins.write_text(json.dumps({"made_by": _HERE, "tolerance": 0.02, "tolerance_of": {},
                                         "instructions": {"harness/reap/old/Ring/batch:8": 3.0}}))
        self.assertIn("note: harness/reap/old/Ring/batch:8 has no pin any more: there is no such bench\n",
                      self.run_with([_counted(90)], "--record")[1])

    def test_a_run_that_stopped_is_status_1(self):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            status, _ = self.run_with([NotCounted("exit status 1: a NOP")])
        self.assertEqual((status, said.getvalue()), (1, "ci/instructions: not counted: exit status 1: a NOP\n"))

    def test_bad_usage_is_one_line_and_status_2(self):
        for arguments, part in ((["--most"], "--most"), (["--build", "/nowhere"], "/nowhere/bench/assay-bench is not there"),
                                (["--pins", "/nowhere"], "/nowhere cannot be read")):
            told = subprocess.run([str(_PROGRAM), *arguments], capture_output=True, text=True, check=False, timeout=60)
            self.assertEqual((told.returncode, told.stdout), (2, ""))
            self.assertRegex(told.stderr, rf"^ci/instructions: .*{part}.*\n$")
            self.assertEqual(told.stderr.count("\n"), 1)
