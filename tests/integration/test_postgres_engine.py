"""An `Engine` on PostgreSQL: everything in one process, two connections, a server that crashes."""

import asyncio
from collections import defaultdict

import pytest

from multiconnect import Engine
from multiconnect.model.message import Message, Outcome
from tests.support.postgres import PostgresServer, own_server

__all__ = ["own_server"]

pytestmark = pytest.mark.postgres


class Phone:
    """An upstream that remembers what it was given, in order, per recipient."""

    def __init__(self) -> None:
        self.arrived: dict[str, list[int]] = defaultdict(list)
        self.marked = 0

    async def __call__(self, messages: list[Message]) -> list[Outcome]:
        for message in messages:
            number = message.payload["n"]
            if message.possible_duplicate and number in self.arrived[message.recipient]:
                self.marked += 1
            else:
                self.arrived[message.recipient].append(number)
        return [Outcome.sent() for _ in messages]


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_a_server_that_crashes_costs_nothing_acknowledged(own_server: PostgresServer):
    url, phone = own_server.url("engine"), Phone()
    recipients = [f"1631555{n:04d}" for n in range(40)]
    sent = 0
    async with Engine(url, shards=4, upstream=phone) as engine:
        sessions = own_server.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'multiconnect %'"
        )
        assert int(sessions) <= 2
        for turn in range(6):
            if turn in {2, 4}:
                await asyncio.to_thread(own_server.restart, "immediate")
            for _ in range(5):
                await engine.send_many([(r, {"n": sent}) for r in recipients])
                sent += 1
    # The next life of the engine sends what the first had no time for.
    async with Engine(url, shards=4, upstream=phone) as engine:
        async with asyncio.timeout(20):
            while any(len(phone.arrived[r]) < sent for r in recipients):  # noqa: ASYNC110 -- looks from outside
                await asyncio.sleep(0.01)
        await engine.send(recipients[0], {"n": sent})
    assert all(phone.arrived[r][:sent] == list(range(sent)) for r in recipients)
