"""The fault script: what goes wrong, for whom, how often. Pure, read from JSON.

A script is a list of faults, or an object:

    {"faults": [{"match": {"to": "16315550000"}, "fault": "error", "code": 131016, "times": 2}],
     "seed": 7, "latency_ms": [1, 5], "pair_rate": true, "number_rate": 80}

Per message the first fault that matches, has `times` left and wins its `probability` applies.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multiconnect.errors import InvalidSettings
from multiconnect.limits import SIMULATOR_FAULTS_MAX, SIMULATOR_HOLD_MAX_S
from multiconnect.upstream.simulator.request import SendRequest


class FaultKind(enum.StrEnum):
    """What goes wrong; the second half of each line says whether the message took effect."""

    #: An error answer (`code`, `status`); no effect.
    ERROR = "error"
    #: No answer for `delay_ms` (120 s), then a closed connection; no effect.
    TIMEOUT = "timeout"
    #: The connection is reset; no effect.
    RESET = "reset"
    #: The answer comes after `delay_ms`; took effect.
    SLOW = "slow"
    #: The connection closes instead of an answer; took effect.
    LOSE_REPLY = "lose_reply"
    #: A 200, and later a webhook saying failed with `code`; took effect.
    FAIL_LATER = "fail_later"


@dataclass(frozen=True, slots=True)
class Match:
    """Which messages a fault is for; what is empty matches everything."""

    to: str = ""
    to_prefix: str = ""
    type: str = ""
    text: str = ""
    id: str = ""

    def fits(self, request: SendRequest) -> bool:
        """Tell whether `request` is meant."""
        return (
            (not self.to or request.recipient == self.to)
            and request.recipient.startswith(self.to_prefix)
            and (not self.type or request.type == self.type)
            and self.text in request.text
            and (not self.id or request.opaque_id == self.id)
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of the script; `times` None is without end."""

    fault: FaultKind
    match: Match = Match()
    code: int | None = None
    status: int | None = None
    times: int | None = None
    probability: float = 1.0
    delay_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """Everything the simulator does on purpose."""

    faults: tuple[Fault, ...] = ()
    seed: int = 0
    #: Least and greatest delay of every answer.
    latency_ms: tuple[float, float] = (0.0, 0.0)
    #: Enforce 1 message per 6 s and recipient, 45 at once.
    pair_rate: bool = False
    #: Enforce this many messages per second and number; None is no limit.
    number_rate: float | None = None


_NUMBER = (int, float)
_FAULT_FIELDS: Mapping[str, tuple[type, ...]] = {
    "fault": (str,),
    "match": (dict,),
    "code": (int,),
    "status": (int,),
    "times": (int,),
    "probability": _NUMBER,
    "delay_ms": _NUMBER,
}
_SCRIPT_FIELDS: Mapping[str, tuple[type, ...]] = {
    "faults": (list,),
    "seed": (int,),
    "latency_ms": (*_NUMBER, list),
    "pair_rate": (bool,),
    "number_rate": (*_NUMBER, type(None)),
}


def parse_script(value: Any) -> Script:
    """Return the script in decoded JSON; raise InvalidSettings naming the place."""
    if isinstance(value, list):
        value = {"faults": value}
    fields = _checked(value, _SCRIPT_FIELDS, "script")
    faults = fields.pop("faults", [])
    if len(faults) > SIMULATOR_FAULTS_MAX:
        raise InvalidSettings(f"script has {len(faults)} faults; at most {SIMULATOR_FAULTS_MAX}")
    latency = fields.pop("latency_ms", 0)
    number_rate = fields.get("number_rate")
    if number_rate is not None and number_rate <= 0:
        raise InvalidSettings("script: number_rate must be above 0, or null for no limit")
    return Script(
        faults=tuple(_fault(entry, f"faults[{n}]") for n, entry in enumerate(faults)),
        latency_ms=_latency(latency),
        **fields,
    )


def _fault(value: Any, place: str) -> Fault:
    fields = _checked(value, _FAULT_FIELDS, place)
    match = _checked(fields.pop("match", {}), dict.fromkeys(Match.__slots__, (str,)), place)
    try:
        kind = FaultKind(fields.pop("fault", ""))
    except ValueError:
        raise InvalidSettings(f"{place}: fault must be one of {', '.join(FaultKind)}") from None
    fault = Fault(fault=kind, match=Match(**match), **fields)
    if not 0 <= fault.probability <= 1:
        raise InvalidSettings(f"{place}: probability must lie between 0 and 1")
    if not 0 <= (fault.delay_ms or 0) <= SIMULATOR_HOLD_MAX_S * 1000:
        raise InvalidSettings(f"{place}: delay_ms must be 0 to {SIMULATOR_HOLD_MAX_S * 1000:.0f}")
    if fault.status is not None and not 300 <= fault.status <= 599:
        raise InvalidSettings(f"{place}: status must be 300 to 599")
    return fault


def _latency(value: Any) -> tuple[float, float]:
    pair = value if isinstance(value, list) else [value, value]
    numbers = [n for n in pair if isinstance(n, _NUMBER) and not isinstance(n, bool)]
    if len(numbers) != 2 or not 0 <= numbers[0] <= numbers[1] <= SIMULATOR_HOLD_MAX_S * 1000:
        raise InvalidSettings("script: latency_ms must be a number or [least, greatest]")
    return numbers[0], numbers[1]


def _checked(value: Any, types: Mapping[str, tuple[type, ...]], place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidSettings(f"{place} must be an object, not {type(value).__name__}")
    for key, entry in value.items():
        if key not in types:
            raise InvalidSettings(f"{place}: {key!r} is unknown; known are {', '.join(types)}")
        wrong_bool = isinstance(entry, bool) and bool not in types[key]
        if wrong_bool or not isinstance(entry, types[key]):
            raise InvalidSettings(f"{place}: {key} must not be {type(entry).__name__}")
    return dict(value)
