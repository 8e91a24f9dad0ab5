"""Signals as orders."""

import asyncio
import os
import signal

from multiconnect.supervisor.orders import orders


async def test_the_first_signal_stops_and_the_second_hurries():
    with orders() as given:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(given.stop.wait(), 5)
        assert not given.hurry.is_set()
        assert given.last is signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(given.hurry.wait(), 5)


async def test_afterwards_signals_mean_what_they_meant():
    before = signal.getsignal(signal.SIGTERM)
    with orders():
        pass
    assert signal.getsignal(signal.SIGTERM) == before
