"""The command line of `ci/instructions`."""

import argparse
import json
import sys
from pathlib import Path

from instruction_counts import pins, table
from instruction_counts.counting import Counts, count
from instruction_counts.endings import ALL_WITHIN, BAD_USAGE, TOO_MANY, BadUsage, NotCounted
from instruction_counts.judgement import judge

ROOT = Path(__file__).resolve().parents[2]
PINS = ROOT / "ci" / "instructions.json"

# Reads past the page cache wait for a device, the poll of an IOPOLL ring spins as long as that takes, and sqpoll_spin as
# long as the poll thread takes: nothing that would be the same twice.
WORKS = ["nop", "read", "write", "socketpair", "tcp", "poll", "timeout", "cancel"]
SETUPS = ["plain", "coop", "deferred", "sqpoll"]
FILTERS = [f"paths/{work}/{setup}{with_}" for work in WORKS for setup in SETUPS for with_ in ("/*", "+*")]
FILTERS += ["harness/submit/*", "harness/reap/*", "harness/event_turn/*"]
# Where a poll thread or another CPU takes part, its timing decides how often a program looks: what seems too many is
# counted again so often, and the least is taken, of liburing's too.
MORE_COUNTS = 3

_DESCRIPTION = """\
Counts, under callgrind, the instructions that every submission path takes: liburing, Ring and Backend side by side. Each
figure is the difference of two runs of which one does twice as much, so what is done once cancels out.

It fails where Ring takes more than liburing on any path and batch, more than 0.85 of it on NOPs, or where NOPs and the
parts of a request's way take more than is written in ci/instructions.json. What seems too many is counted again, and the
least counts: with SQPOLL a program may wait for the poll thread by chance."""
_EPILOGUE = """\
Exit status: 0 all is within its bounds, 1 something takes too many or could not be counted, 2 bad usage."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise BadUsage(f"{message} (see ci/instructions --help)")


def parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ci/instructions", description=_DESCRIPTION, epilog=_EPILOGUE, allow_abbrev=False,
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--build", type=Path, default=ROOT / "build" / "release", metavar="DIR", help="the build (build/release)")
    add("--record", action="store_true", help="write today's counts to ci/instructions.json")
    add("--json", type=Path, metavar="FILE", help="write all counts as JSON")
    add("--pins", type=Path, default=PINS, metavar="FILE", help=argparse.SUPPRESS)
    return parser


def _write_json(path: Path, counts: Counts) -> None:
    try:
        path.write_text(json.dumps({"made_by": counts.made_by, "instructions": counts.instructions,
                                    "left_out": counts.left_out}, indent=1) + "\n")
    except OSError as error:
        raise BadUsage(f"--json: '{path}' cannot be written: {error.strerror}") from error


def _run(options: argparse.Namespace) -> int:
    pinned = pins.read(options.pins)
    program = options.build / "bench" / "assay-bench"
    counts = count(program, FILTERS)
    if not counts.instructions:
        raise NotCounted(f"not one of {len(counts.left_out)} paths can be taken here: "
                         f"{next(iter(counts.left_out.values()), 'assay-bench named none')}")
    judgement = judge(counts, pinned)
    if not judgement.held and not options.record:
        raise NotCounted("; ".join(["what was counted here has no bound: no path has both liburing and Ring",
                                    *judgement.notes[:1]]))
    # What is recorded is no bound yet.
    for _ in range(0 if options.record else MORE_COUNTS):
        if not judgement.again:
            break
        counts.take_least_of(count(program, judgement.again))
        judgement = judge(counts, pinned)
    if options.json:
        _write_json(options.json, counts)
    print(table.text(counts))
    for why in sorted(set(counts.left_out.values())):
        print(f"left out: {sum(1 for other in counts.left_out.values() if other == why)} paths, {why}")
    if options.record:
        lost = pins.record(options.pins, pinned, counts)
        judgement = judge(counts, pins.read(options.pins))
        judgement.notes += [f"{name} has no pin any more: {why}" for name, why in lost.items()]
    for line in judgement.notes:
        print(f"note: {line}")
    for line in judgement.too_many:
        print(f"TOO MANY: {line}")
    return TOO_MANY if judgement.too_many else ALL_WITHIN


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit status. Bad usage is told in one line."""
    try:
        return _run(parser().parse_args(arguments))
    except BadUsage as error:
        print(f"ci/instructions: {error}", file=sys.stderr)
        return BAD_USAGE
    except NotCounted as error:
        print(f"ci/instructions: not counted: {error}", file=sys.stderr)
        return TOO_MANY
