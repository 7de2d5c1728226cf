"""Runs the measuring program `assay-bench`, which shows its progress by itself, and keeps what it had on ctrl-C."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_report.endings import NotMeasured

# Where a build of the source tree has it; beside an installed `assay`, the command says where it is.
BUILT = Path(__file__).resolve().parents[2] / "build" / "release" / "bench" / "assay-bench"


@contextmanager
def _left_to_the_program(signals: list[int]) -> Iterator[list[subprocess.Popen]]:
    """Ctrl-C reaches the measuring program as it reaches us, and ends it in order: here it is only noted. A SIGTERM
    is handed on as one, to the programs that are put into the list. The program itself starts without these handlers:
    what is caught, unlike what is ignored, is reset by execve(2)."""
    programs: list[subprocess.Popen] = []

    def note(number: int, _frame) -> None:
        signals.append(number)
        for program in programs if number == signal.SIGTERM else ():
            program.send_signal(signal.SIGINT)

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield programs
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def run(program: Path | None, arguments: list[str]) -> tuple[int, bool]:
    """Its exit status, and whether it was interrupted. NotMeasured if it is not there."""
    path = program or BUILT
    signals: list[int] = []
    with _left_to_the_program(signals) as programs:
        try:
            # pylint: disable-next=consider-using-with
            process = subprocess.Popen([str(path), *arguments])
        except OSError as error:
            raise NotMeasured("the measuring program assay-bench is not here; it is built where Google Benchmark is "
                              f"(Debian: libbenchmark-dev): {path}: {error.strerror}") from error
        programs.append(process)
        return process.wait(), bool(signals)
