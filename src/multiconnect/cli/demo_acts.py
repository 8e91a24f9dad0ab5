"""What happens to the demo's cluster while customers send: a crash, another, and two resizes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from multiconnect.cli.demo_claims import Count, Crash, MasterLoss, Resize, count_of, longest_pause
from multiconnect.cli.demo_cluster import DemoCluster
from multiconnect.cli.demo_traffic import Traffic
from multiconnect.cli.exits import CommandError, Exit
from multiconnect.limits import SET_SHARDS_TIMEOUT_S
from multiconnect.model.cluster import NodeState, Snapshot
from multiconnect.supervisor.http_call import HttpConnection

#: How long the traffic is watched after an act before its figures are taken.
_AFTERMATH_S: Final = 2.0
#: What the first requests cost more is no property of the machine.
_WARM_UP_S: Final = 1.0
_REPAIR_MAX_S: Final = 10.0
_DRAIN_MAX_S: Final = 30.0
_LOOK_S: Final = 0.01
Tell = Callable[[str], None]


class Acts:
    """Does things to the cluster and measures what the customers notice."""

    def __init__(self, cluster: DemoCluster, traffic: Traffic, tell: Tell) -> None:
        self._cluster = cluster
        self._traffic = traffic
        self._tell = tell

    def calm(self, since_s: float) -> float:
        """Return the longest pause so far, with nothing done to the cluster yet."""
        acks = self._traffic.acks
        pause_s = longest_pause(acks, since_s + _WARM_UP_S, _now(), 2)
        self._tell(
            f"{len(acks) / (_now() - since_s):.0f} messages/s, each acknowledged once it is on "
            f"disk; longest pause of a shard {pause_s:.2f} s"
        )
        return pause_s

    async def crash_owner(self) -> Crash:
        """SIGKILL whoever owns shard 0."""
        before = await self._cluster.snapshot()
        owner = before.node(before.slots[0].owner)
        if owner is None:
            raise CommandError(Exit.FAILED, "slot 0 has no owner")
        shards = before.cluster.shards
        self._tell(f"kill -9 {owner.name} (pid {owner.pid}), the owner of shard 0")
        killed_s = await self._cluster.kill(owner.incarnation)

        def is_repaired(now: Snapshot) -> bool:
            return all(row.owner != owner.incarnation for row in now.slots)

        after, repaired_s = await self._until(is_repaired, "shard 0 has no new owner")
        heir = after.node(after.slots[0].owner)
        self._tell(
            f"  {heir.name if heir else 'nobody'}, a warm spare, owns it after "
            f"{repaired_s - killed_s:.3f} s, under epoch {after.slots[0].epoch}"
        )
        await asyncio.sleep(_AFTERMATH_S)
        end_s = _now()
        acks = self._traffic.acks
        crash = Crash(
            longest_pause(acks, killed_s, end_s, shards, 0),
            max(longest_pause(acks, killed_s, end_s, shards, s) for s in range(1, shards)),
        )
        self._tell(
            f"  longest time without an acknowledgement: {crash.pause_s:.2f} s on shard 0, "
            f"{crash.others_pause_s:.2f} s elsewhere"
        )
        return crash

    async def crash_master(self) -> MasterLoss:
        """SIGKILL the primary Master."""
        before = await self._cluster.snapshot()
        master = before.node(before.cluster.master)
        if master is None:
            raise CommandError(Exit.FAILED, "nobody holds the Master's term")
        term = before.cluster.term
        self._tell(f"kill -9 {master.name} (pid {master.pid}), the primary Master")
        killed_s = await self._cluster.kill(master.incarnation)
        after, taken_s = await self._until(
            lambda now: now.cluster.term > term, "no other Master took the term"
        )
        heir = after.node(after.cluster.master)
        await asyncio.sleep(_AFTERMATH_S)
        shards = after.cluster.shards
        pause_s = longest_pause(self._traffic.acks, killed_s, _now(), shards)
        self._tell(
            f"  {heir.name if heir else 'nobody'} leads after {taken_s - killed_s:.3f} s; "
            f"longest pause of any shard {pause_s:.2f} s"
        )
        return MasterLoss(taken_s - killed_s, pause_s)

    async def resize(self, shards: int) -> Resize:
        """Set the number of shards as an administrator would."""
        before = (await self._cluster.snapshot()).cluster.shards
        body = {**{k: v for k, v in self._cluster.account.items() if v}, "shards": shards}
        self._tell(f"POST /v1/account/shards: {before} -> {shards}, under load")
        begun_s = _now()
        async with HttpConnection(
            self._cluster.http,
            headers=self._cluster.headers,
            timeout_s=SET_SHARDS_TIMEOUT_S + 10.0,
        ) as connection:
            answer = await connection.post("/v1/account/shards", body)
        took_s = _now() - begun_s
        if answer.status != 201:
            self._tell(f"  refused: {answer.body[:300].decode(errors='replace')}")
        await asyncio.sleep(_AFTERMATH_S / 2)
        # By the finer map: a shard that stands still must not hide behind its twin.
        pause_s = longest_pause(self._traffic.acks, begun_s, _now(), max(before, shards))
        self._tell(
            f"  {answer.status} after {took_s:.1f} s; every CoreApp was replaced meanwhile, "
            f"longest pause of any shard {pause_s:.2f} s"
        )
        return Resize(before, shards, answer.status, took_s, pause_s)

    async def count(self) -> Count:
        """Wait until everything promised has arrived, then compare with what the simulator saw."""
        promised = {ack.id for ack in self._traffic.acks}
        deadline_s = _now() + _DRAIN_MAX_S
        async with HttpConnection(self._cluster.simulator, timeout_s=30.0) as connection:
            arrived: set[str] = set()
            last = 0
            while True:
                page = (await connection.get(f"/simulator/messages?since={last}")).json()
                arrived.update(entry["id"] for entry in page)
                last = page[-1]["n"] if page else last
                if promised <= arrived or (not page and _now() > deadline_s):
                    break
                if not page:
                    await asyncio.sleep(0.05)
            report: dict[str, Any] = (await connection.get("/simulator/report")).json()
        return count_of(self._traffic.acks, report, arrived)

    async def _until(
        self, condition: Callable[[Snapshot], bool], failure: str
    ) -> tuple[Snapshot, float]:
        deadline_s = _now() + _REPAIR_MAX_S
        while _now() < deadline_s:
            snapshot = await self._cluster.snapshot()
            live = {n.incarnation for n in snapshot.nodes if n.state != NodeState.DEAD}
            if condition(snapshot) and snapshot.cluster.master in live:
                return snapshot, _now()
            await asyncio.sleep(_LOOK_S)
        raise CommandError(Exit.FAILED, f"{failure} within {_REPAIR_MAX_S:g} s")


def _now() -> float:
    return asyncio.get_running_loop().time()
