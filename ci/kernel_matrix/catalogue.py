"""Which kernels the archive holds, by series, from the records that apt has of its packages."""

import re
from collections import defaultdict
from dataclasses import asdict, dataclass

from kernel_matrix.debian_version import version_key
from kernel_matrix.endings import BadUsage

_NAME = re.compile(r"linux-(?P<kind>image|binary)-(?P<release>(?P<series>\d+\.\d+)\.\d[^_]*-cloud-amd64)(?P<unsigned>-unsigned)?")
_SERIES = re.compile(r"\d+\.\d+")


@dataclass(frozen=True)
class KernelPackage:
    """The package that holds a kernel's image."""

    series: str
    release: str
    package: str
    version: str
    sha256: str
    size: int

    def as_dict(self) -> dict:
        return asdict(self)


def series_key(series: str) -> tuple[int, ...]:
    """Orders series as numbers: 6.2 before 6.12."""
    return tuple(int(number) for number in series.split("."))


def parse_stanzas(text: str):
    """Yields the fields of each package record in apt's form. Continued lines are of no interest here."""
    for stanza in re.split(r"\n{2,}", text):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): *(.*)$", stanza, re.MULTILINE))
        if "Package" in fields:
            yield fields


def is_kernel_package(name: str) -> bool:
    """Whether a package of this name may hold an image for virtual machines. Meta packages and debug symbols don't."""
    return _NAME.fullmatch(name) is not None


def newest_by_series(records: str) -> dict[str, KernelPackage]:
    """The newest kernel of each series.

    A release can be spread over several packages. From 6.19 on linux-image-R is empty and depends on linux-binary-R,
    which holds the image; before, linux-image-R holds it, and linux-image-R-unsigned holds the same without signature.
    """
    rank = {"binary": 2, "image": 1}
    found = defaultdict(list)
    for fields in parse_stanzas(records):
        name = _NAME.fullmatch(fields["Package"])
        if not name or "Version" not in fields or "SHA256" not in fields:
            continue
        kernel = KernelPackage(
            series=name["series"], release=name["release"], package=fields["Package"], version=fields["Version"],
            sha256=fields["SHA256"], size=int(fields.get("Size", 0)))
        preference = (version_key(kernel.version), 0 if name["unsigned"] else rank[name["kind"]], kernel.package)
        found[kernel.series].append((preference, kernel))
    return {series: max(found[series], key=lambda pair: pair[0])[1] for series in sorted(found, key=series_key)}


def choose(words: list[str], available: dict[str, KernelPackage]) -> list[tuple[str, KernelPackage | None]]:
    """What was asked for, each series once and in order: (series, its kernel, or None where the archive has none)."""
    chosen: dict[str, KernelPackage | None] = {}
    in_order = sorted(available, key=series_key)
    for word in words:
        if word == "all":
            chosen.update((series, available[series]) for series in in_order)
        elif word in ("oldest", "newest"):
            if in_order:
                series = in_order[0 if word == "oldest" else -1]
                chosen[series] = available[series]
        else:
            chosen[word] = available.get(word)
    return sorted(chosen.items(), key=lambda pair: series_key(pair[0]))


def check_series_words(words: list[str]) -> None:
    """Refuses what cannot name a series, before anything is fetched."""
    for word in words:
        if word not in ("all", "oldest", "newest") and not _SERIES.fullmatch(word):
            raise BadUsage(
                f"'{word}' is neither a kernel series such as 6.12, nor all, oldest or newest, nor the path of a bzImage")
