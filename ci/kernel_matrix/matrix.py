"""The matrix itself: fetches the kernels that were asked for, boots a guest with each, and gathers the verdicts."""

import concurrent.futures
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from kernel_matrix.acceleration import choose_acceleration
from kernel_matrix.apt_sources import find_mirrors, machine_entries, sources_for
from kernel_matrix.archive import Archive
from kernel_matrix.catalogue import KernelPackage, choose
from kernel_matrix.endings import ALL_PASSED, HARNESS_TROUBLE, TEST_FAILED, HarnessTrouble
from kernel_matrix.guest import QEMU, GuestRun, GuestSettings, run_guest, stop_all
from kernel_matrix.guest_image import Orders, build_init, build_initramfs
from kernel_matrix.kernel_cache import KernelCache, space_checked
from kernel_matrix.kernel_image import release_of_file
from kernel_matrix.progress import running
from kernel_matrix.report import progress_line, write_guest_files
from kernel_matrix.verdict import Outcome, Verdict, judge

_RUNS_KEPT = 5


@dataclass(frozen=True)
class Request:
    """What the command line asked for."""

    series: tuple[str, ...] = ()
    images: tuple[Path, ...] = ()
    orders: Orders = Orders()
    jobs: int = 2
    boot_limit_s: float = 120
    acceleration: str = "auto"
    cpus: int = 2
    memory_mib: int = 0
    append: str = ""
    mirror: str | None = None
    cache: Path = Path()
    cache_limit_mib: int = 1024
    update: bool = False
    results: Path | None = None


@dataclass(frozen=True)
class Kernel:
    """A kernel that was asked for."""

    series: str
    release: str
    image: Path | None  # None: it cannot be had, and `obstacle` says why.
    obstacle: Verdict | None = None


def _tell_apart(kernels: list[Kernel]) -> list[Kernel]:
    """Gives each kernel a label of its own: builds of one release may be compared with each other."""
    taken: dict[str, int] = {}
    for index, kernel in enumerate(kernels):
        taken[kernel.series] = taken.get(kernel.series, 0) + 1
        if taken[kernel.series] > 1:
            kernels[index] = replace(kernel, series=f"{kernel.series}-{taken[kernel.series]}")
    return kernels


def archive_for(request: Request) -> Archive:
    """The archive that the request means: the mirror that it names, or those of this machine's apt."""
    main, security = (request.mirror.rstrip("/"), None) if request.mirror else find_mirrors(machine_entries())
    if not main:
        raise HarnessTrouble("apt's sources here name no mirror of Debian; name one with --mirror")
    return Archive(request.cache, sources_for(main, security))


