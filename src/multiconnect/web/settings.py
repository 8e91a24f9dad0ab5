"""What a web server is told at its start."""

from __future__ import annotations

from dataclasses import dataclass, field

from multiconnect.limits import (
    HTTP_CONNECTIONS_MAX,
    HTTP_SEND_TIMEOUT_S,
    HTTP_STOP_GRACE_S,
    SET_SHARDS_TIMEOUT_S,
)


@dataclass(frozen=True, slots=True)
class WebSettings:
    """One web server. Secrets are kept out of its `repr`; an empty one is never a valid one."""

    #: This process, as metrics and logs name it.
    node: str = "web"
    tls_cert: str = ""
    tls_key: str = ""
    #: What monitoring may send as `Authorization: Apikey …` (12 to 128 characters).
    api_key: str = field(default="", repr=False)
    #: What Meta's webhooks are checked against.
    verify_token: str = field(default="", repr=False)
    app_secret: str = field(default="", repr=False)
    #: The secret in use before, for as long as both are (rotation).
    old_app_secret: str = field(default="", repr=False)
    connections_max: int = HTTP_CONNECTIONS_MAX
    send_timeout_s: float = HTTP_SEND_TIMEOUT_S
    set_shards_timeout_s: float = SET_SHARDS_TIMEOUT_S
    stop_grace_s: float = HTTP_STOP_GRACE_S
