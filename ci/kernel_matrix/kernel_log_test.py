import unittest

from kernel_matrix.kernel_log import START_MARK, findings

_BOOT = """\
[    0.583910] APIC calibration not consistent with PM-Timer: 91ms instead of 100ms
[    1.118057] mtrr: your CPUs had inconsistent fixed MTRR settings
[    1.200000] WARNING: CPU: 0 PID: 1 at arch/x86/boot.c:1 early+0x1/0x2
"""
_START = f"[    4.591974] {START_MARK}\n"
_WARNING = """\
[    5.000000] ------------[ cut here ]------------
[    5.000001] WARNING: CPU: 1 PID: 77 at io_uring/io_uring.c:2500 io_cqring_wait+0x1/0x2
[    5.000002] RIP: 0010:io_cqring_wait+0x1/0x2
[    5.000003] ---[ end trace 0000000000000000 ]---
"""


class KernelLogTest(unittest.TestCase):
    def test_a_quiet_log_has_no_findings(self):
        self.assertEqual(findings(_START + "[    5.366403] reboot: Restarting system\n"), [])

    def test_the_boot_is_not_held_against_the_program(self):
        self.assertEqual(findings(_BOOT + _START), [])

    def test_a_log_that_ends_in_boot_counts(self):
        self.assertEqual(len(findings(_BOOT)), 1)

    def test_finds_a_warning_once_and_without_its_time(self):
        self.assertEqual(findings(_BOOT + _START + _WARNING),
                         ["WARNING: CPU: 1 PID: 77 at io_uring/io_uring.c:2500 io_cqring_wait+0x1/0x2"])

    def test_a_panic_is_told_beside_the_oops_that_led_to_it(self):
        log = _START + ("[ 5.0] BUG: kernel NULL pointer dereference, address: 0000000000000008\n"
                        "[ 5.0] Oops: 0002 [#1] SMP\n[ 5.1] Kernel panic - not syncing: Fatal exception\n")
        self.assertEqual(findings(log), ["BUG: kernel NULL pointer dereference, address: 0000000000000008",
                                         "Kernel panic - not syncing: Fatal exception"])

    def test_knows_the_kernels_ways_to_complain(self):
        for line in ("watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [iou-sqp-77:78]",
                     "INFO: task iou-wrk-77:79 blocked for more than 120 seconds.",
                     "rcu: INFO: rcu_preempt self-detected stall on CPU",
                     "kernel BUG at fs/io_uring.c:100!",
                     "refcount_t: underflow; use-after-free.",
                     "general protection fault, probably for non-canonical address 0xdead",
                     "UBSAN: array-index-out-of-bounds in io_uring/rsrc.c:1:1",
                     "list_add corruption. next->prev should be prev"):
            with self.subTest(line=line):
                self.assertEqual(findings(f"{_START}[    5.0] {line}\n"), [line])


if __name__ == "__main__":
    unittest.main()
