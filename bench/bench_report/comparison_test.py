import json
import unittest

from bench_report import comparison, mann_whitney
from bench_report.constructed_runs import CUTS, changed, cut, document, path_lines
from bench_report.endings import BadUsage
from bench_report.measurements import parse


def run_of(told: dict):
    return parse(json.dumps(told), "x.json")


def p_value(old: list[float], new: list[float]) -> float | None:
    """As Google Benchmark's, which gives none of a single repetition."""
    return mann_whitney.p_value(old, new) if min(len(old), len(new)) > 1 else None


def compared(old: dict, new: dict, threshold: float = 0.05, of_ratios: bool = False):
    return comparison.compare(run_of(old), run_of(new), threshold, of_ratios, p_value)


class ComparisonTest(unittest.TestCase):
    def setUp(self):
        self.old = document(path_lines(["nop"]), seed=1)
        self.new = document(path_lines(["nop"]), seed=2)

    def test_a_run_is_not_slower_than_itself(self):
        told = compared(self.old, self.old)
        self.assertEqual((told.slower, told.faster, told.significant), ([], [], 0))
        self.assertIn("nothing changed by more than 5 %", comparison.text(told, run_of(self.old), run_of(self.old)))

    def test_what_became_slower_is_named(self):
        slow = "paths/nop/plain/Ring/batch:8"
        told = compared(self.old, changed(self.new, lambda name: 1.2 if name == slow else 1.0))
        self.assertEqual([each.name for each in told.slower], [slow])
        self.assertAlmostEqual(told.slower[0].change, 0.2, delta=0.02)
        self.assertAlmostEqual(told.slower[0].new_speed, 1.01 / 1.2, delta=0.02)
        text = comparison.text(told, run_of(self.old), run_of(self.new))
        self.assertIn("1 slower and 0 faster", text)

    def test_chance_alone_makes_nothing_slower(self):
        # Each alone, one in twenty of these would be: some thirty.
        old, new = (document(path_lines(), noise=0.1, seed=seed) for seed in (3, 4))
        told = compared(old, new, threshold=0)
        self.assertGreater(sum(each.p < comparison.ALPHA for each in told.changes), 10)
        self.assertEqual((told.slower, told.faster), ([], []))
        self.assertRegex(comparison.text(told, run_of(old), run_of(new)),
                         r"(?s)perhaps (slower|faster):\n(  .* %  p = 0\.0.*\n){5}  and \d+ more\n.*significant if it "
                         r"were the only bench, as up to 33 of 660 are by chance;.* nothing changed by more than 0 %")

    def test_one_bench_among_hundreds_is_found(self):
        old, new = (document(path_lines(), seed=seed) for seed in (3, 4))
        slow = "paths/nop/plain/Ring/batch:8"
        told = compared(old, changed(new, lambda name: 1.5 if name == slow else 1.0))
        self.assertEqual([each.name for each in told.slower], [slow])

    def test_one_bench_of_many_in_a_quick_run_is_named_and_does_not_count(self):
        old, new = (document(path_lines(), repetitions=5, seed=seed) for seed in (3, 4))
        slow = "paths/nop/plain/Ring/batch:8"
        new = changed(new, lambda name: 1.5 if name == slow else 1.0)
        told = compared(old, new)
        self.assertEqual(told.slower, [])
        self.assertEqual([each.name for each in told.perhaps_slower], [slow])
        text = comparison.text(told, run_of(old), run_of(new))
        self.assertRegex(text, rf"perhaps slower:\n +\+\d\d\.\d %  p = 0\.008, among all = \S+  {slow}  ")
        self.assertIn("it takes --repetitions 9 or more in both runs, or a --filter that leaves no more than 6\n", text)
        self.assertTrue(text.endswith("nothing changed by more than 5 %, significant among so many at 0.05; 1 perhaps"))

    def test_and_counts_where_it_is_measured_with_few_others(self):
        # As many as the hint says, and one more.
        for lines, found in ((6, 1), (7, 0)):
            few = path_lines(["nop"])[:lines]
            old, new = (document(few, repetitions=5, seed=seed) for seed in (3, 4))
            told = compared(old, changed(new, lambda name: 1.5 if name == few[1][0] else 1.0))
            self.assertEqual((len(told.slower), len(told.perhaps_slower)), (found, 1 - found))

    def test_as_many_repetitions_as_the_hint_says_are_enough(self):
        slow = "paths/nop/plain/Ring/batch:8"
        for repetitions, found in ((8, 0), (9, 1)):
            old, new = (document(path_lines(), repetitions=repetitions, seed=seed) for seed in (3, 4))
            told = compared(old, changed(new, lambda name: 1.5 if name == slow else 1.0))
            self.assertEqual(len(told.slower), found)
            self.assertEqual(told.enough_repetitions, 9)

    def test_many_of_a_quick_run_are_found(self):
        old, new = (document(path_lines(), repetitions=5, seed=seed) for seed in (3, 4))
        told = compared(old, changed(new, lambda name: 1.2 if "/Ring/" in name else 1.0))
        self.assertEqual({each.name.split("/")[3] for each in told.slower}, {"Ring"})

    def test_adjusted_is_as_benjamini_and_hochberg_have_it(self):
        self.assertEqual(comparison.adjusted([0.04, 0.01, 0.03]), [0.04, 0.03, 0.04])
        self.assertEqual(comparison.adjusted([0.9, 0.8]), [0.9, 0.9])

    def test_and_what_became_faster(self):
        told = compared(self.old, changed(self.new, lambda name: 0.5 if name.endswith("/Ring/batch:8") else 1.0))
        self.assertEqual({each.name.split("/")[3] for each in told.faster}, {"Ring"})
        self.assertEqual(told.slower, [])

    def test_a_significant_change_below_the_threshold_does_not_count(self):
        told = compared(self.old, changed(self.new, lambda _: 1.04))
        self.assertGreater(told.significant, 30)
        self.assertEqual(told.slower, [])
        self.assertNotEqual(compared(self.old, changed(self.new, lambda _: 1.04), threshold=0.02).slower, [])

    def test_ratios_survive_a_slower_machine(self):
        slower_machine = changed(self.new, lambda _: 1.5)
        self.assertNotEqual(compared(self.old, slower_machine).slower, [])
        self.assertEqual(compared(self.old, slower_machine, of_ratios=True).slower, [])

    def test_ratios_find_what_became_slower_beside_the_baseline(self):
        new = changed(self.new, lambda name: 1.5 * (1.2 if "/Backend/" in name else 1))
        told = compared(self.old, new, of_ratios=True)
        self.assertEqual({each.name.split("/")[3] for each in told.slower}, {"Backend"})
        self.assertFalse(any("/liburing/" in each.name for each in told.changes))

    def test_three_repetitions_are_too_few_for_any_significance(self):
        old, new = document(path_lines(["nop"]), repetitions=3), document(path_lines(["nop"]), repetitions=3)
        told = compared(old, changed(new, lambda _: 2.0))
        self.assertEqual((told.slower, told.tested), ([], 0))
        self.assertIn("too few repetitions", comparison.text(told, run_of(old), run_of(new)))

    def test_how_few_are_too_few_is_exact(self):
        few = path_lines(["nop"])[:3]
        for old, new, untestable in ((4, 4, 0), (3, 5, 0), (2, 8, 0), (3, 4, 3), (2, 7, 3), (1, 50, 3)):
            told = compared(document(few, repetitions=old), document(few, repetitions=new))
            self.assertEqual(told.untestable, untestable, (old, new))

    def test_what_cannot_be_significant_takes_nothing_from_the_others(self):
        few = path_lines(["nop"])
        old, new = (cut(document(few, repetitions=5, seed=seed), lambda name, repetition: name.endswith("/batch:1")
                        or repetition < 2) for seed in (3, 4))
        new = changed(new, lambda name: 1.5 if name.startswith("paths/nop/sqpoll/") else 1.0)
        self.assertEqual({each.name.split("/", 2)[2] for each in compared(old, new).slower},
                         {f"sqpoll/{path}/batch:1" for path in ("liburing", "Ring", "Backend")})

    def test_a_single_repetition_has_no_p(self):
        told = comparison.compare(run_of(document(path_lines(["nop"]), repetitions=1)), run_of(self.new), 0.05, False,
                                  lambda old, new: None)
        self.assertEqual((told.slower, told.significant), ([], 0))

    def test_benches_of_one_run_only_are_counted_and_named(self):
        more = document(path_lines(["nop", "read"]))
        told = compared(self.old, more)
        self.assertEqual(told.only_old, [])
        self.assertRegex(comparison.text(told, run_of(self.old), run_of(more)),
                         r"\d+ benches are only in the new run: paths/read/")

    def test_runs_may_end_anywhere(self):
        for words, kept in CUTS.items():
            part = cut(self.new, kept)
            for old, new in ((self.old, part), (part, self.old), (part, part)):
                with self.subTest(words):
                    told = compared(old, new, threshold=0)
                    self.assertEqual((told.slower, told.faster), ([], []))
                    self.assertIn("compared", comparison.text(told, run_of(old), run_of(new)))
                    try:
                        compared(old, new, of_ratios=True)
                    except BadUsage as error:
                        self.assertIn("beside a baseline", str(error))

    def test_other_circumstances_are_told(self):
        same = comparison.text(compared(self.old, self.old), run_of(self.old), run_of(self.old))
        self.assertNotIn("differ", same)
        other = run_of(document(path_lines(["nop"]), kernel="6.19.0", preset="full", min_time_ms="10", cpu="EPYC"))
        told = comparison.text(compared(self.old, self.old), run_of(self.old), other)
        for words in ("kernel: 6.18.5 and 6.19.0", "preset: quick and full", "min_time_ms: 40 and 10",
                      "cpu: unknown and EPYC"):
            self.assertIn(f"the runs differ in {words}\n", told)

    def test_nothing_in_common_is_bad_usage(self):
        with self.assertRaisesRegex(BadUsage, "no bench in common"):
            compared(self.old, document(path_lines(["read"])))


if __name__ == "__main__":
    unittest.main()
