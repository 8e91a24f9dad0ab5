"""A router's link to one owner: what is in flight on it, reconnecting while it is wanted.

A shell: what goes out and what an answer means is decided by the lane set. A connection that is
lost, or silent, is opened again with back-off; the lanes then resend from their oldest unanswered
batch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from multiconnect._native import decode_answers, frame_header
from multiconnect.dataplane.connection import Connection
from multiconnect.dataplane.dial import checked_address, dial, wants_proof
from multiconnect.dataplane.lane_set import AnswerEntry
from multiconnect.dataplane.wire import FrameType, events_of
from multiconnect.errors import CorruptData, InvalidSettings
from multiconnect.limits import CONNECT_TIMEOUT_S, RECONNECT_DELAY_MAX_S, RECONNECT_DELAY_MIN_S
from multiconnect.model.lane_credentials import NO_CREDENTIALS, LaneCredentials
from multiconnect.model.message import Event
from multiconnect.model.shard_map import Owner

_log = logging.getLogger("multiconnect.link")
# Reading a member of an Enum class takes longer than the comparison it is for.
_ANSWERS = FrameType.ANSWERS


class LinkUser(Protocol):
    """Who is told what happens on a link."""

    def link_ready(self, link: OwnerLink) -> None:
        """Frames may be submitted."""

    def link_answered(self, link: OwnerLink, entries: Sequence[AnswerEntry]) -> None:
        """Answers came."""

    def link_events(self, link: OwnerLink, events: list[Event]) -> None:
        """Events came."""

    def link_lost(self, link: OwnerLink) -> None:
        """Nothing submitted so far will be answered."""


class OwnerLink:
    """A wanted connection; `ready` while frames may be submitted."""

    def __init__(
        self,
        owner: Owner,
        user: LinkUser,
        *,
        events: bool,
        credentials: LaneCredentials = NO_CREDENTIALS,
    ) -> None:
        self.owner = owner
        self.ready = False
        self.frames_in_flight = 0
        self.bytes_in_flight = 0
        #: Why the owner cannot be used now; "" while it can.
        self.problem = ""
        self._user = user
        self._events = events
        self._credentials = credentials
        self._number = 0
        #: Per submitted frame: batches without an answer, bytes.
        self._frames: dict[int, list[int]] = {}
        self._connection: Connection | None = None
        self._task = asyncio.get_running_loop().create_task(self._keep_connected())

    def submit(self, parts: list[bytes], batches: int, size: int) -> None:
        """Send the batches as one frame."""
        if self._connection is None or self._connection.transport is None:
            raise AssertionError("submit on a link that is not ready")
        self._number += 1
        self._frames[self._number] = [batches, size]
        self.frames_in_flight += 1
        self.bytes_in_flight += size
        header = frame_header(FrameType.SUBMIT, self._number, size)
        # One that is closing (a write before this one failed, or it was given up) takes nothing and
        # may raise; once it is lost the lanes send all this again.
        if not self._connection.transport.is_closing():
            self._connection.transport.writelines([header, *parts])

    def close(self) -> None:
        """Give the connection up."""
        self._task.cancel()
        self.ready = False
        if self._connection is not None:
            self._connection.abort()

    # --- what the connection tells -----------------------------------------------------------
    def connected(self, connection: Connection) -> None:
        """Remember the connection before anything can arrive on it."""
        if self._connection is not None:
            self.connection_lost(self._connection)
        self._connection = connection

    def welcomed(self) -> None:
        """Let frames be submitted: the owner is the one that the map names."""
        self.ready = True
        self.problem = ""
        self._user.link_ready(self)

    def frame_received(self, frame_type: int, number: int, body: bytes) -> None:
        """Act on one frame from the owner; raise CorruptData for one that cannot be."""
        if frame_type == _ANSWERS:
            entries = decode_answers(body)
            self._count_answers(number, len(entries))
            self._user.link_answered(self, entries)
        elif frame_type == FrameType.EVENTS:
            self._user.link_events(self, events_of(body))
        elif frame_type != FrameType.PONG:
            raise CorruptData(f"frame type {frame_type} is not one an owner sends now")

    def _count_answers(self, number: int, entries: int) -> None:
        frame = self._frames.get(number)
        if frame is None:
            raise CorruptData(f"answers to frame {number}, which is not in flight")
        frame[0] -= entries
        if frame[0] <= 0:
            del self._frames[number]
            self.frames_in_flight -= 1
            self.bytes_in_flight -= frame[1]

    def connection_lost(self, connection: Connection) -> None:
        """Forget what was in flight and tell the user."""
        if connection is not self._connection:
            return
        self.ready = False
        self._connection = None
        self._frames.clear()
        self.frames_in_flight = self.bytes_in_flight = 0
        self._user.link_lost(self)

    def note(self, problem: str, level: int = logging.WARNING) -> None:
        """Remember why the owner cannot be used, and log it when it is news."""
        problem = f"{self.owner.name}: {problem}"
        if problem != self.problem:
            _log.log(level, "lane_lost: %s", problem)
        self.problem = problem

    # --- staying connected -------------------------------------------------------------------
    async def _keep_connected(self) -> None:
        delay_s = RECONNECT_DELAY_MIN_S
        while True:
            if await self._connect_once() > RECONNECT_DELAY_MAX_S:
                delay_s = RECONNECT_DELAY_MIN_S
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RECONNECT_DELAY_MAX_S)

    async def _connect_once(self) -> float:
        """Connect; return when that came to its end, with how long it had lasted."""
        try:
            address = checked_address(self.owner, self._credentials)
            secrets = self._credentials.secrets if wants_proof(address, self._credentials) else ()
            connection = Connection(self, events=self._events, secrets=secrets)
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await dial(address, connection, self._credentials)
        except InvalidSettings as error:
            self.note(str(error))
        except (OSError, TimeoutError, ValueError) as error:
            # Part of every failover: the map will say who is next.
            self.note(f"it cannot be reached: {error!r}", logging.DEBUG)
        except Exception as error:
            # A bug; without this the owner would have no link for ever, and nobody would know why.
            self.note(f"it cannot be reached: {error!r}", logging.ERROR)
        else:
            connected_at_s = asyncio.get_running_loop().time()
            await connection.until_lost()
            return asyncio.get_running_loop().time() - connected_at_s
        return 0.0
