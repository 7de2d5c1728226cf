"""Decides between KVM and plain emulation. A /dev/kvm that opens may still hang every guest, so one is tried."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from kernel_matrix.guest import GuestSettings, run_guest
from kernel_matrix.guest_image import Orders, build_initramfs
from kernel_matrix.kernel_cache import space_checked, write_whole

# A guest under KVM that works reaches init in about a second.
_TRIAL_LIMIT_S = 15


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def choose_acceleration(cache: Path, kernel: Path, init: bytes, say: Callable[[str], None]) -> str:
    """"kvm" if a trial guest booted under it, else "tcg". Remembered in the cache until this machine boots again."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    record = cache / "acceleration.json"
    try:
        stored = json.loads(record.read_text())
        if stored["boot_id"] == _boot_id() and stored["acceleration"] in ("kvm", "tcg"):
            return stored["acceleration"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    say("trying whether KVM works here")
    with tempfile.TemporaryDirectory() as folder:
        initramfs = Path(folder) / "initramfs"
        initramfs.write_bytes(build_initramfs(Orders(), init))
        settings = GuestSettings("kvm", cpus=1, boot_limit_s=_TRIAL_LIMIT_S, run_limit_s=0)
        works = run_guest(kernel, initramfs, Path(folder), settings).transcript.complete
    acceleration = "kvm" if works else "tcg"
    say("KVM works" if works else f"KVM does not boot a guest within {_TRIAL_LIMIT_S} s; guests are emulated")
    with space_checked(cache):
        write_whole(record, json.dumps({"boot_id": _boot_id(), "acceleration": acceleration}).encode())
    return acceleration
