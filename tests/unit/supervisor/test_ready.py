"""The ready file's shape."""

import json

from multiconnect.limits import SLOTS
from multiconnect.model.cluster import Cluster, Node, NodeState, Role, Slot, Snapshot
from multiconnect.supervisor.provision import WebhookSecrets
from multiconnect.supervisor.ready import Facts, write_ready_file
from multiconnect.web.account import Account

NODES = (
    Node("c1", "coreapp-1", Role.COREAPP, "h", 11, "unix:/x", 1, NodeState.READY),
    Node("w1", "web-1", Role.WEB, "h", 12, "", 1, NodeState.READY),
    Node("old", "coreapp-1", Role.COREAPP, "h", 10, "unix:/y", 1, NodeState.DEAD),
)
SNAPSHOT = Snapshot(
    Cluster(1, 2, 2, 1, 5, 1, None), NODES, tuple(Slot(s, 1, "c1") for s in range(SLOTS))
)


def facts(**changes):
    base = {
        "http": "http://127.0.0.1:1",
        "store": "sqlite:////s.db",
        "token": "t",
        "account": Account("1", "6315550000", "Y2VydA=="),
        "webhook": WebhookSecrets("v", "a"),
        "user": "admin",
        "password_file": "/p",
        "simulator": "http://127.0.0.1:2",
    }
    return Facts(**{**base, **changes})


def written(tmp_path, found):
    path = tmp_path / "deep" / "ready.json"
    write_ready_file(path, found, SNAPSHOT)
    assert path.stat().st_mode & 0o777 == 0o600
    return json.loads(path.read_text())


def test_it_has_what_the_contract_names(tmp_path):
    found = written(tmp_path, facts())
    assert (found["http"], found["token"], found["store"]) == (
        "http://127.0.0.1:1", "t", "sqlite:////s.db"
    )  # fmt: skip
    assert found["account"] == {
        "cc": "1", "phone_number": "6315550000", "cert": "Y2VydA==", "pin": None
    }  # fmt: skip
    assert found["webhook"] == {
        "url": "http://127.0.0.1:1/webhooks/whatsapp", "verify_token": "v", "app_secret": "a"
    }  # fmt: skip
    assert found["user"] == {"name": "admin", "password_file": "/p"}
    assert found["simulator"] == {"url": "http://127.0.0.1:2"}


def test_its_nodes_are_the_live_ones(tmp_path):
    nodes = written(tmp_path, facts())["nodes"]
    assert [(n["name"], n["role"], n["pid"], n["shards"]) for n in nodes] == [
        ("coreapp-1", "coreapp", 11, [0, 1]), ("web-1", "web", 12, [])
    ]  # fmt: skip


def test_a_host_without_account_or_simulator_says_so(tmp_path):
    found = written(tmp_path, facts(account=None, token=None, simulator=""))
    assert (found["account"], found["token"]) == (None, None)
    assert "simulator" not in found


def test_a_pin_that_was_set_is_there(tmp_path):
    account = Account("1", "2", "Y2VydA==", "123456")
    assert written(tmp_path, facts(account=account))["account"]["pin"] == "123456"
