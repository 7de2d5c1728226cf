import shutil
import subprocess
import unittest

from kernel_matrix.debian_version import version_key

# Each is older than the next.
_RISING = [
    "1.0~rc1-1", "1.0-1~bpo12+1", "1.0-1", "1.0-1+b1", "1.0-2", "1.0-10", "1.0a-1", "1.0.1-1", "5.10.262-1", "6.1.9-1",
    "6.1.192-2", "6.12.117-1~deb12u1", "6.12.117-1", "6.12.117-1+deb13u1", "6.16.12-1~bpo13+1", "1:0.1-1"]


class DebianVersionTest(unittest.TestCase):
    def test_sorts_as_the_policy_says(self):
        self.assertEqual(sorted(reversed(_RISING), key=version_key), _RISING)

    def test_agrees_with_dpkg(self):
        self.assertIsNotNone(shutil.which("dpkg"), "the matrix needs dpkg anyway")
        for older, newer in zip(_RISING, _RISING[1:]):
            with self.subTest(older=older, newer=newer):
                subprocess.run(["dpkg", "--compare-versions", older, "lt", newer], check=True)
                self.assertLess(version_key(older), version_key(newer))


if __name__ == "__main__":
    unittest.main()
