"""Which mirror of Debian's archive this machine's apt uses, read from its own configuration when it is needed.

Both forms of sources.list(5) are understood: one line an entry, and deb822 stanzas. No mirror is known by name here.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kernel_matrix.endings import HarnessTrouble

# The releases of Debian whose suites may hold kernels. A mirror is recognised as Debian's by serving one of them.
RELEASES = ("bullseye", "bookworm", "trixie", "forky", "sid")
_ALIASES = ("oldoldstable", "oldstable", "stable", "testing", "unstable")


@dataclass(frozen=True)
class SourceEntry:
    """One place that apt fetches from: an address, and what it fetches there."""

    uri: str
    suite: str
    components: tuple[str, ...]


def parse_one_line(text: str) -> list[SourceEntry]:
    """The entries of a `sources.list`: `deb [option=value ...] uri suite component ...`, one a line."""
    entries = []
    for line in text.splitlines():
        words = re.sub(r"\[[^\]]*\]", " ", line.split("#")[0], count=1).split()
        if len(words) >= 3 and words[0] == "deb":
            entries.append(SourceEntry(words[1], words[2], tuple(words[3:])))
    return entries


def parse_deb822(text: str) -> list[SourceEntry]:
    """The entries of a `.sources` file: stanzas of `Field: value`, where lines that begin with a blank continue."""
    entries = []
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n[ \t]*\n", "\n".join(lines)):
        fields: dict[str, list[str]] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1] in (" ", "\t"):
                fields.setdefault(name, []).extend(line.split())
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.split()
        if fields.get("enabled", ["yes"])[0].lower() in ("no", "false", "0", "off"):
            continue
        if "deb" not in fields.get("types", []):
            continue
        for uri in fields.get("uris", []):
            for suite in fields.get("suites", []):
                entries.append(SourceEntry(uri, suite, tuple(fields.get("components", []))))
    return entries


def machine_entries() -> list[SourceEntry]:
    """All entries of this machine's apt, in the order in which apt reads them."""
    command = ["apt-config", "shell", "list", "Dir::Etc::sourcelist/f", "parts", "Dir::Etc::sourceparts/d"]
    try:
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise HarnessTrouble("kernels are fetched by apt, and apt-config does not run here; give paths of bzImages instead") from error
    paths = dict(re.findall(r"^(\w+)='(.*)'$", printed, re.MULTILINE))
    files = [Path(paths["list"])] if paths.get("list") else []
    if paths.get("parts") and Path(paths["parts"]).is_dir():
        files += sorted(Path(paths["parts"]).iterdir())
    entries = []
    for file in files:
        if not file.is_file():
            continue
        if file.suffix == ".sources":
            entries += parse_deb822(file.read_text(errors="replace"))
        elif file.suffix == ".list":
            entries += parse_one_line(file.read_text(errors="replace"))
    return entries


def find_mirrors(entries: list[SourceEntry]) -> tuple[str | None, str | None]:
    """The first address that serves Debian itself, and the first that serves its security suites, which are apart."""
    main = security = None
    for entry in entries:
        if "main" not in entry.components or entry.uri.startswith("cdrom:"):
            continue
        release, _, section = re.sub(r"/updates$", "-security", entry.suite).partition("-")
        if release not in RELEASES + _ALIASES:
            continue
        if section == "security":
            security = security or entry.uri.rstrip("/")
        else:
            main = main or entry.uri.rstrip("/")
    return main, security


def sources_for(main: str, security: str | None) -> list[SourceEntry]:
    """Every suite that may hold kernels, on these mirrors. Those that a mirror does not have are found out by asking."""
    entries = []
    for release in RELEASES:
        suites = [release] if release == "sid" else [release, f"{release}-updates", f"{release}-backports"]
        entries += [SourceEntry(main, suite, ("main",)) for suite in suites]
    if security:
        entries += [SourceEntry(security, f"{release}-security", ("main",)) for release in RELEASES if release != "sid"]
    return entries
