"""What the demo claims, decided from what was counted: pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from multiconnect.cli.demo_traffic import Ack

#: Bounds of the claims. The engine's own goals are tighter (see the benchmarks); a demo must also
#: hold on a laptop that does other things, so twice the longest pause of a calm stretch is added.
CRASH_PAUSE_MAX_S: Final = 1.0
OTHERS_PAUSE_MAX_S: Final = 0.5
RESIZE_PAUSE_MAX_S: Final = 1.0
MASTER_TAKEOVER_MAX_S: Final = 3.0
RESIZE_MAX_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence, and whether it was so."""

    text: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Crash:
    """The death of a shard's owner: pauses in seconds between acknowledgements around it."""

    pause_s: float
    others_pause_s: float


@dataclass(frozen=True, slots=True)
class MasterLoss:
    """The death of the primary Master."""

    takeover_s: float
    pause_s: float


@dataclass(frozen=True, slots=True)
class Resize:
    """One set-shards under load."""

    before: int
    after: int
    status: int
    took_s: float
    pause_s: float


@dataclass(frozen=True, slots=True)
class Count:
    """What the simulator counted, beside what was acknowledged."""

    acknowledged: int
    lost: int
    duplicates_unmarked: int
    duplicates_marked: int
    out_of_order: int


def longest_pause(
    acks: Iterable[Ack], begin_s: float, end_s: float, shards: int, shard: int | None = None
) -> float:
    """Return the longest time without an acknowledgement that reaches into [begin_s, end_s].

    `shard` (of `shards`) looks at one shard alone; None takes the worst of all shards.
    """
    if shard is None:
        return max(longest_pause(acks, begin_s, end_s, shards, s) for s in range(shards))
    times = sorted(ack.at_s for ack in acks if ack.slot % shards == shard and ack.at_s <= end_s)
    # The pause that is still going on at the end counts as far as it got.
    pairs = itertools.pairwise([*times, end_s])
    pauses = (later - earlier for earlier, later in pairs if later >= begin_s)
    return max(pauses, default=end_s - begin_s)


def count_of(acks: Sequence[Ack], report: Mapping[str, Any], arrived: set[str]) -> Count:
    """Compare our own list with the simulator's."""
    promised = {ack.id for ack in acks}
    return Count(
        acknowledged=len(promised),
        lost=len(promised - arrived),
        duplicates_unmarked=int(report["duplicates_unmarked"]),
        duplicates_marked=int(report["duplicates_marked"]),
        out_of_order=max(int(report["out_of_order"]), int(report["out_of_order_by_text"])),
    )


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that was measured; `calm_s` is the longest pause while nothing was done to it."""

    count: Count
    errors: int
    calm_s: float
    crash: Crash
    loss: MasterLoss
    resizes: tuple[Resize, ...]


def claims_of(story: Story) -> list[Claim]:
    """Return every claim with its verdict."""
    count, crash, loss = story.count, story.crash, story.loss
    crash_max_s, others_max_s, resize_max_s = (
        bound_s + 2 * story.calm_s
        for bound_s in (CRASH_PAUSE_MAX_S, OTHERS_PAUSE_MAX_S, RESIZE_PAUSE_MAX_S)
    )
    claims = [
        Claim(
            f"nothing lost: {count.acknowledged} messages acknowledged, {count.lost} missing",
            count.acknowledged > 0 and count.lost == 0,
        ),
        Claim(
            f"nothing sent twice unmarked: {count.duplicates_unmarked} "
            f"({count.duplicates_marked} in doubt after the crash, resent and marked as such)",
            count.duplicates_unmarked == 0,
        ),
        Claim(f"order kept per recipient: {count.out_of_order} late", count.out_of_order == 0),
        Claim(f"no request failed: {story.errors} errors", story.errors == 0),
        Claim(
            f"owner killed: its shard paused {crash.pause_s:.2f} s (at most {crash_max_s:.1f})",
            crash.pause_s <= crash_max_s,
        ),
        Claim(
            f"the other shard went on: longest pause {crash.others_pause_s:.2f} s "
            f"(at most {others_max_s:.1f})",
            crash.others_pause_s <= others_max_s,
        ),
        Claim(
            f"primary Master killed: another took over in {loss.takeover_s:.2f} s, traffic "
            f"paused {loss.pause_s:.2f} s",
            loss.takeover_s <= MASTER_TAKEOVER_MAX_S and loss.pause_s <= others_max_s,
        ),
    ]
    return claims + [_resize_claim(resize, resize_max_s) for resize in story.resizes]


def _resize_claim(resize: Resize, pause_max_s: float) -> Claim:
    return Claim(
        f"{resize.before} -> {resize.after} shards under load: answered {resize.status} after "
        f"{resize.took_s:.1f} s, longest pause {resize.pause_s:.2f} s (at most {pause_max_s:.1f})",
        resize.status == 201 and resize.took_s <= RESIZE_MAX_S and resize.pause_s <= pause_max_s,
    )
