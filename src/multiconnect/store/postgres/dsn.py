"""A store URL taken apart: what the driver gets, what may be shown, and which schema is meant.

Guarantee: what is shown never holds a password (invariant 17).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from multiconnect.errors import InvalidSettings

DEFAULT_SCHEMA: Final = "multiconnect"
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,40}")
_SECRET: Final = frozenset({"password", "sslpassword"})
_EXPECTED: Final = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…&schema=…"


@dataclass(frozen=True, slots=True)
class Dsn:
    """A parsed `postgresql://` URL."""

    #: For the driver; holds the password.
    driver: str = field(repr=False)
    #: For messages, `status` and logs.
    shown: str
    #: The schema that the cluster's tables lie in: several clusters may share a database.
    schema: str


def parse_dsn(url: str) -> Dsn:
    """Return the parts of a URL; raise InvalidSettings, which never quotes it, if it is malformed.

    `schema=NAME` is ours; everything else is the driver's: `sslmode`, `host=/socket/dir`,
    `target_session_attrs`, server settings.
    """
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise InvalidSettings(f"the store's URL is malformed; expected {_EXPECTED}") from None
    # Both cut a URL in two when a password holds them and they are not escaped.
    if parts.fragment or parts.netloc.count("@") > 1:
        raise InvalidSettings(
            f"the store's URL holds a bare '#' or '@' (write %23, %40); expected {_EXPECTED}"
        )
    schema = dict(query).get("schema", DEFAULT_SCHEMA)
    if not _SCHEMA.fullmatch(schema):
        raise InvalidSettings(
            f"schema {schema!r} in the store's URL is not a plain name; "
            "expected lower-case letters, digits and _, at most 41"
        )
    passed_on = [(key, value) for key, value in query if key != "schema"]
    driver = _unsplit(parts.netloc, parts.path, passed_on)
    shown = [(key, value) for key, value in query if key not in _SECRET]
    return Dsn(driver, _unsplit(_without_password(parts.netloc), parts.path, shown), schema)


def _without_password(netloc: str) -> str:
    login, at, hosts = netloc.rpartition("@")
    return login.partition(":")[0] + at + hosts


def _unsplit(netloc: str, path: str, query: list[tuple[str, str]]) -> str:
    # Blanks as %20: the driver does not read + as one.
    text = urlencode(query, quote_via=quote)
    return f"postgresql://{netloc}{path}" + (f"?{text}" if text else "")
