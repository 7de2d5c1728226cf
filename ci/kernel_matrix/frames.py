"""What a guest says over its second serial port, taken apart. guest/init.c writes it, and says what each kind means."""

import struct
import zlib
from dataclasses import dataclass, field

MAGIC = b"\xa5Asy"
_HEADER = struct.Struct("<4s4sII")
_LONGEST = 1 << 20


@dataclass(frozen=True)
class Frame:
    kind: str
    payload: bytes


def encode(kind: str, payload: bytes) -> bytes:
    """A frame as the guest would send it."""
    kind_field = kind.encode().ljust(4, b"\0")
    return _HEADER.pack(MAGIC, kind_field, len(payload), zlib.crc32(kind_field + payload)) + payload


def decode(data: bytes) -> tuple[list[Frame], int]:
    """The whole frames in `data`, and how many bytes belonged to none: 0 unless the port lost or changed something.

    A frame that is cut off at the end is not counted; the guest ended, or has not finished writing it.
    """
    frames = []
    stray = at = 0
    while at < len(data):
        start = data.find(MAGIC, at)
        if start < 0:
            # The end may be the beginning of a frame.
            cut = next(size for size in (3, 2, 1, 0) if data[at:].endswith(MAGIC[:size]))
            return frames, stray + len(data) - at - cut
        stray += start - at
        if len(data) - start < _HEADER.size:
            break
        _, kind, size, crc = _HEADER.unpack_from(data, start)
        payload = data[start + _HEADER.size : start + _HEADER.size + size]
        if len(payload) < size <= _LONGEST and not decode(data[start + 1 :])[0]:
            break
        if size > _LONGEST or len(payload) < size or zlib.crc32(kind + payload) != crc:
            stray += 1
            at = start + 1
            continue
        frames.append(Frame(kind[:1].decode("latin-1"), payload))
        at = start + _HEADER.size + size
    return frames, stray


@dataclass
class Transcript:
    """All that a guest has said, put together."""

    booted: bool = False
    boot_seconds: float = 0.0
    output: bytes = b""
    error_output: bytes = b""
    ended: bool = False  # The program ended, or was given up.
    ending: dict[str, int] = field(default_factory=dict)
    threads: str = ""  # What each thread was doing when the time limit had passed.
    files: dict[str, bytes] = field(default_factory=dict)
    missing_files: dict[str, str] = field(default_factory=dict)
    kernel_log: str = ""
    complete: bool = False  # The guest's last word arrived.
    damage: str = ""  # What the port lost, in words; empty if nothing.


def _numbers(payload: bytes) -> dict[str, int]:
    pairs = (line.split("=", 1) for line in payload.decode("latin-1").splitlines() if "=" in line)
    return {name: int(value) for name, value in pairs}


def read_transcript(data: bytes) -> Transcript:
    """Puts together what a guest has said. Never fails: what is missing is seen by what is not set."""
    frames, stray = decode(data)
    told = Transcript()
    output, errors, log, threads = [], [], [], []
    path, parts = "", []
    for index, frame in enumerate(frames):
        match frame.kind:
            case "H":
                told.booted = True
                told.boot_seconds = _numbers(frame.payload).get("boot_ns", 0) / 1e9
            case "O":
                output.append(frame.payload)
            case "E":
                errors.append(frame.payload)
            case "T":
                threads.append(frame.payload)
            case "X":
                told.ended = True
                told.ending = _numbers(frame.payload)
            case "F":
                path, parts = frame.payload.decode(errors="replace"), []
            case "D":
                parts.append(frame.payload)
            case "C":
                content = b"".join(parts)
                if len(content) == int(frame.payload):
                    told.files[path] = content
                else:
                    told.damage = f"{path} arrived with {len(content)} of {int(frame.payload)} bytes"
            case "M":
                name, _, reason = frame.payload.decode(errors="replace").partition("\0")
                told.missing_files[name] = reason
            case "L":
                log.append(frame.payload)
            case "Z":
                told.complete = True
                if int(frame.payload) != index:
                    told.damage = f"{int(frame.payload) - index} of {int(frame.payload)} frames were lost"
    if stray:
        told.damage = told.damage or f"{stray} bytes belong to no frame"
    told.output, told.error_output = b"".join(output), b"".join(errors)
    told.kernel_log = b"".join(log).decode(errors="replace")
    told.threads = b"".join(threads).decode(errors="replace")
    return told
