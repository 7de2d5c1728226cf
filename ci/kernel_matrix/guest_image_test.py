import tempfile
import unittest
import unittest.mock
from pathlib import Path

from kernel_matrix.cpio_test import read_archive
from kernel_matrix.endings import HarnessTrouble
from kernel_matrix.guest import GuestSettings, command_line
from kernel_matrix.guest_image import JUNIT_PATH, Orders, build_init, build_initramfs
from kernel_matrix.shared_libraries import elf_interpreter


class GuestImageTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def test_init_is_compiled_once_and_runs_alone(self):
        init = build_init(self.folder)
        self.assertEqual(build_init(self.folder), init)
        (built,) = self.folder.iterdir()
        built.write_bytes(b"cached")
        self.assertEqual(build_init(self.folder), b"cached")
        self.assertIsNone(elf_interpreter(init))

    def test_a_compiler_that_is_missing_is_named(self):
        with unittest.mock.patch.dict("os.environ", CC="/no/such/cc"):
            with self.assertRaisesRegex(HarnessTrouble, "needs a C compiler, and '/no/such/cc' does not run"):
                build_init(self.folder)

    def test_orders_reach_init_as_it_reads_them(self):
        orders = Orders(program=Path("/bin/true"), arguments=("a b", ""), timeout_s=7, environment=("X=1",),
                        bring_back=("/tmp/x",))
        entries = read_archive(build_initramfs(orders, b"init"))
        strings = entries["assay/orders"][1].decode().split("\0")
        self.assertEqual([string for string in strings if string[:1] == "A"], ["A/usr/bin/true", "Aa b", "A"])
        for expected in ("S7", "W/tmp", "EX=1", "B/tmp/x", "J" + JUNIT_PATH, f"EGTEST_OUTPUT=xml:{JUNIT_PATH}"):
            self.assertIn(expected, strings)
        self.assertEqual(entries["init"][1], b"init")

    def test_a_variable_of_the_users_replaces_ours(self):
        orders = Orders(program=Path("/bin/true"), environment=("GTEST_OUTPUT=", "X=1", "X=2"))
        strings = read_archive(build_initramfs(orders, b"init"))["assay/orders"][1].decode().split("\0")
        self.assertEqual([each for each in strings if each.startswith(("EGTEST_OUTPUT", "EX="))], ["EGTEST_OUTPUT=", "EX=2"])

    def test_the_program_comes_with_its_loader_and_libraries(self):
        entries = read_archive(build_initramfs(Orders(program=Path("/bin/true")), b"init"))
        self.assertEqual(entries["usr/bin/true"][1], Path("/bin/true").read_bytes())
        self.assertIn("lib64/ld-linux-x86-64.so.2", entries)
        self.assertTrue([name for name in entries if name.endswith("/libc.so.6")])

    def test_folders_come_with_all_below_them_and_the_users_files_come_before_ours(self):
        (self.folder / "a" / "b").mkdir(parents=True)
        (self.folder / "a" / "b" / "c").write_text("deep")
        (self.folder / "passwd").write_text("own")
        entries = read_archive(build_initramfs(Orders(files=(
            (self.folder / "a", "/own"), (self.folder / "passwd", "/etc/passwd"))), b"init"))
        self.assertEqual(entries["own/b/c"][1], b"deep")
        self.assertEqual(entries["etc/passwd"][1], b"own")

    def test_memory_grows_with_the_program(self):
        initramfs = self.folder / "initramfs"
        memory = []
        for size in (1 << 20, 200 << 20):
            with initramfs.open("wb") as file:
                file.truncate(size)
            command = command_line(Path("k"), initramfs, self.folder, GuestSettings("tcg"))
            memory.append(command[command.index("-m") + 1])
        self.assertEqual(memory, ["512M", "984M"])


if __name__ == "__main__":
    unittest.main()
