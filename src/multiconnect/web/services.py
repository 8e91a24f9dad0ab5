"""What handlers work with; one value per server, made by `server.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from multiconnect.clock import Clock
from multiconnect.store.port import ControlStore
from multiconnect.web.auth import Authenticator
from multiconnect.web.connections import ConnectionSet
from multiconnect.web.figures import Figures
from multiconnect.web.login_throttle import LoginThrottle
from multiconnect.web.ports import SendPort
from multiconnect.web.settings import WebSettings
from multiconnect.web.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a handler may use."""

    control: ControlStore
    sender: SendPort
    settings: WebSettings
    clock: Clock
    auth: Authenticator
    snapshots: Snapshots
    figures: Figures
    connections: ConnectionSet
    #: The OpenAPI document, made from the route table.
    openapi: Callable[[], bytes]
    #: Slows down who guesses the account's PIN.
    pin_throttle: LoginThrottle = field(default_factory=LoginThrottle)
