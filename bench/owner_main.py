"""`python -m bench.owner_main`: a CoreApp that gives itself every slot, for one benchmark.

It is the product's CoreApp behind the product's lane, on the event loop of the product's processes;
only the Master is left out, because one owner leaves nothing to decide. It says when it serves
(one line of JSON) and, when its input ends, what it counted (another line). With --spare it takes
nothing by itself: it stands ready and serves what it is given.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from multiconnect.clock import SystemClock
from multiconnect.coreapp.coreapp import CoreApp
from multiconnect.coreapp.listen import listen
from multiconnect.coreapp.pacing import Pacing
from multiconnect.coreapp.process import _GC_YOUNG_MAX
from multiconnect.limits import SLOTS
from multiconnect.loop import new_event_loop
from multiconnect.model.cluster import Move, Node, NodeState, Role
from multiconnect.model.message import Message, Outcome
from multiconnect.model.timers import Timers
from multiconnect.store.open import open_store
from multiconnect.store.port import ControlStore
from multiconnect.upstream.null import NullUpstream

FIRST_CALLS_MAX_S = 20.0


class FirstCalls(NullUpstream):
    """A null upstream that knows when each slot's first message was handed to it."""

    def __init__(self) -> None:
        super().__init__()
        self.first_s: dict[int, float] = {}

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Take the messages."""
        if len(self.first_s) < SLOTS:
            for message in messages:
                self.first_s.setdefault(message.slot, monotonic())
        return await super().send(messages)


async def serve(
    store_url: str, socket_path: str, number_rate: float | None, *, spare: bool = False
) -> None:
    """Own all slots, or those a spare is given, until standard input ends."""
    upstream = FirstCalls() if spare else NullUpstream()
    store = await open_store(store_url)
    me = f"bench-{secrets.token_hex(4)}"
    await store.control.join(_node(me, f"unix:{socket_path}"))
    app = CoreApp(
        me,
        store.control,
        await store.log(me),
        upstream,
        Timers(),
        SystemClock(),
        Pacing(number_rate, pair_rate=False),
    )
    server, address = await listen(app.new_endpoint, socket_path, "")
    await app.start()
    await store.control.set_node_state(me, NodeState.READY, "")
    if not spare:
        await _take_all_slots(store.control, me)
        while len(app.owned_slots()) < SLOTS:  # noqa: ASYNC110 -- a CoreApp tells nobody
            await asyncio.sleep(0.002)
    # As the process of a CoreApp does.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_YOUNG_MAX)
    _say({"incarnation": me, "address": address, "memory_mb": _memory_mb("VmRSS")})
    await _input_ended()
    first_s = await _first_calls(upstream)
    _say({**app.figures(), "memory_peak_mb": _memory_mb("VmHWM"), "first_calls_s": first_s})
    server.close()
    await app.stop()
    await store.aclose()


async def _first_calls(upstream: NullUpstream) -> dict[int, float]:
    """Return when a spare was first called for each slot, waiting for all of them."""
    if not isinstance(upstream, FirstCalls):
        return {}
    end = monotonic() + FIRST_CALLS_MAX_S
    while len(upstream.first_s) < SLOTS and monotonic() < end:  # noqa: ASYNC110 -- see above
        await asyncio.sleep(0.01)
    return upstream.first_s


async def _take_all_slots(control: ControlStore, me: str) -> None:
    snapshot = await control.snapshot()
    term = await control.take_term(me, snapshot.cluster.term)
    moves = [Move(row.slot, row.epoch, row.owner, me) for row in snapshot.slots]
    if term is None or not await control.assign(moves, term, "benchmark"):
        raise SystemExit("somebody else uses this store")


async def _input_ended() -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


def _node(me: str, address: str) -> Node:
    return Node(
        me, me, Role.COREAPP, socket.gethostname(), os.getpid(), address, 0, NodeState.JOINING
    )


def _memory_mb(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"this kernel does not report {field}")


def _say(facts: dict[str, object]) -> None:
    print(json.dumps(facts), flush=True)


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", required=True)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--number-rate", type=float, default=None)
    parser.add_argument("--spare", action="store_true")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(options.store, options.socket, options.number_rate, spare=options.spare))


if __name__ == "__main__":
    main()
