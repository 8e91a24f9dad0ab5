"""Plumbing shared by all tests; it holds no fixture of the system under test."""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import NoReturn

import hypothesis
import pytest
import uvloop

from tests.support.twins import use_what_is_asked_for

# Before a test module imports what it tests: MULTICONNECT_TWINS=readable.
use_what_is_asked_for()

# One machine of CI is slow in bursts, so a deadline per example would fail at
# random; and a run of CI must be repeatable.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Run async tests on asyncio's loop, unless the test names its loops.

    @pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"]) runs it on both.
    """
    loops: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
    marker = item.get_closest_marker("asyncio")
    if marker and marker.kwargs.get("loop_factories"):
        loops["uvloop"] = uvloop.new_event_loop
    return loops


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --slow."""
    parser.addoption("--slow", action="store_true", help="also run the tests marked as slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked as slow, unless it is asked for: --slow, or -m with "slow" in it."""
    if config.getoption("--slow") or "slow" in (config.getoption("markexpr") or ""):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.fixture(scope="session")
def service_missing() -> Callable[[str], NoReturn]:
    """Return what a fixture calls when a service it needs is not there.

    Under `./run test`, which finds or installs the services, that is a failure;
    under a bare pytest the test is skipped.
    """

    def report(reason: str) -> NoReturn:
        if os.environ.get("MULTICONNECT_REQUIRE_SERVICES") == "1":
            pytest.fail(f"{reason}; ./run test requires it", pytrace=False)
        pytest.skip(reason)

    return report
