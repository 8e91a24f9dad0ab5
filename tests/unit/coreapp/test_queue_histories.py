"""Any history of one slot's queue: crashes anywhere, commits nobody is sure of, drains, retries.

Invariants 3, 5, 6, 15 and 16; see `queue_world` for what is checked at each step.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiconnect.coreapp import claims, slot_queue, status_book
from tests.unit.coreapp.queue_world import QueueWorld

STEPS = 300
CLAIMS_MAX = 5
W = QueueWorld
WEIGHTS = {
    W.begin_commit: 20, W.commit_done: 20, W.commit_in_doubt: 3, W.load: 10, W.take: 20,
    W.outcome: 25, W.retry_is_due: 6, W.webhook: 8, W.drain_or_resume: 2,
    W.hand_over: 3, W.crash: 1,
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _small_bounds():
    """Small ones are reached often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "WATERMARK_STEP", CLAIMS_MAX)
        patch.setattr(slot_queue, "SLOT_WINDOW_MESSAGES", 12)
        patch.setattr(slot_queue, "SLOT_PARKED_MESSAGES", 16)
        patch.setattr(status_book, "SLOT_RECENT_BATCHES", 3)
        yield


@settings(derandomize=True, max_examples=100)
@given(st.integers(0, 1 << 32), st.booleans())
def test_nothing_is_lost_reordered_or_sent_twice_unmarked(seed, resend):
    rng = random.Random(seed)
    world = QueueWorld(rng, resend=resend, claims_max=CLAIMS_MAX)
    for step in rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=STEPS):
        step(world)
        world.check()
    world.heal()
