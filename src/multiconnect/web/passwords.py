"""Passwords: the rule they obey, and Argon2id in a bounded pool of threads.

Guarantees: a hash costs 19 MiB and two passes (OWASP's least); at most `PASSWORD_CHECKS_MAX` wait,
so that log-ins cannot starve the rest; a user that does not exist costs as much as a wrong
password. Argon2 releases the interpreter lock, so the loop goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import secrets
import string
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import argon2

from multiconnect.errors import Overloaded, UsageError
from multiconnect.limits import PASSWORD_CHECKS_MAX, PASSWORD_THREADS

PASSWORD_RULE: Final = (
    "8 to 64 characters with a digit, an upper-case letter, a lower-case letter and another sign"
)
_HASHER: Final = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
#: A well-formed hash that fits no password: what is checked for a user that does not exist.
_NOBODY: Final = f"$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'A' * 43}"
_T = TypeVar("_T")


def check_password(password: str) -> None:
    """Raise UsageError when a new password breaks the rule; the password is never in the text."""
    kinds = (str.isdigit, str.isupper, str.islower, _is_other)
    fits = 8 <= len(password) <= 64 and all(any(map(kind, password)) for kind in kinds)
    if not fits:
        raise UsageError(f"the new password is not good enough; expected {PASSWORD_RULE}")


def new_password() -> str:
    """Return a random password that obeys the rule (120 bits)."""
    letters = string.ascii_letters + string.digits
    while True:
        password = "-".join("".join(secrets.choice(letters) for _ in range(7)) for _ in range(3))
        try:
            check_password(password)
        except UsageError:
            continue
        return password


def hash_password(password: str) -> str:
    """Return the hash of a password; blocks for some 30 ms."""
    return _HASHER.hash(password)


def verify_password(password_hash: str | None, password: str) -> bool:
    """Return whether the password fits; as slow for no hash at all. Blocks for some 30 ms."""
    try:
        _HASHER.verify(password_hash or _NOBODY, password)
    except argon2.exceptions.VerificationError:
        return False
    except (argon2.exceptions.InvalidHashError, UnicodeError):
        return False
    return password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Return whether a hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(password_hash)


class PasswordPool:
    """Runs the functions above off the loop, a few at a time."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(PASSWORD_THREADS, thread_name_prefix="password")
        self._in_flight = 0

    async def hash(self, password: str) -> str:
        """Hash; raise Overloaded when too many wait."""
        return await self._run(lambda: hash_password(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Verify; raise Overloaded when too many wait."""
        return await self._run(lambda: verify_password(password_hash, password))

    def close(self) -> None:
        """End the threads; does not wait for them."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], _T]) -> _T:
        if self._in_flight >= PASSWORD_CHECKS_MAX:
            raise Overloaded(f"more than {PASSWORD_CHECKS_MAX} passwords are being checked")
        self._in_flight += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._in_flight -= 1


def _is_other(sign: str) -> bool:
    return not sign.isalnum()
