import html.parser
import json
import re
import unittest
from unittest import mock

from bench_report import page, plots, terminal
from bench_report.advice import advise
from bench_report.constructed_runs import CUTS, cut, document, harness_lines, path_lines, peer_lines
from bench_report.endings import NotPossibleHere
from bench_report.measurements import parse

_VOID = {"meta", "br", "wbr", "link", "col"}


class _Nesting(html.parser.HTMLParser):
    """Whether elements close as they open, and which ids there are."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> closes nothing")


def rendered(lines, command: str = "", **how) -> str:
    return page.render(parse(json.dumps(document(lines, **how)), "x.json"), command)


class PageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.page = rendered(path_lines(["nop", "read"]) + peer_lines() + harness_lines(), notes="libuv was <not> built")

    def test_it_is_well_formed_and_no_id_is_there_twice(self):
        nesting = _Nesting()
        nesting.feed(self.page)
        self.assertEqual(nesting.open, [])
        self.assertEqual(len(nesting.ids), len(set(nesting.ids)))
        for target in re.findall(r'(?:href="|url\()#([^")]+)', self.page):
            self.assertIn(target, nesting.ids)

    def test_it_needs_nothing_else(self):
        addresses = re.sub(r'xmlns(:xlink)?="http://www.w3.org/[^"]*"', "", self.page)
        self.assertNotRegex(addresses, r"https?://|<script|<link|<img|@import")

    def test_every_chapter_has_its_plots(self):
        for words in ("nop: time an operation", "read: speed beside liburing", "nop: what registering is worth",
                      "System calls an operation", "timer_move: time an operation", "What Assay itself costs"):
            self.assertIn(f"<b>{words}</b>", self.page)
        self.assertEqual(self.page.count("<svg"), 3 * 2 + 1 + 3 + 1)

    def test_colours_are_the_pages(self):
        self.assertIn("var(--vermilion)", self.page)
        self.assertNotRegex(self.page, "#0[1-4]0[1-4]0[1-4]")

    def test_header_notes_and_advice(self):
        for words in ("<dd>6.18.5 x86_64</dd>", "2 CPUs at 2.4 GHz", "libuv was &lt;not&gt; built",
                      "deferred task work beats",
                      "assay bench quick --repetitions 9 --min-time-ms 40 --html bench.html"):
            self.assertIn(words, self.page)

    def test_columns_that_say_nothing_are_left_out(self):
        self.assertNotIn(">cycles<", self.page)
        self.assertNotIn(">repetitions<", self.page)
        counted = [("paths/nop/plain/liburing/batch:8", 50.0, {"cycles_per_op": 120.0, "instructions_per_op": 345.6}),
                   ("paths/nop/plain/Ring/batch:8", 50.0, {})]
        told = page.render(parse(json.dumps(cut(document(counted), lambda name, repetition: "/Ring/" not in name
                                                or repetition < 4)), "x.json"))
        heads, cells = (re.findall(rf"<{tag}[^>]*>([^<]*)</{tag}>", part) for tag, part in (
            ("th", re.search("<thead>.*</thead>", told, re.DOTALL)[0]), ("td", told.partition("<tbody>\n")[2])))
        self.assertEqual(heads, ["work, setup, size", "path", "ns/op", "spread", "repetitions", "cycles",
                                 "instructions", "speed beside the first"])
        self.assertEqual([cells[3:6], cells[10], cells[11:13]], [["", "120", "346"], "4 of 9", ["", ""]])
        self.assertIn("certainty of 87.5 % (4 repetitions)", told)

    def test_the_dashed_line_is_the_aim_of_the_work(self):
        for work, aim in (("nop", 0.90), ("nop_among_polls", 0.90), ("read", 0.95), ("timeout", 0.95)):
            lines = [(f"paths/{work}/plain/{path}/batch:8", 50.0, {}) for path in ("liburing", "Ring")]
            plot = plots.speeds(work, parse(json.dumps(document(lines)), "x.json").rows)
            dashed = [line.get_ydata()[0] for line in plot.figure.axes[0].get_lines() if line.is_dashed()]
            self.assertEqual(dashed, [aim])
            self.assertIn(f"dashed is the aim of {aim:.2f}.", plot.caption)

    def test_the_command_is_what_was_typed(self):
        self.assertIn("assay bench full --html x.html", rendered(harness_lines(), "assay bench full --html x.html"))

    def test_any_part_may_be_missing(self):
        bare = [("paths/nop/plain/liburing/batch:8", 5.0, {})]
        for lines, how in (([], {}), (bare, {"repetitions": 1}), (bare + [("peers/a/b/epoll/fds:1", 3.0, {})], {}),
                           ([("odd/work/how/one/n:3", 5.0, {})], {}), ([("peers/a/b/Backend/fds:1", 3.0, {})], {}),
                           ([("paths/nop/odd+new/own/polls:1000", 5.0, {}), *bare], {}),
                           (path_lines(["tcp"])[:2], {"repetitions": 2, "noise": 0.9})):
            with self.subTest(lines=lines):
                self.assertIn("</html>", rendered(lines, **how))
        self.assertIn("</html>", page.render(parse('{"benchmarks": []}', "x.json")))

    def test_a_run_may_end_anywhere(self):
        told = document([line for line in path_lines(["nop"]) + peer_lines() + harness_lines()[:4]
                         if line[0].endswith((":1", ":32")) and "/coop/" not in line[0]])
        for words, kept in CUTS.items():
            with self.subTest(words):
                run = parse(json.dumps(cut(told, kept)), "x.json")
                self.assertIn("</html>", page.render(run))
                self.assertIn("ns/op", terminal.text(run))
                self.assertTrue(advise(run))

    def test_missing_packages_are_named(self):
        for module, package in (("matplotlib", "python3-matplotlib"), ("jinja2", "python3-jinja2")):
            def find(name, missing=module):
                return None if name == missing else object()
            with mock.patch("importlib.util.find_spec", find), \
                    self.assertRaisesRegex(NotPossibleHere, package):
                page.check_available()


if __name__ == "__main__":
    unittest.main()
