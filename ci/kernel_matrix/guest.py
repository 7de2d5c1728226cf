"""Runs one guest: a kernel under QEMU with an initramfs, until it has said all, has died, or has taken too long.

The first serial port is the kernel's console, the second carries init's frames. Both go into files, so whatever the
guest has said is there however it ends.
"""

import ctypes
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from kernel_matrix.endings import HarnessTrouble
from kernel_matrix.frames import Transcript, read_transcript

QEMU = "qemu-system-x86_64"
# panic: a kernel that oopses restarts the guest, which ends QEMU, instead of going on in doubt.
_KERNEL_PARAMETERS = "console=ttyS0,115200 loglevel=5 panic=-1 oops=panic rdinit=/init notsc clocksource=hpet"
_ACCELERATION = {
    "kvm": ["-accel", "kvm", "-cpu", "host"],
    "tcg": ["-accel", "tcg,thread=multi", "-cpu", "max"],
}
_MIB = 1 << 20


@dataclass(frozen=True)
class GuestSettings:
    acceleration: str  # "kvm" or "tcg"
    cpus: int = 2
    memory_mib: int = 0  # 0: as much as the initramfs needs, and at least 512.
    boot_limit_s: float = 60
    run_limit_s: float = 120
    append: str = ""  # More kernel parameters.


@dataclass(frozen=True)
class GuestRun:
    """What became of a guest."""

    transcript: Transcript
    console: str
    qemu_status: int | None  # Its exit status; None if we ended it because of the time limit.
    qemu_complaint: str
    seconds: float


_running: set[subprocess.Popen] = set()
_running_lock = threading.Lock()
_stopped = threading.Event()


def stop_all() -> None:
    """Ends the guests that run, and lets no other start: for when the user interrupts."""
    _stopped.set()
    with _running_lock:
        for process in _running:
            process.kill()


def _die_with_parent() -> None:
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def command_line(kernel: Path, initramfs: Path, folder: Path, settings: GuestSettings) -> list[str]:
    memory = settings.memory_mib or max(512, 384 + 3 * (initramfs.stat().st_size // _MIB))
    return [
        QEMU, "-nodefaults", "-no-user-config", "-machine", "pc", *_ACCELERATION[settings.acceleration],
        "-smp", str(settings.cpus), "-m", f"{memory}M", "-display", "none", "-nic", "none", "-no-reboot",
        "-serial", f"file:{folder / 'console.log'}", "-serial", f"file:{folder / 'frames.bin'}",
        "-kernel", str(kernel), "-initrd", str(initramfs),
        "-append", f"{_KERNEL_PARAMETERS} {settings.append}".strip()]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def run_guest(kernel: Path, initramfs: Path, folder: Path, settings: GuestSettings) -> GuestRun:
    """Boots the kernel and waits for the guest's end. `folder` is left with console.log and frames.bin.

    Two limits hold: until init speaks, and from then on until all is said. Init keeps the program's own limit, and can
    say what hung; ours is for a guest that cannot.
    """
    if "," in str(folder):
        raise HarnessTrouble(f"QEMU cannot write into a folder with a comma in its name: {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    console, frames = folder / "console.log", folder / "frames.bin"
    console.unlink(missing_ok=True)
    frames.unlink(missing_ok=True)
    start = time.monotonic()
    try:
        process = subprocess.Popen(  # pylint: disable=consider-using-with,subprocess-popen-preexec-fn
            command_line(kernel, initramfs, folder, settings), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, preexec_fn=_die_with_parent)
    except OSError as error:
        raise HarnessTrouble(f"{QEMU} does not run here ({error.strerror}); Debian's package is qemu-system-x86") from error
    with _running_lock:
        _running.add(process)
        if _stopped.is_set():
            process.kill()
    try:
        complaint, ended = _wait(process, frames, start, settings)
    finally:
        process.kill()
        process.wait()
        with _running_lock:
            _running.discard(process)
    transcript = read_transcript(frames.read_bytes() if frames.exists() else b"")
    if transcript.complete and not transcript.damage:
        frames.unlink()  # All that is in it is in the transcript.
    return GuestRun(
        transcript=transcript,
        console=console.read_text(errors="replace") if console.exists() else "",
        qemu_status=process.returncode if ended else None, qemu_complaint=complaint,
        seconds=time.monotonic() - start)


def _wait(process: subprocess.Popen, frames: Path, start: float, settings: GuestSettings) -> tuple[str, bool]:
    deadline = start + settings.boot_limit_s
    booted = False
    while True:
        try:
            _, complaint = process.communicate(timeout=0.25)
            return os.fsdecode(complaint).strip(), True
        except subprocess.TimeoutExpired:
            if not booted and _size(frames) > 0:
                booted = True
                # Beyond the program's limit init may take 10 s to end it, and some to bring files and the log.
                deadline = time.monotonic() + settings.run_limit_s + 60
            if time.monotonic() > deadline:
                return "", False
