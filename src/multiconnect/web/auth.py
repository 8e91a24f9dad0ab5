"""Who is calling: tokens, the API key, and logging in. The door that `create_user` and
`issue_token` are reached through by the command line and the supervisor.

Guarantees: what cannot be checked is refused; a refusal does not tell a wrong name from a wrong
password; no secret is kept, logged or shown (invariant 17).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging

from multiconnect.clock import Clock
from multiconnect.errors import Overloaded, UsageError
from multiconnect.limits import TOKEN_LIFETIME_S
from multiconnect.store.port import ControlStore
from multiconnect.web.errors import ApiError, denied, invalid, too_many
from multiconnect.web.login_throttle import LoginThrottle, Wait
from multiconnect.web.passwords import (
    PASSWORD_RULE,
    PasswordPool,
    check_password,
    is_outdated,
    new_password,
)
from multiconnect.web.principal import Access, Principal, UserRole
from multiconnect.web.token_cache import TokenCache
from multiconnect.web.tokens import IssuedToken, issue_for, issue_token, purge_tokens, revoke_token
from multiconnect.web.users import (
    User,
    create_user,
    delete_user,
    list_users,
    read_user,
    refresh_hash,
    reset_password,
    store_password,
)

__all__ = [
    "Authenticator",
    "IssuedToken",
    "UserRole",
    "create_user",
    "delete_user",
    "issue_token",
    "list_users",
    "new_password",
    "read_user",
    "reset_password",
]

_log = logging.getLogger(__name__)
_MONITOR = Principal("apikey", UserRole.USER)


class Authenticator:
    """Checks callers against the users and tokens in the store."""

    def __init__(self, control: ControlStore, clock: Clock, api_key: str = "") -> None:
        self._control = control
        self._clock = clock
        self._api_key = _digest(api_key.encode()) if api_key else b""
        self.cache = TokenCache(control, clock)
        self.passwords = PasswordPool()
        self.throttle = LoginThrottle()
        #: Log-ins refused, for /metrics.
        self.logins_refused = 0

    def peek(self, header: bytes | None, access: Access) -> Principal | None:
        """Return the caller if that is known without asking the store; None: ask `check`."""
        if header is None:
            return None
        if header[:7] == b"Bearer ":
            return self.cache.peek(header[7:])
        if access is Access.APIKEY and self._is_api_key(header):
            return _MONITOR
        return None

    async def check(self, header: bytes | None, access: Access) -> Principal:
        """Return the caller; raise ApiError 401 when the credentials are no good."""
        known = self.peek(header, access)
        if known is not None:
            return known
        scheme, _, token = (header or b"").partition(b" ")
        token = token.strip()
        if scheme.lower() == b"bearer" and 0 < len(token) <= 512:
            principal = self.cache.peek(token) or await self.cache.look_up(token)
            if principal is not None:
                return principal
        raise denied(
            "Authorization holds no valid token: it is missing, unknown, expired or revoked; "
            "log in at POST /v1/users/login",
            status=401,
            headers=((b"WWW-Authenticate", b"Bearer"),),
        )

    async def log_in(
        self, header: bytes | None, address: str, chosen_password: str | None
    ) -> IssuedToken:
        """Check name and password (HTTP Basic) and issue a token; perhaps change the password."""
        name, password = _basic(header)
        wait = self.throttle.begin(name, address, self._clock.monotonic())
        if wait is not None:
            self.logins_refused += 1
            raise _told_to_wait(wait)
        user = await self._verified(name, password, address)
        credential = user.credential
        if chosen_password is not None:
            credential = await self._change_password(user, chosen_password)
        elif user.must_change:
            raise ApiError(
                403, 1024, f"the first log-in must bring new_password; expected {PASSWORD_RULE}"
            )
        elif is_outdated(user.password_hash):
            await refresh_hash(self._control, user, await self.passwords.hash(password))
        return await issue_for(self._control, name, credential, TOKEN_LIFETIME_S, self._clock)

    async def log_out(self, principal: Principal) -> None:
        """Make the caller's token void."""
        await revoke_token(self._control, principal.token_key)
        self.cache.forget(principal.token_key)

    async def purge(self) -> int:
        """Delete tokens that are no good any more; return how many."""
        users = await list_users(self._control)
        return await purge_tokens(self._control, users, self._clock.wall_ms())

    async def aclose(self) -> None:
        """Stop."""
        await self.cache.aclose()
        self.passwords.close()

    async def _verified(self, name: str, password: str, address: str) -> User:
        try:
            user = await read_user(self._control, name)
            fits = await self.passwords.verify(user.password_hash if user else None, password)
        except Overloaded:
            self.throttle.withdraw(name, address)
            raise
        if user is None or not fits:
            self.logins_refused += 1
            _log.warning("login_refused", extra={"address": address})
            raise _bad_login()
        self.throttle.succeeded(name, address)
        return user

    async def _change_password(self, user: User, chosen: str) -> str:
        try:
            check_password(chosen)
        except UsageError:
            raise invalid("new_password", chosen, PASSWORD_RULE) from None
        hashed = await self.passwords.hash(chosen)
        credential = await store_password(self._control, user, hashed)
        if credential is None:
            raise ApiError(409, 1004, "the password was changed by somebody else; log in again")
        return credential

    def _is_api_key(self, header: bytes) -> bool:
        scheme, _, key = header.partition(b" ")
        if not self._api_key or scheme.lower() != b"apikey":
            return False
        return hmac.compare_digest(_digest(key.strip()), self._api_key)


def may(principal: Principal, access: Access) -> bool:
    """Return whether the caller's role is enough for a route."""
    if access is Access.ADMIN:
        return principal.role is UserRole.ADMIN
    return True


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _basic(header: bytes | None) -> tuple[str, str]:
    scheme, _, encoded = (header or b"").partition(b" ")
    if scheme.lower() != b"basic":
        raise _bad_login()
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _bad_login() from None
    name, _, password = decoded.partition(":")
    return name, password


def _bad_login() -> ApiError:
    return denied(
        "user name and password do not match; expected both as HTTP Basic",
        status=401,
        headers=((b"WWW-Authenticate", b'Basic realm="multiconnect"'),),
    )


def _told_to_wait(wait: Wait) -> ApiError:
    if wait.locked:
        seconds = str(max(1, round(wait.seconds))).encode()
        return ApiError(
            403,
            1031,
            "too many wrong passwords for this user; log-ins are locked for a while",
            ((b"Retry-After", seconds),),
        )
    return too_many("too many attempts to log in; wait before the next one", wait.seconds)
