"""Handles: opened, closed, opened again; what was stored outlives them."""

import pytest

from multiconnect.errors import Closed
from multiconnect.model.cluster import Beat
from multiconnect.model.log import LogWrite, Mark, Retry
from tests.contract.cluster import HELD, OUT, START_MS, append, key_row, node, progress


async def test_everything_outlives_its_handles(cluster):
    await cluster.own("a", 0)
    key, retry = key_row("k", 0), Retry(OUT, 0, 1, 1, START_MS, None, "later")
    await cluster.append(
        "a",
        append(0, 0, keys=(key,)),
        progress=(progress(0, 0, HELD * 4, settled=False),),
        marks=(Mark(OUT, 0, 63, 0),),
        retries=(retry,),
    )
    await cluster.control.put_document("user", "ann", {"x": 1}, None)
    before = await cluster.control.snapshot()
    tail = await (await cluster.log("a")).open_slot(0, 1)
    await cluster.store.aclose()

    store = await cluster.stores.open()
    assert await store.control.snapshot() == before
    assert (await store.control.document("user", "ann")).value == {"x": 1}
    log = await store.log("a")
    # Its fence stands, too: it may go on without opening the slot again.
    assert await log.commit(LogWrite({0: 1}, (append(0, 4),))) == frozenset()
    found = await log.read_batches(OUT, 0, 0, 9_999)
    assert [(b.base_seq, b.states) for b in found] == [(0, HELD * 4), (4, bytes(4))]
    assert await log.find_keys(0, [key.key]) == {key.key: key}
    assert tail.retries == (await log.open_slot(0, 1)).retries == (retry,)


async def test_closing_twice_is_closing_once(cluster):
    log = await cluster.log("a")
    for _ in range(2):
        await log.aclose()
        await cluster.control.aclose()
        await cluster.store.aclose()


async def test_a_closed_handle_says_so(cluster):
    log = await cluster.log("a")
    control = cluster.control
    await cluster.store.aclose()
    for use in (
        control.snapshot,
        lambda: control.join(node("d")),
        lambda: control.beat(Beat("a", 1)),
        lambda: control.changed(0),
        lambda: log.open_slot(0, 1),
        lambda: log.commit(LogWrite({})),
        lambda: log.read_batches(OUT, 0, 0, 1),
        lambda: cluster.store.log("b"),
    ):
        with pytest.raises(Closed):
            await use()
    # Other handles are not concerned.
    assert await (await cluster.stores.open()).control.join(node("d"))


async def test_a_closed_log_leaves_the_store_open(cluster):
    await cluster.own("a", 0)
    log = await cluster.log("a")
    await log.aclose()
    with pytest.raises(Closed):
        await log.commit(LogWrite({0: 1}, (append(0, 0),)))
    again = await cluster.store.log("a")
    assert await again.commit(LogWrite({0: 1}, (append(0, 0),))) == frozenset()


async def test_a_store_names_its_url(stores):
    assert (await stores.open()).url == stores.url
