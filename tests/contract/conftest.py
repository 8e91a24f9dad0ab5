"""Fixtures of the contract suite: every test here runs on every kind of store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.cluster import Cluster, Stores


@pytest.fixture(params=["memory", "sqlite"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    stores = Stores(request.param, tmp_path)
    yield stores
    await stores.aclose()


@pytest.fixture
async def cluster(stores: Stores) -> Cluster:
    return await Cluster.start(stores)
