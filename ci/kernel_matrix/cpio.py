"""Writes an initramfs: a cpio archive in the "newc" form, as the kernel's Documentation/driver-api/early-userspace has it."""

import stat


class CpioWriter:
    """Collects entries; folders above them are made as they are needed. Each path is taken once, the first time."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._paths: set[str] = set()
        self._inode = 0

    def folder(self, path: str, permissions: int = 0o755) -> None:
        self._entry(path, stat.S_IFDIR | permissions)

    def file(self, path: str, content: bytes, permissions: int = 0o644) -> None:
        self._entry(path, stat.S_IFREG | permissions, content)

    def link(self, path: str, target: str) -> None:
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path: str, major: int, minor: int, permissions: int = 0o600) -> None:
        self._entry(path, stat.S_IFCHR | permissions, device=(major, minor))

    def __contains__(self, path: str) -> bool:
        return path.strip("/") in self._paths

    def finish(self) -> bytes:
        """The whole archive."""
        self._header("TRAILER!!!", 0, b"", (0, 0))
        return b"".join(self._parts)

    def _entry(self, path: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        path = path.strip("/")
        if not path or path in self._paths:
            return
        above = path.rpartition("/")[0]
        if above:
            self.folder(above)
        self._paths.add(path)
        self._inode += 1
        self._header(path, mode, content, device)

    def _header(self, path: str, mode: int, content: bytes, device: tuple[int, int]) -> None:
        name = path.encode() + b"\0"
        # Magic; then inode, mode, uid, gid, links, mtime, size, device of the file, device it stands for, name, check.
        numbers = (self._inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name), 0)
        header = b"070701" + b"".join(b"%08x" % number for number in numbers) + name
        self._parts += [header, b"\0" * (-len(header) % 4), content, b"\0" * (-len(content) % 4)]
