import json
import tempfile
import unittest
from pathlib import Path

from kernel_matrix.endings import HarnessTrouble
from kernel_matrix.profile_record import (differences, parse_profile, release_note, says_all_of, stored_profile,
                                          write_profile)

_PROFILE = {"schema": 1, "name": "linux-running", "origin": "recorded", "release": "6.1.2", "version": "6.1",
            "features": ["NODROP"], "opcodes": ["NOP", "READV"], "semantics": {"overflow_drops": False, "ring_memlock": True},
            "assumed": []}


class ProfileRecordTest(unittest.TestCase):
    def test_a_newer_release_of_a_series_is_no_difference_but_a_note(self):
        newer = _PROFILE | {"release": "6.1.3", "name": "linux-6.1"}
        self.assertEqual(differences(newer, _PROFILE), {})
        self.assertEqual(release_note(newer, _PROFILE, "6.1"),
                         "linux-6.1: its profile was recorded on 6.1.2, this guest was 6.1.3")
        self.assertEqual(release_note(_PROFILE, _PROFILE, "6.1"), "")

    def test_each_bit_opcode_and_switch_that_differs_is_named(self):
        found = _PROFILE | {"opcodes": ["NOP", "WRITEV", "SEND"], "features": [], "schema": 2,
                            "semantics": {"overflow_drops": True, "new_switch": True, "ring_memlock": True}}
        self.assertEqual(differences(found, _PROFILE), {
            "schema": "is 2 and was 1", "features": "has no NODROP", "opcodes": "has WRITEV, SEND and has no READV",
            "semantics": "overflow_drops is true and was false, new_switch is true and was not recorded"})
        self.assertEqual(differences(_PROFILE | {"opcodes": ["READV", "NOP"]}, _PROFILE), {"opcodes": "has another order"})

    def test_a_built_in_profile_may_tell_more_switches_than_were_recorded(self):
        more = _PROFILE | {"semantics": _PROFILE["semantics"] | {"new_switch": True}, "assumed": ["new_switch"]}
        self.assertTrue(says_all_of(more, _PROFILE))
        self.assertFalse(says_all_of(_PROFILE, more))
        self.assertFalse(says_all_of(_PROFILE | {"release": "6.1.1"}, _PROFILE))
        self.assertFalse(says_all_of(_PROFILE | {"opcodes": ["NOP"]}, _PROFILE))

    def test_is_written_under_its_series_as_assay_prints_it(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertIsNone(stored_profile(Path(folder), "6.1"))
            write_profile(Path(folder), "6.1", _PROFILE)
            text = (Path(folder) / "linux-6.1.json").read_text()
            self.assertEqual(stored_profile(Path(folder), "6.1"), _PROFILE | {"name": "linux-6.1"})
        self.assertTrue(text.startswith('{\n  "schema": 1,\n  "name": "linux-6.1",\n'))
        self.assertTrue(text.endswith('  "assumed": []\n}\n'))

    def test_what_is_no_profile_is_trouble(self):
        for content in (b"{", b"[]", json.dumps({"semantics": []}).encode()):
            with self.assertRaisesRegex(HarnessTrouble, "^it is not "):
                parse_profile(content, "it")


if __name__ == "__main__":
    unittest.main()
