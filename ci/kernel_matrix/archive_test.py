import socket
import tempfile
import unittest
from pathlib import Path

from kernel_matrix.apt_sources import sources_for
from kernel_matrix.archive import Archive, redact
from kernel_matrix.endings import HarnessTrouble


def _closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


class ArchiveTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def test_an_archive_that_is_cut_off_is_one_line_that_names_no_mirror(self):
        archive = Archive(self.folder, sources_for(f"http://127.0.0.1:{_closed_port()}/debian", None))
        with self.assertRaises(HarnessTrouble) as raised:
            archive.fetch_records()
        message = str(raised.exception)
        self.assertRegex(message, "indexes could not be fetched: .*Connection refused")
        self.assertNotIn("\n", message)
        self.assertNotIn("127.0.0.1", message)

    def test_an_archive_that_is_not_signed_is_refused(self):
        mirror = self.folder / "mirror"
        for suite in ("bookworm", "sid"):
            folder = mirror / "dists" / suite
            folder.mkdir(parents=True)
            (folder / "Release").write_text(f"Origin: Debian\nSuite: {suite}\nCodename: {suite}\nComponents: main\n"
                                            "Architectures: amd64\nDate: Sat, 01 Jan 2022 00:00:00 UTC\n")
        with self.assertRaisesRegex(HarnessTrouble, "not signed"):
            Archive(self.folder, sources_for(f"file:{mirror}", None)).fetch_records()

    def test_an_archive_without_any_suite_is_trouble(self):
        (self.folder / "empty").mkdir()
        with self.assertRaisesRegex(HarnessTrouble, "carries none of the suites"):
            Archive(self.folder, sources_for(f"file:{self.folder}/empty", None)).fetch_records()

    def test_archives_are_told_apart_without_being_named(self):
        names = {Archive(self.folder, sources_for(f"http://{host}.example/debian", None)).identity for host in ("a", "b")}
        self.assertEqual(len(names), 2)
        self.assertFalse([name for name in names if "example" in name])

    def test_redacts_addresses(self):
        for line in ("Failed to fetch http://m.example/debian/dists/sid/InRelease  Could not connect to m.example:80 "
                     "(203.0.113.80). - connect (111: Connection refused)",
                     "Failed to fetch https://u:p@m.example/pool/x.deb  404  Not Found [IP: 203.0.113.80 80]",
                     "Could not resolve 'm.example'",
                     "The repository 'http://m.example/debian sid Release' does not have a Release file."):
            with self.subTest(line=line):
                self.assertNotRegex(redact(line), r"m\.example|203\.0|u:p")


if __name__ == "__main__":
    unittest.main()
