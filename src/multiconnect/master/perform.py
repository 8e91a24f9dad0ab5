"""Do one action: one small function each, every one a compare-and-set, none with an opinion.

True: it is done. False: the world is not as it was when this was decided; the caller drops the rest
of its plan and rereads. StoreUnavailable: nobody knows; the caller rereads too. Nothing is ever
tried again as it is (invariant 11: each change carries the term it was decided under).
"""

from __future__ import annotations

from typing import assert_never

from multiconnect.control.actions import (
    Action,
    Assign,
    CancelDrain,
    DeclareDead,
    PutInForce,
    StartDrain,
    StepDown,
    TakeTerm,
)
from multiconnect.store.port import ControlStore


async def perform(control: ControlStore, me: str, term: int, action: Action) -> bool:
    """Perform `action`, decided by `me` under `term`."""
    match action:
        case TakeTerm():
            return await _take_term(control, me, action)
        case StepDown():
            return False
        case DeclareDead():
            return await _declare_dead(control, action)
        case Assign():
            return await _assign(control, term, action)
        case PutInForce():
            return await _put_in_force(control, term, action)
        case StartDrain():
            return await _start_drain(control, term, action)
        case CancelDrain():
            return await control.cancel_drain(action.slot, action.epoch, term)
        case _:
            assert_never(action)


async def _take_term(control: ControlStore, me: str, action: TakeTerm) -> bool:
    return await control.take_term(me, action.observed_term) is not None


async def _declare_dead(control: ControlStore, action: DeclareDead) -> bool:
    return await control.declare_dead(action.incarnation, action.observed_beat, action.reason)


async def _assign(control: ControlStore, term: int, action: Assign) -> bool:
    return await control.assign(action.moves, term, action.reason, shards=action.shards)


async def _put_in_force(control: ControlStore, term: int, action: PutInForce) -> bool:
    return await control.assign((), term, action.reason, shards=action.shards)


async def _start_drain(control: ControlStore, term: int, action: StartDrain) -> bool:
    return await control.start_drain(action.slot, action.epoch, action.to, term)
