"""Events: live, bounded, every reader sees all of them, none is kept for a reader that is gone."""

import asyncio
import gc

import pytest

from multiconnect.dataplane.event_queue import EventHub, EventStream
from multiconnect.limits import EVENTS_QUEUED_MAX
from multiconnect.model.message import Event


def event(number):
    return Event("sent", str(number), "1631", 0, number)


def events(*numbers):
    return [event(number) for number in numbers]


async def taken(stream, count):
    return [int((await anext(stream)).id) for _ in range(count)]


async def test_the_first_reader_gets_what_happened_before():
    hub = EventHub()
    hub.publish(events(1, 2))
    first = hub.subscribe()
    hub.publish(events(3))
    second = hub.subscribe()
    hub.publish(events(4))
    assert await taken(first, 4) == [1, 2, 3, 4]
    assert await taken(second, 1) == [4]


async def test_a_reader_waits_for_the_next_event():
    hub = EventHub()
    stream = hub.subscribe()
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert not waiting.done()
    hub.publish(events(7))
    assert (await waiting).id == "7"


async def test_the_oldest_go_first_and_are_counted():
    stream = EventStream()
    stream.put(events(*range(EVENTS_QUEUED_MAX)))
    assert stream.dropped == 0
    stream.put(events(-1, -2))
    assert stream.dropped == 2
    assert await taken(stream, 1) == [2]


async def test_closing_ends_readers_once_they_have_read_everything():
    hub = EventHub()
    stream = hub.subscribe()
    hub.publish(events(1))
    hub.close()
    assert [e.id async for e in stream] == ["1"]


async def test_a_reader_that_comes_after_the_end_ends_too():
    hub = EventHub()
    hub.publish(events(1))
    hub.close()
    assert [e.id async for e in hub.subscribe()] == ["1"]
    with pytest.raises(StopAsyncIteration):
        await anext(hub.subscribe())


async def test_a_reader_that_is_gone_is_forgotten():
    hub = EventHub()
    hub.subscribe()
    kept = hub.subscribe()
    gc.collect()
    hub.publish(events(1))
    assert len(hub._streams) == 1
    assert await taken(kept, 1) == [1]
