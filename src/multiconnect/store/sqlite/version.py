"""Which SQLite may be trusted with a WAL that several connections write."""

from __future__ import annotations

from typing import Final

Version = tuple[int, int, int]

#: The oldest release with all the SQL that is used here (UPSERT, RETURNING, STRICT pragmas).
_OLDEST: Final[Version] = (3, 37, 0)
#: From 3.7.0 on, two connections can race on resetting the WAL and corrupt the file.
_FIXED: Final[Version] = (3, 51, 3)
#: Older lines that got the fix too: (major, minor) → first good patch.
_BACKPORTS: Final = {(3, 44): 6, (3, 50): 7}


def parse_version(text: str) -> Version:
    """Return "3.51.3" as (3, 51, 3); a missing part counts as 0."""
    parts = [int(part) for part in text.split(".")[:3]]
    major, minor, patch = (*parts, 0, 0, 0)[:3]
    return major, minor, patch


def unfit_because(version: Version) -> str | None:
    """Return why this SQLite must not be used, or None if it may."""
    name = ".".join(map(str, version))
    if version < _OLDEST:
        return f"SQLite {name} is too old"
    patched = version[2] >= _BACKPORTS.get(version[:2], version[2] + 1)
    if version < _FIXED and not patched:
        return f"SQLite {name} can corrupt a WAL written by several connections (WAL-reset race)"
    return None
