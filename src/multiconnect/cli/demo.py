"""`multiconnect demo`: the whole system on this machine, doing its job while things go wrong.

It starts a real cluster, sends real traffic over HTTP, kills and resizes, and lets the simulator
(which stands where WhatsApp would) count what arrived. It ends with 0 only if every claim holds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from multiconnect.cli.cluster import run_async
from multiconnect.cli.demo_acts import Acts
from multiconnect.cli.demo_claims import Claim, Story, claims_of
from multiconnect.cli.demo_cluster import DemoCluster, demo_cluster
from multiconnect.cli.demo_traffic import Traffic
from multiconnect.cli.exits import Exit
from multiconnect.cli.output import emit, paint
from multiconnect.supervisor.orders import Orders, orders

HELP = "start a cluster, send traffic, kill and resize, and check that nothing was lost"
_RECIPIENTS: Final = 200
#: When each act begins, as a share of the traffic's seconds.
_ACTS: Final = (0.1, 0.3, 0.5, 0.75)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--rate", type=float, default=300.0, metavar="N", help="messages per second (default: 300)")
    add("--seconds", type=float, default=24.0, metavar="S", help="of traffic (default: 24)")
    add("--keep", action="store_true", help="stay up afterwards until Ctrl-C")
    add("--directory", default=".demo", metavar="DIR", help="where it lives (default: .demo)")


def run(options: argparse.Namespace) -> int:
    """Run the demo."""
    return run_async(_demo(options, Path(options.directory).absolute()))


async def _demo(options: argparse.Namespace, directory: Path) -> int:
    begun_s = asyncio.get_running_loop().time()

    def tell(text: str) -> None:
        emit(f"{asyncio.get_running_loop().time() - begun_s:6.1f} s  {text}")

    stays = options.keep or sys.stdout.isatty()
    with orders() as given:
        tell("starting 2 shards, 2 spares, 2 Masters and a simulator of the Cloud API")
        async with demo_cluster(directory) as cluster:
            tell(f"serving on {cluster.http}")
            show = asyncio.create_task(_show(cluster, options, tell))
            claims = await _unless_stopped(show, given)
            if claims is None:
                return Exit.INTERRUPTED
            _print_claims(claims)
            if stays:
                _print_invitation(cluster)
                await given.stop.wait()
            tell("stopping")
    return Exit.OK if all(claim.holds for claim in claims) else Exit.FAILED


async def _unless_stopped(show: asyncio.Task[list[Claim]], given: Orders) -> list[Claim] | None:
    """Return the claims, or None when somebody pressed Ctrl-C first."""
    stopped = asyncio.create_task(given.stop.wait())
    try:
        await asyncio.wait({show, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return await show if show.done() else None
    finally:
        for task in (show, stopped):
            task.cancel()
        await asyncio.gather(show, stopped, return_exceptions=True)


async def _show(
    cluster: DemoCluster, options: argparse.Namespace, tell: Callable[[str], None]
) -> list[Claim]:
    traffic = Traffic(cluster, options.rate, _RECIPIENTS)
    acts = Acts(cluster, traffic, tell)
    loop = asyncio.get_running_loop()
    begun_s = loop.time()

    async def scene(share: float) -> None:
        await asyncio.sleep(max(0.0, begun_s + share * options.seconds - loop.time()))

    async with contextlib.aclosing(traffic):
        tell(f"sending {options.rate:g} messages/s to {_RECIPIENTS} recipients over HTTP")
        traffic.start()
        await scene(_ACTS[0])
        calm_s = acts.calm(begun_s)
        crash = await acts.crash_owner()
        await scene(_ACTS[1])
        loss = await acts.crash_master()
        resizes = []
        for share, shards in zip(_ACTS[2:], (4, 2), strict=True):
            await scene(share)
            resizes.append(await acts.resize(shards))
        await scene(1.0)
        await traffic.stop()
        tell(f"{len(traffic.acks)} messages acknowledged; waiting for the last to arrive")
        count = await acts.count()
        for error in traffic.errors[:3]:
            tell(f"  a request failed: {error}")
        return claims_of(Story(count, len(traffic.errors), calm_s, crash, loss, tuple(resizes)))


def _print_claims(claims: list[Claim]) -> None:
    emit("\nWhat the simulator and the customers counted:\n")
    for claim in claims:
        mark = paint("✓", "green") if claim.holds else paint("✗", "red")
        emit(f"  {mark} {claim.text}")
    failed = sum(not claim.holds for claim in claims)
    emit(f"\n{failed} of {len(claims)} claims failed\n" if failed else "\nevery claim holds\n")


def _print_invitation(cluster: DemoCluster) -> None:
    store = f"--data-dir {cluster.data_dir}"
    emit(
        f"The cluster stays up until Ctrl-C; the dashboard is on {cluster.http}/ . Try:\n\n"
        f"  TOKEN={cluster.token}\n"
        f'  curl -s {cluster.http}/v1/health -H "Authorization: Bearer $TOKEN"\n'
        f'  curl -s {cluster.http}/v1/messages -H "Authorization: Bearer $TOKEN" \\\n'
        '    -d \'{"to": "16315551234", "type": "text", "text": {"body": "hello"}}\'\n'
        f"  curl -s {cluster.simulator}/simulator/report\n"
        f"  multiconnect status {store}\n"
    )
