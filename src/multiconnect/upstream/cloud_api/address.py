"""Where the upstream is: a base URL, checked and taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from multiconnect.errors import InvalidSettings

_PORTS = {"http": 80, "https": 443}
#: What a path may hold as it is; anything else is written as %XX.
_PATH = "/%:@!$&'()*+,;=~-._"


@dataclass(frozen=True, slots=True)
class Address:
    """A server, and the path in front of all requests to it."""

    host: str
    port: int
    is_tls: bool
    #: As the header Host has it: the port only if it is not the usual one.
    authority: str
    #: Without a slash at its end.
    path: str

    @property
    def origin(self) -> str:
        """Return scheme, host and port; for people."""
        return f"{'https' if self.is_tls else 'http'}://{self.authority}"


def address_of(base_url: str) -> Address:
    """Return what an http(s) URL without query or login says; raise InvalidSettings."""
    try:
        url = urlsplit(base_url)
        host = (url.hostname or "").encode("idna").decode()
        port = url.port
    except ValueError:
        raise InvalidSettings("the upstream URL is malformed; expected https://HOST") from None
    usable = url.scheme in _PORTS and host and " " not in host
    if not usable or url.query or url.fragment or url.username or url.password:
        raise InvalidSettings(
            "the upstream URL must be http(s)://HOST[:PORT][/PATH], without login or query"
        )
    usual = _PORTS[url.scheme]
    authority = f"[{host}]" if ":" in host else host
    if port not in (None, usual):
        authority += f":{port}"
    path = quote(url.path, safe=_PATH).rstrip("/")
    return Address(host, port or usual, url.scheme == "https", authority, path)
