"""Load over HTTP: requests made beforehand, posted by a program in C (http_client.c).

It exists so that the server is what is measured: client, Web and CoreApp share two cores, and a
client in Python takes one of them. Of an answer only the status, the length and the number of
messages are looked at. Keep-alive connections, one request outstanding on each.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from struct import pack
from tempfile import TemporaryDirectory
from time import monotonic
from urllib.parse import urlsplit

from bench.traffic import Traffic

SOURCE = Path(__file__).with_name("http_client.c")
#: Messages posted before the clock is looked at.
STEP_MESSAGES = 4000
#: Distinct requests; beyond them they repeat.
REQUESTS = 20_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is posted where, and how many messages an answer must name."""

    host: str
    port: int
    requests: list[bytes]
    messages: int
    connections: int

    @classmethod
    def singles(cls, url: str, token: str, traffic: Traffic) -> Plan:
        """`POST /v1/messages` over 64 connections."""
        bodies = islice(_bodies(traffic), REQUESTS)
        return _plan(url, "/v1/messages", token, list(bodies), messages=1, connections=64)

    @classmethod
    def batches(cls, url: str, token: str, traffic: Traffic, size: int) -> Plan:
        """`POST /v1/messages/batch` with NDJSON over 8 connections."""
        bodies = _bodies(traffic)
        made = [b"\n".join(islice(bodies, size)) for _ in range(REQUESTS // size)]
        return _plan(url, "/v1/messages/batch", token, made, messages=size, connections=8)


def _bodies(traffic: Traffic) -> Iterator[bytes]:
    """Return messages in the On-Prem shape: the payload with the recipient in front."""
    pairs = zip(cycle(traffic.recipients), cycle(traffic.payloads), strict=False)
    return (b'{"to":"%b",%b' % (name.encode(), payload[1:]) for name, payload in pairs)


def _plan(
    url: str, path: str, token: str, bodies: list[bytes], *, messages: int, connections: int
) -> Plan:
    parts = urlsplit(url)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    ).encode()
    requests = [b"%b%d\r\n\r\n%b" % (head, len(body), body) for body in bodies]
    return Plan(str(parts.hostname), int(parts.port or 80), requests, messages, connections)


@contextmanager
def client(plan: Plan) -> Iterator[Callable[[int], int]]:
    """Connect; yield what posts the next so many requests and returns the messages accepted."""
    with TemporaryDirectory(prefix="mc-bench-") as folder:
        program, requests = Path(folder) / "http_client", Path(folder) / "requests"
        subprocess.run(["cc", "-O2", "-o", program, SOURCE], check=True)
        requests.write_bytes(b"".join(pack("=I", len(r)) + r for r in plan.requests))
        numbers = (plan.port, plan.connections, plan.messages)
        with subprocess.Popen(
            [program, *map(str, numbers), requests],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            yield partial(_post, process, plan.messages)
            assert process.stdin is not None
            process.stdin.close()


def _post(process: subprocess.Popen[str], messages: int, count: int) -> int:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{count}\n")
    process.stdin.flush()
    said = process.stdout.readline()
    if not said.strip().isdigit():
        raise RuntimeError(f"the load generator ended: {said}{process.stdout.read()}")
    return int(said) * messages


def post_for_a_while(plan: Plan, seconds: float) -> int:
    """Post for some seconds; return the messages accepted."""
    end, accepted = monotonic() + seconds, 0
    with client(plan) as post:
        while monotonic() < end:
            accepted += post(STEP_MESSAGES // plan.messages)
    return accepted
