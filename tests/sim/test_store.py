"""The store over the network: what a call that was not answered has done."""

import asyncio
import random

import pytest

from multiconnect.errors import StoreUnavailable
from multiconnect.model.cluster import Beat, Node, NodeState, Role
from multiconnect.model.timers import Timers
from multiconnect.store.memory import MemoryState
from tests.sim.loop import SimLoop
from tests.sim.network import Network
from tests.sim.process import SimProcess
from tests.sim.store import StoreServer
from tests.sim.store_client import StoreClient


class Watcher:
    def __init__(self):
        self.served_calls = []

    def served(self, caller, name, args, result):
        self.served_calls.append(name)

    def failed(self, caller, name, error):
        raise AssertionError(error)


class Shop:
    def __init__(self):
        self.loop = SimLoop(random.Random(1))
        self.network = Network(self.loop, "seed", 1.0)
        self.watcher = Watcher()
        self.state = MemoryState(self.process("clock"), cluster=1)
        self.server = StoreServer(
            self.network, self.process("store"), self.state, Timers(), self.watcher, 1.0
        )
        self.caller = self.process("caller")
        self.control = StoreClient(self.server, self.caller).control

    def process(self, name):
        return SimProcess(self.loop, name, f"{name}.1", name, "seed")

    def ask(self, work, seconds=5.0):
        task = self.caller.spawn(work)
        self.pass_time(seconds)
        return task

    def pass_time(self, seconds):
        self.loop.run_until_complete(self.loop.create_task(asyncio.sleep(seconds)))

    def join(self, name="n.1"):
        return self.control.join(
            Node(name, name, Role.COREAPP, "host", 1, "unix:n", 0, NodeState.JOINING)
        )


@pytest.fixture
def shop():
    shop = Shop()
    yield shop
    shop.loop.close()


def test_a_call_takes_time_and_is_watched(shop):
    task = shop.caller.spawn(shop.join())
    shop.pass_time(0.0001)
    assert not task.done()
    shop.pass_time(1.0)
    assert task.result() is True
    assert shop.watcher.served_calls == ["join"]


@pytest.mark.parametrize(
    ("wrong", "applied"),
    [
        (lambda shop: setattr(shop.server, "down", True), False),
        (lambda shop: setattr(shop.server, "full", True), False),
        (lambda shop: setattr(shop.server, "lost_calls", 1.0), False),
        (lambda shop: setattr(shop.server, "lost_answers", 1.0), True),
        (lambda shop: shop.network.cut("caller", "store"), False),
        (lambda shop: shop.network.cut("store", "caller"), True),
    ],
)
def test_dont_know_says_nothing_of_what_happened(shop, wrong, applied):
    wrong(shop)
    task = shop.ask(shop.join())
    with pytest.raises(StoreUnavailable):
        task.result()
    assert ("n.1" in shop.state.nodes) == applied


def test_a_call_that_was_given_up_is_never_carried_out(shop):
    shop.network.cut("caller", "store")
    task = shop.ask(shop.join())
    assert isinstance(task.exception(), StoreUnavailable)
    shop.network.heal_all()
    shop.pass_time(5.0)
    assert shop.state.nodes == {}


def test_a_call_of_a_process_that_dies_is_carried_out(shop):
    task = shop.caller.spawn(shop.join())
    shop.pass_time(0.0001)
    shop.caller.exit("signal 9")
    shop.pass_time(1.0)
    assert "n.1" in shop.state.nodes
    assert not task.done()
    task._log_destroy_pending = False
    task.get_coro().close()


def test_a_full_disk_can_be_read(shop):
    shop.ask(shop.join())
    shop.server.full = True
    assert shop.ask(shop.control.snapshot()).result().node("n.1") is not None


def test_a_beat_moves_the_lease_by_what_was_told(shop):
    shop.ask(shop.join())
    before_s = shop.caller.monotonic()
    shop.server.lost_answers = 1.0
    shop.ask(shop.control.beat(Beat("n.1", 1))).exception()
    assert shop.caller.lease_until_s == float("-inf")
    shop.server.answer_all()
    shop.ask(shop.control.beat(Beat("n.1", 2))).result()
    assert shop.caller.lease_until_s > before_s + 1.8


def test_a_change_wakes_whoever_waits_from_an_older_snapshot(shop):
    snapshot = shop.ask(shop.control.snapshot()).result()
    waiting = shop.caller.spawn(shop.control.changed(60.0, snapshot))
    shop.ask(shop.join(), 0.1)
    assert waiting.result() is True
    assert shop.ask(shop.control.changed(0.1, snapshot)).result() is True
    newest = shop.ask(shop.control.snapshot()).result()
    assert shop.ask(shop.control.changed(0.1, newest)).result() is False


def test_old_snapshots_are_shown_to_routers_only(shop):
    web = shop.process("web-1")
    controls = {"old": StoreClient(shop.server, web).control, "new": shop.control}
    shop.ask(shop.control.snapshot())
    shop.ask(shop.join())
    shop.ask(shop.control.snapshot())
    shop.server.old_snapshots = 1.0
    sizes = {
        name: {len(shop.ask(control.snapshot(), 0.1).result().nodes) for _ in range(30)}
        for name, control in controls.items()
    }
    assert sizes == {"old": {0, 1}, "new": {1}}
