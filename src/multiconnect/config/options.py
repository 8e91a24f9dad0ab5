"""Every setting of a cluster: its name, how a text becomes a value, its default, what it is for.

One table serves the flags, the environment (MULTICONNECT_<NAME>), multiconnect.toml and the
documentation, so that they cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from multiconnect.limits import CHILDREN_PER_ROLE_MAX, SHARD_COUNTS
from multiconnect.model.timers import PROFILES

#: What a setting may hold once it is parsed.
Value = str | int | float | bool | None
Parser = Callable[[str], Value]

AUTO: Final = "auto"
OFF: Final = "off"
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
#: Other names the pieces of a table may have in multiconnect.toml.
ALIASES: Final = {"upstream_url": "upstream", "webhook_verify_token": "verify_token",
                  "webhook_app_secret": "app_secret"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Option:
    """One setting. A parser raises ValueError whose text says what was expected."""

    name: str
    parse: Parser
    default: str
    help: str
    metavar: str = ""
    #: Never a flag (command lines are public) and never shown.
    secret: bool = False

    @property
    def flag(self) -> str:
        """The flag's name."""
        return "--" + self.name.replace("_", "-")

    @property
    def file_flag(self) -> str:
        """The name of the flag that names a secret's file."""
        return f"{self.flag}-file"

    @property
    def variable(self) -> str:
        """The environment variable's name."""
        return "MULTICONNECT_" + self.name.upper()


def text(value: str) -> str:
    """Take any text."""
    return value


def count(minimum: int, maximum: int = CHILDREN_PER_ROLE_MAX) -> Parser:
    """Take a whole number of that range."""

    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            number = minimum - 1
        if not minimum <= number <= maximum:
            raise ValueError(f"a whole number from {minimum} to {maximum}")
        return number

    return parse


def shards(value: str) -> int:
    """Take a legal shard count."""
    if value not in {str(legal) for legal in SHARD_COUNTS}:
        raise ValueError(f"one of {', '.join(map(str, SHARD_COUNTS))}")
    return int(value)


def one_of(*words: str) -> Parser:
    """Take one of a few words."""

    def parse(value: str) -> str:
        if value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return value

    return parse


def address(value: str) -> str:
    """Take HOST:PORT; an IPv6 host stands in brackets; port 0 takes a free one."""
    host, colon, port = value.rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) <= 65535):
        raise ValueError("HOST:PORT, e.g. 127.0.0.1:9090 (port 0 takes a free one)")
    return value


def rate(value: str) -> float | str | None:
    """Take messages per second; "off" is None."""
    if value in (AUTO, OFF):
        return None if value == OFF else AUTO
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0.0 < number <= 1e6:
        raise ValueError("messages per second (more than 0), or off")
    return number


def switch(value: str) -> bool | str:
    """Take on or off."""
    words: dict[str, bool | str] = {"on": True, OFF: False, AUTO: AUTO}
    if value not in words:
        raise ValueError("on or off")
    return words[value]


def pin(value: str) -> str:
    """Take six digits, or nothing."""
    if value and not (len(value) == 6 and value.isascii() and value.isdecimal()):
        raise ValueError("six digits")
    return value


def upstream(value: str) -> str:
    """Take simulator, null or a base URL; empty leaves the choice to the store's setting."""
    if value in ("", "simulator", "null"):
        return value
    scheme, _, rest = value.partition("://")
    if scheme not in ("http", "https") or not rest.strip("/"):
        raise ValueError("simulator, null, or a base URL beginning with https:// or http://")
    return value.rstrip("/")


OPTIONS: Final = (
    Option("store", text, "", "where the cluster keeps its state: sqlite:///FILE or "
           "postgresql://… (default: a SQLite file in the data directory)", "URL"),
    Option("data_dir", text, "multiconnect-data",
           "directory of this host's sockets, logs and secrets", "DIR"),
    Option("shards", shards, "1", "shard count at the first start; later `shards set`", "N"),
    Option("spares", count(0), "1", "CoreApps beyond the shard count: failures tolerated", "X"),
    Option("coreapps", count(0), "1", "CoreApps on this host (`node` only)", "N"),
    Option("masters", count(0), "2", "Masters on this host", "M"),
    Option("webs", count(0), "1", "Web processes on this host", "W"),
    Option("http", address, "127.0.0.1:9090", "where the Web processes listen", "HOST:PORT"),
    Option("tls_cert", text, "", "PEM certificate chain: serve HTTPS", "FILE"),
    Option("tls_key", text, "", "PEM key of the certificate", "FILE"),
    Option("upstream", upstream, "simulator",
           "where messages go: simulator, null, or a Cloud API's base URL", "WHERE"),
    Option("upstream_phone_number_id", text, "",
           "phone number id the Cloud API knows us by", "ID"),
    Option("upstream_version", text, "v24.0", "version in the Cloud API's paths", "VERSION"),
    Option("upstream_token", text, "", "bearer token of the Cloud API", secret=True),
    Option("number_rate", rate, AUTO, "messages per second of the number, or off (default: 80 "
           "towards a Cloud API, off for simulator, null and anything on this machine)", "N|off"),
    Option("pair_rate", switch, AUTO, "pace each recipient, 1 per 6 s with a burst of 45 (default: "
           "on towards a Cloud API, off for simulator, null and anything on this machine)",
           "on|off"),
    Option("profile", one_of(*PROFILES), "local", "timers of the control plane",
           "|".join(PROFILES)),
    Option("lanes", text, "unix",
           "how routers reach this host's CoreApps: unix, or the address to listen on for TCP",
           "unix|HOST"),
    Option("lane_secret", text, "", "what lanes between hosts are authenticated with: a secret "
           "that all hosts share, or two while one replaces the other", secret=True),
    Option("lane_tls_cert", text, "", "PEM certificate of this host: lanes between hosts are "
           "encrypted, and both ends show a certificate", "FILE"),
    Option("lane_tls_key", text, "", "PEM key of the lane certificate", "FILE"),
    Option("lane_tls_ca", text, "", "PEM certificate of the CA that signs for this cluster alone",
           "FILE"),
    Option("host", text, "", "this machine's name in the node table (default: its host name)",
           "NAME"),
    Option("ready_file", text, "", "write a JSON description here once the cluster serves",
           "PATH"),
    Option("log_level", one_of(*LOG_LEVELS), "info", "least level that is logged",
           "|".join(LOG_LEVELS)),
    Option("account_cc", text, "", "country code of the account (default: a demo account)", "CC"),
    Option("account_phone_number", text, "", "phone number of the account, without its country "
           "code", "NUMBER"),
    Option("account_cert", text, "", "the account's certificate, base64", secret=True),
    Option("account_pin", pin, "", "the account's two-step PIN", secret=True),
    Option("verify_token", text, "", "what a webhook subscription is verified with "
           "(default: made at the first start)", secret=True),
    Option("app_secret", text, "", "what incoming webhooks are signed with "
           "(default: made at the first start)", secret=True),
)  # fmt: skip

BY_NAME: Final = {option.name: option for option in OPTIONS}
