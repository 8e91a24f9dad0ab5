"""The tour, step by step, and the claims it ends with. Every figure is measured, none is given."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from multiconnect.clock import Clock
from multiconnect.demo.cluster import TourCluster
from multiconnect.demo.judge import Count, compare
from multiconnect.demo.traffic import Traffic
from multiconnect.model.cluster import Role

_WAIT_MAX_S = 20.0
_DRAIN_MAX_S = 20.0
#: What the tour insists on. A busy laptop is slower than a quiet server, so these are loose; the
#: measured figures are printed beside them.
FAILOVER_MAX_S = 1.0


@dataclass(frozen=True, slots=True)
class Claim:
    """Something the tour says, and whether it held."""

    text: str
    measured: str
    holds: bool


class Tour:
    """Runs the story on a started cluster; `say` prints a line."""

    def __init__(
        self, cluster: TourCluster, traffic: Traffic, clock: Clock, say: Callable[[str], None],
        calm_s: float,
    ) -> None:
        self._cluster = cluster
        self._traffic = traffic
        self._clock = clock
        self._say = say
        self._calm_s = calm_s
        self.claims: list[Claim] = []

    async def run(self) -> bool:
        """Tell the whole story; return whether every claim held."""
        self._traffic.start()
        await self._calm()
        await self._kill_owner()
        await self._kill_master()
        for shards in (4, 2):
            await self._resize(shards)
        await self._traffic.stop()
        self._judge(await self._drained())
        return all(claim.holds for claim in self.claims)

    def _claim(self, text: str, measured: str, *, holds: bool) -> None:
        self.claims.append(Claim(text, measured, holds))

    async def _calm(self) -> None:
        await asyncio.sleep(self._calm_s)
        count = len(self._traffic.acknowledged)
        self._say(f"load: {count / self._calm_s:.0f} messages per second, each acknowledged "
                  "once it was on disk")

    async def _kill_owner(self) -> None:
        victim = await self._cluster.owner_of(0)
        start_s = self._clock.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        seen = await self._cluster.until(
            lambda c: any(
                0 in n.shards and n.incarnation != victim.incarnation for n in c.live
            ),
            _WAIT_MAX_S, "shard 0 has another owner",
        )
        heir = next(n for n in seen.live if 0 in n.shards)
        await asyncio.sleep(self._calm_s)
        end_s = self._clock.monotonic()
        gap_s = self._traffic.longest_gap_s(start_s, end_s, shards=2, shard=0)
        other_s = self._traffic.longest_gap_s(start_s, end_s, shards=2, shard=1)
        self._say(f"killed {victim.name} (pid {victim.pid}): {heir.name} owns shard 0 now")
        self._say(f"  longest gap in acknowledgements: shard 0 {gap_s * 1000:.0f} ms, "
                  f"shard 1 {other_s * 1000:.0f} ms")
        self._claim(
            f"a killed owner is replaced within {FAILOVER_MAX_S:.0f} s",
            f"{gap_s * 1000:.0f} ms without an acknowledgement", holds=gap_s < FAILOVER_MAX_S,
        )
        self._claim(
            "the other shard goes on meanwhile",
            f"its longest gap was {other_s * 1000:.0f} ms", holds=other_s < FAILOVER_MAX_S / 2,
        )

    async def _kill_master(self) -> None:
        before = await self._cluster.look()
        victim = next(n for n in before.live if n.role is Role.MASTER and n.name == before.master)
        start_s = self._clock.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        after = await self._cluster.until(
            lambda c: c.term > before.term, _WAIT_MAX_S, "another Master holds the term"
        )
        took_s = self._clock.monotonic() - start_s
        self._say(f"killed the primary Master {victim.name}: {after.master} holds term "
                  f"{after.term} after {took_s * 1000:.0f} ms, the map as it was")
        self._claim(
            "the next Master takes the term and traffic does not notice",
            f"new term after {took_s * 1000:.0f} ms", holds=took_s < FAILOVER_MAX_S,
        )

    async def _resize(self, shards: int) -> None:
        before = (await self._cluster.look()).shards
        await self._cluster.until(
            lambda c: sum(n.role is Role.COREAPP and n.state in {"owner", "spare"}
                          for n in c.live) >= max(before, shards),
            _WAIT_MAX_S, "enough CoreApps are ready",
        )
        failed = len(self._traffic.failures)
        start_s = self._clock.monotonic()
        status, text = await self._cluster.set_shards(shards)
        took_s = self._clock.monotonic() - start_s
        failed = len(self._traffic.failures) - failed
        self._say(f"resized {before} → {shards} under load in {took_s:.1f} s "
                  f"(HTTP {status}): {failed} failed requests")
        self._claim(
            f"resize {before} → {shards} under load fails no request",
            f"{failed} failed, HTTP {status}" + ("" if status == 201 else f": {text}"),
            holds=status == 201 and failed == 0,
        )

    async def _drained(self) -> Count:
        """Wait until all that was acknowledged has arrived, and count."""
        deadline_s = self._clock.monotonic() + _DRAIN_MAX_S
        while True:
            count = compare(self._traffic.acknowledged, await self._cluster.arrivals())
            if count.lost == 0 or self._clock.monotonic() > deadline_s:
                return count
            await asyncio.sleep(0.1)

    def _judge(self, count: Count) -> None:
        self._claim(
            "every acknowledged message arrived",
            f"{count.acknowledged} acknowledged, {count.lost} lost", holds=count.lost == 0,
        )
        self._claim(
            "each recipient's messages arrived in order",
            f"{count.out_of_order} recipients out of order", holds=count.out_of_order == 0,
        )
        self._claim(
            "nothing arrived twice without having been marked as possible duplicate",
            f"{count.repeated_unmarked} unmarked, {count.repeated_marked} marked",
            holds=count.repeated_unmarked == 0,
        )
        self._claim(
            "no request failed in all of this", f"{len(self._traffic.failures)} failed",
            holds=not self._traffic.failures,
        )
