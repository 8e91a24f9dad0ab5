import pytest

from multiconnect.errors import InvalidSettings
from multiconnect.model.cluster import Node, NodeState, Role
from multiconnect.store.memory import MemoryState, MemoryStates, MemoryStore
from multiconnect.store.open import open_store

NODE = Node("n", "n", Role.COREAPP, "h", 1, "local:", 0, NodeState.READY)


async def nodes_of(store):
    return (await store.control.snapshot()).nodes


async def test_a_plain_memory_store_is_always_new():
    first, second = await open_store("memory://"), await open_store("memory://")
    await first.control.join(NODE)
    assert await nodes_of(second) == ()


async def test_named_memory_stores_are_shared_by_name():
    memories = MemoryStates()
    first, second, other = [
        await open_store(f"memory://{name}", memories=memories) for name in ("x", "x", "y")
    ]
    await first.control.join(NODE)
    assert await nodes_of(second) == (NODE,)
    assert await nodes_of(other) == ()
    assert first.url == "memory://x"


async def test_a_name_without_the_registry_is_refused():
    with pytest.raises(InvalidSettings, match="MemoryStates"):
        await open_store("memory://x")


async def test_a_state_may_be_shared_directly():
    state = MemoryState(cluster=7)
    first, second = MemoryStore(state), MemoryStore(state)
    await first.control.join(NODE)
    assert await nodes_of(second) == (NODE,)
    assert (await second.control.snapshot()).cluster.cluster == 7


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://u:secret@h/db#1", "bare '#'"),
        ("mysql://u:secret@h/db", "'mysql' is unknown"),
        ("cluster.db", "not a URL"),
        ("", "not a URL"),
        ("sqlite://cluster.db", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:////", "names no file"),
        ("sqlite:///:memory:", "use memory://"),
        ("sqlite:///m.db?mode=ro", "without parameters"),
        ("sqlite:///folder/", "the file's name"),
    ],
)
async def test_a_url_that_names_no_store_is_refused(url, says):
    with pytest.raises(InvalidSettings, match=says) as refused:
        await open_store(url)
    assert "secret" not in str(refused.value)


async def test_three_slashes_are_relative_and_four_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for url, path in (
        ("sqlite:///sub/m.db", tmp_path / "sub" / "m.db"),
        (f"sqlite:///{tmp_path}/abs.db", tmp_path / "abs.db"),
    ):
        store = await open_store(url)
        await store.aclose()
        assert path.is_file()
