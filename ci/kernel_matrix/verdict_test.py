import unittest
from dataclasses import replace

from kernel_matrix.endings import ALL_PASSED, HARNESS_TROUBLE, TEST_FAILED
from kernel_matrix.frames import Transcript
from kernel_matrix.guest import GuestRun
from kernel_matrix.guest_image import JUNIT_PATH
from kernel_matrix.kernel_log import START_MARK
from kernel_matrix.matrix import exit_status
from kernel_matrix.verdict import Counts, Outcome, Verdict, count_junit, judge

_ENDING = {"exit": 0, "signal": 0, "timed_out": 0, "unkillable": 0, "run_ns": 10**9}
_TOLD = Transcript(booted=True, boot_seconds=4, ended=True, ending=_ENDING, complete=True)
_RUN = GuestRun(_TOLD, f"[ 4.0] {START_MARK}\n", qemu_status=0, qemu_complaint="", seconds=6)
_OOPS = f"[ 4.0] {START_MARK}\n[ 4.1] kernel BUG at fs/io_uring.c:1!\n[ 4.2] Kernel panic - not syncing: Fatal\n"


def _judge(run=_RUN, **told) -> tuple[Outcome, str]:
    verdict = judge("6.12", "6.12.1", replace(run, transcript=replace(run.transcript, **told)))
    return verdict.outcome, verdict.reason


class VerdictTest(unittest.TestCase):
    def test_passes_what_exits_with_0(self):
        self.assertEqual(_judge(), (Outcome.PASSED, ""))

    def test_fails_by_exit_status_and_by_signal(self):
        self.assertEqual(_judge(ending=_ENDING | {"exit": 7}), (Outcome.FAILED, "exit status 7"))
        self.assertEqual(_judge(ending=_ENDING | {"exit": -1, "signal": 11}), (Outcome.FAILED, "killed by SIGSEGV"))

    def test_fails_a_program_that_leaves_no_file_that_was_asked_for(self):
        self.assertEqual(_judge(missing_files={"/tmp/x": "No such file"}),
                         (Outcome.FAILED, "it left no readable /tmp/x (No such file)"))

    def test_believes_xml_that_tells_of_failures(self):
        xml = b'<testsuites><testsuite><testcase name="a"><failure/></testcase></testsuite></testsuites>'
        self.assertEqual(_judge(files={JUNIT_PATH: xml})[0], Outcome.FAILED)
        self.assertEqual(_judge(files={JUNIT_PATH: xml[:30]})[0], Outcome.FAILED)

    def test_tells_a_time_limit_from_a_program_that_cannot_be_killed(self):
        self.assertEqual(_judge(ending=_ENDING | {"timed_out": 1})[0], Outcome.TIMED_OUT)
        self.assertEqual(_judge(ending=_ENDING | {"timed_out": 1, "unkillable": 1})[0], Outcome.KERNEL)

    def test_a_kernel_that_complains_is_a_finding_even_if_the_program_passed(self):
        warned = replace(_RUN, console=_RUN.console + "[ 5.0] WARNING: CPU: 0 PID: 9 at io_uring/x.c:1 f+0x1/0x2\n")
        self.assertEqual(_judge(warned)[0], Outcome.KERNEL)

    def test_a_panic_is_a_finding_and_not_trouble_however_qemu_ended(self):
        for status in (0, 1):
            died = replace(_RUN, console=_OOPS, qemu_status=status)
            self.assertEqual(_judge(died, complete=False), (Outcome.KERNEL, "Kernel panic - not syncing: Fatal"))

    def test_a_guest_that_hangs_is_a_finding(self):
        hung = replace(_RUN, qemu_status=None)
        self.assertIn("it hung", _judge(hung, complete=False)[1])
        self.assertEqual(_judge(hung, complete=False, booted=False), (Outcome.KERNEL, "it hung in boot for 6 s"))

    def test_a_qemu_that_dies_is_trouble(self):
        self.assertEqual(_judge(replace(_RUN, qemu_status=-9), complete=False),
                         (Outcome.TROUBLE, "QEMU was killed by SIGKILL"))
        refused = replace(_RUN, qemu_status=1, qemu_complaint="qemu: no such machine")
        self.assertEqual(_judge(refused, complete=False), (Outcome.TROUBLE, "QEMU ended with 1: qemu: no such machine"))

    def test_a_qemu_that_is_told_to_end_is_trouble_although_it_exits_with_0(self):
        told = replace(_RUN, qemu_complaint="qemu-system-x86_64: terminating on signal 15 from pid 77 (kill)")
        for booted in (False, True):
            self.assertEqual(_judge(told, complete=False, booted=booted),
                             (Outcome.TROUBLE, "QEMU was told to end by a signal from outside"))

    def test_a_guest_that_ends_in_silence_is_held_against_the_kernel_only_if_that_had_spoken(self):
        self.assertEqual(_judge(complete=False)[0], Outcome.KERNEL)
        self.assertEqual(_judge(replace(_RUN, console="\n"), complete=False, booted=False)[0], Outcome.TROUBLE)

    def test_a_port_that_loses_frames_is_trouble(self):
        self.assertEqual(_judge(damage="2 of 9 frames were lost")[0], Outcome.TROUBLE)

    def test_counts_junit_of_googletest(self):
        xml = (b'<testsuites><testsuite name="S"><testcase name="a" status="run"/><testcase name="b" status="notrun"/>'
               b'<testcase name="c" status="run"><skipped message="r"/></testcase>'
               b'<testcase name="d"><failure message="m"/></testcase></testsuite></testsuites>')
        self.assertEqual(count_junit(xml), Counts(passed=1, failed=1, skipped=2))

    def test_exit_status_puts_failure_before_trouble_and_unavailable_is_no_pass(self):
        def status(*outcomes):
            return exit_status([Verdict("6.12", "", outcome) for outcome in outcomes])
        self.assertEqual(status(Outcome.PASSED, Outcome.PASSED), ALL_PASSED)
        self.assertEqual(status(Outcome.PASSED, Outcome.UNAVAILABLE), HARNESS_TROUBLE)
        self.assertEqual(status(Outcome.TROUBLE, Outcome.PASSED), HARNESS_TROUBLE)
        for failure in (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.KERNEL):
            self.assertEqual(status(Outcome.TROUBLE, failure, Outcome.PASSED), TEST_FAILED)


if __name__ == "__main__":
    unittest.main()
