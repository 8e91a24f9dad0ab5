"""What a run changes in the product's modules, and puts back: chance, and the size of limits.

Chance is drawn from the seed. Small limits make rare paths (a full window, a batch read back, a
claim that must wait) common; they keep the relations that `limits.py` demands.
"""

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from multiconnect.coreapp import claims, committer, dispatcher, slot_queue, status_book
from multiconnect.dataplane import lane_set, router
from tests.sim.options import Options
from tests.sim.process import current
from tests.sim.story import Story, StoryLog

#: (module, name, small value)
_SMALL: tuple[tuple[Any, str, int], ...] = (
    (claims, "WATERMARK_STEP", 3),
    (slot_queue, "SLOT_WINDOW_MESSAGES", 6),
    (slot_queue, "SLOT_PARKED_MESSAGES", 8),
    (status_book, "SLOT_RECENT_BATCHES", 2),
    (dispatcher, "LOAD_BYTES", 300),
    (committer, "GROUP_BATCHES_MAX", 3),
    (lane_set, "FRAME_FILL_BYTES", 400),
)


@contextmanager
def sealed(options: Options) -> Iterator[None]:
    """Let nothing but the seed decide in the block."""
    changes: list[tuple[Any, str, Any]] = [
        (router, "secrets", _Drawn()),
        (router, "ROUTER_PARKED_BYTES_MAX", options.parked_max_bytes),
        *(_SMALL if options.small_limits else ()),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in changes]
    collects = gc.isenabled()
    gc.disable()
    for module, name, value in changes:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        if collects:
            gc.enable()


@contextmanager
def overheard(story: Story) -> Iterator[None]:
    """Put the product's log into the story, or silence it when nobody listens."""
    log = logging.getLogger("multiconnect")
    level, propagate, handler = log.level, log.propagate, StoryLog(story)
    log.propagate = False
    log.setLevel(logging.INFO if story.is_told else logging.CRITICAL + 1)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate


class _Drawn:
    """In the place of `secrets`: bits of the process that asks."""

    @staticmethod
    def randbits(count: int) -> int:
        return current().rng.getrandbits(count)
