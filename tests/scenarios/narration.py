"""How a transcript shows events and maps: short, exact, and the same every time."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise

from multiconnect.control.actions import (
    Assign,
    CancelDrain,
    DeclareDead,
    PutInForce,
    StartDrain,
    StepDown,
    TakeTerm,
)
from multiconnect.control.health import describe
from multiconnect.model.cluster import Role, Snapshot
from tests.scenarios.world import Event


def slots_text(slots: Sequence[int]) -> str:
    """Return "0-31", "1-31/4", "3,7,8": runs with a steady step are drawn together."""
    steps = {b - a for a, b in pairwise(slots)}
    if len(slots) < 3 or len(steps) != 1:
        return ",".join(map(str, slots))
    step = steps.pop()
    return f"{slots[0]}-{slots[-1]}" + (f"/{step}" if step > 1 else "")


def events_text(events: Iterable[Event]) -> Iterator[str]:
    """One line per action; hand-overs begun or cancelled for one reason share a line."""
    for _, group in groupby(events, key=_together):
        same = list(group)
        refused = "" if same[0].taken or isinstance(same[0].action, StepDown) else " (refused)"
        yield f"{same[0].master} {_action_text(same)}{refused}"


def _together(event: Event) -> object:
    action = event.action
    if isinstance(action, StartDrain):
        return (event.master, event.taken, "start", action.reason)
    if isinstance(action, CancelDrain):
        return (event.master, event.taken, "cancel", action.reason)
    return event


def _action_text(events: Sequence[Event]) -> str:
    action = events[0].action
    match action:
        case TakeTerm():
            return f"takes term {action.observed_term + 1}: {action.reason}"
        case StepDown():
            return f"steps down: {action.reason}"
        case DeclareDead():
            return f"declares {action.incarnation} dead: {action.reason}"
        case Assign():
            return _assign_text(action)
        case PutInForce():
            return f"puts {action.shards} shards in force: {action.reason}"
        case StartDrain():
            moves = [e.action for e in events if isinstance(e.action, StartDrain)]
            return f"drains {' '.join(f'{m.slot}>{m.to}' for m in moves)}: {action.reason}"
        case CancelDrain():
            slots = [e.action.slot for e in events if isinstance(e.action, CancelDrain)]
            return f"cancels the drain of {slots_text(slots)}: {action.reason}"


def _assign_text(action: Assign) -> str:
    heirs = sorted({move.new_owner for move in action.moves})
    grants = "; ".join(
        f"{slots_text([m.slot for m in action.moves if m.new_owner == heir])} to {heir}"
        for heir in heirs
    )
    force = f", and {action.shards} shards in force" if action.shards else ""
    return f"grants {grants}{force}: {action.reason}"


def map_text(snapshot: Snapshot) -> Iterator[str]:
    """The cluster in one line, then its CoreApps and Masters that live."""
    seen = describe(snapshot)
    wish = f" (target {seen.target_shards})" if seen.target_shards != seen.shards else ""
    yield (
        f"{seen.state}: {seen.shards} shards{wish}, generation {seen.generation}, "
        f"map {seen.map_version}, term {seen.term} of {seen.master or 'nobody'}"
    )
    for node in seen.live:
        epochs = sorted({row.epoch for row in snapshot.slots if row.owner == node.incarnation})
        held = f" {slots_text(node.slots)} @{slots_text(epochs)}" if node.slots else ""
        generation = f" g{node.generation}" if node.role is Role.COREAPP else ""
        yield f"  {node.name}{generation} {node.state}{held}"
    lost = [row.slot for row in snapshot.slots if snapshot.node(row.owner) is None]
    if lost:
        yield f"  nobody {slots_text(lost)}"
