import json
import tempfile
import unittest
from pathlib import Path

from instruction_counts import pins, table
from instruction_counts.counting import Counts
from instruction_counts.endings import BadUsage
from instruction_counts.judgement import judge, rows
from instruction_counts.pins import Pins

_HERE = {"compiler": "g++ 12.2.0", "machine": "x86_64", "liburing": "2.3"}


def _counts(**instructions: float) -> Counts:
    """Of paths/read/plain/PATH/batch:1."""
    return Counts(_HERE, {f"paths/read/plain/{path}/batch:1": count for path, count in instructions.items()})


def _pins(**changed) -> Pins:
    return Pins(**{"made_by": {"compiler": "g++ 12.3.0", "machine": "x86_64"}, "tolerance": 0.02, "tolerance_of": {},
                   "instructions": {}} | changed)


class RowsTest(unittest.TestCase):
    def test_ring_may_take_what_liburing_takes_and_not_more(self):
        self.assertEqual(judge(_counts(liburing=100, Ring=100), _pins()).too_many, [])
        judgement = judge(_counts(liburing=100, Ring=101), _pins())
        self.assertEqual(judgement.too_many, ["paths/read/plain batch:1: Ring takes 101.0 instructions, 1.010 of liburing's "
                                              "100.0; at most 1.00"])
        self.assertEqual(judgement.again, ["paths/read/plain/liburing/batch:1", "paths/read/plain/Ring/batch:1"])

    def test_nops_are_held_to_less(self):
        def nops(ring: float) -> Counts:
            return Counts(_HERE, {"paths/nop/plain/liburing/batch:1": 100, "paths/nop/plain/Ring/batch:1": ring})

        self.assertEqual(judge(nops(85), _pins()).too_many, [])
        self.assertEqual(len(judge(nops(86), _pins()).too_many), 1)

    def test_a_row_without_liburing_has_no_ratio(self):
        self.assertEqual([row.ratio for row in rows(_counts(Ring=5))], [None])
        self.assertEqual(judge(_counts(Ring=5), _pins()).too_many, [])


class PinsTest(unittest.TestCase):
    _NAME = "paths/read/plain/Ring/batch:1"

    def test_a_pin_has_its_tolerance(self):
        pinned = _pins(instructions={self._NAME: 100.0})
        self.assertEqual(judge(_counts(Ring=102), pinned).too_many, [])
        judgement = judge(_counts(Ring=102.5), pinned)
        self.assertEqual(judgement.too_many, [f"{self._NAME} takes 102.5 instructions; at most 102.0, since it took 100.0"])
        self.assertEqual(judgement.again, [self._NAME])
        self.assertEqual(judge(_counts(Ring=102.5), _pins(instructions={self._NAME: 100.0},
                                                          tolerance_of={self._NAME: 0.03})).too_many, [])

    def test_what_became_much_less_is_to_be_recorded(self):
        pinned = _pins(instructions={self._NAME: 100.0})
        self.assertEqual(judge(_counts(Ring=96), pinned).notes, [])
        judgement = judge(_counts(Ring=94), pinned)
        self.assertEqual(judgement.too_many, [])
        self.assertEqual(judgement.notes, [f"{self._NAME} takes 94.0 instructions and took 100.0: ci/instructions --record "
                                           "keeps that"])

    def test_what_is_pinned_must_be_counted(self):
        pinned = _pins(instructions={self._NAME: 100.0})
        self.assertEqual(judge(Counts(_HERE), pinned).too_many, [f"{self._NAME} is pinned and was not counted: there is no "
                                                                 "such bench"])
        left_out = Counts(_HERE, left_out={self._NAME: "a tmpfs"})
        self.assertEqual(judge(left_out, pinned).too_many, [f"{self._NAME} is pinned and was not counted: a tmpfs"])

    def test_what_is_to_be_pinned_and_is_not_is_noted(self):
        name = "harness/reap/plain/Ring/batch:8"
        self.assertEqual(judge(Counts(_HERE, {name: 12.0}), _pins()).notes,
                         [f"{name} is to be pinned and is not yet: ci/instructions --record does that"])

    def test_recording_keeps_what_cannot_be_counted_here(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pins.json"
            counts = Counts(_HERE, {"paths/nop/plain/Ring/batch:1": 100.0}, {"harness/reap/plain/Ring/batch:8": "no ring"})
            old = {"harness/reap/plain/Ring/batch:8": 12.0, "gone": 1.0}
            lost = pins.record(path, _pins(instructions=old), counts)
            self.assertEqual(pins.read(path).instructions,
                             {"paths/nop/plain/Ring/batch:1": 100.0, "harness/reap/plain/Ring/batch:8": 12.0})
            self.assertEqual(lost, {"gone": "there is no such bench"})
            # Another compiler's pin cannot stand beside today's.
            others = {"compiler": "g++ 14", "machine": "x86_64"}
            foreign = pins.record(path, _pins(instructions=old, made_by=others), counts)
            self.assertEqual(pins.read(path).instructions, {"paths/nop/plain/Ring/batch:1": 100.0})
            self.assertEqual(set(foreign), set(old))
            self.assertIn("pins are of g++ 14 on x86_64", foreign["gone"])

    def test_pins_of_another_compiler_or_machine_say_nothing(self):
        pinned = _pins(made_by={"compiler": "g++ 14.2.0", "machine": "aarch64"}, instructions={self._NAME: 1.0})
        judgement = judge(_counts(Ring=100), pinned)
        self.assertEqual(judgement.too_many, [])
        self.assertEqual(judgement.notes, ["pins are of g++ 14 on aarch64, and this was made by g++ 12 on x86_64: they are "
                                           "not held against it"])

    def test_recording_keeps_tolerances_and_takes_what_is_pinned(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pins.json"
            counts = Counts(_HERE, {"paths/nop/plain/Ring/batch:1": 106.05469, "paths/nop/plain/liburing/batch:1": 124.0,
                                    "harness/event_turn/Timer/Backend/events:1": 1000.0})
            pins.record(path, _pins(tolerance_of={"x": 0.5}, instructions={"old": 1.0}), counts)
            recorded = pins.read(path)
        self.assertEqual(recorded.instructions, {"paths/nop/plain/Ring/batch:1": 106.05,
                                                 "harness/event_turn/Timer/Backend/events:1": 1000.0})
        self.assertEqual((recorded.tolerance, recorded.tolerance_of), (0.02, {"x": 0.5}))
        self.assertEqual(recorded.made_by, {"compiler": "g++ 12.2.0", "machine": "x86_64"})

    def test_pins_that_cannot_be_read_are_told_in_a_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pins.json"
            for content in (None, "{", json.dumps({"tolerance": 1})):
                if content is not None:
                    path.write_text(content)
                with self.assertRaisesRegex(BadUsage, "pins.json cannot be read: .*"):
                    pins.read(path)


class TableTest(unittest.TestCase):
    def test_a_line_names_liburings_version_and_shows_the_ratio(self):
        counts = _counts(liburing=100, Ring=80, Backend=300.25)
        counts.instructions["harness/event_turn/Timer/Backend/events:1"] = 1000.0
        lines = table.text(counts).splitlines()
        self.assertRegex(lines[0], r"^instructions an operation +liburing 2\.3 +Ring  ratio +Backend$")
        self.assertRegex(lines[1], r"^paths/read/plain batch:1 +100\.0 +80\.0   0\.80 +300\.2$")
        self.assertRegex(lines[2], r"^harness/event_turn/Timer events:1 +1000\.0$")
