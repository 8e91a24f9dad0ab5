"""Mutants of a router: how it resends, and what it believes."""

from collections import deque
from typing import Any

from multiconnect.dataplane.lane_set import LaneSet
from multiconnect.dataplane.room import Room
from multiconnect.dataplane.slot_lane import SlotLane
from tests.sim.mutants.registry import mutant, put


@mutant("batches are sent again newest first")
def resend_out_of_order() -> None:
    def unsent(self: SlotLane) -> Any:
        return [batch for batch in reversed(self.unanswered) if not batch.sent]

    put(SlotLane, "unsent", unsent)


@mutant("an older map replaces a newer one", "old_maps")
def map_epoch_falls() -> None:
    plain = LaneSet.apply_map

    def apply_map(self: LaneSet, new: Any) -> None:
        self._epochs = [-1] * len(self._epochs)
        self.map = None
        plain(self, new)

    put(LaneSet, "apply_map", apply_map)


@mutant("an answer that is not for the oldest batch is taken for it", "crossing_answers")
def any_answer_counts() -> None:
    def is_oldest(self: SlotLane, producer: int, producer_seq: int) -> bool:
        return bool(self.unanswered)

    put(SlotLane, "_is_oldest", is_oldest)


class _Unseen(deque[Any]):
    """A line that nobody sees who is not in it."""

    def __bool__(self) -> bool:
        return False


@mutant("who comes when there is room again overtakes those who wait for it", "full_router")
def no_line_for_room() -> None:
    plain = Room.__init__

    def begin(self: Room, *args: Any) -> None:
        plain(self, *args)
        self.line = _Unseen()

    def freed(self: Room) -> None:
        if len(self.line) and self._is_free():
            self._let_in(self.line[0])

    put(Room, "__init__", begin)
    put(Room, "freed", freed)
