"""A process that sends until it is killed, and writes down what it knows as it learns it.

    engine_child.py URL DIRECTORY RUN [drain]

`acknowledged`: one line "run number recipient" per acknowledgement; `arrived`: one line "run number
recipient marked" per message that reached the upstream. Each line is one `write` to a file opened
for appending, so a line is there whole or not at all, whenever the process dies.
"""

import asyncio
import os
import random
import sys
from pathlib import Path

from multiconnect import Engine, Message, Outcome

RECIPIENTS = [f"1631555{n:04d}" for n in range(12)]


class Lines:
    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, *fields: object) -> None:
        os.write(self._file, (" ".join(map(str, fields)) + "\n").encode())


async def main(url: str, directory: Path, run: int, *, drain: bool) -> None:
    rng = random.Random(run)
    acknowledged, arrived = Lines(directory / "acknowledged"), Lines(directory / "arrived")

    async def deliver(messages: list[Message]) -> list[Outcome]:
        if rng.random() < 0.5:
            await asyncio.sleep(rng.random() * 0.004)
        for m in messages:
            arrived.add(m.payload["run"], m.payload["n"], m.recipient, m.possible_duplicate)
        return [Outcome.sent(m.id) for m in messages]

    async with Engine(url, shards=4, upstream=deliver) as engine:
        if drain:
            while engine.figures()["backlog"]:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            return

        async def traffic(recipient: str) -> None:
            for n in range(1_000_000):
                await engine.send(recipient, {"run": run, "n": n})
                acknowledged.add(run, n, recipient)

        await asyncio.gather(*map(traffic, RECIPIENTS))


if __name__ == "__main__":
    asyncio.run(
        main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), drain=sys.argv[4:] == ["drain"])
    )
