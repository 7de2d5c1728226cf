import os
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from kernel_matrix.endings import BadUsage
from kernel_matrix.shared_libraries import default_folder_link, elf_interpreter, needed_files, parse_ldd

_LDD = """\
\tlinux-vdso.so.1 (0x00007ffd8b9f2000)
\tliburing.so.2 => /lib/x86_64-linux-gnu/liburing.so.2 (0x00007f2c5a4d0000)
\tlibown.so => /opt/own/lib/libown.so (0x00007f2c5a4c0000)
\tlibgone.so.7 => not found
\t/lib64/ld-linux-x86-64.so.2 (0x00007f2c5a6f3000)
"""


class SharedLibrariesTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def compile(self, name: str, *options: str, source: str = "int main(void) { return 0; }\n") -> Path:
        target = self.folder / name
        subprocess.run(["cc", "-x", "c", "-", "-o", str(target), *options], input=source, text=True, check=True)
        return target

    def test_reads_what_ldd_prints(self):
        self.assertEqual(parse_ldd(_LDD), ([
            "/lib/x86_64-linux-gnu/liburing.so.2", "/opt/own/lib/libown.so", "/lib64/ld-linux-x86-64.so.2"], ["libgone.so.7"]))

    def test_a_dynamic_program_needs_its_loader_and_libraries(self):
        needed = needed_files(self.compile("dynamic"))
        self.assertEqual(needed[0], "/lib64/ld-linux-x86-64.so.2")
        self.assertTrue([path for path in needed if "libc.so" in path])
        self.assertEqual(len(needed), len(set(needed)))

    def test_a_static_program_needs_nothing(self):
        program = self.compile("static", "-static")
        self.assertIsNone(elf_interpreter(program.read_bytes()))
        self.assertEqual(needed_files(program), [])

    def test_a_script_needs_its_interpreter_with_its_libraries(self):
        script = self.folder / "script"
        script.write_text("#!/bin/sh -e\ntrue\n")
        needed = needed_files(script)
        self.assertEqual(needed[0], "/bin/sh")
        self.assertTrue([path for path in needed if "libc.so" in path])

    def test_names_a_library_that_is_missing(self):
        self.compile("libgone.so", "-shared", "-fPIC", source="int gone(void) { return 0; }\n")
        program = self.compile("program", f"-L{self.folder}", "-lgone",
                               source="int gone(void);\nint main(void) { return gone(); }\n")
        os.remove(self.folder / "libgone.so")
        with self.assertRaisesRegex(BadUsage, "needs libgone.so, which the loader does not find"):
            needed_files(program)

    def test_refuses_what_no_guest_can_run(self):
        other = self.folder / "other"
        arm = bytearray(64)
        arm[:5] = b"\x7fELF\x02"
        struct.pack_into("<H", arm, 18, 183)
        for content, reason in ((b"text", "neither a script nor"), (bytes(arm), "neither a script nor"),
                                (b"#!/no/such/shell\n", "whose interpreter /no/such/shell cannot")):
            other.write_bytes(content)
            with self.subTest(content=content), self.assertRaisesRegex(BadUsage, reason):
                needed_files(other)

    def test_links_libraries_that_only_the_loaders_cache_knows(self):
        self.assertIsNone(default_folder_link("/lib/x86_64-linux-gnu/libc.so.6"))
        self.assertEqual(default_folder_link("/opt/own/lib/libown.so"), "/usr/lib/x86_64-linux-gnu/libown.so")


if __name__ == "__main__":
    unittest.main()
