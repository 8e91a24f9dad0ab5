"""The registered account: the document of kind "account", key "main".

Invariant 17: certificate and PIN are compared in constant time, and never shown or logged.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass, field
from typing import Final

from multiconnect.store.port import ControlStore

KIND: Final = "account"
KEY: Final = "main"


@dataclass(frozen=True, slots=True)
class Account:
    """What set-shards is checked against; `pin` empty: no two-step verification."""

    cc: str
    phone_number: str
    cert: str = field(repr=False)
    pin: str = field(default="", repr=False)

    def has_cert(self, cert: bytes) -> bool:
        """Return whether these are the certificate's bytes."""
        return hmac.compare_digest(decoded(self.cert) or b"", cert)

    def has_pin(self, pin: str) -> bool:
        """Return whether this is the PIN."""
        return hmac.compare_digest(self.pin.encode(), pin.encode())


def decoded(cert: str) -> bytes | None:
    """Return the bytes of a certificate in base64, or None when it is no such thing."""
    try:
        return base64.b64decode("".join(cert.split()), validate=True) or None
    except (binascii.Error, ValueError):
        return None


async def register_account(control: ControlStore, account: Account) -> None:
    """Write the account, replacing the one that was there."""
    value: dict[str, object] = {
        "cc": account.cc,
        "phone_number": account.phone_number,
        "cert": account.cert,
        "pin": account.pin,
    }
    await control.put_document(KIND, KEY, value, None)


async def read_account(control: ControlStore) -> Account | None:
    """Read the account; None when none is registered."""
    document = await control.document(KIND, KEY)
    if document is None:
        return None
    value = document.value
    return Account(
        cc=str(value["cc"]),
        phone_number=str(value["phone_number"]),
        cert=str(value["cert"]),
        pin=str(value.get("pin") or ""),
    )
