"""The upstream: takes messages, loses requests and replies, and remembers every effect.

A request that has left its process arrives whatever becomes of the process. After a request or a
reply was lost the connector reports an ambiguous failure; a late request has its effect even after
that. A message the upstream refuses it refuses every time.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from multiconnect.model.message import Message, Outcome
from tests.sim.judges.effects import EffectJudge
from tests.sim.ledger import Ledger
from tests.sim.network import KERNEL, Network
from tests.sim.process import SimProcess


@dataclass
class Manners:
    """How the upstream behaves now, each as a share of all requests."""

    lost_requests: float = 0.01
    lost_replies: float = 0.01
    late_requests: float = 0.005
    busy: float = 0.02
    raises: float = 0.0
    latency_s: float = 0.01
    timeout_s: float = 0.4


class UpstreamWorld:
    """The far side."""

    def __init__(
        self, network: Network, process: SimProcess, ledger: Ledger, judge: EffectJudge, *,
        dedupes: bool,
        kill: Callable[[SimProcess, str], None],
    ) -> None:  # fmt: skip
        self.network = network
        self.process = process
        self.manners = Manners()
        self.dedupes = dedupes
        self.kill = kill
        self.judge = judge
        self.rng = random.Random(f"{process.rng.random()}/upstream")
        #: Payloads that kill who sends them.
        self.poison: set[bytes] = set()
        #: Told of each effect, and of who has sent it.
        self.on_effect: list[Callable[[SimProcess, Message], None]] = []
        self._ledger = ledger
        self._taken: set[str] = set()

    def is_refused(self, message: Message) -> bool:
        sent = self._ledger.at.get((message.slot, message.sequence))
        return sent is not None and sent.is_refused

    def take(self, owner: SimProcess, message: Message) -> None:
        """A message arrives and has its effect."""
        if self.dedupes and message.id in self._taken:
            return
        self._taken.add(message.id)
        self.judge.arrived(message)
        for told in self.on_effect:
            told(owner, message)


class SimUpstream:
    """One process's connector (the `Upstream` port)."""

    in_flight_max = 64

    def __init__(self, world: UpstreamWorld, owner: SimProcess, batch_max: int) -> None:
        self.batch_max = batch_max
        self._world = world
        self._owner = owner

    async def start(self) -> None:
        """Nothing to prepare."""

    async def aclose(self) -> None:
        """Nothing to release."""

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Send each message; one bad fate does not touch the others of the call."""
        world, owner = self._world, self._owner
        for message in messages:
            world.judge.started(owner, message)
            if message.body in world.poison:
                owner.burn(1, lambda: world.kill(owner, "poisoned"))
        if world.manners.raises and world.rng.random() < world.manners.raises:
            self._request(messages[0], lambda: None)
            raise ConnectionResetError("the connector has a bug")
        replies = [self._one(message) for message in messages]
        return [await reply for reply in replies]

    def _one(self, message: Message) -> asyncio.Future[Outcome]:
        world, manners, loop = self._world, self._world.manners, self._owner.loop
        reply: asyncio.Future[Outcome] = loop.create_future()
        loop.call_later(manners.timeout_s, _settle, reply, _TIMED_OUT)
        fate = world.rng.random()
        for share, lose in (
            (manners.lost_requests, lambda: None),
            (manners.lost_replies, lambda: self._request(message, lambda: None)),
            (manners.late_requests, lambda: self._late(message)),
            (
                manners.busy,
                lambda: self._request(
                    None, lambda: self._reply(reply, world.rng.choice([_BUSY, _ALL_BUSY]))
                ),
            ),
        ):
            if fate < share:
                lose()
                return reply
            fate -= share
        if world.is_refused(message):
            self._request(None, lambda: self._reply(reply, _REFUSED))
        else:
            self._request(message, lambda: self._reply(reply, Outcome.sent(f"up-{message.id}")))
        return reply

    def _request(
        self, message: Message | None, then: Callable[[], None], more_s: float = 0
    ) -> None:
        world = self._world

        def arrive() -> None:
            if message is not None and not world.is_refused(message):
                world.take(self._owner, message)
            then()

        extra_s = world.manners.latency_s * world.rng.uniform(0.1, 1.5) + more_s
        world.network.post(self._owner, world.process, arrive, extra_s=extra_s, context=KERNEL)

    def _late(self, message: Message) -> None:
        later_s = self._world.manners.timeout_s * self._world.rng.uniform(0.5, 3.0)
        self._request(message, lambda: None, later_s)

    def _reply(self, reply: asyncio.Future[Outcome], outcome: Outcome) -> None:
        extra_s = self._world.manners.latency_s * self._world.rng.uniform(0.1, 0.5)
        self._world.network.post(
            self._world.process, self._owner, lambda: _settle(reply, outcome), extra_s=extra_s
        )


_TIMED_OUT = Outcome.retry("no reply in time", ambiguous=True)
_BUSY = Outcome.retry("too many requests", after_s=0.05)
_ALL_BUSY = Outcome.retry("too many requests of this number", after_s=0.1, number_wide=True)
_REFUSED = Outcome.failed("the upstream refuses it", code=131000)


def _settle(reply: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not reply.done():
        reply.set_result(outcome)
