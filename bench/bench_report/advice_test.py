import json
import unittest

from bench_report.advice import advise
from bench_report.constructed_runs import document, harness_lines, path_lines, peer_lines
from bench_report.measurements import parse


def advice(lines, **how) -> str:
    return "\n".join(advise(parse(json.dumps(document(lines, **how)), "x.json")))


def row(*times: float, paths=("liburing", "Ring", "Backend"), name="paths/nop/plain/{}/batch:8"):
    return [(name.format(path), ns, {}) for path, ns in zip(paths, times)]


class AdviceTest(unittest.TestCase):
    def test_modes(self):
        told = advice(path_lines())
        self.assertRegex(told, r"On this kernel \(6\.18\.5\), in batches of 8 and more: .*deferred task work beats "
                               r"SQPOLL by 1\.\d+\u00d7 in time in all 27 rows and takes 0\.\d+\u00d7 the CPU time")
        self.assertIn("One or two at a time: deferred task work beats", told)

    def test_a_mode_that_is_no_faster_is_not_said_to_be(self):
        lines = row(50, 50, 50) + row(50.5, 50.5, 50.5, name="paths/nop/deferred/{}/batch:8")
        self.assertIn("no difference could be seen between deferred task work and a plain ring", advice(lines))

    def test_a_machine_that_is_slower_for_a_while_hides_no_mode(self):
        lines = row(50, 50, 50) + row(40, 40, 40, name="paths/nop/deferred/{}/batch:8")
        self.assertIn("deferred task work beats a plain ring by 1.2", advice(lines, noise=2))

    def test_where_a_mode_is_better_and_where_worse(self):
        lines = (row(50, 50, 50) + row(40, 40, 40, name="paths/nop/deferred/{}/batch:8")
                 + row(50, 50, 50, name="paths/tcp/plain/{}/batch:8")
                 + row(60, 60, 60, name="paths/tcp/deferred/{}/batch:8"))
        self.assertIn("is faster than a plain ring in 1 of 2 rows (nop by 8) and slower in 1 (tcp by 8)", advice(lines))

    def test_deferred_task_work_may_be_there_only_with_the_rings_fd(self):
        lines = row(50, 50, 50) + row(40, 40, 40, name="paths/nop/deferred+ringfd/{}/batch:8")
        self.assertIn("deferred task work with the ring's fd registered beats a plain ring by 1.25", advice(lines))

    def test_what_registering_saves(self):
        told = advice(path_lines())
        self.assertRegex(told, r"Registering the ring's fd saves \d+ % at batch 1 and nothing in most rows "
                               r"\(\d+ faster of 27\)")
        self.assertRegex(told, r"Registering files saves \d+ % at batch 1 and \d+ % at batch 32\.")
        self.assertIn("Registering buffers (read and write) saves nothing that could be seen at any batch", told)

    def test_what_saves_nothing_anywhere_is_told_once(self):
        lines = [line for size in (1, 32) for setup in ("plain", "plain+file")
                 for line in row(50, 50, 50, name=f"paths/read/{setup}/{{}}/batch:{size}")]
        self.assertIn("Registering files (read) saves nothing that could be seen at any batch.", advice(lines))

    def test_batching(self):
        lines = [line for size, ns in ((1, 400), (8, 100), (32, 80), (128, 79.5))
                 for line in row(ns, ns, ns, name=f"paths/nop/plain/{{}}/batch:{size}")]
        self.assertIn("a NOP costs 5 times less in batches of 32 than alone; beyond 32 nothing is gained",
                      advice(lines))
        flat = [line for size in (1, 8) for line in row(9, 9, 9, name=f"paths/nop/plain/{{}}/batch:{size}")]
        self.assertIn("a NOP costs no less in batches of 8 than alone", advice(flat))

    def test_wrappers_beside_liburing(self):
        told = advice(row(100, 101, 125) + row(100, 101, 101, name="paths/nop/plain/{}/batch:32"))
        self.assertIn("Ring aims at 0.90 of raw liburing's speed: of 2 rows, 2 surely reach that, none surely falls "
                      "short, and none is too noisy to tell.", told)
        self.assertRegex(told, r"Backend aims at .*: of 2 rows, 1 surely reaches that, 1 surely falls short "
                               r"\(the slowest: 0\.80 \(0\.\d+\u20130\.\d+\) in nop, plain, batch 8\), and none is")

    def test_the_aim_is_the_works_own(self):
        both = row(100, 100, 108) + row(100, 100, 108, name="paths/read/plain/{}/batch:8")
        self.assertRegex(advice(both), r"Backend aims at 0\.90 \(NOPs\) and 0\.95 \(all else\) of .*, 1 surely reaches "
                                       r"that, 1 surely falls short \(the slowest: 0\.93 .* in read, plain, batch 8\)")

    def test_noise_is_no_praise(self):
        # A third of its speed in every other turn: its interval holds the aim. The other row is slower for sure,
        # though its median is higher.
        told = document(row(100, 100, paths=("liburing", "Ring"), name="paths/read/plain/{}/batch:8")
                        + row(100, 125, paths=("liburing", "Ring"), name="paths/read/plain/{}/batch:32"))
        for entry in told["benchmarks"]:
            if entry["name"].endswith("/Ring/batch:8") and entry["repetition_index"] % 2 == 0:
                entry["ns_per_op"] *= 3
        self.assertRegex("\n".join(advise(parse(json.dumps(told), "x.json"))),
                         r"Ring aims at 0\.95 of raw liburing's speed: of 2 rows, none surely reaches that, 1 surely "
                         r"falls short \(the slowest: 0\.80 .* in read, plain, batch 32\), and 1 is too noisy to tell\.")

    def test_the_worst_row_is_named_by_its_own_size(self):
        told = advice(row(100, 100, 200, name="paths/nop_among_polls/plain/{}/polls:1000"))
        self.assertRegex(told, r"\(the slowest: 0\.50 .* in nop_among_polls, plain, polls 1000\)")

    def test_sizes_that_are_no_batches_are_not_told_as_such(self):
        among = "paths/nop_among_polls/{}/{{}}/in_flight:1000"
        told = advice(row(100, 100, 100, name=among.format("plain"))
                      + row(50, 50, 50, name=among.format("deferred+ringfd"))
                      + row(70, 70, 70, name=among.format("deferred")))
        self.assertIn("aims at 0.90", told)
        self.assertNotIn("batch", told)

    def test_peers(self):
        told = advice(peer_lines())
        self.assertIn("The Backend is ahead of all peers in 9 of 11 rows and level with the best in none. "
                      "It is behind in 2: ", told)
        self.assertIn("events, self_ping, fds 1: 0.88 of epoll, \u201cBackend, drained\u201d 1.10", told)

    def test_noise_supports_no_peer(self):
        lines = row(100, 99, paths=("epoll", "Backend"), name="peers/echo/tcp/{}/connections:8")
        self.assertIn("ahead of all peers in none of 1 row and level with the best in 1.", advice(lines, noise=0.2))

    def test_harness(self):
        told = advice(harness_lines())
        self.assertIn("FaultKernel (fault_kernel) takes 1.58\u00d7 the time of LinuxKernel", told)
        self.assertIn("no difference could be seen for Ring beside liburing (ring_over_liburing)", told)

    def test_costs_beside_different_baselines_are_not_mixed(self):
        lines = [("harness/fiu/a/plain/n:1", 10.0, {}), ("harness/fiu/a/off/n:1", 20.0, {}),
                 ("harness/fiu/b/always/n:1", 50.0, {}), ("harness/fiu/b/off/n:1", 20.0, {})]
        told = advice(lines)
        self.assertIn("off (fiu) takes 2\u00d7 the time of plain", told.replace("2.0\u00d7", "2\u00d7"))
        self.assertIn("off (fiu) takes 0.40\u00d7 the time of always", told)

    def test_few_repetitions_advise_nothing(self):
        for repetitions in (1, 2, 4):
            told = advice(path_lines(["nop"]), repetitions=repetitions)
            self.assertEqual(len(told.splitlines()), 1)
            self.assertIn("it takes 5 or more", told)

    def test_five_do(self):
        self.assertIn("deferred task work beats", advice(path_lines(["nop"]), repetitions=5))

    def test_there_is_always_a_sentence(self):
        self.assertIn("Nothing was measured that shows", advice([("odd/work/how/one/n:3", 5.0, {})]))


if __name__ == "__main__":
    unittest.main()
