"""Load on a router: as much as it takes (closed loop), or as much as is offered (open loop)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Protocol

from bench.traffic import Item
from multiconnect.model.message import Receipt


class Sender(Protocol):
    """A `Router`, or an `Engine`."""

    async def send(self, recipient: str, payload: bytes) -> Receipt:
        """Send one message."""

    async def send_many(self, items: list[Item]) -> Sequence[Receipt]:
        """Send many."""


async def send_batches(sender: Sender, batches: list[list[Item]], window: int) -> int:
    """Send every batch, `window` of them outstanding; return the messages acknowledged."""
    waiting, acknowledged = iter(batches), 0

    async def one_after_the_other() -> None:
        nonlocal acknowledged
        for batch in waiting:
            receipts = await sender.send_many(batch)
            if receipts[-1].sequence < 0:
                raise AssertionError("a receipt without a place in the log")
            acknowledged += len(receipts)

    async with asyncio.TaskGroup() as group:
        for _ in range(window):
            group.create_task(one_after_the_other())
    return acknowledged


async def send_singles(sender: Sender, items: list[Item], tasks: int) -> int:
    """Send every message by itself from `tasks` tasks; return the messages acknowledged."""
    waiting, acknowledged = iter(items), 0

    async def one_after_the_other() -> None:
        nonlocal acknowledged
        for recipient, payload in waiting:
            receipt = await sender.send(recipient, payload)
            acknowledged += receipt.sequence >= 0

    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(one_after_the_other())
    return acknowledged


async def open_loop(sender: Sender, groups: list[list[Item]], every_s: float) -> list[float]:
    """Send a group every `every_s`, ready or not; return seconds from due time to answer.

    Latency counts from when a group was *due*: what waits because the sender or an earlier group is
    late waits in the figures, too. The sender polls the clock, because timers are too coarse.
    """
    latencies: list[float] = []

    async def send(group: list[Item], due: float) -> None:
        receipts = await sender.send_many(group)
        latencies.append(perf_counter() - due)
        if len(receipts) != len(group):
            raise AssertionError(f"{len(receipts)} receipts for {len(group)} messages")

    async with asyncio.TaskGroup() as tasks:
        for due, group in _due(groups, perf_counter() + 0.01, every_s):
            while perf_counter() < due:  # noqa: ASYNC110 -- polls on purpose, see above
                await asyncio.sleep(0)
            tasks.create_task(send(group, due))
    return latencies


def _due(
    groups: list[list[Item]], start: float, every_s: float
) -> Iterator[tuple[float, list[Item]]]:
    return ((start + at * every_s, group) for at, group in enumerate(groups))


def quantile(values: list[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def checked(run: Callable[[], int], expected: int) -> Callable[[], None]:
    """Return `run` with its count checked: a round that loses something is not a fast round."""

    def round_() -> None:
        done = run()
        if done != expected:
            raise AssertionError(f"{done} of {expected} messages were acknowledged")

    return round_
