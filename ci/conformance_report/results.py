"""What tests said on kernels, read from JUnit XML: columns are kernels, rows are tests that all of them share."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from kernel_matrix.endings import BadUsage

# Assay's own backend, whose name in a test's name tells nobody anything. Those of other loops are kept.
_OWN_SUBJECT = "assay"


class TestVerdict(StrEnum):
    """In the words of ci/expected."""

    PASS = "pass"
    SKIP = "skip"
    FAIL = "fail"


@dataclass(frozen=True)
class TestResult:
    """What one test said on one kernel, and why it was skipped or failed."""

    verdict: TestVerdict
    reason: str = ""

    @property
    def is_beyond_injection(self) -> bool:
        """Skipped because the test's plan of faults asks for more than a running kernel can truthfully be made to do."""
        return self.verdict == TestVerdict.SKIP and self.reason.startswith("fault plan: linux cannot carry ")


# By kernel, then by test, both in the order in which they were told.
Results = dict[str, dict[str, TestResult]]

_WORST_FIRST = (TestVerdict.FAIL, TestVerdict.PASS, TestVerdict.SKIP)


def name_part(kernel: str) -> str:
    """How a kernel's name is spelled in the names of tests: as conformance/behaviour.cc has it (test_name_part)."""
    return re.sub(r"[^A-Za-z0-9._]", "_", kernel)


def test_id(suite: str, name: str, kernel: str, variant: str | None = None) -> str:
    """The name that a test has on all kernels: SUITE.BEHAVIOUR, and after a slash its variant, a plan say.

    XML that Assay wrote tells the variant, words such as "assay enter/eintr:every=2". In other XML it is what is left of
    the name without the kernel: "Cuts/my_loop_linux_eintr" on linux is Cuts/my_loop_eintr.
    """
    behaviour, slash, case = name.partition("/")
    if variant is not None:
        words = ",".join(word for word in variant.split() if word != _OWN_SUBJECT)
        return f"{suite}.{behaviour}/{words}" if words else f"{suite}.{behaviour}"
    found = re.search(rf"(?:^|(?<=_)){re.escape(name_part(kernel))}(?=_|$)", case) if slash and kernel else None
    if not found:
        return f"{suite}.{name}"
    subject, plan = case[: found.start()].strip("_"), case[found.end() :].strip("_")
    variant = "_".join(part for part in (subject, plan) if part and part != _OWN_SUBJECT)
    return f"{suite}.{behaviour}/{variant}" if variant else f"{suite}.{behaviour}"


def behaviour_of(test: str) -> str:
    """A test's name without its variant."""
    return test.partition("/")[0]


def suite_of(test: str) -> str:
    return test.partition(".")[0]


def _properties(element: ElementTree.Element) -> dict[str, str]:
    return {each.get("name", ""): each.get("value", "") for each in element.findall("properties/property")}


def _result(case: ElementTree.Element, properties: dict[str, str]) -> TestResult:
    bad = [each for tag in ("failure", "error") for each in case.findall(tag)]
    skipped = case.find("skipped")
    # What ci/matrix merges says the verdict beside, since JUnit has no word for a failure that is expected.
    if properties.get("verdict") in list(TestVerdict):
        return TestResult(TestVerdict(properties["verdict"]), properties.get("reason", ""))
    if bad:
        told = (each.text or each.get("message") or "" for each in bad)
        return TestResult(TestVerdict.FAIL, "\n".join(text.strip() for text in told).strip() or "it says no reason")
    if skipped is not None or case.get("status") == "notrun":
        reason = (skipped.get("message") or skipped.text or "") if skipped is not None else ""
        return TestResult(TestVerdict.SKIP, reason.strip())
    return TestResult(TestVerdict.PASS)


def add_junit(results: Results, content: bytes, column: str) -> int:
    """Adds the tests of JUnit XML and returns how many it has. `column` is the kernel of those that name none, and of those that ran on the kernel
    that they know as `linux` only. Of a test that was run twice on a kernel the worst is kept. ValueError if it is no
    XML."""
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error
    count = 0
    for suite in root.iter("testsuite"):
        of_suite = _properties(suite)
        for case in suite.findall("testcase"):
            count += 1
            properties = _properties(case)
            kernel = properties.get("kernel") or of_suite.get("kernel") or ""
            classname = case.get("classname") or suite.get("name") or ""
            kernel_column = kernel if kernel not in ("", "linux") else column
            if classname == kernel_column:
                classname = "Guest"
            test = test_id(classname.removeprefix(f"{kernel_column}."), case.get("name", ""), kernel or column,
                           properties.get("variant"))
            tests = results.setdefault(kernel_column, {})
            result = _result(case, properties)
            if test not in tests or _WORST_FIRST.index(result.verdict) < _WORST_FIRST.index(tests[test].verdict):
                tests[test] = result
    return count


def read_junit(results: Results, path: Path, column: str) -> None:
    """Adds the tests of a file. BadUsage if it cannot be read, or has no tests."""
    try:
        count = add_junit(results, path.read_bytes(), column)
    except OSError as error:
        raise BadUsage(f"'{path}' cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadUsage(f"'{path}' is not JUnit XML: {error}") from error
    if count == 0:
        raise BadUsage(f"'{path}' tells of no test")


_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def simulation_of(kernel: str) -> str:
    """The column that a real kernel is compared with."""
    return "sim:linux-running" if kernel == "linux" else f"sim:{kernel}"


def column_order(kernel: str) -> tuple:
    """Kernels by version, each real one before its simulation; those without a version last."""
    bare = kernel.removeprefix("sim:")
    version = _VERSION.search(bare)
    numbers = tuple(int(number or 0) for number in version.groups()) if version else (1 << 30,)
    return numbers, bare, kernel.startswith("sim:")
