import stat
import unittest

from kernel_matrix.cpio import CpioWriter


def read_archive(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """An independent reading of the newc form: name → (mode, content)."""
    entries = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701", at
        numbers = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name_end = at + 110 + numbers[11]
        name = archive[at + 110 : name_end - 1].decode()
        content_start = (name_end + 3) // 4 * 4
        content = archive[content_start : content_start + numbers[6]]
        at = (content_start + numbers[6] + 3) // 4 * 4
        if name == "TRAILER!!!":
            assert at == len(archive)
            return entries
        entries[name] = (numbers[1], content)


class CpioTest(unittest.TestCase):
    def test_writes_what_a_reader_of_the_form_finds(self):
        writer = CpioWriter()
        for size in range(5):  # Each alignment of names and contents.
            writer.file("/f" + "x" * size, b"c" * size, 0o640)
        writer.link("/lib/libx.so", "/opt/libx.so")
        writer.character_device("/dev/console", 5, 1)
        entries = read_archive(writer.finish())
        for size in range(5):
            self.assertEqual(entries["f" + "x" * size], (stat.S_IFREG | 0o640, b"c" * size))
        self.assertEqual(entries["lib/libx.so"], (stat.S_IFLNK | 0o777, b"/opt/libx.so"))
        self.assertEqual(entries["dev/console"][0], stat.S_IFCHR | 0o600)

    def test_makes_the_folders_above_a_file_before_it(self):
        writer = CpioWriter()
        writer.file("/a/b/c", b"")
        self.assertEqual(list(read_archive(writer.finish())), ["a", "a/b", "a/b/c"])

    def test_the_first_taker_of_a_path_keeps_it(self):
        writer = CpioWriter()
        writer.file("/etc/passwd", b"mine")
        writer.file("etc/passwd", b"default")
        self.assertIn("/etc/passwd", writer)
        self.assertEqual(read_archive(writer.finish())["etc/passwd"][1], b"mine")


if __name__ == "__main__":
    unittest.main()
