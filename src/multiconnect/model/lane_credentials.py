"""What the two ends of a lane between hosts know, so that neither has to trust the network.

A value without I/O: files are read by whoever makes it. Guarantee (invariant 17): no secret is in
its `repr` or in an error about it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from multiconnect.errors import InvalidSettings
from multiconnect.limits import LANE_SECRET_CHARS_MIN, LANE_SECRETS_MAX

REMEDY = (
    "make a secret with `openssl rand -hex 32`, give every host the same file with "
    "--lane-secret-file FILE (or MULTICONNECT_LANE_SECRET), or use --lane-tls-cert, "
    "--lane-tls-key and --lane-tls-ca; see docs/operations.md"
)


@dataclass(frozen=True, slots=True)
class LaneCredentials:
    """Shared secrets, or a certificate with its key and CA (paths of PEM files), or both.

    Two secrets are in force while one replaces the other. Secrets prove who is there; TLS does so
    too, and nobody can read or change what is said.
    """

    secrets: tuple[str, ...] = field(default=(), repr=False)
    tls_cert: str = ""
    tls_key: str = ""
    tls_ca: str = ""

    def __post_init__(self) -> None:
        """Refuse what would prove nothing; raise InvalidSettings."""
        if len(self.secrets) > LANE_SECRETS_MAX:
            raise InvalidSettings(
                f"lane_secret has {len(self.secrets)} secrets; expected at most "
                f"{LANE_SECRETS_MAX}: the one in use, and the one that replaces it"
            )
        if any(len(secret) < LANE_SECRET_CHARS_MIN for secret in self.secrets):
            shortest = min(map(len, self.secrets))
            raise InvalidSettings(
                f"lane_secret has a secret of {shortest} characters; expected at least "
                f"{LANE_SECRET_CHARS_MIN}: make one with `openssl rand -hex 32`"
            )
        if len({bool(self.tls_cert), bool(self.tls_key), bool(self.tls_ca)}) > 1:
            raise InvalidSettings(
                "lane_tls_cert, lane_tls_key and lane_tls_ca belong together; set all or none"
            )

    @classmethod
    def parse(cls, secrets: str, tls_cert: str = "", tls_key: str = "", tls_ca: str = "") -> Self:
        """Return what a text of one or two secrets, separated by white space, and paths mean."""
        return cls(tuple(secrets.split()), tls_cert, tls_key, tls_ca)

    @property
    def has_tls(self) -> bool:
        """Whether lanes are encrypted and the ends proven by certificate."""
        return bool(self.tls_cert)

    def __bool__(self) -> bool:
        """Whether there is anything to prove oneself with."""
        return bool(self.secrets or self.tls_cert)


NO_CREDENTIALS = LaneCredentials()
