"""One cluster in memory, and a clock to turn."""

import pytest

from multiconnect.store.memory import MemoryState
from tests.scenarios.world import HandClock
from tests.unit.master.faulty_store import Faulty


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def state() -> MemoryState:
    return MemoryState(cluster=1)


@pytest.fixture
def control(state: MemoryState) -> Faulty:
    return Faulty(state)
