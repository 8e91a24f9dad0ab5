"""The loop, and what it means to be a process on it."""

import asyncio
import random

import pytest

from tests.sim.loop import SimLoop, Stuck
from tests.sim.process import SimProcess


@pytest.fixture
def loop():
    loop = SimLoop(random.Random(1))
    yield loop
    loop.close()


def process_of(loop, name="p"):
    return SimProcess(loop, name, f"{name}.1", "host", "seed")


def pass_time(loop, seconds):
    loop.run_until_complete(loop.create_task(asyncio.sleep(seconds)))


async def tick(seen, process, every_s):
    while True:
        await asyncio.sleep(every_s)
        seen.append(process.loop.now_s)


def test_an_hour_passes_at_once(loop):
    pass_time(loop, 3600.0)
    assert loop.now_s == 3600.0


def test_each_process_lives_by_its_own_clock(loop):
    fast, slow = process_of(loop, "fast"), process_of(loop, "slow")
    fast.rate, slow.rate = 1.02, 0.98
    seen: dict[str, list[float]] = {p.name: [] for p in (fast, slow)}
    before = {p.name: p.monotonic() for p in (fast, slow)}
    for process in (fast, slow):
        process.spawn(tick(seen[process.name], process, 1.0))
    pass_time(loop, 99.5)
    assert len(seen["fast"]) == 101
    assert len(seen["slow"]) == 97
    assert fast.monotonic() - before["fast"] == pytest.approx(99.5 * 1.02)


async def test_asyncio_timeouts_follow_the_process_clock():
    """Inside a process `loop.time()` and `call_at` are one clock."""
    loop = SimLoop(random.Random(1))
    process, ended = process_of(loop), []

    async def wait():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.sleep(5.0)
        ended.append(process.local(loop.now_s) - process.local(0.0))

    process.spawn(wait())
    await asyncio.to_thread(pass_time, loop, 4.0)
    loop.close()
    assert ended == [pytest.approx(1.0)]


def test_a_stopped_process_does_nothing_and_then_goes_on(loop):
    process, seen = process_of(loop), list[float]()
    process.rate = 1.0
    process.spawn(tick(seen, process, 1.0))
    pass_time(loop, 1.5)
    process.stop()
    pass_time(loop, 5.0)
    assert len(seen) == 1
    process.resume()
    pass_time(loop, 0.01)
    assert seen[1:] == [pytest.approx(6.5)]


def test_a_killed_process_runs_not_even_its_finally(loop):
    process, seen, told = process_of(loop), list[str](), list[str]()

    async def work():
        try:
            await asyncio.sleep(1.0)
        finally:
            seen.append("cleaned up")

    task = process.spawn(work())
    process.on_exit.append(told.append)
    pass_time(loop, 0.5)
    process.exit("signal 9")
    pass_time(loop, 5.0)
    assert seen == []
    assert told == ["signal 9"]
    task._log_destroy_pending = False
    task.get_coro().close()


def test_a_fuse_strikes_between_two_callbacks(loop):
    process, seen = process_of(loop), list[int]()
    for number in range(5):
        loop.call_soon(seen.append, number, context=process.context)
    process.burn(3, process.stop)
    pass_time(loop, 1.0)
    assert seen == [0, 1]
    process.resume()
    pass_time(loop, 1.0)
    assert seen == [0, 1, 2, 3, 4]


def test_processes_interleave_and_each_keeps_its_order(loop):
    orders = set()
    for _ in range(20):
        seen: list[tuple[str, int]] = []
        for name in "ab":
            process = process_of(loop, name)
            for number in range(3):
                loop.call_soon(seen.append, (name, number), context=process.context)
        pass_time(loop, 0.1)
        for name in "ab":
            assert [number for who, number in seen if who == name] == [0, 1, 2]
        orders.add(tuple(seen))
    assert len(orders) > 1


def test_time_that_cannot_go_on_is_told(loop):
    with pytest.raises(Stuck, match="nothing will ever happen"):
        loop.run_forever()

    def again():
        loop.call_soon(again)

    again()
    with pytest.raises(Stuck, match="never ends"):
        loop.run_forever()
