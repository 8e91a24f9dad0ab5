"""What the benchmarks share: the meter, a loop, input, and a place for stores on the real disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.figures import Meter
from bench.place import place_for_stores
from bench.traffic import Traffic, make_traffic
from multiconnect.loop import new_event_loop

ROUNDS, ROUNDS_QUICK = 7, 3


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --quick and --long, which `python -m bench` passes on."""
    parser.addoption("--quick", action="store_true", help="fewer and shorter rounds")
    parser.addoption("--long", action="store_true", help="also what takes minutes")


@pytest.fixture(scope="session")
def quick(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--quick"))


@pytest.fixture(scope="session")
def long(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--long"))


@pytest.fixture
def meter(benchmark: Any, quick: bool) -> Meter:
    return Meter(benchmark, rounds=ROUNDS_QUICK if quick else ROUNDS, quick=quick)


@pytest.fixture(scope="session")
def traffic() -> Traffic:
    return make_traffic()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all rounds, the one that our processes use."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        yield runner


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder on the disk of the checkout."""
    with place_for_stores() as made:
        yield made
