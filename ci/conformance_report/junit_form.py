"""The table as JUnit XML, a suite for each kernel, for readers such as GitLab and Jenkins.

What they take for a failure is a finding. JUnit has no word for a failure that is expected, so such a test is given as
skipped with its reason, and the verdict stands beside as a property, from which `ci/report` reads it back.
"""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping

from conformance_report.judgement import Cell, Judgement
from conformance_report.results import TestVerdict, suite_of

# What XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def count(suite: ElementTree.Element) -> None:
    """Sets the attributes that sum a suite up."""
    for attribute, tags in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tags) is not None for case in suite.iter("testcase"))))
    suite.set("tests", str(len(list(suite.iter("testcase")))))


def set_properties(element: ElementTree.Element, values: Mapping[str, str]) -> None:
    """Adds properties, in front as JUnit has them."""
    properties = ElementTree.Element("properties")
    for name, value in values.items():
        ElementTree.SubElement(properties, "property", name=name, value=clean(value))
    element.insert(0, properties)


def _case(suite: ElementTree.Element, kernel: str, test: str, cell: Cell) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=f"{kernel}.{suite_of(test)}", name=test.partition(".")[2])
    if cell.verdict == TestVerdict.PASS and not cell.finding:
        return
    said = {"verdict": str(cell.verdict)} | ({"reason": cell.reason} if cell.reason else {})
    set_properties(case, said)
    if cell.finding:
        failure = ElementTree.SubElement(case, "failure", message=clean(f"{cell.finding}: {cell.reason.partition(chr(10))[0]}"),
                                         type=str(cell.finding))
        failure.text = clean(cell.reason)
    else:
        ElementTree.SubElement(case, "skipped", message=clean(cell.expected or cell.reason))


def kernel_suite(judgement: Judgement, kernel: str) -> ElementTree.Element:
    """All tests of a kernel, and as cases of their own the findings that are about no test that there is."""
    suite = ElementTree.Element("testsuite", name=kernel)
    set_properties(suite, {"kernel": kernel})
    for test in judgement.tests:
        if (kernel, test) in judgement.cells:
            _case(suite, kernel, test, judgement.cells[kernel, test])
    for finding in judgement.findings:
        if finding.kernel == kernel and (kernel, finding.test) not in judgement.cells:
            case = ElementTree.SubElement(suite, "testcase", classname=f"{kernel}.Expectations", name=finding.test)
            ElementTree.SubElement(case, "failure", message=clean(f"{finding.kind}: {finding.detail}"), type=str(finding.kind))
    count(suite)
    return suite


def as_bytes(suites: list[ElementTree.Element], name: str) -> bytes:
    """A whole file of these suites."""
    root = ElementTree.Element("testsuites", name=name)
    root.extend(suites)
    for attribute in ("tests", "failures", "errors", "skipped"):
        root.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in suites)))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def as_junit(judgement: Judgement, name: str) -> bytes:
    return as_bytes([kernel_suite(judgement, kernel) for kernel in judgement.kernels], name)
