"""The parts of the PostgreSQL store that need no server: URLs, waking, one group as rows."""

import asyncio

import pytest

from multiconnect.errors import Bug, InvalidSettings
from multiconnect.model.log import LogWrite, Mark
from multiconnect.store.postgres.changes import Changes
from multiconnect.store.postgres.dsn import parse_dsn
from multiconnect.store.postgres.group import rows_of
from multiconnect.store.postgres.statement import group_statement
from tests.contract.cluster import IN, OUT, SENT, append, progress

# --- URLs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown", "driver", "schema"),
    [
        ("postgresql://h/d", "postgresql://h/d", "postgresql://h/d", "multiconnect"),
        ("postgres://u:pw@h:1/d", "postgresql://u@h:1/d", "postgresql://u:pw@h:1/d",
         "multiconnect"),
        ("postgresql://u:p%40w@h1:1,h2:2/d?target_session_attrs=read-write&schema=s_2",
         "postgresql://u@h1:1,h2:2/d?target_session_attrs=read-write&schema=s_2",
         "postgresql://u:p%40w@h1:1,h2:2/d?target_session_attrs=read-write", "s_2"),
        ("postgresql:///d?host=/run/pg&user=u&password=pw&sslpassword=pw",
         "postgresql:///d?host=%2Frun%2Fpg&user=u",
         "postgresql:///d?host=%2Frun%2Fpg&user=u&password=pw&sslpassword=pw", "multiconnect"),
        ("postgresql://:pw@h/d?options=-c%20a%3Db", "postgresql://@h/d?options=-c%20a%3Db",
         "postgresql://:pw@h/d?options=-c%20a%3Db", "multiconnect"),
    ],
)  # fmt: skip
def test_a_url_is_shown_without_its_password(url, shown, driver, schema):
    dsn = parse_dsn(url)
    assert (dsn.shown, dsn.driver, dsn.schema) == (shown, driver, schema)
    assert "pw" not in repr(dsn)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:canary#1@h/d",
        "postgresql://u:canary@1@h/d",
        "postgresql://u:canary@[h/d",
        "postgresql://u:canary@h/d?nonsense",
        "postgresql://u:canary@h/d?schema=Robert'--",
        "postgresql://u:canary@h/d?schema=",
    ],
)
def test_a_malformed_url_is_refused_without_being_quoted(url):
    with pytest.raises(InvalidSettings) as refused:
        parse_dsn(url)
    assert "canary" not in str(refused.value)


# --- waking --------------------------------------------------------------------------------------


class Revisions:
    """A store's revision, and how often it was asked for."""

    def __init__(self) -> None:
        self.number = 5
        self.asked = 0

    async def read(self) -> int:
        self.asked += 1
        return self.number


async def test_news_that_came_during_a_snapshot_are_not_lost():
    changes, store = Changes(), Revisions()
    changes.heard('[6, ["a"]]')
    changes.saw(5)
    assert await changes.wait(9.0, store.read, changes.seen)
    assert store.asked == 0


async def test_old_news_of_a_store_that_was_rolled_back_are_not_news():
    changes, store = Changes(), Revisions()
    changes.saw(9)
    changes.saw(5)
    assert not await changes.wait(0.0, store.read, changes.seen)
    assert store.asked == 1


async def test_a_bell_without_news_asks_the_store_and_waits_on():
    changes, store = Changes(), Revisions()
    changes.saw(5)
    waiting = asyncio.create_task(changes.wait(9.0, store.read, 5))
    await asyncio.sleep(0)
    changes.wake()
    for _ in range(5):
        await asyncio.sleep(0)
    assert store.asked == 1
    changes.heard("nonsense")
    changes.heard('[6, ["a"]]')
    assert await waiting


async def test_who_acted_on_an_older_snapshot_is_told_at_once():
    changes, store = Changes(), Revisions()
    changes.saw(5)
    assert await changes.wait(9.0, store.read, 4)
    assert not await changes.wait(0.0, store.read, 5)


async def waits(changes, store, seen, concerning):
    """Whether somebody would wait for news of its concern."""
    waiting = asyncio.create_task(changes.wait(9.0, store.read, seen, concerning))
    await asyncio.sleep(0)
    is_waiting = not waiting.done()
    waiting.cancel()
    await asyncio.wait({waiting})
    return is_waiting


async def test_what_concerns_others_is_slept_through_and_not_forgotten():
    changes, store = Changes(), Revisions()
    changes.saw(5)
    mine = asyncio.create_task(changes.wait(9.0, store.read, 5, "a"))
    await asyncio.sleep(0)
    changes.heard('[6, ["b", "c"]]')
    changes.heard("[7, []]")
    for _ in range(5):
        await asyncio.sleep(0)
    assert not mine.done()
    assert await changes.wait(0.0, store.read, 5)
    changes.heard('[8, ["b", "a"]]')
    assert await mine
    assert store.asked == 0
    assert not await waits(changes, store, 7, "a")
    assert await waits(changes, store, 8, "a")


@pytest.mark.parametrize("news", ["[7, []]", "[6, null]"])
async def test_what_was_not_heard_of_may_concern_anybody(news):
    changes, store = Changes(), Revisions()
    changes.saw(5)
    assert await waits(changes, store, 5, "a")
    changes.heard(news)
    assert not await waits(changes, store, 5, "a")


async def test_what_a_snapshot_showed_first_may_concern_anybody():
    changes, store = Changes(), Revisions()
    changes.saw(5)
    assert await waits(changes, store, 5, "a")
    changes.saw(7)
    changes.heard('[6, ["a"]]')
    changes.heard("[7, []]")
    assert not await waits(changes, store, 5, "a")
    assert await waits(changes, store, 7, "a")


async def test_a_revision_nobody_told_of_is_found_by_asking():
    changes, store = Changes(), Revisions()
    changes.saw(5)
    store.number = 6
    assert await changes.wait(0.0, store.read, 5, "a")


# --- groups --------------------------------------------------------------------------------------


def test_a_group_is_one_row_for_each_thing():
    write = LogWrite(
        {0: 1},
        (
            append(0, 0, producer=2**64 - 1, states=SENT * 4),
            append(0, 4, producer=2**64 - 1),
            append(0, 0, stream=IN),
        ),
        progress=(progress(0, 0, bytes(4), settled=False), progress(0, 0, SENT * 4, settled=False)),
        marks=(Mark(OUT, 0, 7, 0), Mark(OUT, 0, 3, 4)),
    )
    rows = rows_of(write)
    assert list(rows) == ["position", "batch", "producer", "progress"]
    assert rows["position"] == [(0, 0, 8, 7, 4), (32, 0, 4, -1, 0)]
    assert [row[:3] for row in rows["batch"]] == [(0, 0, 4), (0, 4, 4), (32, 0, 4)]
    assert [row[:2] for row in rows["producer"]] == [(0, -1), (32, 9)]
    # What was settled at first stays so; the states are the last ones.
    assert [(row[2], row[4]) for row in rows["progress"]] == [(1, SENT * 4)]


def test_a_gap_inside_a_group_is_a_bug():
    with pytest.raises(Bug):
        rows_of(LogWrite({0: 1}, (append(0, 0), append(0, 8))))


def test_a_statement_has_only_the_parts_it_needs():
    assert "INSERT" not in group_statement(())
    both = group_statement(("position", "batch"))
    assert "refuse_gap()" in both
    assert "$14" in both
    assert "upstream_id" not in both
