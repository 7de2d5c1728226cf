import tempfile
import unittest
from pathlib import Path
from unittest.mock import patch

from instruction_counts.counting import Counts, count, read_counts, read_dumps
from instruction_counts.endings import BadUsage, NotCounted

_DUMPS = """\
# callgrind format
version: 1
part: 1

desc: Timerange: Basic block 0 - 10
desc: Trigger: Client Request: 1 once

positions: line
events: Ir
summary: 1100

fn=(1) run
16 1100
totals: 1100
part: 2

desc: Trigger: Client Request: 1 twice

summary: 2124
totals: 2124
part: 3

desc: Timerange: Basic block 20 - 30
desc: Trigger: Program termination

summary: 18446744073704212659
part: 4

summary: 7
"""
_LINES = """\
{"compiler":"g++ 12.2.0","liburing":"2.3","machine":"x86_64"}
{"left_out":"one CPU","name":"paths/nop/sqpoll/Ring/batch:1"}
{"name":"paths/nop/plain/Ring/batch:1","number":1,"operations":512}
"""


class ReadingTest(unittest.TestCase):
    def test_a_dump_is_known_by_the_name_that_the_program_gave_it(self):
        sums = read_dumps(_DUMPS)
        self.assertEqual((sums["1 once"], sums["1 twice"]), (1100, 2124))

    def test_a_count_is_the_difference_of_both_runs(self):
        counts = read_counts(_LINES, _DUMPS)
        self.assertEqual(counts.instructions, {"paths/nop/plain/Ring/batch:1": 2.0})
        self.assertEqual(counts.left_out, {"paths/nop/sqpoll/Ring/batch:1": "one CPU"})
        self.assertEqual(counts.made_by["liburing"], "2.3")

    def test_the_least_of_some_counts_is_taken(self):
        counts = Counts(instructions={"a": 3.0, "b": 1.0})
        counts.take_least_of(Counts(instructions={"a": 2.0, "b": 4.0}))
        self.assertEqual(counts.instructions, {"a": 2.0, "b": 1.0})


class RunningTest(unittest.TestCase):
    """Programs in the place of assay-bench and of valgrind."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        (self.folder / "assay-bench").touch()
        search = patch.dict("os.environ", {"PATH": f"{self.folder}:/usr/bin:/bin"})
        search.start()
        self.addCleanup(search.stop)

    def valgrind(self, script: str) -> None:
        program = self.folder / "valgrind"
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)

    def test_one_process_counts_all_and_leaves_nothing_behind(self):
        (self.folder / "dumps").write_text(_DUMPS)
        (self.folder / "lines").write_text(_LINES)
        self.valgrind(f'for word; do case $word in --callgrind-out-file=*) cp {self.folder}/dumps "${{word#*=}}";; esac; done\n'
                      f"echo \"$@\" > {self.folder}/arguments\ncat {self.folder}/lines")
        before = set(self.folder.iterdir())
        counts = count(self.folder / "assay-bench", ["paths/nop/*", "paths/read/*"])
        self.assertEqual(counts.instructions, {"paths/nop/plain/Ring/batch:1": 2.0})
        self.assertIn("--instructions --preset full --filter paths/nop/* --filter paths/read/*",
                      (self.folder / "arguments").read_text())
        self.assertEqual(set(self.folder.iterdir()) - before, {self.folder / "arguments"})

    def test_a_run_that_stops_is_told_with_the_last_bench_and_the_last_line(self):
        self.valgrind("""echo '{"name":"paths/nop/plain/Ring/batch:1","number":1,"operations":512}'
                         echo 'assay-bench: a NOP: Input/output error' >&2; exit 1""")
        with self.assertRaisesRegex(NotCounted, "^exit status 1 after paths/nop/plain/Ring/batch:1: assay-bench: a NOP: "
                                                "Input/output error$"):
            count(self.folder / "assay-bench", ["paths/*"])

    def test_a_program_that_was_not_built_is_told_by_how_to_build_it(self):
        with self.assertRaisesRegex(BadUsage, "bench/assay-bench is not there; build it first: cmake --build .*/nowhere"):
            count(self.folder / "nowhere" / "bench" / "assay-bench", [])
