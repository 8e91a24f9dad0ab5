"""Where the files of a SQLite store lie.

`sqlite:///cluster/multiconnect.db` is relative to the working directory (three slashes), and
`sqlite:////srv/multiconnect.db` is absolute (four), as elsewhere in the Python world.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from multiconnect.errors import InvalidSettings

_PREFIX: Final = "sqlite:///"
_LEDGER_SUFFIX: Final = ".db"


@dataclass(frozen=True, slots=True)
class Files:
    """The control file and what lies beside it."""

    control: Path

    @property
    def beats(self) -> Path:
        """The file of beats."""
        return self.control.with_name(f"{self.control.name}.beats")

    @property
    def bell(self) -> Path:
        """The file that is written to after each commit to the control file."""
        return self.control.with_name(f"{self.control.name}.bell")

    @property
    def ledgers(self) -> Path:
        """The directory of ledgers."""
        return self.control.with_name(f"{self.control.name}.ledgers")

    def ledger(self, incarnation: str) -> Path:
        """Return the ledger of an incarnation, whatever characters its name has."""
        return self.ledgers / (quote(incarnation, safe="#") + _LEDGER_SUFFIX)

    def stored_ledgers(self) -> list[str]:
        """Return the incarnations that have a ledger here."""
        names = sorted(path.name for path in self.ledgers.glob(f"*{_LEDGER_SUFFIX}"))
        return [unquote(name.removesuffix(_LEDGER_SUFFIX)) for name in names]

    def make_directories(self) -> None:
        """Make what is missing, open to this user only: the files hold message bodies."""
        self.control.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.ledgers.mkdir(mode=0o700, exist_ok=True)


def files_of(url: str) -> Files:
    """Return the files a URL names; raise InvalidSettings if it names none."""
    path = url.removeprefix(_PREFIX)
    if not url.startswith(_PREFIX) or not path.strip("/"):
        raise InvalidSettings(
            f"store {url!r} names no file; use sqlite:///relative/path.db or"
            " sqlite:////absolute/path.db"
        )
    if path.startswith(":memory:"):
        raise InvalidSettings(f"store {url!r} cannot be shared by processes; use memory://")
    if "?" in path or path.endswith("/"):
        raise InvalidSettings(f"store {url!r} must end with the file's name, without parameters")
    return Files(Path(path))
