"""Server time, the budget, and who is told that time is up."""

import asyncio

from multiconnect.limits import HTTP_BODIES_BYTES_MAX, HTTP_SWEEP_S
from multiconnect.web.connections import NEVER, ConnectionSet
from multiconnect.web.messages import Response
from tests.contract.cluster import SetClock


class Peer:
    """A connection that takes note of what it is told."""

    def __init__(self, deadline_s=NEVER):
        self.deadline_s = deadline_s
        self.told = []

    def expire(self):
        self.told.append("expire")

    def wind_down(self):
        self.told.append("wind down")

    def abort(self):
        self.told.append("abort")


class Polite(Peer):
    def __init__(self, shared):
        super().__init__()
        self.shared = shared

    def wind_down(self):
        super().wind_down()
        self.shared.forget(self)


class Stubborn(Polite):
    def wind_down(self):
        self.told.append("wind down")

    def abort(self):
        super().abort()
        self.shared.forget(self)


async def never() -> Response:
    await asyncio.Event().wait()
    return Response(200, b"")


async def test_only_those_whose_time_is_up_are_told():
    clock = SetClock()
    shared = ConnectionSet(clock)
    peers = [Peer(0.1), Peer(HTTP_SWEEP_S), Peer(1.0), Peer()]
    for peer in peers:
        assert shared.admit(peer)
    clock.advance(HTTP_SWEEP_S)
    shared._sweep()
    assert [peer.told for peer in peers] == [["expire"], [], [], []]
    assert shared.expired == 1


async def test_server_time_stands_still_while_the_process_does():
    clock = SetClock()
    shared = ConnectionSet(clock)
    for pause_s, expected_s in [(HTTP_SWEEP_S, HTTP_SWEEP_S), (3600.0, 3 * HTTP_SWEEP_S)]:
        clock.advance(pause_s)
        shared._sweep()
        assert shared.now_s == expected_s


async def test_the_budget_is_not_exceeded():
    shared = ConnectionSet(SetClock())
    assert shared.hold(HTTP_BODIES_BYTES_MAX)
    assert not shared.hold(1)
    shared.held_bytes -= 1
    assert shared.hold(1)


async def test_the_cap_is_a_cap():
    shared = ConnectionSet(SetClock(), connections_max=2)
    first, second, third = Peer(), Peer(), Peer()
    assert [shared.admit(peer) for peer in (first, second, third)] == [True, True, False]
    shared.forget(third)
    assert len(shared) == 2
    shared.forget(first)
    assert shared.admit(third)


async def test_stopping_asks_first_and_then_ends():
    shared = ConnectionSet(SetClock())
    polite, stubborn = Polite(shared), Stubborn(shared)
    for peer in (polite, stubborn):
        shared.admit(peer)
    handler = asyncio.create_task(never())
    shared.running.add(handler)
    await shared.stop(0.01)
    assert stubborn.told == ["wind down", "abort"]
    assert handler.cancelled()
    assert not shared.admit(Peer())
