"""Tokens: 256 random bits for the caller, their SHA-256 as a document of kind "token" for us.

A token is good while it has not expired, its document is there, and its user still has the
credential it was issued under. Whoever reads the store learns no token.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final

from multiconnect.clock import Clock, SystemClock
from multiconnect.errors import UsageError
from multiconnect.limits import TOKEN_LIFETIME_S, TOKENS_PER_USER_MAX
from multiconnect.model.log import Document
from multiconnect.store.port import ControlStore
from multiconnect.web.principal import Principal
from multiconnect.web.users import User, read_user

KIND: Final = "token"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token, the only time it is known in full."""

    token: str = field(repr=False)
    expires_at_ms: int


def token_key(token: bytes) -> str:
    """Return the key of a token's document."""
    return hashlib.sha256(token).hexdigest()


async def issue_token(
    control: ControlStore,
    username: str,
    lifetime_s: float = TOKEN_LIFETIME_S,
    *,
    clock: Clock | None = None,
) -> IssuedToken:
    """Make a token for a user; raise UsageError when there is no such user."""
    user = await read_user(control, username)
    if user is None:
        raise UsageError(f"there is no user {username!r} to issue a token to")
    return await issue_for(control, user.name, user.credential, lifetime_s, clock or SystemClock())


async def issue_for(
    control: ControlStore, username: str, credential: str, lifetime_s: float, clock: Clock
) -> IssuedToken:
    """Make a token under a credential that was just checked."""
    token = secrets.token_urlsafe(32)
    expires_at_ms = clock.wall_ms() + round(lifetime_s * 1000)
    value: dict[str, object] = {
        "username": username,
        "credential": credential,
        "expires_at_ms": expires_at_ms,
    }
    await control.put_document(KIND, token_key(token.encode()), value, None)
    return IssuedToken(token, expires_at_ms)


async def resolve_token(control: ControlStore, key: str, now_ms: int) -> Principal | None:
    """Return whose token it is, or None when it is no good."""
    document = await control.document(KIND, key)
    if document is None or _expires(document) <= now_ms:
        return None
    user = await read_user(control, str(document.value["username"]))
    if user is None or user.credential != document.value["credential"]:
        return None
    return Principal(user.name, user.role, key, _expires(document))


async def revoke_token(control: ControlStore, key: str) -> bool:
    """Make a token void; False when it was."""
    return await control.delete_document(KIND, key)


async def purge_tokens(control: ControlStore, users: list[User], now_ms: int) -> int:
    """Delete tokens that are no good, and each user's oldest beyond the limit; return how many."""
    credentials = {user.name: user.credential for user in users}
    newest_first = sorted(await control.documents(KIND), key=_expires, reverse=True)
    kept: dict[str, int] = {}
    purged = 0
    for document in newest_first:
        username = str(document.value["username"])
        is_good = (
            _expires(document) > now_ms
            and credentials.get(username) == document.value["credential"]
            and kept.get(username, 0) < TOKENS_PER_USER_MAX
        )
        if is_good:
            kept[username] = kept.get(username, 0) + 1
        else:
            purged += await control.delete_document(KIND, document.key)
    return purged


def _expires(document: Document) -> int:
    value = document.value.get("expires_at_ms")
    return value if isinstance(value, int) else 0
