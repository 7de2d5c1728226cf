import json
import unittest

from bench_report import terminal
from bench_report.constructed_runs import cut, document, harness_lines, path_lines, peer_lines
from bench_report.measurements import Run, parse


def run_of(told: dict) -> Run:
    return parse(json.dumps(told), "x.json")


def text(lines, **how) -> str:
    return terminal.text(run_of(document(lines, **how)))


def text_of_cut(lines, part: str, repetitions: int) -> str:
    """Of a run in which all benches with that part in their name have no more than so many repetitions."""
    return terminal.text(run_of(cut(document(lines), lambda name, repetition: part not in name
                                    or repetition < repetitions)))


class TerminalTest(unittest.TestCase):
    def test_a_row_tells_all_of_its_paths(self):
        told = text(path_lines(["nop"]), noise=0)
        self.assertRegex(told, r"(?m)^  setup, batch +path +ns/op +spread +CPU ns +calls/op +CQEs/enter +"
                               r"speed beside the first$")
        self.assertRegex(told, r"(?m)^  plain, 8 +liburing +77\.5 +\u00b10\.0 % +0\.12 +8\.00$")
        self.assertRegex(told, r"(?m)^ +Backend +83\.7 .* 0\.93 \(0\.93\u20130\.93\)$")

    def test_cpu_time_is_told_where_it_differs(self):
        self.assertRegex(text(path_lines(["nop"]), noise=0), r"(?m)^  sqpoll, 1 +liburing +552 +\u00b10\.0 % +1,049 ")

    def test_columns_without_a_figure_are_left_out(self):
        told = text([("harness/fiu_point/disabled/fiu_fail/batch:32", 3.1, {})])
        self.assertNotIn("calls/op", told)
        self.assertNotIn("speed beside", told)

    def test_notes_and_what_the_interval_is_worth(self):
        told = text(peer_lines() + harness_lines(), repetitions=5, notes="first note\nsecond note")
        self.assertIn("note: first note\nnote: second note\n", told)
        self.assertIn("with a certainty of 93.75 % (5 repetitions): 95 % takes 6", told)
        self.assertIn("certainty of 96.09 % (9 repetitions)", text(harness_lines()))

    def test_rows_that_were_cut_short_are_marked_and_the_least_certainty_is_told(self):
        said = text_of_cut(path_lines(["nop"]), "/plain/", 3)
        self.assertIn("certainty of at least 75 % (3 to 9 repetitions): 95 % takes 6", said)
        self.assertRegex(said, r"(?m)^  plain, 8 +liburing +\d+\.\d +\u00b1\d\.\d % +3 of 9 ")
        self.assertRegex(said, r"(?m)^  coop, 8 +liburing +\d+\.\d +\u00b1\d\.\d % +0\.12 ")
        self.assertNotIn("repetitions ", terminal.table(run_of(document(path_lines(["nop"])))))

    def test_the_least_certainty_is_not_always_that_of_the_fewest_repetitions(self):
        # Eight leave out none and reach 99 %, nine leave out one at each end.
        self.assertIn("at least 96.09 % (8 to 9 repetitions).", text_of_cut(path_lines(["nop"]), "/plain/", 8))

    def test_one_repetition_among_many_has_no_interval(self):
        said = text_of_cut(path_lines(["nop"]), "/plain/", 1)
        self.assertRegex(said, r"(?m)Ring .* 1 of 9 .* 1\.0\d$")
        self.assertIn("certainty of 96.09 % (9 repetitions)", said)

    def test_a_certainty_is_told_only_of_intervals_that_are_there(self):
        self.assertNotIn("ntervals", text([("harness/fiu_point/disabled/fiu_fail/batch:32", 3.1, {})]))

    def test_counts_of_the_processor_are_told_where_there_are_any(self):
        counted = {"cycles_per_op": 120.0, "instructions_per_op": 345.6}
        told = text([("paths/nop/plain/liburing/batch:8", 50.0, counted), ("paths/nop/plain/Ring/batch:8", 50.0, {})])
        self.assertRegex(told, r"cycles +instructions")
        self.assertRegex(told, r"(?m)^  plain, 8 +liburing +50\.\d .* 120 +346$")
        self.assertNotIn("cycles", text(path_lines(["nop"])))

    def test_a_single_repetition_has_neither_spread_nor_interval(self):
        told = text(path_lines(["nop"]), repetitions=1)
        self.assertNotIn("spread", told)
        self.assertIn("A single repetition has no interval.", told)

    def test_nothing_is_told_as_such(self):
        self.assertEqual(text([], notes="interrupted"), "note: interrupted\nnothing was measured")

    def test_figures_have_three_digits(self):
        self.assertEqual([terminal.figure(value) for value in (3.14159, 31.4159, 314.159, 31415.9, 99.96)],
                         ["3.14", "31.4", "314", "31,416", "100"])


if __name__ == "__main__":
    unittest.main()
