import io
import threading
import unittest

from kernel_matrix.progress import Progress, running


class _Terminal(io.StringIO):
    """Tells when a certain text was written."""

    def __init__(self, awaited: str) -> None:
        super().__init__()
        self._awaited = awaited
        self.seen = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._awaited in text:
            self.seen.set()
        return super().write(text)


class ProgressTest(unittest.TestCase):
    def test_a_file_gets_lines_and_nothing_else(self):
        stream = io.StringIO()
        with Progress(stream) as progress, running(progress, "linux-6.1"):
            progress("line")
        self.assertEqual(stream.getvalue(), "line\n")

    def test_a_terminal_shows_what_runs_and_is_left_clean(self):
        terminal = _Terminal(" s, linux-6.2 ")
        with Progress(terminal) as progress:
            with running(progress, "linux-6.1"), running(progress, "linux-6.2"):
                self.assertTrue(terminal.seen.wait(30))
            progress("done")
        self.assertIn("now: linux-6.1 ", terminal.getvalue())
        self.assertIn("\r\x1b[Kdone\n", terminal.getvalue())
        self.assertTrue(terminal.getvalue().endswith("\r\x1b[K"))

    def test_who_takes_only_lines_is_not_asked_for_more(self):
        said = []
        with running(said.append, "linux-6.1"):
            pass
        self.assertEqual(said, [])


if __name__ == "__main__":
    unittest.main()
