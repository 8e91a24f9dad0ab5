"""What was acknowledged against what arrived: a checker that trusts neither side's own counting.

The client writes down every acknowledgement (recipient, its own running number, message id); the
upstream's list of arrivals is read afterwards. The checker joins the two by message id and knows
nothing of how the system works.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One acknowledgement, as the client saw it. `asked_s` and `done_s` are the client's clock."""

    recipient: str
    number: int
    message_id: str
    asked_s: float
    done_s: float


@dataclass(frozen=True, slots=True)
class Arrival:
    """One arrival at the upstream, in order of arrival."""

    message_id: str
    recipient: str
    marked: bool


@dataclass(slots=True)
class Verdict:
    """Everything that is wrong; empty lists mean that nothing is."""

    lost: list[Acknowledged] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    unmarked_repeats: list[str] = field(default_factory=list)
    two_ids: list[str] = field(default_factory=list)
    #: Second arrivals of messages that were marked as possible duplicates before (an owner that was
    #: taken for dead may be the one whose unmarked attempt comes late): allowed, counted.
    marked_repeats: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.out_of_order or self.unmarked_repeats or self.two_ids)


def judge(acknowledged: list[Acknowledged], arrivals: list[Arrival]) -> Verdict:
    """Return what is wrong between the two histories."""
    verdict = Verdict()
    first_at: dict[str, int] = {}
    marked: set[str] = set()
    for at, arrival in enumerate(arrivals):
        if arrival.marked:
            marked.add(arrival.message_id)
        if arrival.message_id not in first_at:
            first_at[arrival.message_id] = at
        elif arrival.message_id in marked:
            verdict.marked_repeats += 1
        else:
            verdict.unmarked_repeats.append(arrival.message_id)
    verdict.lost = [a for a in acknowledged if a.message_id not in first_at]
    _judge_order(acknowledged, first_at, verdict)
    return verdict


def _judge_order(
    acknowledged: list[Acknowledged], first_at: dict[str, int], verdict: Verdict
) -> None:
    by_recipient: dict[str, list[Acknowledged]] = defaultdict(list)
    for one in acknowledged:
        by_recipient[one.recipient].append(one)
    for recipient, ones in by_recipient.items():
        ones.sort(key=lambda one: one.number)
        ids = [one.message_id for one in ones]
        if len(set(ids)) != len(ids):
            verdict.two_ids.append(recipient)
        places = [first_at[one.message_id] for one in ones if one.message_id in first_at]
        if places != sorted(places):
            verdict.out_of_order.append(recipient)


def longest_gap_s(acknowledged: list[Acknowledged], start_s: float, end_s: float) -> float:
    """Return the longest time between two acknowledgements inside [start_s, end_s]."""
    times = sorted(a.done_s for a in acknowledged if start_s <= a.done_s <= end_s)
    edges = [start_s, *times, end_s]
    return max(later - earlier for earlier, later in pairwise(edges))
