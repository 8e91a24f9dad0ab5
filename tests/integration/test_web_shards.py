"""Set-shards: what is checked, what is refused, and when 201 is said."""

import asyncio

import pytest

from multiconnect.errors import StoreUnavailable
from multiconnect.limits import LOGIN_FAILURES_FREE, SLOTS
from multiconnect.model.cluster import Move, NodeState
from multiconnect.web.account import Account, register_account
from tests.unit.web.serving import CERT, node, serving

PATH = "/v1/account/shards"
GOOD = {"cc": "1", "phone_number": "6315550000", "shards": 4, "cert": CERT, "pin": "123456"}


async def set_shards(served, **changes):
    body = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    return await served.call("POST", PATH, body)


async def act_as_master(served, shards, owners):
    """Wait for the wish, then do what a Master and its supervisors would do about it."""
    control = served.control
    while (await control.snapshot()).cluster.target_shards != shards:
        await control.changed(0.1)
    snapshot = await control.snapshot()
    cluster = snapshot.cluster
    names = [f"newer-{number}" for number in range(owners)]
    for name in names:
        await control.join(node(name, generation=cluster.generation))
    for row in snapshot.slots:
        new = f"{names[row.slot % owners]}-1"
        assert await control.start_drain(row.slot, row.epoch, new, cluster.term)
        assert await control.report_drained(row.slot, row.epoch, row.owner)
        last = row.slot == SLOTS - 1
        move = Move(row.slot, row.epoch, row.owner, new)
        assert await control.assign([move], cluster.term, "resize", shards=shards if last else None)
        await asyncio.sleep(0)


async def add_coreapps(served, count):
    for number in range(count):
        generation = (await served.control.snapshot()).cluster.generation
        await served.control.join(node(f"added-{number}", generation=generation))


async def test_the_number_of_shards_is_shown():
    async with serving() as served:
        answer = await served.call("GET", PATH)
        assert (answer.status, answer.json["account"]) == (200, {"shards": 2})


async def test_created_is_said_when_the_map_is_in_force_and_not_before():
    async with serving() as served:
        await add_coreapps(served, 2)
        asking = asyncio.create_task(set_shards(served))
        await act_as_master(served, 4, 4)
        answer = await asking
        assert (answer.status, set(answer.json)) == (201, {"meta"})
        assert (await served.call("GET", PATH)).json["account"] == {"shards": 4}
        snapshot = await served.control.snapshot()
        assert all(row.drain_to is None for row in snapshot.slots)


async def test_what_is_so_already_is_answered_at_once_and_changes_nothing():
    async with serving() as served:
        before = await served.control.snapshot()
        assert (await set_shards(served, shards=2)).status == 201
        assert await served.control.snapshot() == before


async def test_two_who_ask_the_same_wait_for_the_same_resize():
    async with serving() as served:
        await add_coreapps(served, 2)
        before = (await served.control.snapshot()).cluster.generation
        asking = [asyncio.create_task(set_shards(served)) for _ in range(3)]
        await act_as_master(served, 4, 4)
        assert [(await one).status for one in asking] == [201] * 3
        assert (await served.control.snapshot()).cluster.generation == before + 1


async def test_a_wish_that_is_overtaken_is_told_so():
    async with serving() as served:
        await add_coreapps(served, 2)
        asking = asyncio.create_task(set_shards(served))
        while (await served.control.snapshot()).cluster.target_shards != 4:
            await served.control.changed(0.1)
        generation = (await served.control.snapshot()).cluster.generation
        assert await served.control.set_target(1, generation)
        answer = await asking
        assert (answer.status, answer.error["code"]) == (403, 1011)
        assert "asked for 1 shards instead" in answer.error["details"]


async def test_a_resize_that_takes_too_long_is_said_to_go_on():
    async with serving(set_shards_timeout_s=0.3) as served:
        await add_coreapps(served, 2)
        answer = await set_shards(served)
        assert (answer.status, answer.error["code"]) == (403, 1011)
        assert "the resize goes on" in answer.error["details"]
        assert (await served.control.snapshot()).cluster.target_shards == 4


async def test_too_few_coreapps_are_a_refusal_that_changes_nothing():
    async with serving() as served:
        before = await served.control.snapshot()
        answer = await set_shards(served, shards=32)
        assert (answer.status, answer.error["code"]) == (403, 1011)
        assert "32 shards need 32 live CoreApps and 3 are ready" in answer.error["details"]
        assert await served.control.snapshot() == before


