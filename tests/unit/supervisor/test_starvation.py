"""What the kernel says of waiting for a CPU, and what is made of it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from multiconnect.supervisor.starvation import Starvation, waits_s


def has_waited(proc: Path, thread: int, seconds: float) -> None:
    """Let a thread of process 7 have waited so long in all."""
    folder = proc / "7" / "task" / str(thread)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schedstat").write_text(f"123 {int(seconds * 1e9)} 45\n")


def test_the_most_starved_thread_counts_from_the_first_question_on(tmp_path: Path) -> None:
    has_waited(tmp_path, 7, 5.0)
    has_waited(tmp_path, 8, 1.0)
    starvation = Starvation(tmp_path)
    assert starvation.starved_s("a", 7) == 0.0
    has_waited(tmp_path, 7, 5.1)
    has_waited(tmp_path, 8, 1.5)
    # A thread that has come since counts from the next question on at the earliest.
    has_waited(tmp_path, 9, 30.0)
    assert starvation.starved_s("a", 7) == 0.5


def test_who_was_heard_begins_anew(tmp_path: Path) -> None:
    has_waited(tmp_path, 7, 5.0)
    starvation = Starvation(tmp_path)
    starvation.starved_s("a", 7)
    has_waited(tmp_path, 7, 6.0)
    starvation.heard("a")
    starvation.heard("never asked about")
    assert starvation.starved_s("a", 7) == 0.0


def test_where_nothing_is_known_nobody_is_excused(tmp_path: Path) -> None:
    folder = tmp_path / "7" / "task" / "7"
    folder.mkdir(parents=True)
    (folder / "schedstat").write_text("")
    assert waits_s(7, tmp_path) == {}
    assert waits_s(8, tmp_path) == {}
    assert Starvation(tmp_path).starved_s("a", 7) == 0.0


def test_the_kernel_counts_for_every_thread() -> None:
    found = waits_s(os.getpid())
    if found:  # not every kernel counts
        assert str(threading.get_native_id()) in found
        assert all(seconds >= 0 for seconds in found.values())
