"""What a supervisor hands to each of its children: one JSON object in one environment variable.

Guarantee: nothing of it appears on a command line, so secrets stay out of the process list; and
`take_process_settings` removes the variable, so a child's own children do not inherit it.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from multiconnect.errors import InvalidSettings
from multiconnect.model.cluster import Role
from multiconnect.model.lane_credentials import LaneCredentials
from multiconnect.model.timers import Timers, timers_of

PROCESS_VARIABLE = "MULTICONNECT_PROCESS"


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """Everything one role process needs to know at its start."""

    store: str
    incarnation: str
    #: The seat it sits in, e.g. "coreapp-3"; a later incarnation may have the same name.
    name: str
    role: Role
    generation: int = 0
    profile: str = "local"
    host: str = ""
    data_dir: str = ""
    #: The UNIX socket a CoreApp listens on; empty for the other roles.
    socket_path: str = ""
    #: "HOST" or "HOST:PORT" when lanes come over TCP instead (`--lanes`); empty for UNIX sockets.
    lane_listen: str = ""
    #: What lanes between hosts are authenticated with, see LaneCredentials.
    lane_secret: str = dataclasses.field(default="", repr=False)
    lane_tls_cert: str = ""
    lane_tls_key: str = ""
    lane_tls_ca: str = ""
    #: Our end of the liveness socket; -1 when no supervisor watches.
    pipe_fd: int = -1
    #: The listening HTTP socket shared by the Web processes; -1 for the other roles.
    listen_fd: int = -1
    #: "null" or the base URL of a Cloud API (the simulator included).
    upstream: str = "null"
    upstream_token: str = dataclasses.field(default="", repr=False)
    upstream_phone_number_id: str = ""
    upstream_version: str = "v24.0"
    #: Messages per second of the whole number, shared over the shards; None is off.
    number_rate: float | None = None
    #: Pacing per recipient (1 per 6 s, burst 45).
    pair_rate: bool = True
    #: What Meta's webhooks are checked against.
    verify_token: str = dataclasses.field(default="", repr=False)
    app_secret: str = dataclasses.field(default="", repr=False)
    #: The base URL the Web processes are reached under.
    http_url: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    log_level: str = "info"
    #: Where the process writes its log; empty is stderr.
    log_file: str = ""

    @property
    def timers(self) -> Timers:
        """The timers of the profile."""
        return timers_of(self.profile)

    @property
    def lane_credentials(self) -> LaneCredentials:
        """What this process proves itself with on lanes between hosts."""
        return LaneCredentials.parse(
            self.lane_secret, self.lane_tls_cert, self.lane_tls_key, self.lane_tls_ca
        )

    def to_json(self) -> str:
        """Return the settings as the text of the environment variable."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))


def process_settings_from_json(text: str) -> ProcessSettings:
    """Return the settings in `text`; raise InvalidSettings when it is malformed."""
    try:
        fields: dict[str, Any] = json.loads(text)
        return ProcessSettings(**{**fields, "role": Role(fields["role"])})
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidSettings(
            f"{PROCESS_VARIABLE} is not what a supervisor of this version sends ({error}); "
            "role processes are started by `multiconnect up` or `multiconnect node`"
        ) from error


def take_process_settings(environment: MutableMapping[str, str] | None = None) -> ProcessSettings:
    """Read the variable and remove it; raise InvalidSettings when it is missing."""
    variables = os.environ if environment is None else environment
    text = variables.pop(PROCESS_VARIABLE, "")
    if not text:
        raise InvalidSettings(
            f"{PROCESS_VARIABLE} is not set; expected a supervisor to set it: "
            "start role processes with `multiconnect up` or `multiconnect node`"
        )
    return process_settings_from_json(text)
