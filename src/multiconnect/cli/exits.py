"""Exit codes, and how an error becomes one: what happened, why, and the next command."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from multiconnect.cli.output import say
from multiconnect.errors import (
    DeadlineExceeded,
    MulticonnectError,
    Refused,
    Unavailable,
    UsageError,
)


class Exit(enum.IntEnum):
    """What a command ends with."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4
    REFUSED = 5
    TIMEOUT = 6
    INTERRUPTED = 130

    @property
    def words(self) -> str:
        """The code in words."""
        return _WORDS[self]


_WORDS = {
    Exit.OK: "ok",
    Exit.FAILED: "failed",
    Exit.USAGE: "wrong usage or settings",
    Exit.NOT_FOUND: "not found",
    Exit.UNREACHABLE: "cluster unreachable",
    Exit.REFUSED: "refused by the cluster",
    Exit.TIMEOUT: "not done in time",
    Exit.INTERRUPTED: "interrupted",
}


class CommandError(MulticonnectError):
    """A command cannot go on; its text is a whole sentence for a person."""

    def __init__(self, code: Exit, text: str) -> None:
        super().__init__(text)
        self.code = code


def run_to_exit(command: Callable[[], int]) -> int:
    """Run a command; return its exit code, with the reason of a failure on stderr."""
    try:
        return command()
    except MulticonnectError as error:
        say(f"error: {error}")
        return exit_of(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough (`multiconnect status | head`).
        return Exit.OK
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(error.name or "")
        if extra is None:
            raise
        say(f'error: {error.name} is not installed; pip install "multiconnect[{extra}]"')
        return Exit.FAILED


def exit_of(error: MulticonnectError) -> Exit:
    """Return the exit code of an error."""
    if isinstance(error, CommandError):
        return error.code
    for kind, code in _KINDS:
        if isinstance(error, kind):
            return code
    return Exit.FAILED


#: The first that fits decides: a DeadlineExceeded is Unavailable too.
_KINDS: Final[tuple[tuple[type[MulticonnectError], Exit], ...]] = (
    (UsageError, Exit.USAGE),
    (DeadlineExceeded, Exit.TIMEOUT),
    (Unavailable, Exit.UNREACHABLE),
    (Refused, Exit.REFUSED),
)
#: Which extra brings a module that the bare library does not have.
_EXTRAS = {
    "aiohttp": "server",
    "httptools": "server",
    "argon2": "server",
    "prometheus_client": "server",
    "asyncpg": "postgres",
}
