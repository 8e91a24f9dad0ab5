import asyncio
import threading

import pytest

from multiconnect.errors import Closed
from multiconnect.store.sqlite.worker import Worker


class Gate:
    """A call that says when it began and ends when it is let through."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.began = asyncio.Event()
        self.let_through = threading.Event()
        self.done = False

    def __call__(self):
        self.loop.call_soon_threadsafe(self.began.set)
        assert self.let_through.wait(10)
        self.done = True


def nothing():
    pass


async def test_calls_run_in_one_other_thread_and_in_order():
    worker = Worker("test")
    seen: list[int] = []

    def note(number):
        seen.append(number)
        return threading.get_ident()

    threads = await asyncio.gather(*(worker.run(note, n) for n in range(20)))
    assert seen == list(range(20))
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads
    await worker.aclose(nothing)


async def test_an_error_comes_to_the_caller_and_the_worker_goes_on():
    worker = Worker("test")
    with pytest.raises(ZeroDivisionError):
        await worker.run(divmod, 1, 0)
    assert await worker.run(max, 1, 2) == 2
    await worker.aclose(nothing)


async def test_closing_waits_for_what_was_asked_and_takes_no_more():
    worker, gate = Worker("test"), Gate()
    first = asyncio.create_task(worker.run(gate))
    await gate.began.wait()
    when_last: list[bool] = []
    closing = asyncio.create_task(worker.aclose(lambda: when_last.append(gate.done)))
    await asyncio.sleep(0)
    with pytest.raises(Closed):
        await worker.run(max, 1, 2)
    gate.let_through.set()
    await first
    await closing
    await worker.aclose(lambda: when_last.append(False))
    assert when_last == [True]


async def test_a_call_whose_caller_gave_up_is_carried_through():
    worker, gate = Worker("test"), Gate()
    call = asyncio.create_task(worker.run(gate))
    await gate.began.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gate.let_through.set()
    await worker.aclose(nothing)
    assert gate.done


async def test_it_ends_its_thread_even_if_the_last_call_fails():
    worker = Worker("test")
    with pytest.raises(ZeroDivisionError):
        await worker.aclose(lambda: divmod(1, 0))  # type: ignore[arg-type]
    with pytest.raises(Closed):
        await worker.run(max, 1, 2)


def test_a_loop_that_was_closed_meanwhile_does_not_end_the_thread():
    worker, let_through = Worker("test"), threading.Event()

    async def ask_and_leave():
        call = asyncio.create_task(worker.run(let_through.wait, 10))
        await asyncio.sleep(0)
        call.cancel()

    async def ask_again():
        assert await worker.run(max, 1, 2) == 2
        await worker.aclose(nothing)

    asyncio.run(ask_and_leave())
    let_through.set()
    asyncio.run(ask_again())


async def test_a_worker_that_nobody_asks_has_no_thread():
    before = threading.active_count()
    worker = Worker("test")
    assert threading.active_count() == before
    await worker.aclose(nothing)
