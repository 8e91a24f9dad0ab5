"""A process that is killed in the middle of its traffic, again and again (3, 5, 6)."""

import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("engine_child.py")

pytestmark = pytest.mark.process


def lines(path):
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def start(url, directory, run, *options):
    return subprocess.Popen([sys.executable, CHILD, url, directory, str(run), *options])


def kill_after(process, path, more):
    """SIGKILL once so many more lines are there."""
    wanted, deadline = len(lines(path)) + more, time.monotonic() + 30
    try:
        while len(lines(path)) < wanted:
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.kill()
        process.wait(10)


def test_what_was_acknowledged_arrives_in_order_whenever_the_process_dies(tmp_path):
    url = f"sqlite:///{tmp_path}/app.db"
    arrived, acknowledged = tmp_path / "arrived", tmp_path / "acknowledged"
    for run, more in enumerate((150, 1, 400, 37)):
        kill_after(start(url, tmp_path, run), (arrived, acknowledged)[run % 2], more)
    assert start(url, tmp_path, 99, "drain").wait(30) == 0

    seen: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for run, n, recipient, marked in lines(arrived):
        message = int(run), int(n)
        if message in seen[recipient]:
            assert marked == "True", "a second send is marked first"
        else:
            seen[recipient].append(message)
    for recipient, messages in seen.items():
        assert messages == sorted(messages), f"{recipient}: first arrivals in order"
    lost = [a for a in lines(acknowledged) if (int(a[0]), int(a[1])) not in seen[a[2]]]
    assert not lost
    assert len(lines(acknowledged)) > 100
