"""What a cluster needs before anybody can use it: an account, a first user, webhook secrets.

Everything is made once and kept in the store; a later start finds it and changes nothing but what
was configured outright. There is no default password: the first one is random, in a private file.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from multiconnect.config.settings import ClusterSettings
from multiconnect.store.port import ControlStore
from multiconnect.web.account import Account, read_account, register_account
from multiconnect.web.auth import (
    UserRole,
    create_user,
    issue_token,
    new_password,
    read_user,
)

WEBHOOK: Final = ("setting", "webhook_in")
UPSTREAM: Final = ("setting", "upstream")
ADMIN: Final = "admin"
PASSWORD_FILE: Final = "admin-password"
_DEMO_CC: Final = "1"
_DEMO_NUMBER: Final = "6315550000"
_CERT_BYTES: Final = 96


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """What incoming webhooks are verified with."""

    verify_token: str = field(repr=False)
    app_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class UpstreamChoice:
    """Where a cluster's messages go: what `up` said and every `node` follows."""

    #: "simulator", "null" or a base URL; `url` is what connectors are given.
    kind: str
    url: str
    phone_number_id: str
    version: str
    number_rate: float | None
    pair_rate: bool


async def ensure_account(control: ControlStore, settings: ClusterSettings) -> Account:
    """Return the account: as configured, else as stored, else a demo account made now."""
    stored = await read_account(control)
    account = stored or Account(_DEMO_CC, _DEMO_NUMBER, _new_cert())
    if settings.account_cc:
        account = replace(
            account, cc=settings.account_cc, phone_number=settings.account_phone_number
        )
    account = replace(
        account,
        cert=settings.account_cert or account.cert,
        pin=settings.account_pin or account.pin,
    )
    if account != stored:
        await register_account(control, account)
    return account


async def ensure_webhook_secrets(
    control: ControlStore, settings: ClusterSettings
) -> WebhookSecrets:
    """Return the secrets: as configured, else as stored, else made now."""
    stored = await _read(control, WEBHOOK)
    wanted = {
        "verify_token": settings.verify_token or stored.get("verify_token") or _new_secret(),
        "app_secret": settings.app_secret or stored.get("app_secret") or _new_secret(),
    }
    kept = await _keep(control, WEBHOOK, stored, wanted)
    return WebhookSecrets(str(kept["verify_token"]), str(kept["app_secret"]))


async def ensure_admin(control: ControlStore, data_dir: Path) -> None:
    """Make the first user if there is none, with its password in `password_file`.

    The file is written before the user: a crash in between leaves a password nobody has yet, not a
    user whose password nobody knows.
    """
    if await read_user(control, ADMIN) is None:
        password = new_password()
        write_private(data_dir / PASSWORD_FILE, password + "\n")
        await create_user(control, ADMIN, password, UserRole.ADMIN)


def password_file(data_dir: Path) -> Path | None:
    """Return the file with the first user's first password, if it is on this host."""
    path = data_dir / PASSWORD_FILE
    return path if path.exists() else None


async def admin_token(control: ControlStore) -> str | None:
    """Return a new bearer token of the first user; None when there is no such user."""
    if await read_user(control, ADMIN) is None:
        return None
    return (await issue_token(control, ADMIN)).token


async def store_upstream(control: ControlStore, choice: UpstreamChoice) -> None:
    """Note where messages go, for the cluster's other hosts. The token is never stored."""
    value: dict[str, object] = {
        "kind": choice.kind,
        "url": choice.url,
        "phone_number_id": choice.phone_number_id,
        "version": choice.version,
        "number_rate": choice.number_rate,
        "pair_rate": choice.pair_rate,
    }
    await control.put_document(*UPSTREAM, value, None)


async def stored_upstream(control: ControlStore) -> UpstreamChoice | None:
    """Return where the cluster's messages go; None when no `up` has said so yet."""
    value = await _read(control, UPSTREAM)
    if not value:
        return None
    rate = value["number_rate"]
    return UpstreamChoice(
        kind=str(value["kind"]),
        url=str(value["url"]),
        phone_number_id=str(value["phone_number_id"]),
        version=str(value["version"]),
        number_rate=float(rate) if isinstance(rate, int | float) else None,
        pair_rate=bool(value["pair_rate"]),
    )


def write_private(path: Path, text: str) -> None:
    """Write a file only this user can read, in one step: a reader sees all of it or nothing."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


async def _read(control: ControlStore, place: tuple[str, str]) -> Mapping[str, object]:
    document = await control.document(*place)
    return document.value if document else {}


async def _keep(
    control: ControlStore,
    place: tuple[str, str],
    stored: Mapping[str, object],
    wanted: Mapping[str, object],
) -> Mapping[str, object]:
    """Write what is wanted unless it is stored; who came first in a race of two starts has won."""
    if dict(wanted) == dict(stored):
        return stored
    observed = None if stored else 0
    if await control.put_document(*place, wanted, observed) is None:
        return await _read(control, place)
    return wanted


def _new_secret() -> str:
    return secrets.token_urlsafe(24)


def _new_cert() -> str:
    return base64.b64encode(secrets.token_bytes(_CERT_BYTES)).decode()
