"""The page with plots, which the next change draws."""

from bench_report.endings import NotPossibleHere


def check_available() -> None:
    raise NotPossibleHere("--html cannot be drawn yet")


def render(_run, _command: str) -> str:
    raise NotPossibleHere("--html cannot be drawn yet")
