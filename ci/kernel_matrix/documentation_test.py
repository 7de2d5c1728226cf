import re
import unittest
from pathlib import Path

from kernel_matrix.command_line import parser
from kernel_matrix.verdict import Outcome

_FOLDER = Path(__file__).parent
_PAGE = (_FOLDER.parents[1] / "docs" / "matrix.md").read_text()


class DocumentationTest(unittest.TestCase):
    def test_the_page_shows_the_example_that_is_tested(self):
        (shown,) = re.findall(r"^```c\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
        self.assertEqual(shown, (_FOLDER / "example" / "accept_twice.c").read_text())

    def test_the_page_names_no_option_that_is_not_there_and_every_outcome(self):
        known = set(re.findall(r"--[a-z-]+", parser().format_help()))
        self.assertLessEqual(set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", _PAGE)), known)
        for outcome in Outcome:
            self.assertRegex(_PAGE, rf"(?m)^\| {outcome.value} \| \d \|")


if __name__ == "__main__":
    unittest.main()
