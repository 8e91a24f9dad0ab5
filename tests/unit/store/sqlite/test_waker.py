"""The waker: a ring ends the wait, silence costs little, no kernel support costs nothing else."""

import asyncio

import pytest

from multiconnect.limits import STORE_POLL_S, STORE_POLL_SLOW_S
from multiconnect.store.sqlite import waker
from multiconnect.store.sqlite.waker import Waker


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_a_ring_ends_the_wait_of_everybody(tmp_path, monkeypatch):
    # Far longer than any poll: only the ring can end it.
    monkeypatch.setattr(waker, "STORE_POLL_SLOW_S", 3600.0)
    here, there = Waker(tmp_path / "bell"), Waker(tmp_path / "bell")
    for _ in range(3):
        waiting = [asyncio.create_task(one.pause(3600.0)) for one in (here, there, there)]
        await asyncio.sleep(0)
        await asyncio.to_thread(here.ring)
        async with asyncio.timeout(10):
            await asyncio.gather(*waiting)
    for one in (here, there):
        one.close()
        one.close()


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_a_ring_before_the_first_wait_is_heard(tmp_path, monkeypatch):
    monkeypatch.setattr(waker, "STORE_POLL_SLOW_S", 3600.0)
    woken = Waker(tmp_path / "bell")
    woken.ring()
    async with asyncio.timeout(10):
        await woken.pause(3600.0)
    woken.close()


async def test_a_change_that_nobody_rang_for_is_found(tmp_path):
    woken = Waker(tmp_path / "bell")
    assert woken._poll_s == STORE_POLL_SLOW_S
    async with asyncio.timeout(10):
        await woken.pause(3600.0)
    woken.close()


async def test_without_the_kernel_s_help_it_polls(tmp_path, monkeypatch):
    monkeypatch.setattr(waker, "_watch", lambda _: -1)
    asked = Waker(tmp_path / "bell")
    assert asked._poll_s == STORE_POLL_S
    async with asyncio.timeout(10):
        await asked.pause(3600.0)
    asked.close()


def test_a_bell_that_cannot_be_rung_is_no_error(tmp_path):
    asked = Waker(tmp_path / "bell")
    asked.close()
    asked.ring()


def test_a_file_that_is_not_there_is_not_watched(tmp_path):
    assert waker._watch(tmp_path / "nothing") == -1