async def test_no_master_is_a_refusal_that_changes_nothing():
    async with serving() as served:
        await add_coreapps(served, 2)
        for name in ("master-1-1", "master-2-1"):
            await served.control.set_node_state(name, NodeState.DEAD, "killed")
        before = await served.control.snapshot()
        answer = await set_shards(served)
        assert (answer.status, answer.error["code"]) == (403, 1011)
        assert "Master" in answer.error["details"]
        assert await served.control.snapshot() == before


async def test_a_store_that_is_away_for_a_moment_is_waited_for(monkeypatch):
    async with serving() as served:
        await add_coreapps(served, 2)
        asking = asyncio.create_task(set_shards(served))
        while (await served.control.snapshot()).cluster.target_shards != 4:
            await served.control.changed(0.1)
        snapshot, failures = served.control.snapshot, []

        async def fail():
            failures.append(1)
            raise StoreUnavailable("away")

        monkeypatch.setattr(served.control, "snapshot", fail)
        while not failures:
            served.state.change()
            await asyncio.sleep(0)
        monkeypatch.setattr(served.control, "snapshot", snapshot)
        await act_as_master(served, 4, 4)
        assert (await asking).status == 201


@pytest.mark.parametrize(
    ("changes", "code", "details"),
    [
        ({"cc": ...}, 1008, "cc is missing"),
        ({"cc": 1}, 1009, "cc is 1"),
        ({"cc": "49"}, 1009, "cc is '49'; expected the country code of the registered account"),
        ({"phone_number": ...}, 1008, "phone_number is missing"),
        ({"phone_number": "6315550001"}, 1009, "phone_number is '+63*****01'"),
        ({"phone_number": 6315550000}, 1009, "phone_number is +63*****00"),
        ({"shards": ...}, 1008, "shards is missing; expected one of 1, 2, 4, 8, 16, 32"),
        ({"shards": 3}, 1009, "shards is 3"),
        ({"shards": 0}, 1009, "shards is 0"),
        ({"shards": -1}, 1009, "shards is -1"),
        ({"shards": 64}, 1009, "shards is 64"),
        ({"shards": "4"}, 1009, "shards is '4'"),
        ({"shards": 4.0}, 1009, "shards is 4.0"),
        ({"shards": True}, 1009, "shards is true"),
        ({"shards": None}, 1009, "shards is null"),
        ({"cert": ...}, 1008, "cert is missing"),
        ({"cert": ""}, 1009, "cert is not shown"),
        ({"cert": "!!"}, 1009, "cert is not shown"),
        ({"cert": "b3RoZXI="}, 1005, "cert is not the registered account's"),
        ({"pin": ...}, 1008, "pin is missing"),
        ({"pin": "654321"}, 1005, "pin is wrong"),
        ({"pin": "12345"}, 1009, "pin is not shown"),
        ({"pin": 123456}, 1009, "pin is not shown"),
        ({"PIN": "123456"}, 1010, "'PIN'"),
    ],
)
async def test_a_bad_wish_is_refused_and_changes_nothing(changes, code, details):
    async with serving() as served:
        before = await served.control.snapshot()
        answer = await set_shards(served, **changes)
        assert (answer.status, answer.error["code"]) == (400, code)
        assert details in answer.error["details"]
        for secret in ("654321", "123456", CERT, "6315550000"):
            assert secret not in answer.body.decode()
        assert await served.control.snapshot() == before


async def test_a_certificate_may_be_broken_into_lines():
    async with serving() as served:
        broken = "\n".join(CERT[i : i + 4] for i in range(0, len(CERT), 4))
        assert (await set_shards(served, shards=2, cert=broken)).status == 201


async def test_without_two_step_verification_no_pin_is_asked_for():
    async with serving() as served:
        await register_account(served.control, Account("1", "6315550000", CERT))
        for pin in (..., "", "123456"):
            assert (await set_shards(served, shards=2, pin=pin)).status == 201


async def test_a_pin_cannot_be_guessed():
    async with serving() as served:
        for guess in range(LOGIN_FAILURES_FREE):
            assert (await set_shards(served, shards=2, pin=f"00000{guess}")).status == 400
        answer = await set_shards(served, shards=2)
        assert (answer.status, answer.error["code"]) == (429, 1015)


async def test_without_an_account_nobody_may_set_its_shards():
    async with serving() as served:
        await served.control.delete_document("account", "main")
        answer = await set_shards(served, shards=2)
        assert (answer.status, answer.error["code"]) == (403, 1011)
