"""What the driver and the server report, in our terms: don't know, refused, or a bug.

Everything that may pass by itself (a lost connection, a restart, a full disk, a lock, a standby
that was promoted or not) is StoreUnavailable. What cannot pass is a bug of ours or damaged data.
"""

from __future__ import annotations

import ssl
from typing import Final

import asyncpg

from multiconnect.errors import (
    Bug,
    CorruptData,
    InvalidSettings,
    MulticonnectError,
    StoreUnavailable,
)

#: Everything that a call of the driver may raise and that is about the server or the way to it.
DRIVER_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    EOFError,
    TimeoutError,
)

_LOCK_NOT_AVAILABLE: Final = "55P03"
_GAP: Final = "MC001"
#: By SQLSTATE or its class: our statement is wrong, which no repetition cures.
_BUGS: Final = ("21", "22", "23", "42", _GAP)
_DAMAGED: Final = ("XX001", "XX002")
_HINTS: Final = {
    "53100": "the database's disk is full, nothing was written; free some space",
    "53300": "the server takes no more connections; raise its max_connections",
    "25006": "the server is read-only: a standby, or being demoted",
    "57014": "the statement took too long",
    "57P01": "the server ended the session",
    "57P03": "the server is starting up or shutting down",
}


class LockedOut(StoreUnavailable):
    """Another session holds a row for longer than anybody waits for it."""


def translated(error: Exception, where: str) -> MulticonnectError:
    """Return our error for one of a statement; `where` names the store without its password."""
    state = getattr(error, "sqlstate", None) or ""
    if state == _LOCK_NOT_AVAILABLE:
        return LockedOut(f"{where}: another session keeps a row locked")
    if state in _DAMAGED:
        return CorruptData(f"{where} is damaged ({error}); restore it from a copy")
    if state.startswith(_BUGS):
        return Bug(f"{where}: {error} (SQLSTATE {state})")
    return StoreUnavailable(f"{where}: {_HINTS.get(state) or _text(error)}")


def refused_at_start(error: Exception, where: str) -> MulticonnectError:
    """Return our error for a first connection, when somebody still looks at the settings."""
    state = getattr(error, "sqlstate", None) or ""
    if state.startswith("28"):
        return InvalidSettings(f"{where} refuses the login: {error}")
    if state == "3D000":
        return InvalidSettings(f"{where}: {error}; make it with createdb")
    if isinstance(error, ssl.SSLError) or "SSL" in str(error):
        return InvalidSettings(f"{where}: TLS failed ({error}); see sslmode and sslrootcert")
    if isinstance(error, asyncpg.ClientConfigurationError):
        return InvalidSettings(f"{where}: {error}")
    if state.startswith("42"):
        return InvalidSettings(f"{where}: {error}")
    return translated(error, where)


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
