"""Random histories of a cluster: what may happen to it, one step at a time, and how it heals."""

import random

from hypothesis import strategies as st

from multiconnect.control.health import ClusterState, describe
from multiconnect.limits import SHARD_COUNTS
from multiconnect.model.cluster import NodeState, Role
from tests.scenarios.world import World, done

#: (what, how often beside the others, up to which number). The number picks among those there.
KINDS = (
    *(("pass", 12, 12), ("turn", 6, 2), ("slow", 1, 0), ("quick", 2, 0), ("answer", 2, 0)),
    *(("spawn", 4, 0), ("join", 2, 0), ("ready", 4, 7), ("kill", 3, 7), ("hang", 2, 7)),
    *(("wake", 2, 7), ("leave", 2, 7), ("stick", 1, 7), ("unstick", 1, 7), ("release", 1, 7)),
    *(("master", 2, 0), ("kill master", 1, 2), ("hang master", 1, 2), ("crash after", 2, 6)),
    *(("cut", 1, 1), ("heal", 2, 0), ("retire", 2, 0), ("target", 2, 3)),
)
steps = st.one_of(
    *(
        st.tuples(st.just(what), st.integers(0, most))
        for what, weight, most in KINDS
        for _ in range(weight)
    )
)
histories = st.lists(steps, min_size=25, max_size=60)


def random_history(seed: int, length: int = 60) -> list[tuple[str, int]]:
    """Return the history of a seed."""
    luck = random.Random(seed)
    weights = [weight for _, weight, _ in KINDS]
    kinds = luck.choices(KINDS, weights, k=length)
    return [(what, luck.randint(0, most)) for what, _, most in kinds]


class History:
    """Takes steps on a World; names are never used twice."""

    def __init__(self, world: World, born: int = 0) -> None:
        self.world = world
        self._born = born

    def name(self, kind: str) -> str:
        self._born += 1
        return f"{kind}{self._born:03}"

    def take(self, what: str, number: int) -> None:
        method = getattr(self, "_" + what.replace(" ", "_"))
        method(number)

    def _one(self, number: int, role: Role = Role.COREAPP) -> str | None:
        there = sorted(self.world.alive(role))
        return there[number % len(there)] if there else None

    def _pass(self, number: int) -> None:
        self.world.pass_time(number * 0.25)

    def _spawn(self, _: int) -> None:
        self.world.coreapps(self.name("c"))

    def _join(self, _: int) -> None:
        self.world.join(self.name("c"))

    def _ready(self, number: int) -> None:
        self._do(number, self.world.ready)

    def _kill(self, number: int) -> None:
        self._do(number, self.world.die)

    def _hang(self, number: int) -> None:
        self._do(number, self.world.hung.add)

    def _wake(self, number: int) -> None:
        self._do(number, self.world.hung.discard)

    def _leave(self, number: int) -> None:
        self._do(number, self.world.leave)

    def _stick(self, number: int) -> None:
        self._do(number, self.world.stuck.add)

    def _unstick(self, number: int) -> None:
        self._do(number, self.world.stuck.discard)

    def _do(self, number: int, what) -> None:
        one = self._one(number)
        if one is not None:
            what(one)

    def _answer(self, _: int) -> None:
        self.world.answer_drains()

    def _release(self, number: int) -> None:
        """An owner gives a slot up of its own accord."""
        row = self.world.snapshot.slots[number * 4]
        if row.owner is not None:
            done(self.world.control.release(row.slot, row.epoch, row.owner, "gave it up"))

    def _target(self, number: int) -> None:
        self.world.set_target(SHARD_COUNTS[number])

    def _retire(self, _: int) -> None:
        self.world.retire()

    def _master(self, _: int) -> None:
        if len(self.world.masters) < 3:
            self.world.start_master(self.name("m"))

    def _kill_master(self, number: int) -> None:
        one = self._one(number, Role.MASTER)
        if one is not None:
            self.world.die(one)

    def _hang_master(self, number: int) -> None:
        one = self._one(number, Role.MASTER)
        if one is not None:
            self.world.hung ^= {one}

    def _cut(self, number: int) -> None:
        for name in sorted(self.world.masters)[: 1 + number % 2]:
            self.world.masters[name].control.cut = True

    def _heal(self, _: int) -> None:
        for master in self.world.masters.values():
            master.control.cut = False

    def _turn(self, number: int) -> None:
        """One turn of one Master, whatever the others do."""
        able = sorted(set(self.world.masters) - self.world.hung)
        if able:
            list(self.world.turn(able[number % len(able)]))

    def _slow(self, _: int) -> None:
        """Owners take their time: drains stay open until somebody says otherwise."""
        self.world.drains_answered = False

    def _quick(self, _: int) -> None:
        self.world.drains_answered = True

    def _crash_after(self, number: int) -> None:
        """The Master in charge crashes somewhere in the middle of its plan."""
        holder = self.world.snapshot.cluster.master
        if holder in self.world.masters and holder not in self.world.hung:
            list(self.world.turn(holder, number))
            self.world.die(holder)

    def recover(self) -> None:
        """The last fault is over: supervisors restart what is missing, whoever hangs is killed."""
        world = self.world
        world.stuck.clear()
        world.drains_answered = True
        self._heal(0)
        for name in sorted(world.hung):
            world.die(name, "silent, killed")
        world.hung.clear()
        world.beat_all()
        if not world.masters:
            world.start_master(self.name("m"))
        cluster = world.snapshot.cluster
        for name in world.alive():
            world.ready(name)
        fit = [
            node
            for node in world.snapshot.nodes
            if node.role is Role.COREAPP
            and node.state is NodeState.READY
            and node.generation == cluster.generation
        ]
        world.coreapps(*(self.name("c") for _ in range(cluster.target_shards + 1 - len(fit))))

    def converges(self, within_s: float = 60.0) -> bool:
        """Let time pass until the map is what it should be; False when it never gets there."""
        for _ in range(round(within_s)):
            if self.is_settled():
                return True
            self.world.pass_time(1.0)
        return self.is_settled()

    def is_settled(self) -> bool:
        snapshot = self.world.snapshot
        cluster = snapshot.cluster
        owners = [snapshot.node(row.owner) for row in snapshot.slots]
        by_shard = {(row.slot % cluster.shards, row.owner) for row in snapshot.slots}
        return (
            describe(snapshot).state is ClusterState.OK
            and cluster.shards == cluster.target_shards
            and all(
                owner is not None
                and owner.state is NodeState.READY
                and owner.generation == cluster.generation
                for owner in owners
            )
            and len(by_shard) == len({owner for _, owner in by_shard}) == cluster.shards
        )
