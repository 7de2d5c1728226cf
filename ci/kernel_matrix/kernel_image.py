"""A kernel's image: told from other files by its header, and taken out of a Debian package."""

import re
import subprocess
import tarfile
from pathlib import Path

from kernel_matrix.endings import BadUsage, HarnessTrouble

# Where packages have it: /boot/vmlinuz-R, and in those whose name begins with linux-binary /usr/lib/modules/R/vmlinuz.
_IMAGE_PATH = re.compile(r"(?:\./)?(?:boot/vmlinuz-[^/]+|(?:usr/)?lib/modules/[^/]+/vmlinuz)")


def kernel_release(image: bytes) -> str | None:
    """The release that a bzImage says it is, or None if it is no bzImage (x86 boot protocol, "HdrS" at 0x202)."""
    if image[0x202:0x206] != b"HdrS":
        return None
    start = int.from_bytes(image[0x20E:0x210], "little") + 0x200
    text = image[start : start + 256].split(b"\0")[0].decode("latin-1")
    return text.split(" ")[0] or None


def release_of_file(path: Path) -> str:
    """The release of the bzImage that the user named."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadUsage(f"'{path}' cannot be read as a kernel: {error.strerror}") from error
    release = kernel_release(content)
    if release is None:
        raise BadUsage(f"'{path}' is not a bzImage of Linux for x86 (it lacks the boot header)")
    return release


def image_from_package(package: Path) -> bytes:
    """The kernel image in a Debian package."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as unpacking:
        try:
            with tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive:
                for member in archive:
                    if member.isfile() and _IMAGE_PATH.fullmatch(member.name):
                        image = archive.extractfile(member).read()
                        if kernel_release(image) is None:
                            raise HarnessTrouble(f"{member.name} in {package.name} is not a bzImage")
                        return image
        except tarfile.TarError as error:
            raise HarnessTrouble(f"{package.name} cannot be unpacked: {error}") from error
        finally:
            unpacking.kill()
    raise HarnessTrouble(f"{package.name} holds no kernel image in the places where Debian puts one")
