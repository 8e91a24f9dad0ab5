"""The waker: a ring ends the wait, silence costs little, no kernel support costs nothing else."""

import asyncio
import os

import pytest

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
    woken.listen()
    woken.ring()
    async with asyncio.timeout(10):
        await woken.pause(3600.0)
    woken.close()


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_an_owner_hears_only_what_concerns_it(tmp_path, monkeypatch):
    monkeypatch.setattr(waker, "STORE_POLL_SLOW_S", 3600.0)
    here, there = Waker(tmp_path / "bell"), Waker(tmp_path / "bell")
    names = ("a", "b", None)
    waits = {name: asyncio.create_task(there.pause(3600.0, name)) for name in names}
    await asyncio.sleep(0)
    await asyncio.to_thread(here.ring, ["a"])
    async with asyncio.timeout(10):
        await asyncio.gather(waits["a"], waits[None])
    assert not waits["b"].done()
    await asyncio.to_thread(here.ring, ["b", "nobody"])
    async with asyncio.timeout(10):
        await waits["b"]
    for one in (here, there):
        one.close()


async def test_owners_that_share_a_bell_hear_it_all(tmp_path, monkeypatch):
    monkeypatch.setattr(waker, "STORE_POLL_SLOW_S", 3600.0)
    monkeypatch.setattr(waker, "_BELLS", 1)
    woken = Waker(tmp_path / "bell")
    waits = [asyncio.create_task(woken.pause(3600.0, name)) for name in ("a", "b")]
    await asyncio.sleep(0)
    woken.ring(["b"])
    async with asyncio.timeout(10):
        await asyncio.gather(*waits)
    woken.close()


async def test_when_events_were_dropped_everybody_looks(tmp_path, monkeypatch):
    monkeypatch.setattr(waker, "STORE_POLL_SLOW_S", 3600.0)
    woken = Waker(tmp_path / "bell")
    waits = [asyncio.create_task(woken.pause(3600.0, name)) for name in ("a", None)]
    await asyncio.sleep(0)
    read_end, write_end = os.pipe()
    os.write(write_end, waker._EVENT.pack(-1, 0x4000, 0, 0))
    monkeypatch.setattr(woken, "_fd", read_end)
    woken._rung()
    async with asyncio.timeout(10):
        await asyncio.gather(*waits)
    woken.close()
    os.close(write_end)


@pytest.mark.parametrize("concerning", [None, "a"])
async def test_a_change_that_nobody_rang_for_is_found(tmp_path, concerning):
    woken = Waker(tmp_path / "bell")
    async with asyncio.timeout(10):
        await woken.pause(3600.0, concerning)
    woken.close()


@pytest.mark.parametrize("missing", ["_inotify", "_watch"])
async def test_without_the_kernel_s_help_it_polls(tmp_path, monkeypatch, missing):
    monkeypatch.setattr(waker, "STORE_POLL_SLOW_S", 3600.0)
    monkeypatch.setattr(waker, missing, lambda *_: -1)
    asked = Waker(tmp_path / "bell")
    async with asyncio.timeout(10):
        await asked.pause(3600.0)
        await asked.pause(3600.0, "a")
    asked.close()


def test_a_bell_that_cannot_be_rung_is_no_error(tmp_path):
    asked = Waker(tmp_path / "bell")
    asked.close()
    asked.ring(["a"])


def test_what_cannot_be_made_is_not_watched(tmp_path):
    assert waker._watch(waker._inotify(), tmp_path / "nothing" / "bell") == -1
