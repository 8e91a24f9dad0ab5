"""Schema versions: numbered SQL files, forward only, and which of them a database still needs.

How they are run is each dialect's own business; that a schema is never run twice and a newer one
never used is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from multiconnect.errors import Refused


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file."""

    version: int
    name: str
    sql: str


@cache
def migrations(dialect: str, family: str) -> tuple[Migration, ...]:
    """Return a family's migrations, oldest first: the files `sql/<dialect>/<family>_NNNN_….sql`."""
    folder = resources.files("multiconnect.store").joinpath("sql", dialect)
    found = []
    for file in folder.iterdir():
        stem, _, suffix = file.name.rpartition(".")
        of, _, numbered = stem.partition("_")
        if of == family and suffix == "sql":
            version = int(numbered.partition("_")[0])
            found.append(Migration(version, file.name, file.read_text(encoding="utf-8")))
    return tuple(sorted(found, key=lambda migration: migration.version))


def pending(known: Sequence[Migration], version: int, where: str) -> list[Migration]:
    """Return the migrations that a database at `version` needs (0: it has no schema).

    Raises Refused when the schema is newer than this code: it may mean what we do not know.
    """
    newest = known[-1].version
    if version > newest:
        raise Refused(
            f"{where} has schema version {version}, and this multiconnect knows up to {newest};"
            " upgrade multiconnect on this host"
        )
    return [migration for migration in known if migration.version > version]
