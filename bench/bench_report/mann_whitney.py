"""The rank test of Mann and Whitney.

Google Benchmark's own comparison calls scipy for the test. Debian's python3-scipy pulls Boost 1.74 in by its
dependencies, which cannot be installed beside a newer one; so where scipy is missing, `stand_in` takes its place, with
the same results.
"""

import functools
import math
import sys
import types
from collections import Counter


@functools.cache
def _arrangements(first: int, second: int) -> tuple[int, ...]:
    """How many of the orders of two samples of these sizes have U = 0, 1, 2 ...: the coefficients of the product of
    (1 - x^(second + i)) / (1 - x^i), over i from 1 to first."""
    counts = [1] + [0] * (first * second)
    for i in range(1, first + 1):
        for u in range(len(counts) - 1, second + i - 1, -1):
            counts[u] -= counts[u - second - i]
        for u in range(i, len(counts)):
            counts[u] += counts[u - i]
    return tuple(counts)


def _share_at_most(u: int, first: int, second: int) -> float:
    counts = _arrangements(first, second)
    return sum(counts[: max(u + 1, 0)]) / sum(counts)


# As scipy has it: where both samples are larger than this, the normal approximation is taken.
_LARGEST_EXACT = 8
# Where both are larger than this, the approximation is as good, and counting takes longer.
LARGEST_COUNTED = 20


def p_value(first: list[float], second: list[float], exact_up_to: int = _LARGEST_EXACT) -> float:
    """Two-sided. Exact without ties where a sample is of at most `exact_up_to`, else by the normal approximation, whose
    least p is larger: 0.0004 of nine beside nine, where 0.00004 is exact."""
    n, m = len(first), len(second)
    u = sum((a > b) + 0.5 * (a == b) for a in first for b in second)
    u = max(u, n * m - u)
    ties = [count for count in Counter([*first, *second]).values() if count > 1]
    if not ties and min(n, m) <= exact_up_to:
        return min(1.0, 2 * _share_at_most(int(n * m - u), min(n, m), max(n, m)))
    total = n + m
    spread = math.sqrt(n * m / 12 * (total + 1 - sum(t**3 - t for t in ties) / (total * (total - 1))))
    if spread == 0:
        return 1.0
    return min(1.0, math.erfc((u - n * m / 2 - 0.5) / spread / math.sqrt(2)))


def least_p(first: int, second: int) -> float:
    """The smallest p that samples of these sizes can come to: with 3 beside 3 it is 0.1, and nothing is significant."""
    return min(1.0, 2 / math.comb(first + second, first)) if first and second else 1.0


def stand_in() -> None:
    """Lets `from scipy.stats import mannwhitneyu, gmean` work without scipy."""
    stats = types.ModuleType("scipy.stats")
    stats.mannwhitneyu = lambda x, y, alternative: types.SimpleNamespace(pvalue=p_value(list(x), list(y)))
    stats.gmean = None  # Google Benchmark's overall mean, which is not asked for.
    scipy = types.ModuleType("scipy")
    scipy.stats = stats
    sys.modules.setdefault("scipy", scipy)
    sys.modules.setdefault("scipy.stats", stats)
