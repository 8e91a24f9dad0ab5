"""Random histories: whatever is done, PostgreSQL says exactly what the memory store says."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from multiconnect.limits import RETAIN_BODIES_S, RETAIN_IDEMPOTENCY_S, RETAIN_STATES_S
from multiconnect.store.memory import MemoryState, MemoryStore
from multiconnect.store.open import open_store
from tests.contract.cluster import SetClock, node
from tests.contract.test_random_histories import TwoStores
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.postgres


class PostgresAndMemory(TwoStores):
    """The same machine; `sqlite` is the store under test."""

    server: PostgresServer

    @initialize()
    def start(self):
        self.clock = SetClock()
        self.runner = asyncio.Runner()
        self.url = self.run(self.server.emptied_url())
        self.sqlite = self.run(open_store(self.url, clock=self.clock))
        number = self.run(self.sqlite.control.snapshot()).cluster.cluster
        self.state = MemoryState(self.clock, number)
        self.memory = MemoryStore(self.state)
        self.logs = {}
        self.born = 0
        for name in "abc":
            self.both(lambda s, name=name: s.control.join(node(name)))
        self.both(lambda s: s.control.take_term("a", 0))
        self.grant({0, 1, 31}, "a", "start")

    def teardown(self):
        if hasattr(self, "runner"):
            self.run(self.sqlite.aclose())
            self.runner.close()

    @rule(
        seconds=st.sampled_from(
            [60, RETAIN_BODIES_S + 1, RETAIN_IDEMPOTENCY_S + 1, RETAIN_STATES_S + 1]
        )
    )
    def let_time_pass(self, seconds):
        """Any log collects everybody's garbage."""
        self.clock.advance(seconds)
        in_memory, in_postgres = self.log("a")
        self.run(in_memory.collect_garbage(self.clock.now_ms))
        for _ in range(5):
            if not self.run(in_postgres.collect_garbage(self.clock.now_ms)):
                return
        raise AssertionError("collecting never ends")


@pytest.fixture(autouse=True)
def on_server(postgres_server: PostgresServer) -> Iterator[None]:
    PostgresAndMemory.server = postgres_server
    yield
    del PostgresAndMemory.server


TestPostgresAndMemory = PostgresAndMemory.TestCase
TestPostgresAndMemory.settings = settings(
    max_examples=8,
    stateful_step_count=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
