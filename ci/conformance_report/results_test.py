import tempfile
import unittest
from pathlib import Path

from conformance_report.results import (Results, TestResult, TestVerdict, add_junit, column_order, name_part, read_junit,
                                        test_id)
from kernel_matrix.endings import BadUsage

_BOTH = b"""<testsuites><testsuite name="RingSetup">
  <testcase name="Rounds/linux" classname="RingSetup"><properties><property name="kernel" value="linux"/></properties></testcase>
  <testcase name="Rounds/sim_linux_6.12" classname="RingSetup">
    <properties><property name="kernel" value="sim:linux-6.12"/></properties><skipped message="needs NODROP"/></testcase>
  <testcase name="Refuses/linux" classname="RingSetup"><properties><property name="kernel" value="linux"/></properties>
    <failure message="a.cc:1: first">a.cc:1: first
second</failure></testcase>
</testsuite></testsuites>"""


class ResultsTest(unittest.TestCase):
    def test_cuts_the_kernel_out_of_a_tests_name(self):
        for kernel, name, test in (
                ("linux", "Rounds/linux", "S.Rounds"),
                ("sim:linux-6.12.0-SENDMSG_ZC,strict", "Rounds/sim_linux_6.12.0_SENDMSG_ZC_strict", "S.Rounds"),
                ("linux", "Cuts/assay_linux", "S.Cuts"),
                ("linux", "Cuts/assay_linux_enter_eintr_masked", "S.Cuts/enter_eintr_masked"),
                ("sim:linux-6.1", "Cuts/assay_sim_linux_6.1_enter_take_k_1", "S.Cuts/enter_take_k_1"),
                ("linux", "Cuts/plain_loop_linux_enter_eintr", "S.Cuts/plain_loop_enter_eintr"),
                ("linux-6.1", "Cuts/enter_take_k_1", "S.Cuts/enter_take_k_1"),
                ("sim:linux-6.1", "Cuts/sim_linux_6.12", "S.Cuts/sim_linux_6.12"),
                ("linux", "Plain", "S.Plain")):
            with self.subTest(name=name):
                self.assertEqual(test_id("S", name, kernel), test)

    def test_a_variant_that_is_told_is_part_of_the_name(self):
        for variant, test in (("", "S.Cuts"), ("assay", "S.Cuts"), ("assay enter/eintr:every=2", "S.Cuts/enter/eintr:every=2"),
                              ("loop a b", "S.Cuts/loop,a,b")):
            self.assertEqual(test_id("S", "Cuts/whatever", "linux", variant), test)
        xml = (b'<testsuites><testsuite name="S"><testcase name="Cuts/assay_linux_x" classname="S"><properties><property '
               b'name="kernel" value="linux"/><property name="variant" value="assay enter/x:k=1"/></properties></testcase>'
               b'</testsuite></testsuites>')
        results: Results = {}
        add_junit(results, xml, "linux-6.1")
        self.assertEqual(list(results["linux-6.1"]), ["S.Cuts/enter/x:k=1"])

    def test_spells_kernels_as_the_tests_do(self):
        self.assertEqual(name_part("sim:linux-6.12.0-FEAT_EXT_ARG,seed=7"), "sim_linux_6.12.0_FEAT_EXT_ARG_seed_7")

    def test_reads_verdicts_with_reasons_and_names_the_guests_column(self):
        results: Results = {}
        self.assertEqual(add_junit(results, _BOTH, "linux-6.12"), 3)
        self.assertEqual(results, {
            "linux-6.12": {"RingSetup.Rounds": TestResult(TestVerdict.PASS),
                           "RingSetup.Refuses": TestResult(TestVerdict.FAIL, "a.cc:1: first\nsecond")},
            "sim:linux-6.12": {"RingSetup.Rounds": TestResult(TestVerdict.SKIP, "needs NODROP")}})

    def test_of_a_test_that_ran_twice_the_worst_is_kept(self):
        cases = {"pass": "", "skip": '<skipped message="s"/>', "fail": '<failure message="f"/>'}
        for first in cases:
            for second in cases:
                xml = "".join(f'<testcase name="a">{cases[each]}</testcase>' for each in (first, second))
                results: Results = {}
                add_junit(results, f'<testsuites><testsuite name="S">{xml}</testsuite></testsuites>'.encode(), "k")
                worst = "fail" if "fail" in (first, second) else "pass" if "pass" in (first, second) else "skip"
                self.assertEqual(results["k"]["S.a"].verdict, worst, (first, second))

    def test_what_is_no_junit_is_bad_usage(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.xml"
            for content, words in ((b"nonsense", "is not JUnit XML"), (b"<testsuites/>", "tells of no test")):
                path.write_bytes(content)
                with self.assertRaisesRegex(BadUsage, words):
                    read_junit({}, path, "linux")
        with self.assertRaisesRegex(BadUsage, "cannot be read: No such file"):
            read_junit({}, path, "linux")

    def test_orders_kernels_by_number_each_before_its_simulation(self):
        kernels = ["sim:linux-6.12", "linux-7.0", "linux", "sim:linux-5.4", "linux-6.12", "linux-6.2", "sim:linux-6.12.0"]
        self.assertEqual(sorted(kernels, key=column_order), [
            "sim:linux-5.4", "linux-6.2", "linux-6.12", "sim:linux-6.12", "sim:linux-6.12.0", "linux-7.0", "linux"])


if __name__ == "__main__":
    unittest.main()
