"""How many children, and where messages go: `up` decides, `node` follows."""

import contextlib

import pytest

from multiconnect.config.settings import cluster_settings
from multiconnect.config.sources import resolve
from multiconnect.errors import Refused
from multiconnect.model.cluster import Move, Node, NodeState, Role
from multiconnect.store.memory import MemoryState, MemoryStore
from multiconnect.supervisor import preparing
from multiconnect.supervisor.preparing import Host
from multiconnect.supervisor.provision import WebhookSecrets
from multiconnect.supervisor.supervision import Wanted


class Hosts:
    """Makes hosts on one and the same store, and keeps what they say."""

    def __init__(self, directory):
        self._directory = directory
        self._store = MemoryStore(MemoryState())
        self.control = self._store.control
        self.said: list[str] = []

    def __call__(self, *, founding=True, **flags):
        flags = {"data_dir": str(self._directory / "d"), **flags}
        settings = cluster_settings(resolve(flags, {}, directory=self._directory))
        logs = self._directory / "logs"
        return Host(settings, founding, self.said.append, self._store, "host-a", logs)


@pytest.fixture
def host(tmp_path):
    return Hosts(tmp_path)


async def grant_everything(control):
    """Let the cluster have begun to live: every slot was granted once."""
    node = Node("c1", "coreapp-1", Role.COREAPP, "h", 1, "", 0, NodeState.JOINING)
    await control.join(node)
    await control.set_node_state("c1", NodeState.READY, "")
    term = await control.take_term("c1", 0)
    snapshot = await control.snapshot()
    moves = [Move(row.slot, row.epoch, None, "c1") for row in snapshot.slots]
    assert await control.assign(moves, term, "test", shards=snapshot.cluster.target_shards)


async def test_the_first_start_says_how_many_shards(host):
    wanted = await preparing.wanted_counts(host(shards="4", spares="2"))
    assert wanted == Wanted(coreapps=6, masters=2, webs=1)
    assert (await host.control.snapshot()).cluster.target_shards == 4
    assert host.said == []


async def test_a_later_start_keeps_what_there_is_and_says_so(host):
    await preparing.wanted_counts(host(shards="4"))
    await grant_everything(host.control)
    assert (await preparing.wanted_counts(host(shards="2"))).coreapps == 5
    assert (await host.control.snapshot()).cluster.target_shards == 4
    assert "multiconnect shards set 2" in host.said[0]


async def test_a_start_without_any_wish_says_nothing(host):
    await preparing.wanted_counts(host(shards="4"))
    await grant_everything(host.control)
    assert (await preparing.wanted_counts(host())).coreapps == 5
    assert host.said == []


async def test_a_later_start_brings_coreapps_for_more_shards(host):
    await preparing.wanted_counts(host(shards="2"))
    await grant_everything(host.control)
    assert (await preparing.wanted_counts(host(shards="8"))).coreapps == 9
    assert (await host.control.snapshot()).cluster.target_shards == 2


async def test_a_node_runs_what_it_is_told_and_changes_nothing(host):
    wanted = await preparing.wanted_counts(
        host(founding=False, coreapps="3", masters="0", webs="2", shards="8")
    )
    assert wanted == Wanted(coreapps=3, masters=0, webs=2)
    assert (await host.control.snapshot()).cluster.target_shards == 1


async def test_a_node_follows_what_up_chose(host):
    async with contextlib.AsyncExitStack() as stack:
        chosen = await preparing.choose_upstream(
            host(upstream="null", number_rate="500", upstream_phone_number_id="7"), stack
        )
        followed = await preparing.choose_upstream(host(founding=False, upstream=""), stack)
    assert followed == chosen
    assert (followed.url, followed.number_rate, followed.phone_number_id) == ("null", 500.0, "7")


async def test_a_node_with_a_choice_of_its_own_keeps_it_to_itself(host):
    async with contextlib.AsyncExitStack() as stack:
        await preparing.choose_upstream(host(upstream="null"), stack)
        own = await preparing.choose_upstream(
            host(founding=False, upstream="http://127.0.0.1:1"), stack
        )
        assert own.url == "http://127.0.0.1:1"
        other = await preparing.choose_upstream(host(founding=False, upstream=""), stack)
        assert other.url == "null"


async def test_a_node_without_any_choice_is_refused(host):
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(Refused, match="--upstream"):
            await preparing.choose_upstream(host(founding=False, upstream=""), stack)


async def test_children_are_given_the_choice_and_the_secrets(host):
    async with contextlib.AsyncExitStack() as stack:
        lanes = {"lanes": "10.0.0.7", "lane_secret": "s" * 32}
        one = host(upstream="null", upstream_token="t", http="127.0.0.1:0", **lanes)
        preparing.open_port(one, stack)
        choice = await preparing.choose_upstream(one, stack)
        programs = preparing.child_programs(one, choice, WebhookSecrets("v", "a"))
        template = programs.template
        assert (template.upstream, template.upstream_token) == ("null", "t")
        assert (template.verify_token, template.app_secret) == ("v", "a")
        assert (template.lane_listen, template.host) == ("10.0.0.7", "host-a")
        assert template.lane_credentials.secrets == ("s" * 32,)
        assert template.http_url == one.http
        assert programs.listen_fd == one.listener.fileno()


async def test_no_webs_need_no_port(host):
    async with contextlib.AsyncExitStack() as stack:
        one = host(webs="0")
        preparing.open_port(one, stack)
        assert (one.listener, one.http) == (None, "")
