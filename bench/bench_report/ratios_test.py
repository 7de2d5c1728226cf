import unittest

from bench_report import ratios
from bench_report.measurements import Bench, Sample


def bench(path: str, *times: float, cpu: float | None = None) -> Bench:
    return Bench(path, path, {index: Sample(ns, cpu and ns * cpu) for index, ns in enumerate(times)})


class RatiosTest(unittest.TestCase):
    def test_five_repetitions_reach_less_than_95_percent(self):
        self.assertEqual(ratios.median_ranks(5), (0, 0.9375))
        self.assertEqual(ratios.median_ranks(6), (0, 0.96875))
        self.assertEqual(ratios.median_ranks(1), (0, 0))

    def test_nine_repetitions_leave_one_out_at_each_end(self):
        outside, level = ratios.median_ranks(9)
        self.assertEqual(outside, 1)
        self.assertAlmostEqual(level, 1 - 20 / 512)
        ratio = ratios.of_values([9, 1, 2, 3, 4, 5, 6, 7, 8])
        self.assertEqual((ratio.median, ratio.low, ratio.high), (5, 2, 8))

    def test_two_digits_are_told_however_small_it_is(self):
        self.assertEqual(str(ratios.Ratio(1, 0.954, 12.3, 0.95)), "1.00 (0.95\u201312.30)")
        self.assertEqual(str(ratios.Ratio(0.0947, 0.00213, 0.0961, 0.95)), "0.095 (0.0021\u20130.10)")

    def test_pairs_are_of_the_same_repetition(self):
        # The machine was ten times slower meanwhile; the ratio is not.
        path, baseline = bench("Ring", 10, 100, 10, 10, 100), bench("liburing", 20, 200, 20, 20, 200)
        ratio = ratios.paired(path, baseline)
        self.assertEqual((ratio.median, ratio.low, ratio.high), (2, 2, 2))
        self.assertTrue(ratio.is_faster)

    def test_what_has_no_partner_has_no_ratio(self):
        path = Bench("Ring", "Ring", {3: Sample(1.0)})
        self.assertIsNone(ratios.paired(path, bench("liburing", 1, 2)))

    def test_less_than_three_percent_is_no_difference(self):
        path, baseline = bench("Ring", *[100.0] * 9), bench("liburing", *[102.0] * 9)
        self.assertFalse(ratios.paired(path, baseline).differs)
        self.assertTrue(ratios.paired(baseline, bench("x", *[95.0] * 9)).is_slower)

    def test_few_repetitions_support_nothing(self):
        ratio = ratios.paired(bench("Ring", 1, 1, 1), bench("liburing", 2, 2, 2))
        self.assertEqual(ratio.median, 2)
        self.assertFalse(ratio.is_faster)

    def test_noise_neither_reaches_an_aim_nor_misses_it(self):
        self.assertIs(ratios.Ratio(1, 0.96, 1.1, 0.95).reaches(0.95), True)
        self.assertIs(ratios.Ratio(0.9, 0.85, 0.94, 0.95).reaches(0.95), False)
        self.assertIsNone(ratios.Ratio(0.9, 0.3, 3.2, 0.95).reaches(0.95))
        self.assertIsNone(ratios.Ratio(2, 2, 2, 0.5).reaches(0.95))

    def test_the_inverse_turns_its_interval_around(self):
        self.assertEqual(ratios.Ratio(2, 1, 4, 0.95).inverse(), ratios.Ratio(0.5, 0.25, 1, 0.95))

    def test_spread_is_half_of_what_lies_between_the_quartiles(self):
        self.assertEqual(ratios.spread([1, 2, 3, 4, 5]), 1 / 3)
        self.assertEqual(ratios.spread([1, 3]), 0.5)
        self.assertEqual(ratios.spread([7]), 0)

    def test_cpu_time_may_be_missing(self):
        self.assertIsNone(ratios.paired_cpu(bench("a", 1, 2), bench("b", 1, 2, cpu=2)))

    def test_cpu_time_is_of_the_same_repetition_too(self):
        ratio = ratios.paired_cpu(bench("a", 1, 10, cpu=1), bench("b", 1, 10, cpu=3))
        self.assertEqual((ratio.low, ratio.high), (3, 3))


if __name__ == "__main__":
    unittest.main()
