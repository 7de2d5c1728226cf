import unittest

from conformance_report.expectations import parse
from conformance_report.judgement import Judgement, Kind, judge
from conformance_report.results import Results, TestResult, TestVerdict

_WORDS = {"p": TestResult(TestVerdict.PASS), "s": TestResult(TestVerdict.SKIP, "needs it"),
          "f": TestResult(TestVerdict.FAIL, "a.cc:1: no\nmore")}


def results(**columns: str) -> Results:
    """Tests S.0, S.1 ... of each kernel by letters: p, s, f, or - for one that did not run there."""
    names = {"real": "linux-6.1", "sim": "sim:linux-6.1"}
    return {names[name]: {f"S.{at}": _WORDS[letter] for at, letter in enumerate(letters) if letter != "-"}
            for name, letters in columns.items()}


def judged(expected: str | None = "", whole: bool = True, **columns: str) -> Judgement:
    given = {} if expected is None else {"linux-6.1": parse(expected, "ci/expected/linux-6.1")}
    return judge(results(**columns), given, whole)


def kinds(judgement: Judgement) -> list[tuple[str, str, str]]:
    return [(finding.kind, finding.kernel, finding.test) for finding in judgement.findings]


class JudgementTest(unittest.TestCase):
    def test_what_is_as_expected_is_no_finding(self):
        judgement = judged("skip S.1 lacks it\nfail S.2 is broken\n", real="psf", sim="psf")
        self.assertEqual(kinds(judgement), [])
        self.assertEqual(judgement.cells["sim:linux-6.1", "S.2"].expected, "is broken")

    def test_failure_skip_and_pass_are_three_findings(self):
        judgement = judged("skip S.2 lacks it\nfail S.3 is broken\n", real="fspp")
        self.assertEqual(kinds(judgement), [
            (Kind.UNEXPECTED_FAILURE, "linux-6.1", "S.0"), (Kind.UNEXPECTED_SKIP, "linux-6.1", "S.1"),
            (Kind.UNEXPECTED_PASS, "linux-6.1", "S.2"), (Kind.UNEXPECTED_PASS, "linux-6.1", "S.3")])
        self.assertEqual(judgement.findings[0].detail, "fails (a.cc:1: no)")
        self.assertEqual(judgement.findings[2].detail, "passes, listed as skip: lacks it")

    def test_a_skip_where_a_failure_is_listed_is_unexpected(self):
        self.assertEqual(kinds(judged("fail S.0 is broken", real="s")), [(Kind.UNEXPECTED_SKIP, "linux-6.1", "S.0")])

    def test_real_and_simulated_that_differ_are_a_finding_whatever_either_says(self):
        for real, sim in ("ps", "pf", "sp", "sf", "fp", "fs"):
            with self.subTest(real=real, sim=sim):
                listed = {"p": "", "s": "skip S.0 lacks it", "f": "fail S.0 is broken"}[real]
                judgement = judged(listed, real=real, sim=sim)
                self.assertEqual(kinds(judgement), [(Kind.DIFFERS, "sim:linux-6.1", "S.0")])
                self.assertTrue(all(cell.differs for cell in judgement.cells.values()))

    def test_a_fault_that_only_a_simulation_can_have_is_no_difference(self):
        skip = TestResult(TestVerdict.SKIP, "fault plan: linux cannot carry 'cqe/full': only a simulated kernel can")
        expected = {"linux-6.1": parse("skip S.0 fault plan", "ci/expected/linux-6.1")}
        for said, found in ((TestVerdict.PASS, []), (TestVerdict.FAIL, [(Kind.DIFFERS, "sim:linux-6.1", "S.0")])):
            with self.subTest(said=said):
                judgement = judge({"linux-6.1": {"S.0": skip}, "sim:linux-6.1": {"S.0": TestResult(said)}}, expected)
                self.assertEqual(kinds(judgement), found)
                self.assertEqual(judgement.beyond_injection, [] if found else [("linux-6.1", "S.0")])
                self.assertEqual(judgement.cells["sim:linux-6.1", "S.0"].differs, bool(found))

    def test_a_listed_difference_is_none(self):
        judgement = judged("differs S.0 sim=fail not modelled", real="p", sim="f")
        self.assertEqual(kinds(judgement), [])
        self.assertTrue(judgement.cells["linux-6.1", "S.0"].differs)
        self.assertEqual(judgement.cells["sim:linux-6.1", "S.0"].expected, "not modelled")

    def test_a_listed_difference_of_another_kind_is_a_finding(self):
        judgement = judged("differs S.0 sim=fail not modelled", real="p", sim="s")
        self.assertEqual(kinds(judgement), [(Kind.DIFFERS, "sim:linux-6.1", "S.0")])
        self.assertIn("listed as sim=fail: not modelled", judgement.findings[0].detail)

    def test_a_listed_difference_that_is_none_any_more_is_a_finding(self):
        self.assertEqual(kinds(judged("differs S.0 sim=fail not modelled", real="p", sim="p")),
                         [(Kind.AGREES, "sim:linux-6.1", "S.0")])
        both_fail = judged("differs S.0 sim=fail not modelled", real="f", sim="f")
        self.assertEqual(kinds(both_fail), [(Kind.UNEXPECTED_FAILURE, "linux-6.1", "S.0"),
                                            (Kind.AGREES, "sim:linux-6.1", "S.0")])

    def test_a_simulation_alone_is_held_to_the_same_list(self):
        text = "skip S.0 lacks it\ndiffers S.1 sim=fail not modelled"
        self.assertEqual(kinds(judged(text, sim="sfp")), [])
        self.assertEqual([kind for kind, _, _ in kinds(judged(text, sim="ppf"))],
                         [Kind.UNEXPECTED_FAILURE, Kind.UNEXPECTED_PASS, Kind.UNEXPECTED_PASS])

    def test_what_runs_on_one_of_the_two_only_does_not_differ(self):
        self.assertEqual(kinds(judged("", real="p-", sim="-p")), [])
        self.assertEqual(kinds(judged("", real="p-", sim="-f")), [(Kind.UNEXPECTED_FAILURE, "sim:linux-6.1", "S.1")])

    def test_a_line_about_a_test_that_does_not_exist_is_a_finding(self):
        text = "skip S.7 gone\ndiffers S.8 sim=fail gone\nskip S.1 only simulated"
        judgement = judged(text, real="p-", sim="ps")
        self.assertEqual(kinds(judgement), [(Kind.UNKNOWN_TEST, "linux-6.1", "S.7"), (Kind.UNKNOWN_TEST, "linux-6.1", "S.8")])
        self.assertIn("ci/expected/linux-6.1:1 names it", judgement.findings[0].detail)
        self.assertEqual(kinds(judged(text, whole=False, real="p-", sim="ps")), [])

    def test_without_the_simulation_a_variant_may_be_its_own(self):
        self.assertEqual(kinds(judged("skip S.0/plan only simulated", real="p")), [])
        self.assertEqual(kinds(judged("skip S.9/plan gone", real="p")), [(Kind.UNKNOWN_TEST, "linux-6.1", "S.9/plan")])

    def test_without_expectations_skips_are_taken_as_they_are(self):
        self.assertEqual(kinds(judged(None, real="sf", sim="sf")), [
            (Kind.UNEXPECTED_FAILURE, "linux-6.1", "S.1"), (Kind.UNEXPECTED_FAILURE, "sim:linux-6.1", "S.1")])


if __name__ == "__main__":
    unittest.main()
