"""Every command against a real store: what it prints, where, and the code it ends with."""

import asyncio
import json

import pytest

from multiconnect.model.cluster import NodeState, Role
from multiconnect.store.open import open_store
from tests.unit.cli.stage import FIRST, MASTER, SECOND, Stage, node


@pytest.fixture
def stage(tmp_path):
    """Return a cluster of one Master and two CoreApps, the first of which owns everything."""
    found = Stage(tmp_path)
    found.prepare(MASTER, FIRST, SECOND, owner=FIRST.incarnation)
    return found


def output(capsys):
    captured = capsys.readouterr()
    return captured.out, captured.err


def snapshot_of(stage):
    async def read():
        store = await open_store(stage.store)
        try:
            return await store.control.snapshot()
        finally:
            await store.aclose()

    return asyncio.run(read())


# --- a store that is not there -------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ("status",), ("map",), ("shards", "get"), ("shards", "set", "2"), ("restart",),
        ("drain", "x"), ("send", "1", "x"), ("find", "1"), ("users", "list"), ("db", "check"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_no_command_makes_a_store_on_the_way(tmp_path, capsys, command):
    assert Stage(tmp_path).run(*command) == 4
    out, err = output(capsys)
    assert out == ""
    assert "multiconnect up" in err
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_no_url_is_a_usage_error(tmp_path, capsys):
    from multiconnect.cli import main

    assert main(["status", "--store", "nonsense"]) == 2
    assert main(["status", "--store", "memory://"]) == 2
    assert "memory://" in output(capsys)[1]


# --- reading -------------------------------------------------------------------------------------


def test_status_in_json_has_the_shape_of_the_contract(stage, capsys):
    assert stage.run("status", "--json") == 0
    found = json.loads(output(capsys)[0])
    assert {k: found[k] for k in ("shards", "target_shards", "master", "term", "state")} == {
        "shards": 1, "target_shards": 1, "master": "master-1", "term": 1, "state": "ok"
    }  # fmt: skip
    assert isinstance(found["map_version"], int)
    nodes = {entry["name"]: entry for entry in found["nodes"]}
    assert set(nodes) == {"master-1", "coreapp-1", "coreapp-2"}
    assert nodes["coreapp-1"]["state"] == "owner"
    assert nodes["coreapp-1"]["shards"] == [0]
    assert nodes["coreapp-1"]["epochs"] == {"0": 1}
    assert nodes["coreapp-2"]["state"] == "spare"
    assert nodes["master-1"]["state"] == "primary"
    assert set(nodes["coreapp-1"]) >= {"role", "pid", "generation", "incarnation"}


def test_status_for_people_is_plain_text_without_a_terminal(stage, capsys):
    assert stage.run("status") == 0
    out, err = output(capsys)
    assert out.startswith("ok: 1 shards, 2 CoreApps are ready\n")
    assert "\033" not in out
    assert err == ""


def test_status_says_when_nothing_runs_any_more(tmp_path, capsys):
    stage = Stage(tmp_path)
    stage.prepare(node("coreapp-1", alive=False))
    assert stage.run("status", "--json") == 0
    out, err = output(capsys)
    assert json.loads(out)["nodes"][0]["state"] == "gone"
    assert "no process of this cluster is running" in err


def test_status_does_not_judge_processes_of_other_hosts(tmp_path, capsys):
    stage = Stage(tmp_path)
    stage.prepare(node("coreapp-1", host="elsewhere", alive=False))
    assert stage.run("status", "--json") == 0
    assert json.loads(output(capsys)[0])["nodes"][0]["state"] == "spare"


def test_the_map_names_every_slot(stage, capsys):
    assert stage.run("map", "--json") == 0
    found = json.loads(output(capsys)[0])
    assert [slot["slot"] for slot in found["slots"]] == list(range(32))
    assert {slot["owner"] for slot in found["slots"]} == {"coreapp-1"}
    assert {slot["epoch"] for slot in found["slots"]} == {1}
    assert stage.run("map") == 0
    assert len(output(capsys)[0].splitlines()) == 32 + 3


def test_find_shows_where_a_recipient_belongs(stage, capsys):
    assert stage.run("find", "+1 (631) 555-0000", "--json") == 0
    found = json.loads(output(capsys)[0])
    assert (found["recipient"], found["slot"], found["shard"]) == ("16315550000", 14, 0)
    assert found["owner"] == "coreapp-1"
    assert stage.run("find", "") == 2


def test_a_message_that_is_not_there_is_not_found(stage, capsys):
    from multiconnect.model.message_id import encode_id

    cluster = snapshot_of(stage).cluster.cluster
    for message_id in ("nonsense", encode_id(cluster, 3, 17), encode_id(cluster ^ 1, 3, 17)):
        assert stage.run("message", "show", message_id) == 3
    assert "another cluster" in output(capsys)[1]


# --- changing ------------------------------------------------------------------------------------


def test_shards_get_prints_a_number(stage, capsys):
    assert stage.run("shards", "get") == 0
    assert output(capsys) == ("1\n", "")


def test_shards_set_to_what_is_in_force_is_done_at_once(stage, capsys):
    assert stage.run("shards", "set", "1") == 0
    assert output(capsys) == ("1\n", "")


@pytest.mark.parametrize(("shards", "code"), [("3", 2), ("x", 2), ("4", 5)])
def test_shards_that_cannot_be_are_refused_and_nothing_changes(stage, capsys, shards, code):
    assert stage.run("shards", "set", shards) == code
    out, err = output(capsys)
    assert out == ""
    assert "1, 2, 4, 8, 16, 32" in err if code == 2 else "start 2 more" in err
    assert snapshot_of(stage).cluster.target_shards == 1


def test_a_resize_that_is_not_done_in_time_says_that_it_goes_on(stage, capsys):
    assert stage.run("shards", "set", "2", "--timeout", "0.2") == 6
    assert "multiconnect status" in output(capsys)[1]
    assert snapshot_of(stage).cluster.target_shards == 2


def test_a_restart_without_a_master_is_refused(tmp_path, capsys):
    stage = Stage(tmp_path)
    stage.prepare(FIRST)
    assert stage.run("restart") == 5
    assert "Master" in output(capsys)[1]
    assert snapshot_of(stage).cluster.generation == 0


def test_a_restart_asks_for_a_generation(stage, capsys):
    assert stage.run("restart", "--timeout", "0.2") == 6
    assert snapshot_of(stage).cluster.generation == 1


def test_drain_tells_the_node_to_leave(stage, capsys):
    assert stage.run("drain", "coreapp-1", "--timeout", "0.2") == 6
    assert snapshot_of(stage).node(FIRST.incarnation).state is NodeState.LEAVING


def test_drain_of_an_idle_node_is_done_at_once(stage, capsys):
    assert stage.run("drain", SECOND.incarnation) == 0
    assert output(capsys)[0] == ""


@pytest.mark.parametrize(("name", "code"), [("nobody", 3), ("master-1", 5)])
def test_drain_of_what_cannot_be_drained(stage, capsys, name, code):
    assert stage.run("drain", name) == code


def test_drain_of_the_last_coreapp_is_refused(tmp_path, capsys):
    stage = Stage(tmp_path)
    stage.prepare(MASTER, FIRST, owner=FIRST.incarnation)
    assert stage.run("drain", "coreapp-1") == 5
    assert "multiconnect node" in output(capsys)[1]
    assert snapshot_of(stage).node(FIRST.incarnation).state is NodeState.READY


def test_drain_of_a_name_two_hosts_have_asks_which(tmp_path, capsys):
    from dataclasses import replace

    twin = replace(node("coreapp-1", host="elsewhere"), incarnation="coreapp-1-1111")
    stage = Stage(tmp_path)
    stage.prepare(MASTER, FIRST, twin)
    assert stage.run("drain", "coreapp-1") == 2
    assert "coreapp-1-1111 on elsewhere" in output(capsys)[1]


def test_drain_of_a_host_means_its_supervisor(tmp_path, capsys):
    supervisor = node("supervisor", Role.SUPERVISOR, host="rack-7")
    stage = Stage(tmp_path)
    stage.prepare(MASTER, FIRST, supervisor)
    assert stage.run("drain", "rack-7", "--timeout", "0.2") == 6
    assert snapshot_of(stage).node(supervisor.incarnation).state is NodeState.LEAVING


def test_send_without_an_owner_that_answers_times_out(stage, capsys):
    assert stage.run("send", "16315550000", "hi", "--timeout", "0.3") == 6
    assert output(capsys)[0] == ""


def test_send_of_nothing_is_a_usage_error(stage, capsys):
    assert stage.run("send", "16315550000", "") == 2


def test_users_come_and_go(stage, capsys):
    assert stage.run("users", "create", "alice", "--role", "admin") == 0
    password = output(capsys)[0].strip()
    assert len(password) >= 12
    assert stage.run("users", "create", "alice") == 5
    assert stage.run("users", "list", "--json") == 0
    assert json.loads(output(capsys)[0]) == [{"name": "alice", "role": "admin"}]
    assert stage.run("users", "reset-password", "alice") == 0
    assert output(capsys)[0].strip() != password
    assert stage.run("users", "delete", "alice") == 0
    assert stage.run("users", "delete", "alice") == 3
    assert stage.run("users", "reset-password", "alice") == 3
    assert stage.run("users", "create", "x") == 2


def test_the_store_is_checked_and_upgraded(stage, tmp_path, capsys):
    assert stage.run("db", "check") == 0
    assert output(capsys)[0] == "ok\n"
    fresh = Stage(tmp_path / "new")
    assert fresh.run("db", "upgrade") == 0
    assert fresh.run("db", "check", "--json") == 0
    assert json.loads(output(capsys)[0]) == {"ok": True, "problems": []}
