"""What a program needs in order to start: its interpreter and its shared libraries, as the host's loader finds them."""

import os
import re
import struct
import subprocess
from pathlib import Path

from kernel_matrix.endings import BadUsage

_LOADER_FOLDERS = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu")
_X86_64 = 62
_PT_INTERP = 3


def elf_interpreter(content: bytes) -> str | None:
    """The loader that an ELF file for x86-64 asks for; None if it is static. ValueError if it is no such file."""
    if content[:5] != b"\x7fELF\x02" or len(content) < 64 or struct.unpack_from("<H", content, 18)[0] != _X86_64:
        raise ValueError("not an ELF file for x86-64")
    (table,) = struct.unpack_from("<Q", content, 32)
    entry_bytes, count = struct.unpack_from("<HH", content, 54)
    for index in range(count):
        kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", content, table + index * entry_bytes)
        if kind == _PT_INTERP:
            return content[offset : offset + size].rstrip(b"\0").decode()
    return None


def parse_ldd(text: str) -> tuple[list[str], list[str]]:
    """The paths of the libraries that ldd found, and the names of those that it did not find."""
    found, missing = [], []
    for line in text.splitlines():
        if match := re.match(r"\s*(\S+) => not found", line):
            missing.append(match[1])
        elif match := re.match(r"\s*(?:\S+ => )?(/\S+)(?: \(0x[0-9a-f]+\))?$", line):
            found.append(match[1])
    return found, missing


def needed_files(program: Path) -> list[str]:
    """Absolute paths of all that must stand beside the program: loader and libraries, or a script's interpreter with
    its own."""
    content = program.read_bytes()
    if content[:2] == b"#!":
        words = content[2:].split(b"\n")[0].decode(errors="replace").split()
        if not words or not os.access(words[0], os.X_OK):
            raise BadUsage(f"'{program}' is a script whose interpreter {words[0] if words else ''} cannot be run here")
        return [words[0], *needed_files(Path(words[0]))]
    try:
        interpreter = elf_interpreter(content)
    except (ValueError, struct.error) as error:
        raise BadUsage(f"'{program}' is neither a script nor a program for x86-64 Linux") from error
    if interpreter is None:
        return []
    told = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    found, missing = parse_ldd(told.stdout)
    if missing:
        raise BadUsage(f"'{program}' needs {', '.join(missing)}, which the loader does not find here either")
    return list(dict.fromkeys([interpreter, *found]))


def default_folder_link(path: str) -> str | None:
    """Where a link must stand so that a loader without a cache finds this library; None if it looks there anyway."""
    folder, name = os.path.split(path)
    return None if folder in _LOADER_FOLDERS else f"/usr/lib/x86_64-linux-gnu/{name}"
