"""Debian's order of version numbers (deb-version(7)), in which `~` sorts before everything, even the end."""

import re


def _character_rank(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def _part_key(part: str) -> list:
    """Alternating runs of non-digits and digits. Each run of non-digits ends with a 0 rank, which `~` undercuts."""
    key = []
    for text, digits in re.findall(r"(\D*)(\d*)", part):
        key.append([_character_rank(character) for character in text] + [0])
        key.append(int(digits or 0))
    return key


def version_key(version: str) -> tuple:
    """A key that sorts versions as dpkg does: 6.12~rc1-1 < 6.12-1~bpo13+1 < 6.12-1 < 6.12.1-1 < 1:1.0-1."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    return int(epoch), _part_key(upstream), _part_key(revision)
