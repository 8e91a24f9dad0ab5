"""Both ends of a lane prove that they know a shared secret before anything else is said.

    router                                    owner
    HELLO {nonce, secrets, …}        ─────▶   picks a secret both know
    checks                           ◀─────   CHALLENGE {secret, nonce, proof}
    PROOF {proof}                    ─────▶   checks; only now the connection counts
                                     ◀─────   WELCOME

A proof is HMAC-SHA256 over the role, the protocol, the owner's incarnation, the whole HELLO and the
owner's nonce. So a proof is good for one connection (both nonces), cannot be sent back to whoever
made it (role), is no use to another owner (incarnation), and nothing of the HELLO can be changed on
the way. The owner proves itself first: a router says nothing to somebody who only asks. Secrets are
named by a hash, and two may be known at once, so that one can replace the other.

Pure: nonces are arguments. It proves who is there when the connection begins and costs nothing
afterwards; it neither encrypts nor seals what follows, which is what TLS is for
(docs/operations.md).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Final

import orjson

from multiconnect.dataplane.wire import PROTOCOL_VERSION
from multiconnect.errors import Refused

NONCE_BYTES: Final = 32
_LABEL: Final = b"multiconnect lane"
_ROUTER: Final = b"router"
_OWNER: Final = b"owner"
_REMEDY: Final = "give both hosts the same --lane-secret-file"


def secret_name(secret: str) -> str:
    """Return what a secret is called on the wire and in logs; it cannot be found from that."""
    return _mac(secret, b"name").hex()[:16]


class RouterChallenge:
    """A router's side of one connection."""

    def __init__(self, secrets: Sequence[str], incarnation: str, nonce: bytes) -> None:
        self._secrets = {secret_name(secret): secret for secret in secrets}
        self._incarnation = incarnation
        self._nonce = nonce
        self._hello = b""

    def hello(self, fields: dict[str, Any]) -> bytes:
        """Return the body of a HELLO that says `fields`, and what the owner needs to know."""
        known = {"nonce": self._nonce.hex(), "secrets": list(self._secrets)}
        self._hello = orjson.dumps(fields | known)
        return self._hello

    def answer(self, challenge: dict[str, Any]) -> dict[str, Any]:
        """Check the owner's proof; return the PROOF. Raises Refused."""
        secret = self._secrets.get(str(challenge.get("secret")))
        nonce = _nonce(challenge.get("nonce"))
        if secret is None or nonce is None:
            raise Refused(f"the owner named no lane secret that is known here; {_REMEDY}")
        expected = _proof(secret, _OWNER, self._incarnation, self._hello, nonce)
        if not _same(expected, challenge.get("proof")):
            raise Refused(f"the owner could not prove that it is {self._incarnation}; {_REMEDY}")
        return {"proof": _proof(secret, _ROUTER, self._incarnation, self._hello, nonce)}


class OwnerChallenge:
    """An owner's side of one connection."""

    def __init__(self, secrets: Sequence[str], incarnation: str, nonce: bytes) -> None:
        self._secrets = {secret_name(secret): secret for secret in secrets}
        self._incarnation = incarnation
        self._nonce = nonce
        self._expected = ""

    def challenge(self, hello: dict[str, Any], raw: bytes) -> dict[str, Any]:
        """Return the CHALLENGE to a HELLO (decoded, and byte for byte). Raises Refused."""
        offered = hello.get("secrets")
        if _nonce(hello.get("nonce")) is None or not isinstance(offered, list):
            raise Refused(f"a router without a lane secret, which is wanted here; {_REMEDY}")
        name = next((name for name in self._secrets if name in offered), None)
        if name is None:
            raise Refused(
                f"the router knows other lane secrets than {', '.join(self._secrets)}; {_REMEDY}"
            )
        secret = self._secrets[name]
        self._expected = _proof(secret, _ROUTER, self._incarnation, raw, self._nonce)
        proof = _proof(secret, _OWNER, self._incarnation, raw, self._nonce)
        return {"secret": name, "nonce": self._nonce.hex(), "proof": proof}

    def check(self, proof: dict[str, Any]) -> None:
        """Take the router's PROOF. Raises Refused."""
        if not self._expected or not _same(self._expected, proof.get("proof")):
            raise Refused(f"the router could not prove that it knows the lane secret; {_REMEDY}")


def _proof(secret: str, role: bytes, incarnation: str, hello: bytes, nonce: bytes) -> str:
    protocol = str(PROTOCOL_VERSION).encode()
    return _mac(secret, role, protocol, incarnation.encode(), hello, nonce).hex()


def _mac(secret: str, *parts: bytes) -> bytes:
    # With lengths, so that no two lists of parts read the same.
    text = b"".join(len(part).to_bytes(4, "big") + part for part in (_LABEL, *parts))
    return hmac.new(secret.encode(), text, hashlib.sha256).digest()


def _same(expected: str, given: object) -> bool:
    return isinstance(given, str) and hmac.compare_digest(expected.encode(), given.encode())


def _nonce(text: object) -> bytes | None:
    """Return a nonce of the right length, else None."""
    try:
        nonce = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return None
    return nonce if len(nonce) == NONCE_BYTES else None
