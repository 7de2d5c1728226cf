"""Google Benchmark's own significance test, which its package of tools holds as Python."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from bench_report import mann_whitney
from bench_report.endings import NotPossibleHere

# Where Debian's package libbenchmark-tools puts what compare.py uses.
TOOLS = Path("/usr/share/benchmark")

# Times of the old and the new run to p.
PValue = Callable[[list[float], list[float]], float | None]


def significance_test(tools: Path = TOOLS) -> PValue:
    """`calc_utest` of gbench/report.py: Mann-Whitney U, two-sided; None where a run has a single repetition.
    NotPossibleHere if it is not installed."""
    if not (tools / "gbench" / "report.py").is_file():
        raise NotPossibleHere("`compare` needs Google Benchmark's tools; Debian's package is libbenchmark-tools")
    if importlib.util.find_spec("numpy") is None:
        raise NotPossibleHere("`compare` needs NumPy for Python; Debian's package is python3-numpy")
    if importlib.util.find_spec("scipy") is None:
        mann_whitney.stand_in()
    sys.path.insert(0, str(tools))
    try:
        report = importlib.import_module("gbench.report")
    finally:
        sys.path.remove(str(tools))

    def p_value(old: list[float], new: list[float]) -> float | None:
        # It tests two measures at a time, CPU time and real time; here both are the one that counts.
        _, _, p_of_time = report.calc_utest([old, new], [old, new])
        return None if p_of_time is None else float(p_of_time)

    return p_value
