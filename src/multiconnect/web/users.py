"""Users: documents of kind "user" in the control store.

`credential` names one password of one user. It changes with the password and when a name is used
again, and every token carries the one it was issued under, so neither revives an old token.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass
from typing import Final

from multiconnect.errors import UsageError
from multiconnect.model.log import Document
from multiconnect.store.port import ControlStore
from multiconnect.web.passwords import check_password, hash_password
from multiconnect.web.principal import UserRole

KIND: Final = "user"
NAME_RULE: Final = "4 to 32 of the characters A-Z a-z 0-9 . _ @ -"
_NAME = re.compile(r"[A-Za-z0-9._@-]{4,32}")


@dataclass(frozen=True, slots=True)
class User:
    """One user as stored; `password_hash` is kept out of the `repr`."""

    name: str
    role: UserRole
    password_hash: str
    credential: str
    must_change: bool
    version: int

    def __repr__(self) -> str:
        """Show who it is, and nothing secret."""
        return f"<User {self.name} {self.role}>"


def check_name(name: str) -> None:
    """Raise UsageError for a name that breaks the rule."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"the user name has to be {NAME_RULE}")


async def create_user(
    control: ControlStore,
    name: str,
    password: str,
    role: UserRole | str = UserRole.USER,
    *,
    must_change: bool = False,
) -> bool:
    """Create a user; False when the name is taken. Raises UsageError for a bad name or password.

    With `must_change` the first log-in has to bring a new password.
    """
    check_name(name)
    check_password(password)
    hashed = await asyncio.to_thread(hash_password, password)
    return await store_new_user(control, name, hashed, UserRole(role), must_change=must_change)


async def store_new_user(
    control: ControlStore, name: str, password_hash: str, role: UserRole, *, must_change: bool
) -> bool:
    """Write a user whose password is hashed already; False when the name is taken."""
    value = _value(password_hash, role, must_change=must_change)
    return await control.put_document(KIND, name, value, 0) is not None


async def read_user(control: ControlStore, name: str) -> User | None:
    """Read a user; None when there is none."""
    document = await control.document(KIND, name)
    return None if document is None else _user(document)


async def list_users(control: ControlStore) -> list[User]:
    """Read all users, by name."""
    return [_user(document) for document in await control.documents(KIND)]


async def store_password(control: ControlStore, user: User, password_hash: str) -> str | None:
    """Change a password, which ends the user's tokens; the new credential, None if overtaken."""
    value = _value(password_hash, user.role, must_change=False)
    version = await control.put_document(KIND, user.name, value, user.version)
    return None if version is None else str(value["credential"])


async def refresh_hash(control: ControlStore, user: User, password_hash: str) -> None:
    """Store the same password hashed anew; tokens stay good."""
    value = {
        **_value(password_hash, user.role, must_change=user.must_change),
        "credential": user.credential,
    }
    await control.put_document(KIND, user.name, value, user.version)


async def reset_password(
    control: ControlStore, name: str, password: str, *, must_change: bool = False
) -> bool:
    """Give a user another password and end its tokens; False when there is no such user."""
    check_password(password)
    hashed = await asyncio.to_thread(hash_password, password)
    while (user := await read_user(control, name)) is not None:
        value = _value(hashed, user.role, must_change=must_change)
        if await control.put_document(KIND, name, value, user.version) is not None:
            return True
    return False


async def delete_user(control: ControlStore, name: str) -> bool:
    """Delete a user, which ends its tokens; False when there is none."""
    return await control.delete_document(KIND, name)


def _value(password_hash: str, role: UserRole, *, must_change: bool) -> dict[str, object]:
    return {
        "hash": password_hash,
        "role": role.value,
        "must_change": must_change,
        "credential": secrets.token_hex(8),
    }


def _user(document: Document) -> User:
    value = document.value
    return User(
        name=document.key,
        role=UserRole(str(value["role"])),
        password_hash=str(value["hash"]),
        credential=str(value["credential"]),
        must_change=bool(value.get("must_change")),
        version=document.version,
    )
