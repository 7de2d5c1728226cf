import re
import unittest
from pathlib import Path

from conformance_report.command_line import parser as report_parser
from conformance_report.expectations import parse
from conformance_report.judgement import Kind
from kernel_matrix.command_line import parser
from kernel_matrix.verdict import Outcome

_FOLDER = Path(__file__).parent
_PAGE = (_FOLDER.parents[1] / "docs" / "matrix.md").read_text()


class DocumentationTest(unittest.TestCase):
    def test_the_page_shows_the_example_that_is_tested(self):
        (shown,) = re.findall(r"^```c\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
        self.assertEqual(shown, (_FOLDER / "example" / "accept_twice.c").read_text())

    def test_the_page_names_no_option_that_is_not_there_and_every_outcome(self):
        known = set(re.findall(r"--[a-z-]+", parser().format_help() + report_parser().format_help()))
        told = re.sub(r"(?m)^\$ cmake .*$", "", _PAGE)
        self.assertLessEqual(set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", told)), known)
        for outcome in Outcome:
            self.assertRegex(_PAGE, rf"(?m)^\| {outcome.value} \| \d \|")

    def test_the_page_names_every_finding_and_its_lines_of_expectations_can_be_read(self):
        rows = re.findall(r"(?m)^\| ([a-z ]+) \| [^|]+ \|$", _PAGE.partition("| finding |")[2].partition("\n\n")[0])
        self.assertEqual(rows, list(Kind))
        (shown,) = re.findall(r"^```\n(# Comments.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
        expected = parse(shown, "docs/matrix.md")
        self.assertEqual((len(expected.real), len(expected.differs)), (3, 1))

    def test_the_expectations_of_this_tree_can_be_read(self):
        for path in (_FOLDER.parent / "expected").iterdir():
            self.assertRegex(path.name, r"^linux-\d+\.\d+$")
            parse(path.read_text(), path.name)


if __name__ == "__main__":
    unittest.main()
