"""The waker: a hint ends the wait, no hint costs little, no kernel support costs nothing else."""

import asyncio

import pytest

from multiconnect.limits import STORE_POLL_MIN_S, STORE_POLL_S, STORE_POLL_SLOW_S, STORE_SYNC_MAX_S
from multiconnect.store.sqlite import waker
from multiconnect.store.sqlite.waker import Waker


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_a_write_ends_the_wait(tmp_path):
    path = tmp_path / "control-wal"
    path.write_bytes(b"")
    woken = Waker(path)
    waiting = asyncio.create_task(woken.pause(3600.0))
    other = asyncio.create_task(woken.pause(3600.0))
    await asyncio.sleep(0)
    # Far longer than any poll: only the hint can end it.
    woken._delay_s = lambda now_s: 3600.0  # type: ignore[method-assign]
    waiting_long = asyncio.create_task(woken.pause(3600.0))
    await asyncio.sleep(0)
    path.write_bytes(b"frame")
    async with asyncio.timeout(10):
        await asyncio.gather(waiting, other, waiting_long)
    woken.close()
    woken.close()


def test_how_often_is_asked_depends_on_the_last_hint(tmp_path):
    path = tmp_path / "control-wal"
    path.write_bytes(b"")
    asked = Waker(path)
    assert asked._delay_s(100.0) == STORE_POLL_SLOW_S
    asked._hinted_at_s = 100.0
    assert asked._delay_s(100.001) == STORE_POLL_MIN_S
    assert asked._delay_s(100.1) == STORE_POLL_S
    assert asked._delay_s(100.1 + STORE_SYNC_MAX_S) == STORE_POLL_SLOW_S
    asked.close()
    assert asked._delay_s(200.0) == STORE_POLL_S


async def test_without_the_kernel_s_help_it_polls(tmp_path, monkeypatch):
    monkeypatch.setattr(waker, "_watch", lambda _: -1)
    asked = Waker(tmp_path / "nothing")
    assert asked._delay_s(1e9) == STORE_POLL_S
    async with asyncio.timeout(10):
        await asked.pause(0.001)


def test_a_file_that_is_not_there_is_not_watched(tmp_path):
    assert waker._watch(tmp_path / "nothing") == -1
