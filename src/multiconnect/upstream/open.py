"""From what a user wrote as `upstream` to a connector."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from multiconnect.errors import InvalidSettings
from multiconnect.limits import UPSTREAM_BATCH_MAX, UPSTREAM_IN_FLIGHT_MAX
from multiconnect.upstream.callable import CallableUpstream
from multiconnect.upstream.null import NullUpstream
from multiconnect.upstream.port import Upstream

CLOUD_API_VERSION = "v24.0"
#: Used towards this machine only, where a simulator asks for any token and any number.
LOOPBACK_TOKEN = "loopback"
LOOPBACK_PHONE_NUMBER_ID = "100000000000001"

_KINDS = '"null", an http(s) URL, a function of a list of messages, or an Upstream'


def open_upstream(
    spec: str | Callable[..., Any] | Upstream,
    *,
    token: str = "",
    phone_number_id: str = "",
    version: str = CLOUD_API_VERSION,
    error_actions: Mapping[int, str] | None = None,
    batch_max: int | None = None,
    in_flight_max: int = UPSTREAM_IN_FLIGHT_MAX,
) -> Upstream:
    """Return the connector that `spec` names, not started yet; raise InvalidSettings.

    "simulator" is no address: whoever starts the simulator passes its URL. Token and number may be
    left out for an upstream on this machine.
    """
    many = batch_max or UPSTREAM_BATCH_MAX
    if isinstance(spec, str):
        if spec == "null":
            return NullUpstream(batch_max=many, in_flight_max=in_flight_max)
        if spec.startswith(("http://", "https://")):
            here = _is_loopback(spec)
            return _cloud_api(
                spec,
                version=version,
                phone_number_id=phone_number_id or (LOOPBACK_PHONE_NUMBER_ID if here else ""),
                token=token or (LOOPBACK_TOKEN if here else ""),
                error_actions=error_actions,
                # One request a message: answers that come early must not wait for a slow one.
                batch_max=batch_max or 1,
                in_flight_max=in_flight_max,
            )
        raise InvalidSettings(_not_an_address(spec))
    if all(hasattr(spec, name) for name in ("send", "start", "aclose", "batch_max")):
        return cast(Upstream, spec)
    if callable(spec):
        return CallableUpstream(spec, batch_max=many, in_flight_max=in_flight_max)
    raise InvalidSettings(f"upstream is {type(spec).__name__}; expected {_KINDS}")


def _cloud_api(base_url: str, *, token: str, phone_number_id: str, **options: Any) -> Upstream:
    if not token or not phone_number_id:
        missing = "token" if not token else "phone_number_id"
        raise InvalidSettings(f"the Cloud API needs a {missing}: set the upstream's {missing}")
    try:
        # Deferred: the bare library does not bring an HTTP client.
        from multiconnect.upstream.cloud_api.client import CloudApiUpstream  # noqa: PLC0415
    except ImportError as error:
        raise InvalidSettings(
            'an http(s) upstream needs httptools: pip install "multiconnect[server]"'
        ) from error
    return CloudApiUpstream(base_url, token=token, phone_number_id=phone_number_id, **options)


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _not_an_address(spec: str) -> str:
    if spec == "simulator":
        return 'upstream "simulator" is started by "multiconnect up"; elsewhere give its URL'
    # Not quoted: it may be a URL with a password in it.
    return f"upstream is not understood; expected {_KINDS}"
