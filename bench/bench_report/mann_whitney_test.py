import itertools
import sys
import unittest
from unittest import mock

from bench_report import mann_whitney


class MannWhitneyTest(unittest.TestCase):
    def test_p_is_what_scipy_says(self):
        # Those with ties are in the tests of Google Benchmark's own report.py.
        for first, second, p in (([1, 2, 3, 4, 5], [6, 7, 8, 9, 10], 2 / 252),
                                 ([8, 8], [7, 4.54, 9], 0.7670968684102772), ([9, 8], [10, 7], 1.0),
                                 ([80, 77], [66.6, 75, 60], 0.2), ([1, 1], [1, 1], 1.0)):
            with self.subTest(first=first, second=second):
                self.assertAlmostEqual(mann_whitney.p_value(first, second), p)
                self.assertAlmostEqual(mann_whitney.p_value(second, first), p)

    def test_large_samples_take_the_normal_approximation(self):
        self.assertLess(mann_whitney.p_value(list(range(20)), list(range(100, 120))), 1e-6)
        self.assertGreater(mann_whitney.p_value(list(range(0, 40, 2)), list(range(1, 41, 2))), 0.5)

    def test_nine_beside_nine_may_be_counted(self):
        low, high = list(range(9)), list(range(10, 19))
        counted = mann_whitney.p_value(low, high, mann_whitney.LARGEST_COUNTED)
        self.assertAlmostEqual(counted, mann_whitney.least_p(9, 9))
        self.assertGreater(mann_whitney.p_value(low, high), 8 * mann_whitney.least_p(9, 9))

    def test_arrangements_are_those_of_all_orders(self):
        for first, second in ((1, 1), (2, 3), (4, 4), (3, 6)):
            counts = [0] * (first * second + 1)
            for places in itertools.combinations(range(first + second), first):
                counts[sum(place - rank for rank, place in enumerate(places))] += 1
            self.assertEqual(list(mann_whitney._arrangements(first, second)), counts)

    def test_a_small_sample_is_counted_beside_however_large_a_one(self):
        for size in (21, 1000):
            self.assertAlmostEqual(mann_whitney.p_value([0.5, 1.5, 2.5], [float(10 + i) for i in range(size)]),
                                   mann_whitney.least_p(3, size))

    def test_three_beside_three_cannot_be_significant(self):
        self.assertAlmostEqual(mann_whitney.least_p(3, 3), 0.1)
        self.assertLess(mann_whitney.least_p(4, 4), 0.05)
        self.assertAlmostEqual(mann_whitney.least_p(4, 4), mann_whitney.p_value([1, 2, 3, 4], [5, 6, 7, 8]))
        self.assertEqual(mann_whitney.least_p(0, 3), 1)

    def test_it_stands_in_for_scipy(self):
        with mock.patch.dict(sys.modules):
            for name in [name for name in sys.modules if name.partition(".")[0] == "scipy"]:
                del sys.modules[name]
            mann_whitney.stand_in()
            from scipy.stats import mannwhitneyu  # pylint: disable=import-outside-toplevel
            self.assertAlmostEqual(mannwhitneyu([1, 2, 3, 4], [5, 6, 7, 8], alternative="two-sided").pvalue, 2 / 70)


if __name__ == "__main__":
    unittest.main()
