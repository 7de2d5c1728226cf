import json
import unittest

from bench_report.constructed_runs import document, path_lines
from bench_report.endings import BadUsage
from bench_report.measurements import RowKey, parse


def parsed(*entries: dict):
    return parse(json.dumps({"benchmarks": list(entries)}), "x.json")


class MeasurementsTest(unittest.TestCase):
    def test_interleaved_entries_become_rows(self):
        run = parse(json.dumps(document(path_lines(["nop"]), repetitions=3)), "x.json")
        row = run.rows[0]
        self.assertEqual(row.key, RowKey("paths", "nop", "plain", "batch", 1))
        self.assertEqual([bench.path for bench in row.benches], ["liburing", "Ring", "Backend"])
        self.assertEqual([list(bench.samples) for bench in row.benches], [[0, 1, 2]] * 3)
        self.assertEqual((run.repetitions, row.baseline.path, row.baseline.calls), (3, "liburing", 1))
        self.assertEqual(run.chapters, ["paths"])

    def test_rows_are_told_in_the_order_of_the_list_and_not_as_they_ran(self):
        run = parse(json.dumps(document(path_lines(["nop"]), repetitions=1)), "x.json")
        self.assertEqual([(row.key.setup, row.key.size) for row in run.rows[:6]],
                         [("plain", 1), ("plain", 2), ("plain", 8), ("plain", 32), ("plain", 128), ("coop", 1)])

    def test_a_path_may_hold_anything_but_a_slash(self):
        run = parsed({"name": "peers/file_reads/tmp file/asio, io_uring (own + 1)/depth:128", "ns_per_op": 5})
        self.assertEqual((run.rows[0].baseline.path, run.rows[0].key.size), ("asio, io_uring (own + 1)", 128))

    def test_what_is_missing_is_left_out(self):
        run = parsed({"name": "a/b/c/d/n:1", "ns_per_op": 5}, 
                     {"name": "a/b/c/d/n:1", "ns_per_op": 7, "repetition_index": 0},
                     {"name": "a/b/c/e/n:1", "real_time": 2, "time_unit": "us"},
                     {"name": "a/b/c/f/n:1", "items_per_second": 1e6},
                     {"name": "a/b/c/g/n:1", "ns_per_op": float("nan")})
        told = {bench.path: bench for bench in run.rows[0].benches}
        self.assertEqual({path: bench.ns for path, bench in told.items()}, {"d": 6, "e": 2000, "f": 1000})
        one = told["d"]
        self.assertEqual((one.cpu_ns, one.calls, one.cqes_per_enter, one.instructions, one.cycles), (None,) * 5)
        self.assertEqual(run.notes, [])

    def test_counts_of_the_processor_are_medians_of_those_that_counted(self):
        same = {"name": "a/b/c/d/n:1", "ns_per_op": 5}
        bench = parsed(same, *({**same, "cycles_per_op": cycles, "instructions_per_op": 2 * cycles}
                               for cycles in (1, 2, 9))).rows[0].baseline
        self.assertEqual((bench.cycles, bench.instructions), (2, 4))

    def test_aggregates_and_failures_are_no_measurements(self):
        good = {"name": "a/b/c/d/n:1", "ns_per_op": 5}
        run = parsed(good, {**good, "run_type": "aggregate"}, {**good, "error_occurred": True}, {"name": "BM_Other"})
        self.assertEqual(run.rows[0].baseline.times, [5])

    def test_an_interrupted_run_may_be_empty(self):
        self.assertEqual(parsed().rows, [])

    def test_other_files_are_told_in_one_line(self):
        for text, words in (("{", "is not JSON"), ("[1]", "has no list"), ('{"benchmarks": 1}', "has no list"),
                            (b"\xff\xfe\x00", "JSON"),
                            ('{"benchmarks": [{"name": "BM_x", "real_time": 1}]}', "no bench of Assay's")):
            with self.subTest(text=text), self.assertRaises(BadUsage) as caught:
                parse(text, "x.json")
            self.assertIn(words, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
