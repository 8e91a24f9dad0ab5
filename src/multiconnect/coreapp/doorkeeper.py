"""Who may connect to an owner: checked before the connection becomes an endpoint.

A stranger's bytes are seen by nobody else: what it sends is bounded in size and time, and neither
the intake nor the endpoint hears of it. Once a router is let in the endpoint takes the transport
over, so none of this costs anything per message.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, cast

from multiconnect._native import FrameReader
from multiconnect._native.layout import FRAME_HEADER_BYTES
from multiconnect.coreapp.endpoint import Endpoint
from multiconnect.dataplane.challenge import NONCE_BYTES, OwnerChallenge
from multiconnect.dataplane.wire import FrameType, json_body, json_frame
from multiconnect.errors import CorruptData, Refused
from multiconnect.limits import LANE_GREETING_BYTES_MAX, LANE_GREETING_MAX_S

_log = logging.getLogger("multiconnect.doorkeeper")


class Doorkeeper(asyncio.BufferedProtocol):
    """One connection over TCP that has not proven yet that it knows a secret."""

    def __init__(
        self, new_endpoint: Callable[[], Endpoint], secrets: Sequence[str], incarnation: str
    ) -> None:
        self._new_endpoint = new_endpoint
        self._challenge = OwnerChallenge(secrets, incarnation, os.urandom(NONCE_BYTES))
        self._hello: dict[str, Any] | None = None
        self._reader = FrameReader()
        self._buffer = bytearray(LANE_GREETING_BYTES_MAX)
        #: Bytes that may still come; and the same, were only whole frames counted.
        self._left = self._unread = LANE_GREETING_BYTES_MAX
        self._proven = False
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a HELLO, not for long."""
        self._transport = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(LANE_GREETING_MAX_S, self._refuse, "it says too little")

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend as much as a greeting may still have."""
        del sizehint
        return memoryview(self._buffer)[: self._left]

    def buffer_updated(self, nbytes: int) -> None:
        """Take a step of the greeting; whatever is not one ends the connection."""
        self._left -= nbytes
        try:
            for frame_type, _, body in self._reader.feed(memoryview(self._buffer)[:nbytes]):
                self._unread -= FRAME_HEADER_BYTES + len(body)
                self._step(frame_type, body)
            self._let_in_if_proven()
        except (CorruptData, Refused) as error:
            self._refuse(str(error))

    def eof_received(self) -> bool:
        """Close: a router never half-closes."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        del exc
        self._done()

    # --- inside ------------------------------------------------------------------------------
    def _step(self, frame_type: int, body: bytes) -> None:
        if frame_type == FrameType.HELLO and self._hello is None and self._transport is not None:
            self._hello = json_body(body, dict)
            challenge = self._challenge.challenge(self._hello, body)
            self._transport.write(json_frame(FrameType.CHALLENGE, challenge))
        elif frame_type == FrameType.PROOF and self._hello is not None and not self._proven:
            self._challenge.check(json_body(body, dict))
            self._proven = True
        else:
            raise CorruptData(f"frame type {frame_type} in the middle of a greeting")

    def _let_in_if_proven(self) -> None:
        transport = self._transport
        if self._proven and self._hello is not None and transport is not None:
            if self._unread != self._left:
                raise CorruptData("something behind the proof, before the welcome")
            _let_in(transport, self._new_endpoint()).greet(self._hello)
            self._done()
        elif not self._left:
            raise Refused(f"a greeting of more than {LANE_GREETING_BYTES_MAX} bytes")

    def _refuse(self, why: str) -> None:
        transport = self._transport
        self._done()
        if transport is not None:
            _log.warning("router_refused: %s: %s", transport.get_extra_info("peername"), why)
            transport.abort()

    def _done(self) -> None:
        self._transport = None
        if self._deadline is not None:
            self._deadline.cancel()


class OwnUserOnly(asyncio.BaseProtocol):
    """One connection over a UNIX socket: from our own user, or root, or nobody.

    The socket's mode says the same; this holds where a directory's or a copy's mode does not.
    """

    def __init__(self, new_endpoint: Callable[[], Endpoint]) -> None:
        self._new_endpoint = new_endpoint

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand over to an endpoint, or hang up."""
        user = peer_user(transport)
        if user in {None, 0, os.geteuid()}:
            _let_in(cast("asyncio.Transport", transport), self._new_endpoint())
            return
        _log.warning("router_refused: a process of user %s", user)
        cast("asyncio.Transport", transport).abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing was begun."""
        del exc


def peer_user(transport: asyncio.BaseTransport) -> int | None:
    """Return whose process is at the other end of a UNIX socket; None where that is not known."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    layout = struct.Struct("3i")
    raw = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, option, layout.size)
    return int(layout.unpack(raw)[1])


def _let_in(transport: asyncio.Transport, endpoint: Endpoint) -> Endpoint:
    transport.set_protocol(endpoint)
    endpoint.connection_made(transport)
    return endpoint
