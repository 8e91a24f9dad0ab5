"""Small versioned documents."""

import asyncio

from multiconnect.model.log import Document


async def test_a_document_is_written_read_and_deleted(cluster):
    control = cluster.control
    assert await control.document("user", "ann") is None
    assert await control.put_document("user", "ann", {"role": "admin", "ids": [1, 2]}, None) == 1
    assert await control.document("user", "ann") == Document(
        "ann", 1, {"role": "admin", "ids": [1, 2]}
    )
    assert await control.put_document("user", "ann", {}, None) == 2
    assert await control.document("user", "ann") == Document("ann", 2, {})
    assert await control.delete_document("user", "ann")
    assert not await control.delete_document("user", "ann")
    assert await control.document("user", "ann") is None


async def test_a_write_names_the_version_it_saw(cluster):
    control = cluster.control
    assert await control.put_document("user", "ann", {"n": 1}, 1) is None
    assert await control.put_document("user", "ann", {"n": 1}, 0) == 1
    assert await control.put_document("user", "ann", {"n": 2}, 0) is None
    assert await control.put_document("user", "ann", {"n": 2}, 1) == 2
    assert (await control.document("user", "ann")).value == {"n": 2}


async def test_of_many_that_write_the_same_version_one_does(cluster):
    handles = [(await cluster.stores.open()).control for _ in range(3)]
    won = await asyncio.gather(*(h.put_document("k", "x", {}, 0) for h in handles))
    assert sorted(won, key=str) == [1, None, None]


async def test_kinds_are_apart_and_documents_come_by_key(cluster):
    control = cluster.control
    for key in ("b", "a", "ä"):
        await control.put_document("token", key, {"of": key}, None)
    await control.put_document("user", "a", {}, None)
    assert [doc.key for doc in await control.documents("token")] == ["a", "b", "ä"]
    assert await control.documents("nothing") == []
    await control.delete_document("token", "a")
    assert await control.document("user", "a") is not None


async def test_a_document_read_is_a_copy(cluster):
    value = {"list": [1]}
    await cluster.control.put_document("k", "x", value, None)
    value["list"].append(2)
    assert (await cluster.control.document("k", "x")).value == {"list": [1]}
