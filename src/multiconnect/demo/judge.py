"""What was acknowledged against what the simulator received. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multiconnect.demo.traffic import Acknowledgement


@dataclass(frozen=True, slots=True)
class Count:
    """What is wrong, counted; `repeated_marked` is allowed and only reported."""

    acknowledged: int
    arrived: int
    lost: int
    out_of_order: int
    repeated_unmarked: int
    repeated_marked: int


def compare(acknowledged: Sequence[Acknowledgement], arrivals: Iterable[Mapping[str, Any]]) -> Count:
    """Join both histories by message id; `arrivals` are in order, with `id` and `marked`."""
    first_at: dict[str, int] = {}
    marked = unmarked = 0
    for place, arrival in enumerate(arrivals):
        if arrival["id"] not in first_at:
            first_at[str(arrival["id"])] = place
        elif arrival["marked"]:
            marked += 1
        else:
            unmarked += 1
    by_person: dict[str, list[Acknowledgement]] = defaultdict(list)
    for one in acknowledged:
        by_person[one.recipient].append(one)
    return Count(
        acknowledged=len(acknowledged),
        arrived=len(first_at),
        lost=sum(one.message_id not in first_at for one in acknowledged),
        out_of_order=sum(_is_disordered(ones, first_at) for ones in by_person.values()),
        repeated_unmarked=unmarked,
        repeated_marked=marked,
    )


def _is_disordered(ones: list[Acknowledgement], first_at: Mapping[str, int]) -> bool:
    ones = sorted(ones, key=lambda one: one.number)
    places = [first_at[one.message_id] for one in ones if one.message_id in first_at]
    return places != sorted(places)
