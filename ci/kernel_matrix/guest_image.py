"""Makes the initramfs that all guests of a run share: init, the program with what it needs, and orders for init."""

import hashlib
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from kernel_matrix.cpio import CpioWriter
from kernel_matrix.endings import BadUsage, HarnessTrouble
from kernel_matrix.kernel_cache import space_checked, write_whole
from kernel_matrix.shared_libraries import default_folder_link, needed_files

_INIT_SOURCE = Path(__file__).parent / "guest" / "init.c"
# Where a GoogleTest program leaves its XML in the guest, told to it by GTEST_OUTPUT, and to others by ASSAY_JUNIT.
JUNIT_PATH = "/assay/junit.xml"
# Paths that other file systems cover in a guest, so a program that is kept there on the host cannot be found there.
_COVERED = ("/dev/", "/proc/", "/sys/")


@dataclass(frozen=True)
class Orders:
    """What init is to do in the guest. Files are pairs of a path on the host and one in the guest."""

    program: Path | None = None
    arguments: tuple[str, ...] = ()
    timeout_s: int = 120
    environment: tuple[str, ...] = ()
    files: tuple[tuple[Path, str], ...] = ()
    bring_back: tuple[str, ...] = field(default=())


def build_init(cache: Path) -> bytes:
    """The static init, compiled once for each state of its source."""
    source = _INIT_SOURCE.read_bytes()
    built = cache / f"init-{hashlib.sha256(source).hexdigest()[:16]}"
    if built.is_file() and built.stat().st_size:
        return built.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "init"
        compiler = os.environ.get("CC", "cc")
        command = [*compiler.split(), "-std=gnu17", "-O2", "-static", "-s", "-o", str(target), str(_INIT_SOURCE)]
        try:
            told = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise HarnessTrouble(f"the guest's init needs a C compiler, and '{compiler}' does not run: {error.strerror}") from error
        if told.returncode != 0:
            reason = (told.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise HarnessTrouble(f"the guest's init could not be compiled with '{compiler}': {reason}")
        content = target.read_bytes()
    with space_checked(cache):
        write_whole(built, content)
    return content


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadUsage(f"{what} '{path}' cannot be read: {error.strerror}") from error


def _add_with_libraries(image: CpioWriter, source: Path, guest_path: str) -> None:
    """Adds a program and what it needs. Libraries keep their paths, so that RPATH and $ORIGIN mean what they mean here."""
    image.file(guest_path, source.read_bytes(), 0o755)
    for needed in needed_files(source):
        image.file(needed, Path(needed).read_bytes(), 0o755)
        link = default_folder_link(needed)
        if link and link not in image:
            image.link(link, needed)


def _add_file(image: CpioWriter, source: Path, guest_path: str) -> None:
    """Adds a file or a folder with all below it. Programs among them bring their libraries along."""
    if source.is_dir():
        image.folder(guest_path)
        for child in sorted(source.iterdir()):
            _add_file(image, child, f"{guest_path}/{child.name}")
        return
    content = _read(source, "--file")
    if os.access(source, os.X_OK) and content[:4] == b"\x7fELF":
        _add_with_libraries(image, source, guest_path)
    else:
        image.file(guest_path, content, source.stat().st_mode & 0o777)


def program_path(program: Path) -> str:
    """Where a program stands in the guest: where it stands here."""
    path = os.path.realpath(program)
    if path.startswith(_COVERED):
        raise BadUsage(f"'{program}' is kept below {path.split('/')[1]}, which the guest covers; copy it elsewhere")
    return path


def _order_bytes(orders: Orders) -> bytes:
    if orders.program is None:
        return b""
    settings = [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb",
        f"GTEST_OUTPUT=xml:{JUNIT_PATH}", f"ASSAY_JUNIT={JUNIT_PATH}", *orders.environment]
    # Of two settings of one variable a program would see the first, and the user's comes last.
    environment = {setting.partition("=")[0]: setting for setting in settings}.values()
    strings = ["A" + program_path(orders.program), *("A" + argument for argument in orders.arguments),
               "W/tmp", f"S{orders.timeout_s}", *("E" + setting for setting in environment),
               *("B" + path for path in orders.bring_back), "J" + JUNIT_PATH]
    return b"".join(os.fsencode(string) + b"\0" for string in strings)


def build_initramfs(orders: Orders, init: bytes) -> bytes:
    """The archive that a kernel unpacks into its root file system. It is not compressed: a guest that is emulated
    would need longer to unpack it than QEMU to load it."""
    image = CpioWriter()
    image.folder("/dev")
    image.character_device("/dev/console", 5, 1)
    for folder in ("/proc", "/sys", "/run", "/var", "/mnt"):
        image.folder(folder)
    image.folder("/root", 0o700)
    image.folder("/tmp", 0o1777)
    image.folder("/var/tmp", 0o1777)
    image.file("/init", init, 0o755)
    image.file("/assay/orders", _order_bytes(orders))
    if orders.program is not None:
        if not orders.program.is_file():
            raise BadUsage(f"'{orders.program}' is not a file; --run takes the path of a program")
        if not os.access(orders.program, os.X_OK):
            raise BadUsage(f"'{orders.program}' is not executable")
        _add_with_libraries(image, orders.program, program_path(orders.program))
    for source, guest_path in orders.files:
        _add_file(image, source, guest_path)
    # Last, so that files of the user's own with these names come before ours.
    image.file("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    image.file("/etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    image.file("/etc/hosts", b"127.0.0.1 localhost guest\n::1 localhost\n")
    image.file("/etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files\n")
    return image.finish()
