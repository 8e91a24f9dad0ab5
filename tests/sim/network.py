"""The network between processes: delays, and directions that are cut.

Everything that travels is a parcel from one process to another. A cut direction keeps its parcels
until it is healed (TCP sends them again); what a killed process has sent still arrives (its kernel
sends it). Parcels of one lane arrive in order, others in any.
"""

import random
from collections.abc import Callable
from contextvars import Context

from tests.sim.loop import SimLoop
from tests.sim.process import SimProcess

#: A hop takes between half of this and one and a half; one in fifty takes ten times as long.
_HOP_S = 0.0004
_SLOW_HOPS = 0.02

#: Callbacks of kernels: they run whatever becomes of the processes above them.
KERNEL = Context()


class Lane:
    """One direction of one connection: nothing in it overtakes."""

    __slots__ = ("last_s",)

    def __init__(self) -> None:
        self.last_s = 0.0


class Parcel:
    """Something on its way; `dropped` takes it back as long as it has not arrived."""

    __slots__ = ("arrive", "arrived", "context", "dropped", "extra_s", "kept", "lane", "route")

    def __init__(
        self, route: tuple[SimProcess, SimProcess], arrive: Callable[[], None], context: Context,
        lane: Lane | None, extra_s: float,
    ) -> None:  # fmt: skip
        self.route = route
        self.arrive = arrive
        self.context = context
        self.lane = lane
        self.extra_s = extra_s
        self.kept = False
        self.arrived = False
        self.dropped = False

    def deliver(self) -> None:
        if not self.dropped:
            self.arrived = True
            self.arrive()


class Network:
    """All directions, by the names of processes, or of hosts for what a whole host loses."""

    def __init__(self, loop: SimLoop, seed: str, pace: float) -> None:
        self._loop = loop
        self._hop_s = _HOP_S * pace
        self._seed = seed
        self._rngs: dict[tuple[str, str], random.Random] = {}
        self._cuts: list[tuple[str, str]] = []
        self._kept: list[Parcel] = []
        #: Extra seconds by direction: bytes that are late.
        self.late_s: dict[tuple[str, str], float] = {}

    # --- faults ------------------------------------------------------------------------------
    def cut(self, source: str, target: str) -> None:
        """Nothing gets from source to target until `heal`; "host/*" is everywhere else."""
        self._cuts.append((source, target))

    def heal(self, source: str, target: str) -> None:
        """Undo one `cut`; what was kept sets out again, in order."""
        if (source, target) in self._cuts:
            self._cuts.remove((source, target))
        self._send_kept()

    def heal_all(self) -> None:
        """Undo everything."""
        self._cuts.clear()
        self.late_s.clear()
        self._send_kept()

    def _send_kept(self) -> None:
        kept, self._kept = self._kept, []
        for parcel in kept:
            self._send(parcel)

    def is_cut(self, source: SimProcess, target: SimProcess) -> bool:
        """Tell whether nothing gets from one to the other now."""
        for one, other in self._cuts:
            if one in (source.name, source.host) and (
                other in (target.name, target.host) or (other == "*" and source.host != target.host)
            ):
                return True
            if one == "*" and other == target.host and source.host != target.host:
                return True
        return False

    # --- parcels -----------------------------------------------------------------------------
    def post(
        self, source: SimProcess, target: SimProcess, arrive: Callable[[], None], *,
        lane: Lane | None = None, extra_s: float = 0.0, context: Context | None = None,
    ) -> Parcel:  # fmt: skip
        """Send: `arrive` is called in the target (or in `context`) after the way there."""
        into = target.context if context is None else context  # an empty context is false
        parcel = Parcel((source, target), arrive, into, lane, extra_s)
        self._send(parcel)
        return parcel

    def _send(self, parcel: Parcel) -> None:
        source, target = parcel.route
        if self._cuts and self.is_cut(source, target):
            parcel.kept = True
            self._kept.append(parcel)
            return
        parcel.kept = False
        at_s = self._loop.now_s + self._way_s(source.name, target.name) + parcel.extra_s
        lane = parcel.lane
        if lane is not None:
            at_s = lane.last_s = max(at_s, lane.last_s)
        self._loop.at(at_s, parcel.deliver, context=parcel.context)

    def _way_s(self, source: str, target: str) -> float:
        direction = source, target
        rng = self._rngs.get(direction)
        if rng is None:
            rng = self._rngs[direction] = random.Random(f"{self._seed}/{source}/{target}")
        way_s = self._hop_s * (0.5 + rng.random())
        if rng.random() < _SLOW_HOPS:
            way_s *= 10
        return way_s + rng.random() * self.late_s.get(direction, 0.0) if self.late_s else way_s
