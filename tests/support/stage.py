"""CoreApps in this process on a real SQLite store and real sockets; the test is their Master.

Nothing happens by itself: the test grants, drains, takes over and buries. Each member has a store
handle of its own, as a process would, behind a shim (`member.store`) that can be told to misbehave.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from multiconnect import Router
from multiconnect._native import slot_of
from multiconnect.clock import Clock, SystemClock
from multiconnect.coreapp.coreapp import CoreApp
from multiconnect.coreapp.listen import listen
from multiconnect.dataplane.link import OwnerLink
from multiconnect.limits import SLOTS
from multiconnect.model.cluster import Move, Node, NodeState, Role
from multiconnect.model.shard_map import Owner
from multiconnect.model.timers import Timers
from multiconnect.store.open import open_store
from tests.support.history import Arrival, Verdict, judge
from tests.support.shim import StoreShim
from tests.support.talk import Talk
from tests.support.upstreams import MemoryUpstream

#: Short enough for a test to outwait.
TIMERS = Timers(renew_s=0.1, lease_ttl_s=0.6, margin_s=0.1, grace_s=0.1, ping_s=0.05, silence_s=0.3)


@dataclass
class Member:
    """One CoreApp with what is its own."""

    name: str
    store: StoreShim
    app: CoreApp
    upstream: Any
    server: asyncio.Server
    address: str


@dataclass
class Stage:
    """A store, its members and what arrived upstream."""

    folder: Path
    clock: Clock = field(default_factory=SystemClock)
    timers: Timers = TIMERS
    arrivals: list[Arrival] = field(default_factory=list)
    members: dict[str, Member] = field(default_factory=dict)
    #: Addresses that routers use instead of a member's own, by its name.
    via: dict[str, str] = field(default_factory=dict)
    term: int = 0

    @property
    def url(self) -> str:
        """The store."""
        return f"sqlite:///{self.folder}/stage/mc.db"

    # --- life --------------------------------------------------------------------------------
    async def __aenter__(self) -> Stage:
        """Open the store and take the term."""
        self._stack = contextlib.AsyncExitStack()
        self._store = await self._opened()
        self.control = self._store.control
        await self.control.join(_node("hand", Role.MASTER, ""))
        term = await self.control.take_term("hand", 0)
        assert term is not None
        self.term = term
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End everything."""
        for member in self.members.values():
            member.server.close()
            for shim in (member.store.control, *member.store.logs):
                shim.before.clear()
                shim.after.clear()
            await member.app.stop()
        await self._stack.aclose()

    async def _opened(self) -> Any:
        store = await open_store(self.url, clock=self.clock)
        self._stack.push_async_callback(store.aclose)
        return store

    async def member(
        self, name: str, *, upstream: Any = None, clock: Clock | None = None, tcp: bool = False
    ) -> Member:
        """Start a CoreApp that owns nothing yet."""
        store = StoreShim(await self._opened())
        upstream = upstream or MemoryUpstream(self.arrivals)
        apps: list[CoreApp] = []
        server, address = await listen(
            lambda: apps[0].new_endpoint(),  # noqa: PLW0108 -- looked up when somebody connects
            str(self.folder / f"{name}.sock"),
            "127.0.0.1" if tcp else "",
        )
        assert await store.control.join(_node(name, Role.COREAPP, address))
        log: Any = await store.log(name)
        control: Any = store.control
        app = CoreApp(name, control, log, upstream, self.timers, clock or self.clock)
        apps.append(app)
        await app.start()
        await store.control.set_node_state(name, NodeState.READY, "")
        member = Member(name, store, app, upstream, server, address)
        self.members[name] = member
        return member

    async def router(self, **options: Any) -> Router:
        """Start a router with a store handle of its own, behind a shim: `router._store`."""
        shim: Any = StoreShim(await self._opened())

        def make_link(owner: Owner, router: Router) -> OwnerLink:
            address = self.via.get(owner.name, owner.address)
            return OwnerLink(replace(owner, address=address), router, events=False)

        router = Router(shim, events=False, make_link=make_link, **options)
        await self._stack.enter_async_context(router)
        return router

    # --- what a Master does ------------------------------------------------------------------
    async def grant(self, name: str, slots: Iterable[int] = range(SLOTS)) -> None:
        """Give slots without a live owner to a member, and wait until it serves them."""
        await self.assign(name, slots)
        await self.serving(name, slots)

    async def assign(self, name: str, slots: Iterable[int] = range(SLOTS)) -> None:
        """Give slots to a member; their owners are dead, or have drained them."""
        rows = (await self.control.snapshot()).slots
        moves = [Move(s, rows[s].epoch, rows[s].owner, name) for s in slots]
        assert await self.control.assign(moves, self.term, "by hand")

    async def serving(self, name: str, slots: Iterable[int]) -> None:
        """Wait until a member has these slots open."""
        wanted = set(slots)
        app = self.members[name].app
        await until(lambda: wanted <= set(app.owned_slots()), f"{name} serves {sorted(wanted)}")

    async def hand_over(self, slots: Iterable[int], to: str) -> None:
        """Move slots from their live owner, in order."""
        moved = list(slots)
        rows = (await self.control.snapshot()).slots
        for slot in moved:
            assert await self.control.start_drain(slot, rows[slot].epoch, to, self.term)
        async with asyncio.timeout(20):
            while not all(rows[slot].drained for slot in moved):
                await asyncio.sleep(0.002)
                rows = (await self.control.snapshot()).slots
        await self.grant(to, moved)

    async def take_over(self, dead: str, heir: str, reason: str = "lease") -> None:
        """Declare a member dead, whatever it believes, and give its slots to another."""
        rows = (await self.control.snapshot()).slots
        slots = [row.slot for row in rows if row.owner == dead]
        assert await self.control.set_node_state(dead, NodeState.DEAD, reason)
        await self.grant(heir, slots)

    # --- looking -----------------------------------------------------------------------------
    async def verdict(self, talk: Talk, timeout_s: float = 20.0) -> Verdict:
        """Wait until everything acknowledged has arrived (or time is up) and judge."""
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        while True:
            verdict = judge(talk.acknowledged, self.arrivals)
            if not verdict.lost or asyncio.get_running_loop().time() > deadline_s:
                return verdict
            await asyncio.sleep(0.01)

    async def assert_clean(self, talk: Talk) -> Verdict:
        """Nothing failed, was lost, reordered, or sent twice without a mark."""
        assert not talk.failures, talk.failures[:3]
        verdict = await self.verdict(talk)
        assert verdict.clean, verdict
        return verdict


async def until(holds: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    """Wait until a condition holds."""
    try:
        async with asyncio.timeout(timeout_s):
            while not holds():  # noqa: ASYNC110 -- looks from outside
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"not within {timeout_s} s: {what}") from None


def recipients_of(slots: Iterable[int], each: int = 1, prefix: str = "1631556") -> list[str]:
    """Return recipients, `each` of them per slot."""
    wanted = dict.fromkeys(slots, each)
    found: list[str] = []
    number = 0
    while any(wanted.values()):
        recipient = f"{prefix}{number:04d}"
        slot = slot_of(recipient)
        if wanted.get(slot):
            wanted[slot] -= 1
            found.append(recipient)
        number += 1
    return found


def _node(name: str, role: Role, address: str) -> Node:
    return Node(name, name, role, "stage", os.getpid(), address, 0, NodeState.JOINING)
