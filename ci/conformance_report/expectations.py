"""What tests are expected to say on one kernel other than pass: the files of ci/expected, a line a test."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from conformance_report.results import TestResult, TestVerdict, behaviour_of
from kernel_matrix.endings import BadUsage

# Everything below this line is written by `ci/matrix --record`, which replaces it; above it people write.
RECORDED = "# Recorded by ci/matrix --record, which replaces all that follows: what this kernel lacks."
_FORMS = "'skip TEST REASON', 'fail TEST REASON' or 'differs TEST sim=pass|skip|fail REASON'"
_TEST = re.compile(r"[^\s./]+\.[^\s/]+(/\S+)?")


@dataclass(frozen=True)
class Line:
    """One expectation."""

    test: str  # A test's name; with `/*` at the end a behaviour in all its variants.
    verdict: TestVerdict
    reason: str
    number: int

    def covers(self, test: str) -> bool:
        return test == self.test or (self.test.endswith("/*") and behaviour_of(test) == self.test[:-2])


@dataclass
class Expectations:
    """What one kernel's tests are expected to say. `real` holds the lines skip and fail, which hold for its simulation
    too; `differs` those on what the simulation says instead."""

    name: str = ""
    real: dict[str, Line] = field(default_factory=dict)
    differs: dict[str, Line] = field(default_factory=dict)

    @staticmethod
    def _find(lines: dict[str, Line], test: str) -> Line | None:
        return lines.get(test) or lines.get(behaviour_of(test) + "/*")

    def of_real(self, test: str) -> Line | None:
        return self._find(self.real, test)

    def of_simulated(self, test: str) -> Line | None:
        """The line that says how the simulation differs, if there is one."""
        return self._find(self.differs, test)


def _parse_line(text: str, number: int) -> tuple[str, Line]:
    """The line's first word, and what it says. ValueError says what is wrong with it."""
    words = text.split(None, 2)
    if words[0] not in ("skip", "fail", "differs"):
        raise ValueError(f"'{words[0]}' begins no line; a line is {_FORMS}")
    if len(words) < 2 or not _TEST.fullmatch(words[1]):
        raise ValueError(f"'{words[1] if len(words) > 1 else ''}' is no test's name, such as RingSetup.RefusesZeroEntries")
    rest = words[2] if len(words) > 2 else ""
    verdict = words[0]
    if verdict == "differs":
        said = re.match(r"sim=(pass|skip|fail)(?:\s+|$)", rest)
        if not said:
            raise ValueError(f"'differs {words[1]}' goes on with sim=pass, sim=skip or sim=fail, then a reason")
        verdict, rest = said[1], rest[said.end() :]
    if not rest:
        raise ValueError(f"'{words[0]} {words[1]}' has no reason")
    return words[0], Line(words[1], TestVerdict(verdict), rest.strip(), number)


def parse(text: str, name: str) -> Expectations:
    """Reads a file's text; `name` is the file's in messages. Raises BadUsage, one line, for what makes no sense."""
    expected = _parse_lines(text, name)
    for line in expected.differs.values():
        of_real = expected.of_real(line.test)
        if line.verdict == (of_real.verdict if of_real else TestVerdict.PASS):
            raise BadUsage(f"{name}:{line.number}: sim={line.verdict} of '{line.test}' is what the kernel itself is "
                           "expected to say")
    return expected


def _parse_lines(text: str, name: str) -> Expectations:
    expected = Expectations(name)
    for number, text_line in enumerate(text.splitlines(), 1):
        if not text_line.strip() or text_line.lstrip().startswith("#"):
            continue
        try:
            word, line = _parse_line(text_line, number)
            lines = expected.differs if word == "differs" else expected.real
            if line.test in lines:
                raise ValueError(f"'{line.test}' stands in line {lines[line.test].number} already")
            lines[line.test] = line
        except ValueError as error:
            raise BadUsage(f"{name}:{number}: {error}") from error
    return expected


def read(folder: Path, kernel: str) -> Expectations | None:
    """The file of a kernel, `linux-6.12` say; None if it has none."""
    path = folder / kernel
    if "/" in kernel or not path.is_file():
        return None
    # Named as in the tree, wherever that is: the name stands in reports that are shown around.
    return parse(path.read_text(encoding="utf-8", errors="replace"), "/".join(path.absolute().parts[-3:]))


def _skips(tests: dict[str, TestResult], by_hand: Expectations) -> list[tuple[str, str]]:
    """What was skipped and is not listed by hand, with the reasons. A behaviour all of whose variants were skipped for
    one reason is one line."""
    variants: dict[str, list[str]] = {}
    for test in tests:
        variants.setdefault(behaviour_of(test), []).append(test)
    lines = []
    for behaviour, members in variants.items():
        told = {(tests[test].verdict, tests[test].reason) for test in members}
        free = [test for test in members if tests[test].verdict == TestVerdict.SKIP and not by_hand.of_real(test)]
        if len(members) > 1 and len(told) == 1 and len(free) == len(members):
            lines.append((f"{behaviour}/*", tests[free[0]].reason))
        else:
            lines += [(test, tests[test].reason) for test in free]
    return lines


def recorded(text: str, tests: dict[str, TestResult], name: str, about: str) -> str:
    """A file's new text after a run on its kernel: what people wrote is kept, the recorded skips are those of the run.
    `about` begins a file that was not there."""
    above = text.partition(RECORDED)[0] if text else f"# {about}\n"
    # A difference may be one from a skip that stands below, and is recorded anew.
    by_hand = _parse_lines(above, name)
    lines = [f"skip {test} {' '.join(reason.split()) or 'it says no reason'}\n" for test, reason in _skips(tests, by_hand)]
    return f"{above.rstrip()}\n\n{RECORDED}\n{''.join(sorted(lines))}"
