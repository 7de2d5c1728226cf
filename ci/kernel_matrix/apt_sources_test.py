import unittest

from kernel_matrix.apt_sources import SourceEntry, find_mirrors, parse_deb822, parse_one_line, sources_for

_ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/a b.gpg] http://mirror.example/debian bookworm main contrib # after the fact
deb-src http://mirror.example/debian bookworm main
deb http://security.example/debian-security bookworm-security main
deb http://other.example/ubuntu jammy main
broken
"""

_DEB822 = """\
# A comment above.
Types: deb deb-src
URIs: http://one.example/debian
 http://two.example/debian
Suites: trixie trixie-updates
# A comment within.
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc: def

Types: deb
URIs: http://off.example/debian
Suites: sid
Components: main
Enabled: no

types: deb-src
uris: http://source.example/debian
suites: sid
components: main
"""


class AptSourcesTest(unittest.TestCase):
    def test_reads_one_line_entries(self):
        self.assertEqual(parse_one_line(_ONE_LINE), [
            SourceEntry("http://mirror.example/debian", "bookworm", ("main", "contrib")),
            SourceEntry("http://security.example/debian-security", "bookworm-security", ("main",)),
            SourceEntry("http://other.example/ubuntu", "jammy", ("main",))])

    def test_reads_stanzas_and_leaves_out_what_is_switched_off(self):
        self.assertEqual(parse_deb822(_DEB822), [
            SourceEntry(f"http://{host}.example/debian", suite, ("main",))
            for host in ("one", "two") for suite in ("trixie", "trixie-updates")])

    def test_finds_debian_among_other_archives(self):
        entries = [
            SourceEntry("http://other.example/ubuntu", "jammy", ("main",)),
            SourceEntry("cdrom:[Debian]/", "bookworm", ("main",)),
            SourceEntry("http://mirror.example/nonfree", "bookworm", ("non-free",)),
            SourceEntry("http://mirror.example/debian/", "stable-updates", ("main",)),
            SourceEntry("http://security.example/debian-security", "bookworm/updates", ("main",))]
        self.assertEqual(find_mirrors(entries),
                         ("http://mirror.example/debian", "http://security.example/debian-security"))
        self.assertEqual(find_mirrors(entries[:3]), (None, None))

    def test_asks_the_mirror_for_other_suites_than_the_machine_has(self):
        suites = {entry.suite for entry in sources_for("http://mirror.example/debian", "http://security.example")}
        self.assertLessEqual({"bullseye", "bullseye-security", "bookworm-backports", "trixie", "trixie-backports",
                              "forky", "sid"}, suites)
        self.assertFalse([entry for entry in sources_for("http://mirror.example/debian", None)
                          if entry.suite.endswith("-security")])


if __name__ == "__main__":
    unittest.main()
