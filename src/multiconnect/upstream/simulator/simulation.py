"""The whole simulator without its sockets: a request goes in, a reaction comes out. Pure.

Guarantees: what is counted as received is counted before the reaction is known to anybody, so a
lost or late answer never hides a message; the same script, seed and requests react the same way.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from multiconnect.upstream.simulator.behaviour import Answer, Behaviour, Verdict
from multiconnect.upstream.simulator.faults import Script
from multiconnect.upstream.simulator.ledger import Ledger
from multiconnect.upstream.simulator.replies import (
    NOT_LOGGED_IN,
    READ_REPLY,
    accepted_json,
    refusal_json,
    wamid_of,
)
from multiconnect.upstream.simulator.request import (
    ReadRequest,
    Refusal,
    SendRequest,
    parse_request,
)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that took effect, for the webhooks that follow."""

    request: SendRequest
    wamid: str
    at_ms: int
    fails_with: int | None = None


@dataclass(frozen=True, slots=True)
class Reaction:
    """What the server does: wait, then answer, close or reset."""

    status: int
    body: bytes
    delay_s: float = 0.0
    answer: Answer = Answer.REPLY
    accepted: Accepted | None = None


class Simulation:
    """State of one simulator. `run` is eight bytes that tell its ids from those of other runs."""

    def __init__(self, run: bytes, script: Script | None = None, token: str = "") -> None:
        self._run = run
        self._ids = 0
        #: The bearer token asked for; "" takes any that is not empty.
        self.token = token
        self.ledger = Ledger()
        self.set_script(script or Script())

    def set_script(self, script: Script) -> None:
        """Replace faults, latency and limits; what was used up before is forgotten."""
        self._script = script
        # Chance for a test's sake, not for secrets.
        self._behaviour = Behaviour(script, random.Random(script.seed).random)

    def reset(self) -> None:
        """Forget all that was counted and start the script anew."""
        self.ledger = Ledger()
        self.set_script(self._script)

    def react(
        self,
        phone_number_id: str,
        authorization: str,
        body: bytes,
        *,
        marked: bool,
        now_s: float,
        now_ms: int,
    ) -> Reaction:
        """Return the reaction to one POST and count it."""
        if not self._is_authorised(authorization):
            return self._refuse(NOT_LOGGED_IN)
        request = parse_request(phone_number_id, body, marked=marked)
        if isinstance(request, Refusal):
            return self._refuse(request)
        if isinstance(request, ReadRequest):
            self.ledger.note_answer("200")
            self.ledger.note_read()
            return Reaction(200, READ_REPLY)
        verdict = self._behaviour.decide(request, now_s)
        if verdict.refusal is not None:
            return self._refuse(verdict.refusal, verdict)
        return self._perform(request, verdict, now_ms)

    def next_wamid(self) -> str:
        """Return a message id as Meta writes them; never the same twice."""
        self._ids += 1
        return wamid_of(self._run, self._ids)

    def report(self) -> dict[str, Any]:
        """Return all counts as a JSON object."""
        return self.ledger.report()

    def _perform(self, request: SendRequest, verdict: Verdict, now_ms: int) -> Reaction:
        wamid = self.next_wamid()
        accepted = None
        if request.is_dropped:
            self.ledger.note_dropped()
        elif verdict.takes_effect:
            self.ledger.note_arrival(request, now_ms)
            accepted = Accepted(request, wamid, now_ms, verdict.fails_with)
        answered = verdict.answer is Answer.REPLY
        self.ledger.note_answer("200" if answered else "none", verdict.fault)
        body = accepted_json(request, wamid)
        return Reaction(200, body, verdict.delay_s, verdict.answer, accepted)

    def _refuse(self, refusal: Refusal, verdict: Verdict | None = None) -> Reaction:
        self.ledger.note_answer(str(refusal.status), verdict.fault if verdict else "")
        body = refusal_json(refusal, trace_id=f"A{self._ids:010d}")
        return Reaction(refusal.status, body, verdict.delay_s if verdict else 0.0)

    def _is_authorised(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and bool(token) and self.token in ("", token)
