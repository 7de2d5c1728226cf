import json
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

from kernel_matrix.endings import BadUsage, HarnessTrouble
from kernel_matrix.frames import Transcript
from kernel_matrix.guest import GuestRun
from kernel_matrix.guest_image import JUNIT_PATH
from kernel_matrix.kernel_log import START_MARK
from kernel_matrix.own_suites import PROFILE_PATH, Simulations, check_assay, judge_own
from kernel_matrix.verdict import Counts, Outcome

_XML = b'<testsuites><testsuite name="S"><testcase name="a"/><testcase name="b"><failure/></testcase></testsuite></testsuites>'
_ENDING = {"exit": 1, "signal": 0, "timed_out": 0, "unkillable": 0, "run_ns": 10**9}
_TOLD = Transcript(booted=True, ended=True, ending=_ENDING, complete=True, files={JUNIT_PATH: _XML, PROFILE_PATH: b"{}"})
_RUN = GuestRun(_TOLD, f"[ 4.0] {START_MARK}\n", qemu_status=0, qemu_complaint="", seconds=6)

# Stands for `assay`: knows one profile, and does what its first kernel says.
_ASSAY = """#!/usr/bin/python3
import os, signal, sys
words = sys.argv[1:]
if words == ["profiles"]:
    print("PROFILE  ORIGIN\\nlinux-6.1  recorded\\nlinux-5.4  documented")
elif words[:2] == ["profiles", "show"]:
    print('{"name": "%s", "semantics": {}}' % words[2])
else:
    print("says", *words)
    sys.stdout.flush()
    kernel = words[words.index("--kernel") + 1]
    if kernel == "sim:crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kernel == "sim:hang":
        signal.pause()
    if kernel != "sim:silent":
        open(words[words.index("--junit") + 1], "w").write("<testsuites/>")
    sys.exit({"sim:fails": 1, "sim:bad": 2}.get(kernel, 0))
"""


class OwnSuitesTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.assay = self.folder / "assay-static"
        self.assay.write_text(_ASSAY)
        self.assay.chmod(0o755)

    def test_failed_tests_are_no_failure_of_the_guest(self):
        verdict = judge_own("6.1", "6.1.0", _RUN)
        self.assertEqual((verdict.outcome, verdict.reason, verdict.counts), (Outcome.PASSED, "", Counts(1, 1, 0)))

    def test_everything_else_is(self):
        for change, reason in (({"ending": _ENDING | {"exit": 2}}, "exit status 2"),
                               ({"ending": _ENDING | {"exit": -1, "signal": 11}}, "killed by SIGSEGV"),
                               ({"files": {PROFILE_PATH: b"{}"}}, "exit status 1"),
                               ({"missing_files": {PROFILE_PATH: "gone"}}, "exit status 1"),
                               ({"files": {JUNIT_PATH: b"<testsuites/>"}, "ending": _ENDING | {"exit": 0}},
                                "it exited with 0 and told of no test")):
            with self.subTest(change=change):
                run = replace(_RUN, transcript=replace(_TOLD, **change))
                verdict = judge_own("6.1", "6.1.0", run)
                self.assertEqual((verdict.outcome, verdict.reason), (Outcome.FAILED, reason))
        warned = replace(_RUN, console=_RUN.console + "[ 5.0] WARNING: CPU: 0 PID: 9 at io_uring/x.c:1 f+0x1/0x2\n")
        self.assertEqual(judge_own("6.1", "6.1.0", warned).outcome, Outcome.KERNEL)
        late = replace(_RUN, transcript=replace(_TOLD, ending=_ENDING | {"timed_out": 1}))
        self.assertEqual(judge_own("6.1", "6.1.0", late).outcome, Outcome.TIMED_OUT)

    def test_a_missing_assay_is_told_with_the_command_that_builds_it(self):
        with self.assertRaisesRegex(BadUsage, "^/no/such is missing; `cmake --preset release && .* --target assay-static`"):
            check_assay(Path("/no/such"))

    def test_an_assay_older_than_the_recorded_profiles_is_trouble(self):
        simulations = Simulations(self.assay)
        profiles = self.folder / "profiles"
        profiles.mkdir()
        simulations.check_current(profiles)
        (profiles / "linux-6.1.json").write_text(json.dumps({"name": "linux-6.1", "semantics": {}}))
        simulations.check_current(profiles)
        for name, content in (("linux-6.1", {"name": "linux-6.1", "semantics": {"a": True}}), ("linux-6.2", {"semantics": {}})):
            with self.subTest(name=name), self.assertRaisesRegex(HarnessTrouble, f"built before {name}.json was recorded"):
                (profiles / f"{name}.json").write_text(json.dumps(content))
                simulations.check_current(profiles)
            (profiles / f"{name}.json").unlink()

    def test_simulated_kernels_run_in_one_process_and_its_end_is_told(self):
        simulations = Simulations(self.assay)
        self.assertEqual(simulations.profiles(), ["linux-6.1", "linux-5.4"])
        junit, complaint = simulations.run(["sim:a", "sim:b"], ["Ring*"], self.folder, 60)
        self.assertEqual((junit.read_text(), complaint), ("<testsuites/>", ""))
        self.assertEqual((self.folder / "simulated.log").read_text(),
                         f"says conformance --junit {junit} --kernel sim:a --kernel sim:b --filter Ring*\n")
        for kernel, words in (("fails", ""), ("bad", "exit status 2"), ("crash", "killed by SIGSEGV"),
                              ("silent", "it left no XML")):
            self.assertEqual(simulations.run([f"sim:{kernel}"], [], self.folder, 60)[1], words)
        self.assertEqual(simulations.run(["sim:hang"], [], self.folder, 1)[1], "it ran longer than 1 s")

    def test_an_assay_that_does_not_run_is_trouble(self):
        self.assay.write_text("#!/bin/sh\necho broken >&2\nexit 4\n")
        with self.assertRaisesRegex(HarnessTrouble, "`assay-static profiles` failed: broken"):
            Simulations(self.assay).profiles()


if __name__ == "__main__":
    unittest.main()
