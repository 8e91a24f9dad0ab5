"""What the benchmarks share: the meter, a loop, input, and a place for stores on the real disk."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from bench.figures import Meter
from bench.traffic import Traffic, make_traffic
from multiconnect.loop import new_event_loop

ROOT = Path(__file__).resolve().parent.parent
ROUNDS, ROUNDS_QUICK = 7, 3


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --quick, which `python -m bench --quick` passes on."""
    parser.addoption("--quick", action="store_true", help="fewer and shorter rounds")


@pytest.fixture(scope="session")
def quick(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--quick"))


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
    """A folder on the disk of the checkout; /tmp may be memory, which syncs in no time."""
    place = ROOT / ".cache" / "bench"
    place.mkdir(parents=True, exist_ok=True)
    made = Path(mkdtemp(dir=place))
    yield made
    shutil.rmtree(made)
