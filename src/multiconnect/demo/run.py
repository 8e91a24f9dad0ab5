"""`multiconnect demo`: set the stage, run the tour, print the claims, leave nothing behind."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from multiconnect.clock import SystemClock
from multiconnect.demo.cluster import TourCluster
from multiconnect.demo.tour import Tour
from multiconnect.demo.traffic import Traffic
from multiconnect.errors import MulticonnectError

_CALM_S = 3.0


async def run_demo(
    folder: Path, say: Callable[[str], None], *, rate: float, recipients: int, stay: bool,
    keep: bool,
) -> bool:
    """Run the tour in `folder` (emptied first); return whether every claim held.

    `stay` keeps the cluster up afterwards until SIGINT; `keep` leaves the folder in place.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    cluster = TourCluster(folder)
    stopped = _on_signals()
    try:
        tour = asyncio.ensure_future(_tour(cluster, say, rate, recipients))
        stop = asyncio.ensure_future(stopped.wait())
        await asyncio.wait({tour, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not tour.done():
            tour.cancel()
            say("stopped before the end")
            return False
        held = tour.result()
        if stay:
            _invite(cluster, say)
            await stopped.wait()
        return held
    except MulticonnectError as error:
        say(f"the demo could not go on: {error}")
        return False
    finally:
        await cluster.stop()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


async def _tour(
    cluster: TourCluster, say: Callable[[str], None], rate: float, recipients: int
) -> bool:
    clock = SystemClock()
    start_s = clock.monotonic()
    await cluster.start("--shards", "2", "--spares", "2", "--masters", "2")
    say(f"cluster: 2 shards, 2 spares, 2 Masters, 1 Web on SQLite, ready in "
        f"{clock.monotonic() - start_s:.1f} s at {cluster.ready['http']}")
    traffic = Traffic(
        str(cluster.ready["http"]), str(cluster.ready["token"]), clock,
        recipients=recipients, rate=rate,
    )
    tour = Tour(cluster, traffic, clock, say, _CALM_S)
    try:
        held = await tour.run()
    finally:
        await traffic.stop()
    say("")
    for claim in tour.claims:
        say(f"  {'✓' if claim.holds else '✗'} {claim.text}: {claim.measured}")
    say("")
    say("every claim held" if held else "A CLAIM DID NOT HOLD")
    return held


def _invite(cluster: TourCluster, say: Callable[[str], None]) -> None:
    http, token, store = (cluster.ready[key] for key in ("http", "token", "store"))
    say("")
    say(f"still running: {http}/  (Ctrl-C ends it). In another terminal:")
    say(f"  curl -s {http}/v1/messages -H 'Authorization: Bearer {token}' "
        """-d '{"to":"16315550000","type":"text","text":{"body":"hi"}}'""")
    say(f"  .venv/bin/multiconnect status --watch --store {store}")


def _on_signals() -> asyncio.Event:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped
