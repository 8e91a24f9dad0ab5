import asyncio
import threading

import pytest

from multiconnect.errors import Closed
from multiconnect.store.sqlite.worker import Worker


async def test_calls_run_in_one_other_thread_and_in_order():
    worker = Worker("test")
    seen: list[int] = []
    threads = await asyncio.gather(
        *(worker.run(lambda n=n: (seen.append(n), threading.get_ident())[1]) for n in range(20))
    )
    assert seen == list(range(20))
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads
    await worker.aclose(lambda: None)


async def test_an_error_comes_to_the_caller_and_the_worker_goes_on():
    worker = Worker("test")
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)
    assert await worker.run(max, 1, 2) == 2
    await worker.aclose(lambda: None)


async def test_closing_waits_for_what_was_asked_and_takes_no_more():
    worker = Worker("test")
    go = threading.Event()
    done: list[str] = []
    first = asyncio.create_task(worker.run(lambda: (go.wait(5), done.append("asked"))))
    await asyncio.sleep(0)
    closing = asyncio.create_task(worker.aclose(lambda: done.append("last")))
    await asyncio.sleep(0)
    with pytest.raises(Closed):
        await worker.run(max, 1, 2)
    go.set()
    await first
    await closing
    await worker.aclose(lambda: done.append("never"))
    assert done == ["asked", "last"]


async def test_a_call_whose_caller_gave_up_is_carried_through():
    worker = Worker("test")
    started, go = threading.Event(), threading.Event()
    done: list[bool] = []
    call = asyncio.create_task(worker.run(lambda: (started.set(), go.wait(5), done.append(True))))
    while not started.is_set():
        await asyncio.sleep(0.001)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go.set()
    await worker.aclose(lambda: None)
    assert done == [True]
