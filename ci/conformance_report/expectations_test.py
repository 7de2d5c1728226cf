import tempfile
import unittest
from pathlib import Path

from conformance_report.expectations import RECORDED, parse, read, recorded
from conformance_report.results import TestResult, TestVerdict
from kernel_matrix.endings import BadUsage

_PASS = TestResult(TestVerdict.PASS)


def _skip(reason: str) -> TestResult:
    return TestResult(TestVerdict.SKIP, reason)


class ExpectationsTest(unittest.TestCase):
    def test_reads_the_three_kinds_of_lines(self):
        expected = parse("# why\n\nskip S.A needs NODROP\nfail S.B/plan  it is broken there\n"
                         "differs S.C sim=fail  the simulation has no such file\n", "linux-6.1")
        self.assertEqual([(line.test, line.verdict, line.reason) for line in expected.real.values()],
                         [("S.A", "skip", "needs NODROP"), ("S.B/plan", "fail", "it is broken there")])
        line = expected.of_simulated("S.C")
        self.assertEqual((line.verdict, line.reason, line.number), ("fail", "the simulation has no such file", 5))

    def test_a_line_may_mean_all_variants_and_one_variant_may_have_its_own(self):
        expected = parse("skip S.A/* lacks it\nfail S.A/plan breaks\n", "x")
        self.assertEqual([expected.of_real(test).verdict for test in ("S.A", "S.A/other", "S.A/plan")],
                         ["skip", "skip", "fail"])
        self.assertIsNone(expected.of_real("S.AB"))
        self.assertIsNone(parse("skip S.A it", "x").of_real("S.A/plan"))

    def test_a_malformed_line_is_told_in_one_line_with_its_number(self):
        for text, words in (
                ("\nskips S.A why", r"x:2: 'skips' begins no line; a line is 'skip TEST REASON'"),
                ("skip", "x:1: '' is no test's name"),
                ("skip Setup why", "x:1: 'Setup' is no test's name"),
                ("fail S.A", "x:1: 'fail S.A' has no reason"),
                ("differs S.A fail why", "goes on with sim=pass, sim=skip or sim=fail"),
                ("differs S.A sim=fails why", "goes on with sim=pass"),
                ("differs S.A sim=fail", "'differs S.A' has no reason"),
                ("skip S.A why\nfail S.A why", "x:2: 'S.A' stands in line 1 already"),
                ("differs S.A sim=pass why", "sim=pass of 'S.A' is what the kernel itself"),
                ("skip S.A/* w\ndiffers S.A/b sim=skip why", "x:2: sim=skip of 'S.A/b' is what the kernel itself")):
            with self.subTest(text=text), self.assertRaisesRegex(BadUsage, words) as raised:
                parse(text, "x")
            self.assertNotIn("\n", str(raised.exception))

    def test_a_kernel_without_a_file_has_no_expectations(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "linux-6.1").write_text("skip S.A why\n")
            self.assertEqual(list(read(Path(folder), "linux-6.1").real), ["S.A"])
            self.assertIsNone(read(Path(folder), "linux-6.2"))
            self.assertIsNone(read(Path(folder), "../linux-6.1"))

    def test_recording_lists_the_skips_and_no_failure(self):
        tests = {"S.B": _skip("needs B"), "S.A": _PASS, "S.C": TestResult(TestVerdict.FAIL, "broken"),
                 "T.A": _skip("needs\n A"), "T.A/plan": _skip("needs\n A"), "T.B": _PASS, "T.B/plan": _skip("needs B")}
        text = recorded("", tests, "linux-6.1", "About 6.1.")
        self.assertEqual(text, f"# About 6.1.\n\n{RECORDED}\nskip S.B needs B\nskip T.A/* needs A\nskip T.B/plan needs B\n")
        self.assertEqual(recorded(text, tests, "linux-6.1", "About 6.1."), text)

    def test_recording_again_keeps_what_people_wrote(self):
        by_hand = ("# Mine.\nskip S.A by hand\n\nfail S.C it is broken\n"
                   "differs S.D sim=fail not modelled\nskip U.Gone by hand, and gone\n")
        text = by_hand + f"\n{RECORDED}\nskip S.Old needs old\n"
        tests = {"S.A": _skip("needs A"), "S.C": _skip("needs C"), "S.D": _PASS, "S.New": _skip("needs new")}
        self.assertEqual(recorded(text, tests, "linux-6.1", "About."), by_hand + f"\n{RECORDED}\nskip S.New needs new\n")

    def test_a_difference_from_a_recorded_skip_outlives_recording(self):
        text = f"# Mine.\ndiffers S.A sim=pass the kernel lacks it\n\n{RECORDED}\nskip S.A needs A\n"
        self.assertEqual(recorded(text, {"S.A": _skip("needs A")}, "linux-6.1", "About."), text)

    def test_recording_over_a_malformed_file_is_refused(self):
        with self.assertRaises(BadUsage):
            recorded("nonsense\n", {}, "linux-6.1", "About.")


if __name__ == "__main__":
    unittest.main()
