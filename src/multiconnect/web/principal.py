"""Who is calling, and what they may do."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class UserRole(enum.StrEnum):
    """What a user may do: a user sends; an admin also changes users, settings and shards."""

    ADMIN = "admin"
    USER = "user"


class Access(enum.StrEnum):
    """Who may call a route."""

    PUBLIC = "public"
    #: Anybody who is logged in.
    TOKEN = "token"
    ADMIN = "admin"
    #: Anybody who is logged in, or a machine with the API key.
    APIKEY = "apikey"
    #: A user name and a password (HTTP Basic), checked by the handler.
    BASIC = "basic"
    #: A signature over the body, checked by the handler.
    SIGNATURE = "signature"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose credentials were good when last looked at."""

    username: str
    role: UserRole
    #: Key of the token's document; empty for the API key.
    token_key: str = ""
    #: Wall clock after which the token is no good.
    expires_at_ms: int = 0
