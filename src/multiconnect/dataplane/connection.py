"""One socket of a link: bytes and frames, the greeting, and the end of a line that is silent.

Receiving walks frames in place (`BufferedProtocol`). Guarantee: until the owner is known to be the
one that the map names, nothing of what comes in reaches anybody.
"""

from __future__ import annotations

import asyncio
import os
from typing import Protocol, cast

import orjson

from multiconnect._native import FrameReader
from multiconnect.dataplane.challenge import NONCE_BYTES, RouterChallenge
from multiconnect.dataplane.wire import (
    PROTOCOL_VERSION,
    FrameType,
    json_body,
    json_frame,
    whole_frame,
)
from multiconnect.errors import CorruptData, Refused
from multiconnect.limits import LANE_PING_S, LANE_PINGS_UNANSWERED_MAX
from multiconnect.model.shard_map import Owner


class ConnectionUser(Protocol):
    """Who is told what comes in; its link."""

    owner: Owner

    def connected(self, connection: Connection) -> None:
        """The connection is open, nothing has arrived."""

    def welcomed(self) -> None:
        """The owner is who it should be: frames may be submitted."""

    def frame_received(self, frame_type: int, number: int, body: bytes) -> None:
        """Act on a frame; raise CorruptData for one that is not possible."""

    def connection_lost(self, connection: Connection) -> None:
        """It is gone."""

    def note(self, problem: str) -> None:
        """Remember why the owner cannot be used."""


class Connection(asyncio.BufferedProtocol):
    """The socket's callbacks; `secrets` are what the owner must know one of, none: it need not."""

    def __init__(self, user: ConnectionUser, *, events: bool, secrets: tuple[str, ...]) -> None:
        self._user = user
        self._events = events
        self._challenge = (
            RouterChallenge(secrets, user.owner.incarnation, os.urandom(NONCE_BYTES))
            if secrets
            else None
        )
        self._proven = not secrets
        self._welcomed = False
        self._given_up = False
        self._heard = False
        self._reader = FrameReader()
        self.transport: asyncio.Transport | None = None
        self.closed = asyncio.Event()

    # --- the socket --------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce ourselves."""
        self.transport = cast("asyncio.Transport", transport)
        fields = {"protocol": PROTOCOL_VERSION, "events": self._events}
        hello = self._challenge.hello(fields) if self._challenge else orjson.dumps(fields)
        self.transport.write(whole_frame(FrameType.HELLO, hello))
        self._user.connected(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the reader's free space."""
        return self._reader.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        """Act on the frames that are complete; garbage ends the connection."""
        self._heard = True
        try:
            for frame_type, number, body in self._reader.buffer_updated(nbytes):
                if self._welcomed:
                    self._user.frame_received(frame_type, number, body)
                else:
                    self._greet(frame_type, body)
        except (CorruptData, Refused) as error:
            self._give_up(str(error))

    def eof_received(self) -> bool:
        """Close: an owner never half-closes."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the link once."""
        del exc
        if not (self._welcomed or self._given_up):
            self._user.note(f"it hung up before it had greeted us{self._hint()}")
        self.transport = None
        self._user.connection_lost(self)
        self.closed.set()

    def _hint(self) -> str:
        # A UNIX socket asks for no credentials: there it has just ended, as in every failover.
        transport = self.transport
        if transport is None or not isinstance(transport.get_extra_info("peername"), tuple):
            return ""
        return "; do both ends have the same lane credentials? Its log says more"

    def abort(self) -> None:
        """Drop the connection without waiting for anything."""
        if self.transport is not None:
            self.transport.abort()

    # --- the greeting ------------------------------------------------------------------------
    def _greet(self, frame_type: int, body: bytes) -> None:
        if frame_type == FrameType.CHALLENGE and self._challenge is not None and not self._proven:
            proof = self._challenge.answer(json_body(body, dict))
            self._proven = True
            if self.transport is not None:
                self.transport.write(json_frame(FrameType.PROOF, proof))
        elif frame_type == FrameType.WELCOME:
            self._take_welcome(json_body(body, dict))
        else:
            raise CorruptData(f"frame type {frame_type} is not one an owner sends before WELCOME")

    def _take_welcome(self, welcome: dict[str, object]) -> None:
        incarnation = welcome.get("incarnation")
        if not self._proven:
            raise Refused(
                "it did not prove that it knows the lane secret; start it with the same "
                "--lane-secret-file"
            )
        if incarnation != self._user.owner.incarnation:
            # The address was taken over by a later process: this incarnation is gone for good.
            raise CorruptData(f"expected {self._user.owner.incarnation}, {incarnation} answered")
        self._welcomed = True
        self._user.welcomed()

    # --- silence -----------------------------------------------------------------------------
    async def until_lost(self) -> None:
        """Return when the connection is gone; end it when the owner does not even answer a ping.

        Neither a reset nor an end of file comes over a line that swallows everything.
        """
        silent = 0
        while not self.closed.is_set():
            self._heard = False
            try:
                async with asyncio.timeout(LANE_PING_S):
                    await self.closed.wait()
            except TimeoutError:
                silent = 0 if self._heard else silent + 1
                if silent >= LANE_PINGS_UNANSWERED_MAX:
                    self._give_up(f"it said nothing for {silent * LANE_PING_S:g} s")
                elif silent and self._welcomed and self.transport is not None:
                    self.transport.write(whole_frame(FrameType.PING))

    def _give_up(self, why: str) -> None:
        self._given_up = True
        self._user.note(why)
        self.abort()
