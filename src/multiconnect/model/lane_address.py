"""Where a lane is: "unix:/path" on one host, "tcp:HOST:PORT" between hosts, "local:" in a process.

The one place that says whether bytes of a lane can leave the machine.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from multiconnect.errors import InvalidSettings

_EXPECTED = "unix:PATH or tcp:HOST:PORT"
#: What means "every address" when it is listened on, and nothing when it is connected to.
_WILDCARDS = frozenset({"", "0.0.0.0", "::", "*"})


@dataclass(frozen=True, slots=True)
class LaneAddress:
    """An address taken apart; of a UNIX socket only `path` is set."""

    path: str = ""
    host: str = ""
    port: int = 0

    @property
    def leaves_the_machine(self) -> bool:
        """Whether somebody else might read, answer or connect."""
        return not self.path and not _is_loopback(self.host)

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp:{host}:{self.port}"


def lane_address(text: str) -> LaneAddress:
    """Return the address a CoreApp is registered with; raise InvalidSettings for another kind."""
    scheme, _, rest = text.partition(":")
    if scheme == "unix" and rest:
        return LaneAddress(path=rest)
    host, colon, port = rest.rpartition(":")
    if scheme != "tcp" or not (colon and host and port.isdecimal()):
        raise InvalidSettings(f"lane address {text!r} is of no kind known; expected {_EXPECTED}")
    return LaneAddress(host=_without_brackets(host), port=int(port))


def listening_place(text: str) -> LaneAddress:
    """Return what `--lanes HOST` or HOST:PORT means; port 0 takes a free one.

    Raises InvalidSettings for a wildcard: routers connect to the address that is listened on.
    """
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host.strip("[]") and not host.endswith("]")):
        host, port = text, "0"
    host = _without_brackets(host)
    if host in _WILDCARDS or not port.isdecimal() or int(port) > 65535:
        raise InvalidSettings(
            f"lanes is {text!r}; expected unix, or the address under which this host is reached by "
            "the others, such as 10.0.0.1 or 10.0.0.1:7000"
        )
    return LaneAddress(host=host, port=int(port))


def _without_brackets(host: str) -> str:
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _is_loopback(host: str) -> bool:
    # A name may come to mean anything; only this one stays at home by definition.
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
