"""The input of every benchmark: the same recipients and payloads, made before any clock runs."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import cycle, islice

PAYLOAD_BYTES = 200
RECIPIENTS = 100_000
#: Distinct payload objects, so that one hot cache line does not stand for all of memory.
PAYLOADS = 4096

#: A message as `send_many` takes it.
Item = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Recipients (12 digits) and payloads (200 bytes of JSON)."""

    recipients: list[str]
    payloads: list[bytes]

    def items(self, count: int) -> list[Item]:
        """Return messages to recipients in turn."""
        return list(islice(zip(cycle(self.recipients), cycle(self.payloads), strict=False), count))

    def batches(self, size: int, count: int) -> list[list[Item]]:
        """Return `count` lists of `size` messages; beyond 100,000 messages they repeat."""
        distinct = max(1, min(count, RECIPIENTS // size))
        items = self.items(distinct * size)
        made = [items[at : at + size] for at in range(0, len(items), size)]
        return [made[at % distinct] for at in range(count)]


def make_traffic(seed: int = 20_231_023, payload_bytes: int = PAYLOAD_BYTES) -> Traffic:
    """Return the same traffic for the same seed."""
    rng = random.Random(seed)
    recipients = [str(n) for n in rng.sample(range(10**11, 10**12), RECIPIENTS)]
    return Traffic(recipients, [_payload(rng, payload_bytes) for _ in range(PAYLOADS)])


def _payload(rng: random.Random, size: int) -> bytes:
    head, tail = b'{"type":"text","text":{"body":"', b'"}}'
    letters = rng.choices(b"abcdefghijklmnopqrstuvwxyz ", k=size - len(head) - len(tail))
    return head + bytes(letters) + tail
