"""The Master's own beat, and how long it may believe in itself."""

import asyncio

import pytest

from multiconnect.master.lease import Lease
from multiconnect.model.cluster import NodeState, Role
from tests.unit.master.faulty_store import DEADLINE_S, FAST, row

LENGTH_S = FAST.lease_ttl_s - FAST.margin_s


@pytest.fixture
async def lease(control, clock):
    await control.join(row("m1", Role.MASTER))
    return Lease(control, "m1", FAST, clock)


async def beats_of(control):
    return (await control.beats())["m1"].count


async def test_before_the_first_beat_nothing_may_be_done(lease, clock):
    assert lease.deadline_s < clock.monotonic()


async def test_the_deadline_counts_from_before_the_request(lease, control, clock, monkeypatch):
    asked_s, quick = clock.at_s, control.beat

    async def slow(beat):
        clock.at_s += 0.2
        return await quick(beat)

    monkeypatch.setattr(control, "beat", slow)
    assert await lease.renew({})
    assert lease.deadline_s == pytest.approx(asked_s + LENGTH_S)


async def test_a_beat_in_doubt_moves_no_deadline(lease, control, clock):
    await lease.renew({})
    before = lease.deadline_s
    clock.at_s += 0.1
    control.failing.add("beat")
    with pytest.raises(Exception, match="beat did not answer"):
        await lease.renew({})
    assert lease.deadline_s == before


async def test_the_dead_renew_nothing(lease, control, clock):
    await lease.renew({})
    before = lease.deadline_s
    await control.set_node_state("m1", NodeState.DEAD, "lease")
    clock.at_s += 0.1
    assert not await lease.renew({})
    assert lease.deadline_s == before


async def test_figures_travel_with_the_beat(lease, control):
    await lease.renew({"holds_term": True})
    assert (await control.beats())["m1"].figures == {"holds_term": True}


async def beats_while(lease, control, last_turn_s, calls):
    """Let `keep` run until the store was asked (or not asked) for some rounds."""
    rounds = 0
    enough = asyncio.Event()

    def turn():
        nonlocal rounds
        rounds += 1
        if rounds == calls:
            enough.set()
        return last_turn_s()

    keeping = asyncio.create_task(lease.keep(turn, dict))
    async with asyncio.timeout(DEADLINE_S):
        await enough.wait()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    return control.calls.count("beat")


async def test_it_beats_while_turns_are_made(lease, control, clock):
    assert await beats_while(lease, control, clock.monotonic, 3) >= 2


async def test_without_progress_it_falls_silent(lease, control, clock):
    stuck_s = clock.monotonic() - FAST.lease_ttl_s - 0.01
    assert await beats_while(lease, control, lambda: stuck_s, 3) == 0


async def test_an_unavailable_store_does_not_end_it(lease, control, clock):
    control.failing.add("beat")
    assert await beats_while(lease, control, clock.monotonic, 3) >= 2
    with pytest.raises(KeyError):
        await beats_of(control)


async def test_it_ends_when_declared_dead(lease, control, clock):
    await control.set_node_state("m1", NodeState.DEAD, "lease")
    async with asyncio.timeout(DEADLINE_S):
        await lease.keep(clock.monotonic, dict)
