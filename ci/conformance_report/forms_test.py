import json
import re
import unittest
import unittest.mock
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

from conformance_report import junit_form, terminal
from conformance_report.expectations import parse
from conformance_report.json_form import as_json
from conformance_report.judgement import Judgement, Kind, judge
from conformance_report.page import check_available, render
from conformance_report.results import Results, TestResult, TestVerdict, add_junit
from conformance_report.rows import counts_of, rows_of
from kernel_matrix.endings import HarnessTrouble

_P = TestResult(TestVerdict.PASS)
_S = TestResult(TestVerdict.SKIP, "needs <b>NODROP</b>")
_F = TestResult(TestVerdict.FAIL, "a.cc:1: expected\x00 0\nwas 1")
_RESULTS: Results = {
    "linux-6.1": {"Ring.A": _P, "Ring.B": _S, "Ring.C": _P, "Back.D": _P, "Back.D/take": _P, "Back.D/eintr": _F},
    "sim:linux-6.1": {"Ring.A": _P, "Ring.B": _S, "Ring.C": _S, "Back.D": _P, "Back.D/take": _P, "Back.D/eintr": _P,
                      "Back.D/cqe": _P},
    "linux-7.0": {"Ring.A": _P, "Ring.B": _P, "Ring.C": _P, "Back.D": _P, "Back.D/take": _P},
    "sim:linux-5.4": {"Ring.A": _F}}
_EXPECTED = {"linux-6.1": parse("skip Ring.B lacks it\ndiffers Ring.C sim=skip not modelled\nskip Ring.Z gone", "f")}


def _judged() -> Judgement:
    return judge(_RESULTS, _EXPECTED)


