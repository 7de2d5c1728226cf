import random
import unittest

from kernel_matrix.frames import MAGIC, Frame, decode, encode, read_transcript

_WHOLE = [
    ("H", b"boot_ns=4500000000\n"), ("O", b"out 1\n"), ("E", b"err\n"), ("O", b"out 2\n"), ("X", b"exit=3\nsignal=0\n"),
    ("F", b"/tmp/a"), ("D", b"part 1 "), ("D", MAGIC + b" part 2"), ("C", b"18"), ("M", b"/tmp/b\0No such file"),
    ("L", b"<5>log\n"), ("Z", b"11")]


def _bytes(frames) -> bytes:
    return b"".join(encode(kind, payload) for kind, payload in frames)


class FramesTest(unittest.TestCase):
    def test_decodes_what_was_encoded(self):
        frames, stray = decode(_bytes(_WHOLE))
        self.assertEqual(frames, [Frame(kind, payload) for kind, payload in _WHOLE])
        self.assertEqual(stray, 0)

    def test_puts_a_transcript_together(self):
        told = read_transcript(_bytes(_WHOLE))
        self.assertTrue(told.booted and told.ended and told.complete)
        self.assertEqual((told.boot_seconds, told.output, told.error_output), (4.5, b"out 1\nout 2\n", b"err\n"))
        self.assertEqual(told.ending, {"exit": 3, "signal": 0})
        self.assertEqual(told.files, {"/tmp/a": b"part 1 " + MAGIC + b" part 2"})
        self.assertEqual(told.missing_files, {"/tmp/b": "No such file"})
        self.assertEqual((told.kernel_log, told.damage), ("<5>log\n", ""))

    def test_a_port_that_is_cut_off_anywhere_is_incomplete_but_not_damaged(self):
        data = _bytes(_WHOLE)
        for size in range(len(data)):
            told = read_transcript(data[:size])
            self.assertFalse(told.complete, size)
            self.assertEqual(told.damage, "", size)

    def test_any_changed_byte_is_noticed(self):
        data = _bytes(_WHOLE)
        rng = random.Random(1)
        for at in range(len(data)):
            changed = bytearray(data)
            changed[at] ^= rng.randrange(1, 256)
            told = read_transcript(bytes(changed))
            self.assertTrue(told.damage or not told.complete, at)

    def test_a_lost_frame_is_noticed(self):
        for index in range(len(_WHOLE) - 1):
            told = read_transcript(_bytes(_WHOLE[:index] + _WHOLE[index + 1 :]))
            self.assertNotEqual(told.damage, "", _WHOLE[index])

    def test_stray_bytes_are_skipped_and_counted(self):
        frames, stray = decode(b"noise" + _bytes(_WHOLE[:2]) + b"more noise" + _bytes(_WHOLE[2:]))
        self.assertEqual(len(frames), len(_WHOLE))
        self.assertEqual(stray, 15)

    def test_says_nothing_of_a_guest_that_said_nothing(self):
        told = read_transcript(b"")
        self.assertFalse(told.booted or told.ended or told.complete)


if __name__ == "__main__":
    unittest.main()
