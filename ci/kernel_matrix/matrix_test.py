import contextlib
import tempfile
import unittest
import unittest.mock
from pathlib import Path

from kernel_matrix import matrix
from kernel_matrix.endings import HarnessTrouble
from kernel_matrix.frames import Transcript
from kernel_matrix.guest import GuestRun
from kernel_matrix.guest_image import Orders
from kernel_matrix.kernel_cache_test import LocalArchive, image_of, kernel
from kernel_matrix.matrix import Matrix, Request
from kernel_matrix.verdict import Outcome, Verdict


class MatrixTest(unittest.TestCase):
    def setUp(self):
        context = contextlib.ExitStack()
        self.addCleanup(context.close)
        self.folder = Path(context.enter_context(tempfile.TemporaryDirectory()))
        self.archive = LocalArchive(self.folder, [kernel("5.10"), kernel("6.12")])
        context.enter_context(unittest.mock.patch.object(matrix, "archive_for", lambda request: self.archive))
        self.said = []

    def kernels(self, *series: str, images: tuple[Path, ...] = ()) -> list[matrix.Kernel]:
        request = Request(series=series, images=images, cache=self.folder / "cache")
        return Matrix(request, self.said.append).kernels()

    def test_brings_what_was_asked_for_in_order_and_says_what_is_not_there(self):
        kernels = self.kernels("newest", "6.1", "oldest")
        self.assertEqual([each.series for each in kernels], ["5.10", "6.1", "6.12"])
        self.assertEqual(kernels[0].image.read_bytes(), image_of("5.10.1-cloud-amd64"))
        self.assertEqual(kernels[1].obstacle.outcome, Outcome.UNAVAILABLE)

    def test_an_archive_with_none_of_the_series_is_trouble(self):
        with self.assertRaisesRegex(HarnessTrouble, "none of these series: 6.1 6.2; it has 5.10 6.12"):
            self.kernels("6.1", "6.2")

    def test_a_kernel_that_cannot_be_fetched_keeps_no_other_from_running(self):
        self.kernels("5.10")
        self.archive.download = unittest.mock.Mock(side_effect=HarnessTrouble("it could not be fetched: cut off"))
        kept, lacking = self.kernels("5.10", "6.12")
        self.assertTrue(kept.image)
        self.assertEqual((lacking.image, lacking.obstacle.outcome), (None, Outcome.TROUBLE))
        self.assertEqual(self.archive.asked, 2)  # It might have been replaced by a newer one.

    def test_when_nothing_can_be_fetched_that_is_trouble(self):
        self.archive.download = unittest.mock.Mock(side_effect=HarnessTrouble("it could not be fetched: cut off"))
        with self.assertRaisesRegex(HarnessTrouble, "cut off"):
            self.kernels("all")

    def test_a_kernel_that_was_replaced_in_the_archive_is_looked_up_anew(self):
        self.kernels("5.10")
        self.archive.kernels = [kernel("5.10"), kernel("6.12", 2)]
        fetch = self.archive.download

        def only_what_is_there(package):
            if package not in self.archive.kernels:
                raise HarnessTrouble(f"{package.package} could not be fetched: it is gone")
            return fetch(package)

        self.archive.download = only_what_is_there
        self.assertEqual([each.release for each in self.kernels("6.12")], ["6.12.2-cloud-amd64"])
        self.assertIn("it is gone; asking the archive anew", "\n".join(self.said))

    def test_kernels_of_ones_own_need_no_archive_and_are_told_apart(self):
        self.archive.reachable = False
        images = (self.folder / "a", self.folder / "b")
        for image in images:
            image.write_bytes(image_of("6.12.1+"))
        self.assertEqual([each.series for each in self.kernels(images=images)], ["6.12.1+", "6.12.1+-2"])

    def test_newer_kernels_start_first_and_verdicts_come_in_order(self):
        booted = []

        def run_guest(image, initramfs, folder, settings):
            booted.append(image.parent.name)
            told = Transcript(booted=True, ended=True, ending={"run_ns": 1, "exit": 0}, complete=True)
            return GuestRun(told, "", 0, "", 1.0)

        judged = unittest.mock.Mock(side_effect=lambda series, release, run: Verdict(series, release, Outcome.PASSED, run=run))
        request = Request(series=("all",), cache=self.folder / "cache", jobs=1, acceleration="tcg",
                          orders=Orders(program=Path("/bin/true")))
        with (unittest.mock.patch.object(matrix, "run_guest", run_guest),
              unittest.mock.patch.object(matrix, "build_init", lambda cache: b"init"),
              unittest.mock.patch.object(matrix.shutil, "which", lambda name: name)):
            verdicts, _ = Matrix(request, self.said.append, judged).run()
        self.assertEqual(booted, ["6.12.1-cloud-amd64", "5.10.1-cloud-amd64"])
        self.assertEqual([verdict.series for verdict in verdicts], ["5.10", "6.12"])
        self.assertEqual([line[:16] for line in self.said[-2:]], ["[1/2] linux-6.12", "[2/2] linux-5.10"])


if __name__ == "__main__":
    unittest.main()