class Matrix:
    """One run. `say` takes lines that tell what is going on; a Progress is also told what runs. `judge` makes a verdict
    of what became of a guest."""

    def __init__(self, request: Request, say: Callable[[str], None],
                 judge: Callable[[str, str, GuestRun], Verdict] = judge) -> None:
        self._request = request
        self._say = say
        self._judge = judge
        self._cache = KernelCache(request.cache, request.cache_limit_mib << 20, say)

    def list_kernels(self) -> dict[str, KernelPackage]:
        """What the archive offers: the newest kernel of each series."""
        with self._cache.locked():
            return self._cache.catalogue(archive_for(self._request), self._request.update)[0]

    def kernels(self) -> list[Kernel]:
        """The kernels that were asked for, in order; those of the archive are in the cache afterwards."""
        own = [Kernel(release, release, path.resolve())
               for path in self._request.images for release in [release_of_file(path)]]
        if not self._request.series:
            return _tell_apart(own)
        with self._cache.locked():
            archive = archive_for(self._request)
            available, asked_now = self._cache.catalogue(archive, self._request.update)
            fetched = self._fetch(archive, available)
            lacking = [kernel for kernel in fetched if kernel.obstacle and kernel.obstacle.outcome == Outcome.TROUBLE]
            if lacking and not asked_now:
                # The archive drops packages as newer ones come, so an older catalogue may name what is gone.
                self._say(f"{lacking[0].obstacle.reason}; asking the archive anew")
                fetched = self._fetch(archive, self._cache.catalogue(archive, True)[0])
        if not any(kernel.image for kernel in fetched):
            raise HarnessTrouble(fetched[0].obstacle.reason)
        return _tell_apart(fetched + own)

    def _fetch(self, archive: Archive, available: dict[str, KernelPackage]) -> list[Kernel]:
        chosen = choose(list(self._request.series), available)
        if not any(package for _, package in chosen):
            raise HarnessTrouble(f"the archive has none of these series: {' '.join(self._request.series)}; it has "
                                 f"{' '.join(available) or 'no kernel at all'}")
        wanted = {package.release for _, package in chosen if package}
        kernels = []
        for series, package in chosen:
            if not package:
                verdict = Verdict(series, "", Outcome.UNAVAILABLE, "the archive has no such series")
                kernels.append(Kernel(series, "", None, verdict))
                continue
            try:
                kernels.append(Kernel(series, package.release, self._cache.image(package, archive, wanted)))
            except HarnessTrouble as trouble:
                verdict = Verdict(series, package.release, Outcome.TROUBLE, str(trouble))
                kernels.append(Kernel(series, package.release, None, verdict))
        return kernels

    def run(self) -> tuple[list[Verdict], Path]:
        """Boots every kernel. Returns the verdicts in the kernels' order, and the folder with all that came back."""
        # What is wrong with the program is found before anything is fetched.
        with space_checked(self._request.cache):
            self._request.cache.mkdir(parents=True, exist_ok=True)
        initramfs = build_initramfs(self._request.orders, build_init(self._request.cache))
        if not shutil.which(QEMU):
            raise HarnessTrouble(f"{QEMU} is not installed; Debian's package is qemu-system-x86")
        kernels = self.kernels()
        results = self._results_folder()
        with space_checked(results), tempfile.TemporaryDirectory(dir=results) as folder:
            shared = Path(folder) / "initramfs"
            shared.write_bytes(initramfs)
            settings = self._settings(next(kernel.image for kernel in kernels if kernel.image))
            self._say(f"{len(kernels)} kernels, {self._request.jobs} guests at a time, "
                      f"{'KVM' if settings.acceleration == 'kvm' else 'emulated'}")
            with concurrent.futures.ThreadPoolExecutor(self._request.jobs) as guests:
                # Newer kernels are larger and slower: begun first, none of them runs alone at the end.
                started = [guests.submit(self._boot, kernel, shared, results, settings) for kernel in reversed(kernels)]
                try:
                    for done, future in enumerate(concurrent.futures.as_completed(started), 1):
                        self._say(progress_line(future.result(), done, len(kernels)))
                except BaseException:
                    stop_all()
                    guests.shutdown(wait=True, cancel_futures=True)
                    raise
            return [future.result() for future in reversed(started)], results

    def _settings(self, trial_image: Path) -> GuestSettings:
        request = self._request
        acceleration = request.acceleration
        if acceleration == "auto":
            acceleration = choose_acceleration(request.cache, trial_image, build_init(request.cache), self._say)
        return GuestSettings(
            acceleration=acceleration, cpus=request.cpus, memory_mib=request.memory_mib,
            boot_limit_s=request.boot_limit_s, run_limit_s=request.orders.timeout_s, append=request.append)

    def _boot(self, kernel: Kernel, initramfs: Path, results: Path, settings: GuestSettings) -> Verdict:
        if not kernel.image:
            return kernel.obstacle
        name = f"linux-{kernel.series}"
        folder = results / name
        with running(self._say, name):
            run = run_guest(kernel.image, initramfs, folder, settings)
        verdict = self._judge(kernel.series, kernel.release, run)
        write_guest_files(folder, verdict)
        return verdict

    def _results_folder(self) -> Path:
        """Where this run leaves its files: where the user said, or in the cache, which keeps those of the last runs."""
        if self._request.results:
            folder = self._request.results
        else:
            runs = self._request.cache / "results"
            # Named by time, so that the order of names is the order of runs.
            folder = runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
            with space_checked(runs):
                runs.mkdir(parents=True, exist_ok=True)
                for old in sorted(runs.iterdir())[: -(_RUNS_KEPT - 1)]:
                    shutil.rmtree(old, ignore_errors=True)
        with space_checked(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder.resolve()


def exit_status(verdicts: list[Verdict]) -> int:
    """A failure is certain, whatever else went wrong, so it comes before trouble."""
    if any(verdict.is_failure for verdict in verdicts):
        return TEST_FAILED
    return HARNESS_TROUBLE if any(verdict.is_trouble for verdict in verdicts) else ALL_PASSED


