"""What the tests of the engine share: an upstream with a memory, and a look inside."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from multiconnect import Engine, Event, Message, Outcome

ALICE, BOB = "16315550001", "16315550002"


class Upstream:
    """Remembers what it was handed, and answers as `say` says; waits while `open` is clear."""

    def __init__(self, say: Callable[[Message], Any] = lambda _: Outcome.sent()) -> None:
        self.say = say
        self.seen: list[Message] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, messages: Sequence[Message]) -> list[Any]:
        assert len({m.recipient for m in messages}) == len(messages)
        self.seen += messages
        await self.open.wait()
        return [self.say(message) for message in messages]

    def numbers(self, recipient: str = ALICE) -> list[int]:
        """What one recipient got, in order."""
        return [m.payload["n"] for m in self.seen if m.recipient == recipient]

    def got(self, *numbers: int, recipient: str = ALICE) -> Callable[[], bool]:
        """A condition to wait for."""
        return lambda: self.numbers(recipient) == list(numbers)


def inside(engine: Engine) -> Any:
    """The CoreApp of an engine that runs."""
    return engine._app


async def events_of(engine: Engine, count: int) -> list[Event]:
    """The first events nobody has read yet."""
    stream = engine.events()
    async with asyncio.timeout(20):
        return [await anext(stream) for _ in range(count)]
