import tempfile
import unittest
from pathlib import Path

from kernel_matrix.endings import BadUsage, HarnessTrouble
from kernel_matrix.kernel_cache_test import image_of, package_with
from kernel_matrix.kernel_image import image_from_package, kernel_release, release_of_file


class KernelImageTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def test_reads_the_release_in_the_boot_header(self):
        self.assertEqual(kernel_release(image_of("6.12.1-cloud-amd64")), "6.12.1-cloud-amd64")
        for content in (b"", b"HdrS", b"\0" * 4096):
            self.assertIsNone(kernel_release(content))

    def test_finds_the_image_wherever_debian_puts_it(self):
        for path in ("boot/vmlinuz-6.12.1", "usr/lib/modules/7.3.4/vmlinuz", "lib/modules/6.19.1/vmlinuz"):
            with self.subTest(path=path):
                package = package_with(self.folder, path, image_of("6.12.1"))
                self.assertEqual(image_from_package(package), image_of("6.12.1"))

    def test_a_package_without_an_image_is_trouble(self):
        with self.assertRaisesRegex(HarnessTrouble, "holds no kernel image"):
            image_from_package(package_with(self.folder, "usr/share/doc/vmlinuz", image_of("6.12.1")))
        with self.assertRaisesRegex(HarnessTrouble, "is not a bzImage"):
            image_from_package(package_with(self.folder, "boot/vmlinuz-6.12.1", b"empty"))

    def test_a_package_that_is_cut_off_is_trouble(self):
        package = package_with(self.folder, "boot/vmlinuz-6.12.1", image_of("6.12.1", 1 << 20))
        package.write_bytes(package.read_bytes()[:-200])
        with self.assertRaises(HarnessTrouble):
            image_from_package(package)

    def test_a_file_of_the_users_that_is_no_kernel_is_bad_usage(self):
        path = self.folder / "bzImage"
        with self.assertRaisesRegex(BadUsage, "cannot be read as a kernel: No such file"):
            release_of_file(path)
        path.write_bytes(b"text")
        with self.assertRaisesRegex(BadUsage, "bzImage' is not a bzImage of Linux"):
            release_of_file(path)
        path.write_bytes(image_of("6.12.1+ (me@here) #1"))
        self.assertEqual(release_of_file(path), "6.12.1+")


if __name__ == "__main__":
    unittest.main()
