"""What the simulator does with a request: take it, refuse it, or misbehave. Pure.

Chance is an argument (a function that returns 0 ≤ x < 1), so that a seed repeats a run.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from multiconnect.limits import (
    PAIR_RATE_BURST,
    PAIR_RATE_INTERVAL_S,
    SIMULATOR_HOLD_MAX_S,
    SIMULATOR_RECIPIENTS_MAX,
)
from multiconnect.upstream.simulator.faults import Fault, FaultKind, Script
from multiconnect.upstream.simulator.rates import LeakyBuckets
from multiconnect.upstream.simulator.replies import NUMBER_RATE_HIT, PAIR_RATE_HIT, refusal_of
from multiconnect.upstream.simulator.request import Refusal, SendRequest

_NUMBERS_MAX = 1000


class Answer(enum.StrEnum):
    """How the connection is treated after the delay."""

    REPLY = "reply"
    CLOSE = "close"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one request. `takes_effect`: the message counts as sent to the user."""

    takes_effect: bool
    answer: Answer = Answer.REPLY
    refusal: Refusal | None = None
    delay_s: float = 0.0
    #: The fault at work, for the count; "" if none.
    fault: str = ""
    #: A webhook says later that the message failed, with this code.
    fails_with: int | None = None


class Behaviour:
    """Faults, latency and limits of one script."""

    def __init__(self, script: Script, chance: Callable[[], float]) -> None:
        self._script = script
        self._chance = chance
        self._times_left = [fault.times for fault in script.faults]
        self._pairs = LeakyBuckets(
            PAIR_RATE_BURST, 1 / PAIR_RATE_INTERVAL_S, SIMULATOR_RECIPIENTS_MAX
        )
        rate = script.number_rate or 1.0
        self._numbers = LeakyBuckets(max(rate, 1.0), rate, _NUMBERS_MAX)

    def decide(self, request: SendRequest, now_s: float) -> Verdict:
        """Return what happens to `request`; uses up faults and rates."""
        fault = self._fault_for(request)
        if fault is not None:
            verdict = _misbehave(fault)
            if not verdict.takes_effect:
                return verdict
        else:
            verdict = Verdict(takes_effect=True, delay_s=self._latency_s())
        refusal = self._over_limit(request, now_s)
        return verdict if refusal is None else Verdict(takes_effect=False, refusal=refusal)

    def _fault_for(self, request: SendRequest) -> Fault | None:
        for n, fault in enumerate(self._script.faults):
            left = self._times_left[n]
            if left == 0 or not fault.match.fits(request):
                continue
            if fault.probability < 1 and self._chance() >= fault.probability:
                continue
            if left is not None:
                self._times_left[n] = left - 1
            return fault
        return None

    def _over_limit(self, request: SendRequest, now_s: float) -> Refusal | None:
        script = self._script
        number = request.phone_number_id
        if script.number_rate is not None and not self._numbers.admit(number, now_s):
            return NUMBER_RATE_HIT
        if script.pair_rate and not self._pairs.admit(f"{number}:{request.recipient}", now_s):
            return PAIR_RATE_HIT
        return None

    def _latency_s(self) -> float:
        least, greatest = self._script.latency_ms
        if not greatest:
            return 0.0
        return (least + (greatest - least) * self._chance()) / 1000


def _misbehave(fault: Fault) -> Verdict:
    delay_s, name = (fault.delay_ms or 0) / 1000, fault.fault.value
    match fault.fault:
        case FaultKind.ERROR:
            refusal = refusal_of(fault.code, fault.status)
            return Verdict(False, refusal=refusal, delay_s=delay_s, fault=name)
        case FaultKind.TIMEOUT:
            return Verdict(False, Answer.CLOSE, delay_s=delay_s or SIMULATOR_HOLD_MAX_S, fault=name)
        case FaultKind.RESET:
            return Verdict(False, Answer.RESET, delay_s=delay_s, fault=name)
        case FaultKind.SLOW:
            return Verdict(True, delay_s=delay_s, fault=name)
        case FaultKind.LOSE_REPLY:
            return Verdict(True, Answer.CLOSE, delay_s=delay_s, fault=name)
        case FaultKind.FAIL_LATER:
            return Verdict(True, delay_s=delay_s, fault=name, fails_with=fault.code or 131026)
