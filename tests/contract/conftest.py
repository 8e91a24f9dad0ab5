"""Fixtures of the contract suite: every test here runs on every kind of store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from multiconnect.store.sqlite import commit
from tests.contract.cluster import Cluster, Stores
from tests.support.postgres import postgres_server

__all__ = ["postgres_server"]

#: "segments" is SQLite with every body beside the ledger, however small its commit.
KINDS = ["memory", "sqlite", "segments", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=KINDS)
async def stores(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stores]:
    url = None
    if request.param == "segments":
        monkeypatch.setattr(commit, "RECENT_COMMIT_BYTES_MAX", 0)
    if request.param == "postgres":
        url = await request.getfixturevalue("postgres_server").emptied_url()
    stores = Stores(request.param, tmp_path, url)
    yield stores
    await stores.aclose()


@pytest.fixture
async def cluster(stores: Stores) -> Cluster:
    return await Cluster.start(stores)
