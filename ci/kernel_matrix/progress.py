"""Tells what is going on: lines, and on a terminal below them what runs now and for how long."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO


class Progress:
    """Used as a context: the line of what runs now is kept up by a thread, and is gone at the end."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._lock = threading.Lock()
        self._running: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, daemon=True)

    def __enter__(self) -> "Progress":
        if self._is_terminal:
            self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        if self._is_terminal:
            self._thread.join()
            with self._lock:
                self._stream.write("\r\x1b[K")
                self._stream.flush()

    def __call__(self, line: str) -> None:
        """Prints a line that stays."""
        with self._lock:
            self._stream.write(f"\r\x1b[K{line}\n" if self._is_terminal else f"{line}\n")
            self._stream.flush()

    def started(self, name: str) -> None:
        with self._lock:
            self._running[name] = time.monotonic()

    def ended(self, name: str) -> None:
        with self._lock:
            self._running.pop(name, None)

    def _keep_up(self) -> None:
        while not self._stop.wait(0.5):
            with self._lock:
                now = time.monotonic()
                told = ", ".join(f"{name} {now - since:.0f} s" for name, since in self._running.items())
                self._stream.write(f"\r\x1b[Know: {told}" if told else "\r\x1b[K")
                self._stream.flush()


@contextlib.contextmanager
def running(say: Callable[[str], None], name: str):
    """Shows `name` as running, if `say` can show that."""
    progress = say if isinstance(say, Progress) else None
    if progress:
        progress.started(name)
    try:
        yield
    finally:
        if progress:
            progress.ended(name)
