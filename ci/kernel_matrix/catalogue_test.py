import unittest

from kernel_matrix.catalogue import check_series_words, choose, is_kernel_package, newest_by_series
from kernel_matrix.endings import BadUsage


def _record(name: str, version: str, size: int = 1) -> str:
    return f"Package: {name}\nVersion: {version}\nDescription: a kernel\n continued: here\nSize: {size}\nSHA256: {name}-hash\n"


# As the archive has them: signed and unsigned twins, meta packages, symbols, and from 6.19 on the image set apart.
_RECORDS = "\n".join([
    _record("linux-image-5.10.0-46-cloud-amd64", "5.10.262-1"),
    _record("linux-image-5.10.0-46-cloud-amd64-unsigned", "5.10.262-1"),
    _record("linux-image-5.10.0-9-cloud-amd64", "5.10.70-1"),
    _record("linux-image-6.1.0-0.deb11.52-cloud-amd64", "6.1.190-1~deb11u1"),
    _record("linux-image-6.1.0-56-cloud-amd64", "6.1.192-2"),
    _record("linux-image-6.12-cloud-amd64", "6.12.200-1"),
    _record("linux-image-6.12.117+deb12-cloud-amd64", "6.12.117-1~deb12u1"),
    _record("linux-image-6.12.117+deb13-cloud-amd64", "6.12.117-1"),
    _record("linux-image-6.12.118+deb13-cloud-amd64-unsigned", "6.12.118-1"),
    _record("linux-image-6.19.14+deb13-cloud-amd64", "6.19.14-1~bpo13+1"),
    _record("linux-binary-6.19.14+deb13-cloud-amd64", "6.19.14-1~bpo13+1", 13030208),
    _record("linux-image-6.19.14+deb13-cloud-amd64-dbg", "6.19.15-1"),
    _record("linux-image-6.19.14+deb13-amd64", "6.19.16-1"),
])


class CatalogueTest(unittest.TestCase):
    def setUp(self):
        self.available = newest_by_series(_RECORDS)

    def test_takes_the_newest_of_each_series(self):
        self.assertEqual({series: kernel.package for series, kernel in self.available.items()}, {
            "5.10": "linux-image-5.10.0-46-cloud-amd64",
            "6.1": "linux-image-6.1.0-56-cloud-amd64",
            "6.12": "linux-image-6.12.118+deb13-cloud-amd64-unsigned",
            "6.19": "linux-binary-6.19.14+deb13-cloud-amd64"})

    def test_takes_what_holds_the_image_and_what_identifies_it(self):
        kernel = self.available["6.19"]
        self.assertEqual((kernel.release, kernel.version, kernel.sha256, kernel.size), (
            "6.19.14+deb13-cloud-amd64", "6.19.14-1~bpo13+1", "linux-binary-6.19.14+deb13-cloud-amd64-hash", 13030208))

    def test_knows_kernel_packages_by_name(self):
        for name in ("linux-image-cloud-amd64", "linux-image-6.12-cloud-amd64", "linux-headers-6.12.1-cloud-amd64",
                     "linux-image-6.12.1-rt-amd64", "linux-image-6.12.1-cloud-arm64"):
            self.assertFalse(is_kernel_package(name), name)

    def test_orders_series_by_number_and_says_what_is_not_there(self):
        chosen = choose(["newest", "9.9", "6.12", "oldest", "6.1"], self.available)
        self.assertEqual([series for series, _ in chosen], ["5.10", "6.1", "6.12", "6.19", "9.9"])
        self.assertIsNone(dict(chosen)["9.9"])
        self.assertEqual([series for series, _ in choose(["all"], self.available)], list(self.available))

    def test_an_empty_archive_offers_nothing(self):
        self.assertEqual(newest_by_series(""), {})
        self.assertEqual(choose(["newest"], {}), [])

    def test_refuses_words_that_name_no_series(self):
        check_series_words(["5.10", "all", "newest", "oldest"])
        for word in ("six", "6", "6.12.1", "latest", ""):
            with self.assertRaisesRegex(BadUsage, f"'{word}' is neither"):
                check_series_words([word])


if __name__ == "__main__":
    unittest.main()
