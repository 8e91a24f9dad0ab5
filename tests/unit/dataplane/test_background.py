"""Background tasks: a failure is never silent."""

import asyncio
import logging

from multiconnect.dataplane.background import Background


async def fails(error):
    raise error


async def test_the_first_failure_is_logged_and_told_once(caplog):
    told: list[BaseException] = []
    background = Background(told.append)
    first = ValueError("first")
    background.start(fails(first))
    background.start(fails(KeyError("second")))
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            await asyncio.sleep(0)
    assert told == [first]
    assert caplog.messages[0].startswith("background_task_failed")
    assert caplog.records[0].exc_info[1] is first
    await background.aclose()


async def test_ending_and_being_cancelled_are_no_failures():
    told: list[BaseException] = []
    background = Background(told.append)
    started = asyncio.Event()

    async def waits():
        started.set()
        await asyncio.Event().wait()

    background.start(waits())
    background.start(asyncio.sleep(0))
    await started.wait()
    await background.aclose()
    await background.aclose()
    assert told == []


async def test_a_task_may_close_its_own_kind():
    """What ends everything may itself run in the background."""
    told: list[BaseException] = []
    background = Background(told.append)
    done = asyncio.Event()

    async def ends_all():
        await background.aclose()
        done.set()

    background.start(ends_all())
    async with asyncio.timeout(2):
        await done.wait()
    assert told == []


async def test_a_callback_fails_as_loudly_as_a_task(caplog):
    told: list[BaseException] = []
    background = Background(told.append)

    def pump():
        raise KeyError("a bug")

    asyncio.get_running_loop().call_soon(background.run, pump)
    await asyncio.sleep(0)
    assert [type(error) for error in told] == [KeyError]
    assert "pump" in caplog.messages[0]
