import errno
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from kernel_matrix.catalogue import KernelPackage
from kernel_matrix.endings import HarnessTrouble
from kernel_matrix.kernel_cache import CATALOGUE_LIFE_S, KernelCache, space_checked, write_whole

_MIB = 1 << 20


def image_of(release: str, size: int = 4096) -> bytes:
    """The least that passes for a bzImage of this release."""
    content = bytearray(size)
    content[0x202:0x206] = b"HdrS"
    content[0x20E:0x210] = (0x300 - 0x200).to_bytes(2, "little")
    content[0x300 : 0x300 + len(release) + 1] = release.encode() + b"\0"
    return bytes(content)


def package_with(folder: Path, path_in_package: str, content: bytes) -> Path:
    """A Debian package that holds one file."""
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: p\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody <n@example.org>\nDescription: p\n")
    target = tree / path_in_package
    target.parent.mkdir(parents=True)
    target.write_bytes(content)
    package = folder / "p.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", str(tree), str(package)], check=True, capture_output=True)
    return package


class LocalArchive:
    """Stands where Archive does, and makes packages instead of fetching them."""

    identity = "local"

    def __init__(self, folder: Path, kernels: list[KernelPackage]) -> None:
        self.folder = folder
        self.kernels = kernels
        self.downloads = []
        self.asked = 0
        self.reachable = True

    def fetch_records(self):
        self.asked += 1
        if not self.reachable:
            raise HarnessTrouble("the archive's indexes could not be fetched: cut off")
        return {kernel.series: kernel for kernel in self.kernels}, ["forky-updates"]

    def download(self, kernel: KernelPackage) -> Path:
        if not self.reachable:
            raise HarnessTrouble(f"{kernel.package} could not be fetched: cut off")
        self.downloads.append(kernel.release)
        return package_with(self.folder, f"boot/vmlinuz-{kernel.release}", image_of(kernel.release))


def kernel(series: str, patch: int = 1, size: int = 1000) -> KernelPackage:
    release = f"{series}.{patch}-cloud-amd64"
    return KernelPackage(series, release, f"linux-image-{release}", f"{series}.{patch}-1",
                         hashlib.sha256(release.encode()).hexdigest(), size)


class KernelCacheTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name) / "cache"
        self.folder.mkdir()
        self.archive = LocalArchive(Path(temporary.name), [kernel("5.10"), kernel("6.12")])
        self.said = []
        self.cache = KernelCache(self.folder, 300 * _MIB, self.said.append)

    def image(self, wanted: KernelPackage) -> Path:
        return self.cache.image(wanted, self.archive, {wanted.release})

    def test_fetches_a_kernel_once(self):
        paths = [self.image(kernel("5.10")) for _ in range(2)]
        self.assertEqual(paths[0], paths[1])
        self.assertEqual(paths[0].read_bytes(), image_of("5.10.1-cloud-amd64"))
        self.assertEqual(self.archive.downloads, ["5.10.1-cloud-amd64"])

    def test_fetches_a_damaged_kernel_again_and_says_so(self):
        path = self.image(kernel("5.10"))
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        self.assertEqual(self.image(kernel("5.10")).read_bytes(), image_of("5.10.1-cloud-amd64"))
        self.assertEqual(len(self.archive.downloads), 2)
        self.assertIn("linux-5.10: the cached kernel is damaged or gone; fetching it again", self.said)

    def test_a_damaged_kernel_that_cannot_be_had_again_is_trouble_until_it_can(self):
        self.image(kernel("5.10")).write_bytes(b"")
        self.archive.reachable = False
        with self.assertRaisesRegex(HarnessTrouble, "could not be fetched: cut off"):
            self.image(kernel("5.10"))
        self.archive.reachable = True
        self.assertEqual(self.image(kernel("5.10")).read_bytes(), image_of("5.10.1-cloud-amd64"))

    def test_a_damaged_manifest_costs_a_fetch_and_no_more(self):
        self.image(kernel("5.10"))
        (self.folder / "manifest.json").write_text("{ torn")
        self.image(kernel("5.10"))
        self.assertEqual(len(self.archive.downloads), 2)

    def test_a_newer_kernel_replaces_the_older_of_its_series(self):
        old = self.image(kernel("5.10", 1))
        new = self.image(kernel("5.10", 2))
        self.assertFalse(old.exists())
        self.assertTrue(new.exists())
        self.assertEqual(list(json.loads((self.folder / "manifest.json").read_text())), ["5.10.2-cloud-amd64"])

    def test_makes_room_by_dropping_what_was_not_used_for_longest(self):
        self.image(kernel("5.10"))
        self.image(kernel("6.1"))
        self.image(kernel("5.10"))  # Used again, so 6.1 is the older.
        room = KernelCache(self.folder, 34_000, self.said.append)
        room.image(kernel("6.12", size=13_000), self.archive, set())
        self.assertEqual(sorted(path.name for path in (self.folder / "kernels").iterdir()),
                         ["5.10.1-cloud-amd64", "6.12.1-cloud-amd64"])

    def test_a_full_cache_is_trouble_and_drops_nothing_in_vain(self):
        path = self.image(kernel("5.10"))
        with self.assertRaisesRegex(HarnessTrouble, "the cache is full: it holds 0 MiB, needs 381 more, and may hold 300"):
            self.image(kernel("6.12", size=200_000_000))
        self.assertTrue(path.exists())
        self.image(kernel("6.12"))

    def test_a_limit_that_leaves_no_room_for_the_indexes_is_trouble(self):
        with self.assertRaisesRegex(HarnessTrouble, "the cache is full: .* needs 256 more, and may hold 64"):
            KernelCache(self.folder, 64 * _MIB, self.said.append).catalogue(self.archive, False)
        self.assertEqual(self.archive.asked, 0)

    def test_a_full_disk_is_trouble(self):
        with self.assertRaisesRegex(HarnessTrouble, "no space is left for the cache in"):
            KernelCache(self.folder, 1 << 60, self.said.append).image(
                kernel("5.10", size=1 << 55), self.archive, set())
        self.assertEqual(self.archive.downloads, [])

    def test_running_out_of_space_while_writing_is_trouble(self):
        with self.assertRaisesRegex(HarnessTrouble, "no space is left for the cache in /c; free some, or .*--cache"):
            with space_checked(Path("/c")):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def test_writes_whole_or_not_at_all(self):
        path = self.folder / "file"
        write_whole(path, b"whole")
        with self.assertRaises(TypeError):
            write_whole(path, object())
        self.assertEqual(path.read_bytes(), b"whole")

    def test_asks_the_archive_once_a_week(self):
        for expected in (True, False):
            found, asked = self.cache.catalogue(self.archive, False)
            self.assertEqual(asked, expected)
            self.assertEqual(found, {"5.10": kernel("5.10"), "6.12": kernel("6.12")})
        self.cache.catalogue(self.archive, True)
        self.assertEqual(self.archive.asked, 2)

    def test_goes_on_with_an_old_catalogue_when_the_archive_is_cut_off(self):
        self.cache.catalogue(self.archive, False)
        path = self.folder / "catalogue-local.json"
        stored = json.loads(path.read_text())
        path.write_text(json.dumps(stored | {"time": time.time() - CATALOGUE_LIFE_S - 10}))
        self.archive.reachable = False
        self.assertEqual(list(self.cache.catalogue(self.archive, False)[0]), ["5.10", "6.12"])
        self.assertIn("going on with what it had 7 days ago", self.said[-1])
        with self.assertRaises(HarnessTrouble):
            self.cache.catalogue(self.archive, True)

    def test_without_any_catalogue_a_cut_off_archive_is_trouble(self):
        self.archive.reachable = False
        with self.assertRaisesRegex(HarnessTrouble, "cut off"):
            self.cache.catalogue(self.archive, False)


if __name__ == "__main__":
    unittest.main()
