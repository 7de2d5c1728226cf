"""The recorded profiles of mocks/profiles: what a probe found in a guest, compared with what was recorded, or recorded.

The schema is that of `assay profiles show NAME --json`; a file is written as that prints it.
"""

import json
from pathlib import Path

from kernel_matrix.endings import HarnessTrouble
from kernel_matrix.kernel_cache import write_whole

PROFILES = Path(__file__).resolve().parents[2] / "mocks" / "profiles"
# What says nothing about what the kernel offers: a newer stable release of a series may offer just the same.
# Nor does what could not be tried.
_NO_CONTENT = ("name", "origin", "release", "version", "assumed")


def profile_path(folder: Path, series: str) -> Path:
    return folder / f"linux-{series}.json"


def parse_profile(content: bytes, what: str) -> dict:
    """HarnessTrouble if it is no profile."""
    try:
        profile = json.loads(content)
    except ValueError as error:
        raise HarnessTrouble(f"{what} is not JSON: {error}") from error
    if not isinstance(profile, dict) or not isinstance(profile.get("semantics"), dict):
        raise HarnessTrouble(f"{what} is not a profile: it has no 'semantics'")
    return profile


def stored_profile(folder: Path, series: str) -> dict | None:
    """None if none was recorded."""
    path = profile_path(folder, series)
    try:
        return parse_profile(path.read_bytes(), str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HarnessTrouble(f"{path} cannot be read: {error.strerror}") from error


def _of_lists(found: list, stored: list) -> str:
    more = [str(name) for name in found if name not in stored]
    fewer = [str(name) for name in stored if name not in found]
    told = [f"has {', '.join(more)}"] * bool(more) + [f"has no {', '.join(fewer)}"] * bool(fewer)
    return " and ".join(told) or ("has another order" if found != stored else "")


def _value(switches: dict, name: str) -> str:
    return json.dumps(switches[name]) if name in switches else "not recorded"


def differences(found: dict, stored: dict) -> dict[str, str]:
    """By member, what the kernel has that was not recorded, and what it lacks; empty if the two mean the same."""
    told = {}
    for member in dict.fromkeys([*stored, *found]):
        if member in _NO_CONTENT or found.get(member) == stored.get(member):
            continue
        new, old = found.get(member), stored.get(member)
        if isinstance(new, list) and isinstance(old, list):
            told[member] = _of_lists(new, old)
        elif isinstance(new, dict) and isinstance(old, dict):
            told[member] = ", ".join(
                f"{name} is {_value(new, name)} and was {_value(old, name)}"
                for name in dict.fromkeys([*old, *new]) if new.get(name) != old.get(name))
        else:
            told[member] = f"is {json.dumps(new)} and was {json.dumps(old)}"
    return told


def says_all_of(shown: dict, stored: dict) -> bool:
    """Whether a built-in profile is the recorded one. Of switches that are newer than the record it tells more: those it
    assumes."""
    if any(shown.get(member) != value for member, value in stored.items() if member not in ("semantics", "assumed")):
        return False
    return shown["semantics"].items() >= stored["semantics"].items()


def release_note(found: dict, stored: dict, series: str) -> str:
    """Empty where the profile was recorded on this very release."""
    if found.get("release") == stored.get("release"):
        return ""
    return f"linux-{series}: its profile was recorded on {stored.get('release')}, this guest was {found.get('release')}"


def write_profile(folder: Path, series: str, found: dict) -> None:
    profile = found | {"name": f"linux-{series}"}
    write_whole(profile_path(folder, series), (json.dumps(profile, indent=2, ensure_ascii=False) + "\n").encode())
