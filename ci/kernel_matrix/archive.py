"""Debian's archive through apt, with a state of its own: the machine's sources, packages and apt caches stay untouched.

apt itself verifies everything: the suites' signatures against Debian's archive keyring, the indexes against the
suites, the packages against the indexes. What apt says goes into no message as it is, since it names the mirror.
"""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from kernel_matrix.apt_sources import SourceEntry
from kernel_matrix.catalogue import KernelPackage, is_kernel_package, newest_by_series
from kernel_matrix.endings import HarnessTrouble

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_UPDATE_LIMIT_S = 900
_DOWNLOAD_LIMIT_S = 900


def redact(text: str) -> str:
    """The text with no address in it, so that no mirror's name lands in a log that is shown around."""
    text = re.sub(r"\b[a-z0-9+]+://\S+?(?=/dists/|/pool/|[\s'\"]|$)", "<mirror>", text)
    text = re.sub(r"\[IP: [^\]]*\]|\(\d+\.\d+\.\d+\.\d+\)|\([0-9a-f:]+::?[0-9a-f:]*\)", "", text)
    text = re.sub(r"(connect to|resolve|connection with|connecting to) '?[\w.:-]+'?(?: \([^)]*\)\.?)?", r"\1 <mirror>", text)
    return re.sub(r"\s+", " ", text).strip()


class Archive:
    """Suites of an archive, and the private apt state in `cache` that knows them."""

    def __init__(self, cache: Path, entries: list[SourceEntry]) -> None:
        self._cache = cache
        self._entries = entries
        self._folder = cache / f"apt-{self.identity}"

    @property
    def identity(self) -> str:
        """Tells archives apart in a cache without naming them."""
        text = "\n".join(f"{entry.uri} {entry.suite}" for entry in self._entries)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def fetch_records(self) -> tuple[dict[str, KernelPackage], list[str]]:
        """Brings the indexes up to date. Returns the newest kernel of each series, and the suites that are missing.

        A suite that the mirror does not carry is no trouble. One that cannot be reached or does not verify is.
        """
        self._prepare()
        told = self._run(["apt-get", "-q", "update"], _UPDATE_LIMIT_S, "asking the archive for its indexes")
        complaints = [line for line in told.stderr.splitlines() if line.startswith(("E:", "W:"))]
        serious = [line for line in complaints if "does not have a Release file" not in line and self._is_serious(line)]
        if serious:
            raise HarnessTrouble(f"the archive's indexes could not be fetched: {self._reason(serious)}")
        present = self._run(
            ["apt-get", "indextargets", "--format", "$(RELEASE)", "Created-By: Packages"], 60, "listing the indexes")
        found = set(present.stdout.split())
        missing = [entry.suite for entry in self._entries if entry.suite not in found]
        if len(missing) == len(self._entries):
            raise HarnessTrouble(f"the archive carries none of the suites {', '.join(missing)}: is it Debian's?")
        for other in self._cache.glob("apt-*"):  # What is known of another mirror takes room, and can be had again.
            if other != self._folder:
                shutil.rmtree(other, ignore_errors=True)
        names = self._run(["apt-cache", "pkgnames", "linux-"], 60, "listing packages").stdout.split()
        wanted = sorted(name for name in names if is_kernel_package(name))
        records = self._run(["apt-cache", "show", *wanted], 120, "reading package records").stdout if wanted else ""
        return newest_by_series(records), missing

    def download(self, kernel: KernelPackage) -> Path:
        """Fetches a kernel's package, verified by apt. The caller removes the file. Needs fetched indexes."""
        self._prepare()
        target = self._folder / "downloads"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        told = self._run(
            ["apt-get", "-q", "download", f"{kernel.package}={kernel.version}"], _DOWNLOAD_LIMIT_S,
            f"fetching {kernel.package}", working_folder=target)
        files = list(target.glob("*.deb"))
        if told.returncode != 0 or len(files) != 1:
            complaints = [line for line in told.stderr.splitlines() if line.startswith(("E:", "W:"))]
            raise HarnessTrouble(f"{kernel.package} could not be fetched: {self._reason(complaints)}")
        return files[0]

    @staticmethod
    def _is_serious(complaint: str) -> bool:
        # apt repeats a failure as a summary, and mentions harmless matters too.
        return any(words in complaint for words in (
            "Failed to fetch", "GPG error", "not signed", "No space left", "enough free space", "Hash Sum mismatch", "E: "))

    @staticmethod
    def _reason(complaints: list[str]) -> str:
        if not complaints:
            return "apt said no reason"
        for line in complaints:
            if "No space left" in line or "enough free space" in line:
                return "no space is left on the cache's disk"
        return re.sub(r"^[EW]: ", "", redact(complaints[0]))

    def _prepare(self) -> None:
        """Lays out the private state. The machine's settings for reaching the network, and no others, are taken over:
        its hooks must not run for us."""
        if not KEYRING.is_file():
            raise HarnessTrouble(f"{KEYRING} is missing, so nothing could be verified; install debian-archive-keyring")
        for folder in ("lists/partial", "cache/archives/partial", "none"):
            (self._folder / folder).mkdir(parents=True, exist_ok=True)
        sources = "".join(
            f"deb [arch=amd64 signed-by={KEYRING}] {entry.uri} {entry.suite} {' '.join(entry.components)}\n"
            for entry in self._entries)
        # apt builds its cache anew, which takes seconds, whenever one of these is younger than it.
        for path, content in ((self._folder / "status", ""), (self._folder / "sources.list", sources)):
            if not path.is_file() or path.read_text() != content:
                path.touch(mode=0o600)
                path.write_text(content)
        dumped = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
        network = [line for line in dumped.splitlines()
                   if line.startswith("Acquire::") and not line.startswith("Acquire::IndexTargets")]
        own = {
            "Dir::Etc::main": "/dev/null", "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::sourcelist": self._folder / "sources.list", "Dir::Etc::sourceparts": self._folder / "none",
            "Dir::Etc::preferences": "/dev/null", "Dir::Etc::preferencesparts": self._folder / "none",
            "Dir::State": self._folder, "Dir::State::status": self._folder / "status",
            "Dir::Cache": self._folder / "cache", "Dir::Cache::srcpkgcache": "", "APT::Architecture": "amd64", "APT::Architectures": "amd64",
            "APT::Sandbox::User": "root" if os.geteuid() == 0 else "", "Acquire::Languages": "none",
            "Acquire::GzipIndexes": "true", "Acquire::Retries": "1",
            "Acquire::http::Timeout": "20",
            "Acquire::IndexTargets::deb::Translations::DefaultEnabled": "false",
        }
        settings = self._folder / "apt.conf"
        settings.touch(mode=0o600)
        settings.write_text("\n".join(network + [f'{name} "{value}";' for name, value in own.items()]) + "\n")

    def _run(self, command: list[str], limit_s: float, doing: str,
             working_folder: Path | None = None) -> subprocess.CompletedProcess:
        environment = dict(os.environ, APT_CONFIG=str(self._folder / "apt.conf"), LC_ALL="C.UTF-8")
        try:
            return subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=limit_s, env=environment,
                cwd=working_folder, stdin=subprocess.DEVNULL, check=False)
        except subprocess.TimeoutExpired as error:
            raise HarnessTrouble(f"{doing} took more than {limit_s:.0f} s") from error
        except OSError as error:
            raise HarnessTrouble(f"{doing}: {command[0]} does not run here: {error.strerror}") from error
