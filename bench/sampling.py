"""Where the time goes: a process of the product under load, sampled by py-spy.

Samples are counted for the innermost function of ours on the stack, so that what it calls in C
(compiled core, SQLite, the kernel) or in the standard library counts as its own. Threads that wait
are not counted: the shares are of the time in which the process did something.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from bench.environment import environment
from bench.http_load import Plan, post_for_a_while
from bench.load import send_batches, send_singles
from bench.owner import owner, routed
from bench.server import server
from bench.traffic import make_traffic
from multiconnect import Router
from multiconnect.loop import new_event_loop

PROFILES = ("lane", "durable", "singles", "dispatch", "http")
SECONDS = 8
SAMPLES_PER_S = 400
LINES_MAX = 12
_FRAME = re.compile(r"(?P<function>.+) \(multiconnect/(?P<file>.+)\.py:\d+\)")
#: Samples that end in these functions wait for work, although py-spy thinks that they are busy.
_WAITING = (
    "_worker (concurrent/",
    "_serve (multiconnect/store/sqlite/worker",
    "SupervisorLink._wait_for_loss (",
)
_LOOP = "Runner.run (asyncio/"


def profile(name: str, results: Path) -> str:
    """Sample one process under load, keep the result, return it as a table."""
    with TemporaryDirectory(prefix="mc-bench-") as folder, _load(name, Path(folder)) as (pid, run):
        run()
        stacks = _sampled(pid, Path(folder) / "stacks", run)
    result = {
        "command": f"./run bench --profile {name}",
        "environment": environment(quick=False),
        "parts": _parts(stacks),
    }
    (results / f"profile-{name}.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return profile_table(result)


@contextmanager
def _load(name: str, folder: Path) -> Iterator[tuple[int, Callable[[], object]]]:
    """Yield the process to look at, and what keeps it busy for a moment."""
    if name == "http":
        with server(folder) as up:
            plan = Plan.singles(up.url, up.token, make_traffic())
            yield up.web_pid(), lambda: post_for_a_while(plan, seconds=1.0)
        return
    url = "memory://" if name == "lane" else f"sqlite:///{folder}/log.db"
    traffic = make_traffic()
    batches = traffic.batches(1000, 20 if name == "dispatch" else 200)

    async def run(router: Router) -> None:
        if name == "singles":
            await send_singles(router, traffic.items(50_000), 1000)
        else:
            await send_batches(router, batches, 16)

    with (
        asyncio.Runner(loop_factory=new_event_loop) as runner,
        owner(url, paced=name != "dispatch") as peer,
        routed(runner, [peer]) as router,
    ):
        yield peer.process.pid, lambda: runner.run(run(router))


def _sampled(pid: int, file: Path, run: Callable[[], object]) -> list[str]:
    py_spy = shutil.which("py-spy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")
    if py_spy is None:
        raise SystemExit("py-spy is not installed: `./run bench` installs it")
    spy = subprocess.Popen(
        [
            py_spy,
            "record",
            "--pid",
            str(pid),
            "--duration",
            str(SECONDS),
            "--threads",
            "--rate",
            str(SAMPLES_PER_S),
            "--format",
            "raw",
            "--output",
            str(file),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = monotonic() + SECONDS
    while monotonic() < end and spy.poll() is None:
        run()
    _, said = spy.communicate()
    if spy.returncode:
        raise SystemExit(f"py-spy could not read process {pid} (may it?): {said.strip()}")
    return file.read_text("utf-8").splitlines()


def _parts(stacks: list[str]) -> list[dict[str, Any]]:
    """Return the functions that most samples count for, most first."""
    counts: Counter[tuple[str, str]] = Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        if frames and not frames[-1].startswith(_WAITING):
            counts[_thread(thread), _ours(frames)] += int(count)
    total = sum(counts.values())
    return [
        {"thread": thread, "where": where, "share": count / total}
        for (thread, where), count in counts.most_common(LINES_MAX)
    ]


def _thread(name: str) -> str:
    found = name.rpartition(": ")[2]
    return "event loop" if found == "MainThread" else re.sub(r"_\d+$", "", found)


def _ours(frames: list[str]) -> str:
    for frame in reversed(frames):
        if match := _FRAME.fullmatch(frame):
            return f"{match['file']}: {match['function']}"
        if frame.startswith(_LOOP):
            break
    return "the event loop itself"


def profile_table(result: dict[str, Any]) -> str:
    """Return a kept profile as a table."""
    lines = ["| share | thread | innermost function of ours |", "|--:|---|---|"]
    lines += [
        f"| {part['share']:.0%} | {part['thread']} | `{part['where']}` |"
        for part in result["parts"]
    ]
    lines += ["", f"`{result['command']}` at revision {result['environment']['revision']}."]
    return "\n".join(lines)
