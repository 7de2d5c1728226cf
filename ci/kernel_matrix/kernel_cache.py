"""Kernel images on disk, so that the archive is asked once: a manifest with hashes, a limit on size, one user at a time.

The images are taken out of their packages and the packages dropped. An image whose hash is not the manifest's is
fetched again. Files are written beside their place and renamed, so a run that dies leaves nothing half-written.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from kernel_matrix.archive import Archive
from kernel_matrix.catalogue import KernelPackage
from kernel_matrix.endings import HarnessTrouble
from kernel_matrix.kernel_image import image_from_package

# Debian's kernels move about weekly, so an older catalogue names packages that the archive has dropped.
CATALOGUE_LIFE_S = 7 * 24 * 3600
_MIB = 1 << 20
# What apt's indexes of all suites take, with the cache that it makes of them; seen: 225 MiB.
_INDEX_BYTES = 256 * _MIB


@contextlib.contextmanager
def space_checked(folder: Path):
    """Turns a full disk, and a cache that cannot be written, into one line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HarnessTrouble(f"no space is left for the cache in {folder}; free some, or name another with --cache") from error
        raise HarnessTrouble(f"the cache in {folder} cannot be used: {error.strerror} ({error.filename})") from error


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that it is there as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _read_json(path: Path) -> dict:
    """A file of our own; one that is missing or damaged counts as empty, since all in it can be had again."""
    try:
        content = json.loads(path.read_text())
        return content if isinstance(content, dict) else {}
    except (OSError, ValueError):
        return {}


def folder_bytes(folder: Path) -> int:
    """How much the files below a folder hold."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


class KernelCache:
    """The kernels in `folder`, of at most `limit_bytes` with all that is needed to fetch them."""

    def __init__(self, folder: Path, limit_bytes: int, say: Callable[[str], None]) -> None:
        self.folder = folder
        self._limit_bytes = limit_bytes
        self._say = say

    @contextlib.contextmanager
    def locked(self):
        """Holds the cache for this process; a second one waits, and says so."""
        with space_checked(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = open(self.folder / "lock", "w", encoding="ascii")  # pylint: disable=consider-using-with
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say("waiting for another run that uses the same cache")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def catalogue(self, archive: Archive, update: bool) -> tuple[dict[str, KernelPackage], bool]:
        """The newest kernel of each series, asked anew when what is known is old; and whether it was asked just now.

        If the archive cannot be reached, an old answer is better than none; without one that is trouble.
        """
        path = self.folder / f"catalogue-{archive.identity}.json"
        stored = _read_json(path)
        age = time.time() - stored.get("time", 0)
        kernels = {record["series"]: KernelPackage(**record) for record in stored.get("kernels", [])}
        if kernels and not update and 0 <= age < CATALOGUE_LIFE_S:
            return kernels, False
        self._say("asking the archive for its kernels")
        try:
            with space_checked(self.folder):
                known = sum(folder_bytes(folder) for folder in self.folder.glob("apt-*"))
                self._make_room(max(0, _INDEX_BYTES - known), self._manifest(), set())
                found, missing = archive.fetch_records()
                content = {"time": time.time(), "missing": missing, "kernels": [k.as_dict() for k in found.values()]}
                write_whole(path, json.dumps(content, indent=1).encode())
        except HarnessTrouble as trouble:
            if not kernels or update:
                raise
            self._say(f"{trouble}; going on with what it had {age / 86400:.0f} days ago")
            return kernels, True
        return found, True

    def image(self, kernel: KernelPackage, archive: Archive, wanted: set[str]) -> Path:
        """The path of the kernel's image, fetched if it is not there or not as it was. `wanted` releases are not
        evicted to make room."""
        manifest = self._manifest()
        path = self.folder / "kernels" / kernel.release / "bzImage"
        record = manifest.get(kernel.release)
        if record and record.get("package_sha256") == kernel.sha256:
            with contextlib.suppress(OSError):
                if hashlib.sha256(path.read_bytes()).hexdigest() == record["image_sha256"]:
                    record["used"] = time.time()
                    self._write_manifest(manifest)
                    return path
            self._say(f"linux-{kernel.series}: the cached kernel is damaged or gone; fetching it again")
        with space_checked(self.folder):
            self._forget(kernel.release, manifest)
            self._make_room(2 * kernel.size, manifest, wanted | {kernel.release})
            self._say(f"linux-{kernel.series}: fetching {kernel.package} ({kernel.size / _MIB:.0f} MiB)")
            package = archive.download(kernel)
            try:
                image = image_from_package(package)
            finally:
                package.unlink(missing_ok=True)
            write_whole(path, image)
            manifest[kernel.release] = {
                **kernel.as_dict(), "package_sha256": kernel.sha256,
                "image_sha256": hashlib.sha256(image).hexdigest(), "used": time.time()}
            for release, other in list(manifest.items()):
                if other.get("series") == kernel.series and release not in wanted | {kernel.release}:
                    self._forget(release, manifest)
            self._write_manifest(manifest)
        return path

    def _manifest(self) -> dict:
        return _read_json(self.folder / "manifest.json")

    def _write_manifest(self, manifest: dict) -> None:
        with space_checked(self.folder):
            write_whole(self.folder / "manifest.json", json.dumps(manifest, indent=1).encode())

    def _forget(self, release: str, manifest: dict) -> None:
        manifest.pop(release, None)
        shutil.rmtree(self.folder / "kernels" / release, ignore_errors=True)

    def _make_room(self, needed: int, manifest: dict, keep: set[str]) -> None:
        """Drops the kernels that were not used for longest until `needed` bytes fit below the limit. The disk is asked
        first: apt on a full disk waits instead of saying so."""
        if shutil.disk_usage(self.folder).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        used = folder_bytes(self.folder)
        oldest_first = sorted(set(manifest) - keep, key=lambda release: manifest[release].get("used", 0))
        sizes = {release: folder_bytes(self.folder / "kernels" / release) for release in oldest_first}
        if used - sum(sizes.values()) + needed > self._limit_bytes:
            raise HarnessTrouble(
                f"the cache is full: it holds {used // _MIB} MiB, needs {needed // _MIB} more, and may hold "
                f"{self._limit_bytes // _MIB}; give it more with --cache-limit, or ask for fewer kernels")
        for release in oldest_first:
            if used + needed <= self._limit_bytes:
                break
            self._forget(release, manifest)
            self._write_manifest(manifest)
            used -= sizes[release]