class _Page(HTMLParser):
    """Rows of the table as (name, cells), and every address that the page names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows, self.addresses, self._in_name = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append(["", []])
        elif tag == "th" and attributes.get("scope") == "row":
            self._in_name = True
        elif tag == "td" and self.rows:
            self.rows[-1][1].append(set((attributes.get("class") or "").split()))

    def handle_endtag(self, tag):
        if tag == "th":
            self._in_name = False

    def handle_data(self, data):
        if self._in_name:
            self.rows[-1][0] += data


class FormsTest(unittest.TestCase):
    def test_variants_that_agree_share_a_row_and_others_do_not(self):
        rows = {row.name: row for row in rows_of(_judged())}
        self.assertEqual(rows["D"].tests, ["Back.D", "Back.D/take", "Back.D/cqe"])
        self.assertTrue(rows["D/eintr"].differs)
        self.assertEqual([row.suite for row in rows_of(_judged())], ["Ring", "Ring", "Ring", "Back", "Back"])

    def test_counts_disagreements_listed_and_not(self):
        counts = counts_of(_judged())
        for kernel in ("linux-6.1", "sim:linux-6.1"):
            self.assertEqual((counts[kernel, ""].differ, counts[kernel, ""].differ_unlisted), (2, 1), kernel)
            self.assertEqual((counts[kernel, "Ring"].differ, counts[kernel, "Ring"].differ_unlisted), (1, 0), kernel)

    def test_the_terminal_tells_counts_and_then_what_was_not_expected(self):
        told = terminal.text(_judged())
        self.assertRegex(told, r"(?m)^suite +sim:linux-5\.4 +6\.1 +7\.0$")
        self.assertRegex(told, r"(?m)^Ring +0 !1 +2 -1 \u22601 +3$")
        self.assertRegex(told, r"(?m)^Back +2 !1 \u22601 +2$")
        self.assertRegex(told, r"real and simulated differ: 1\n  Back\.D \(eintr\)\n      linux-6\.1: the kernel fails "
                               r"\(a\.cc:1: .*\), the simulation passes\n")
        self.assertIn("unknown test: 1\n  Ring.Z\n", told)
        self.assertNotIn("Ring.C", told)
        self.assertRegex(told, r"2 real kernels, 2 simulated, 7 tests: 2 disagreements, 4 findings$")

    def test_faults_of_simulations_alone_are_counted_where_there_are_any(self):
        refused = TestResult(TestVerdict.SKIP, "fault plan: linux cannot carry 'cqe/full'")
        judged = judge({"linux-6.1": {"Ring.A": refused}, "sim:linux-6.1": {"Ring.A": _P}}, {})
        self.assertRegex(terminal.text(judged), r"1 test: 0 disagreements, 0 findings; 1 fault on simulations alone$")
        self.assertNotIn("alone", terminal.conclusion(_judged()))

    def test_json_has_every_row_and_cell(self):
        told = json.loads(json.dumps(as_json(_judged())))
        self.assertEqual(told["kernels"], ["sim:linux-5.4", "linux-6.1", "sim:linux-6.1", "linux-7.0"])
        cells = {each["test"]: each["kernels"] for each in told["tests"]}
        self.assertEqual({kernel: {test: cell[kernel]["verdict"] for test, cell in cells.items() if kernel in cell}
                          for kernel in told["kernels"]},
                         {kernel: {test: str(result.verdict) for test, result in tests.items()}
                          for kernel, tests in _RESULTS.items()})
        self.assertEqual(cells["Ring.C"]["sim:linux-6.1"], {
            "verdict": "skip", "reason": "needs <b>NODROP</b>", "expected": "not modelled", "differs": True})
        self.assertEqual({finding["kind"] for finding in told["findings"]},
                         {"unexpected failure", "real and simulated differ", "unknown test"})

    def test_junit_fails_by_findings_and_is_read_back_as_it_was(self):
        xml = junit_form.as_junit(_judged(), "title")
        root = ElementTree.fromstring(xml)
        suites = {suite.get("name"): suite for suite in root}
        self.assertEqual(list(suites), ["sim:linux-5.4", "linux-6.1", "sim:linux-6.1", "linux-7.0"])
        self.assertEqual((suites["linux-6.1"].get("failures"), suites["linux-6.1"].get("skipped")), ("2", "1"))
        self.assertEqual(suites["sim:linux-6.1"].get("failures"), "1")
        self.assertEqual(root.get("failures"), "4")
        again: Results = {}
        add_junit(again, xml, "none")
        again["linux-6.1"].pop("Expectations.Ring.Z")
        clean = {test: TestResult(result.verdict, result.reason.replace("\x00", "\ufffd"))
                 for test, result in _RESULTS["linux-6.1"].items()}
        self.assertEqual(again["linux-6.1"], clean)
        self.assertEqual(again["sim:linux-6.1"], _RESULTS["sim:linux-6.1"])

    def test_the_page_puts_disagreements_first_and_needs_nothing_else(self):
        text = render(_judged(), "A <title>", ["a note"])
        page = _Page(text)
        self.assertEqual(page.addresses, [])
        self.assertNotIn("://", text)
        self.assertIn("A &lt;title&gt;", text)
        self.assertNotIn("needs <b>", text)
        rows = [(name, cells) for name, cells in page.rows if name]
        self.assertTrue(rows[0][0].startswith("\u2260Back.D/eintr"), rows[0][0])
        self.assertTrue(rows[1][0].startswith("\u2260Ring.C"), rows[1][0])
        # Not listed is drawn otherwise than listed, on both halves of the pair.
        self.assertTrue({"d"} <= rows[0][1][1] & rows[0][1][2] and not {"l"} & rows[0][1][1])
        self.assertTrue({"l"} <= rows[1][1][1] & rows[1][1][2] and not {"d"} & rows[1][1][1])
        self.assertTrue(all(len(cells) == 4 for _, cells in rows))

    def test_a_missing_jinja2_is_told_with_its_package(self):
        with unittest.mock.patch("importlib.util.find_spec", return_value=None):
            with self.assertRaisesRegex(HarnessTrouble, "Debian's package is python3-jinja2"):
                check_available()
        check_available()

    def test_reasons_can_be_had_without_a_mouse(self):
        details = re.findall(r"<details>.*?</details>", render(_judged(), "t"), re.DOTALL)
        self.assertTrue(any("<b>skipped, as listed</b> on linux-6.1, sim:linux-6.1" in each
                            and "needs &lt;b&gt;NODROP&lt;/b&gt;\nListed: lacks it" in each for each in details), details)
        self.assertTrue(any("Alike: no plan, take, cqe" in each for each in details), details)

    def test_findings_of_no_cell_stand_on_the_page(self):
        self.assertRegex(render(_judged(), "t"), rf"<b>{Kind.UNKNOWN_TEST}</b>, linux-6\.1, Ring\.Z")

    def test_a_table_without_disagreements_says_so(self):
        agree = {kernel: {"Ring.A": _P} for kernel in ("linux-6.1", "sim:linux-6.1")}
        self.assertIn("Every real kernel and its simulation say the same.", render(judge(agree, {}), "t"))
        self.assertNotIn("disagree</", render(judge({"linux-6.1": {"Ring.A": _P}}, {}), "t"))


if __name__ == "__main__":
    unittest.main()
