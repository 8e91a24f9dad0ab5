"""The requests of one connection: started in order, answered in order, never too many at once.

A request that is answered at once costs no task. Requests of routes marked `parallel` run side by
side, which lets a client that pipelines its sends fill whole batches; they are *started* in order,
and a send takes its place in the order of its recipient when it is started (invariant 5).
Compiled (docs/native.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from multiconnect.limits import HTTP_PIPELINE_MAX
from multiconnect.web.connections import ConnectionSet
from multiconnect.web.errors import ApiError, overloaded
from multiconnect.web.messages import Request, Response
from multiconnect.web.rendering import render

_log = logging.getLogger(__name__)

Answer = Response | Coroutine[Any, Any, Response]


class Application(Protocol):
    """What a connection asks of the application."""

    def body_limit(self, request: Request) -> int:
        """Return how many bytes the body may have; called when the head is complete."""

    def handle(self, request: Request) -> Answer:
        """Answer now, or return a coroutine that will; raises nothing."""

    def failed(self, request: Request, error: BaseException) -> Response:
        """Return the answer for a coroutine that raised."""

    def answered(self, request: Request, response: Response) -> None:
        """Take note of what was answered."""


class Exchange:
    """A request whose answer must wait, for itself or for its turn."""

    __slots__ = ("is_express", "request", "response")

    def __init__(self, request: Request, response: Response | None = None) -> None:
        self.request = request
        self.response = response
        #: Whether it was started by the express lane, and so before anything started later.
        self.is_express = False

    def is_parallel(self) -> bool:
        """Return whether others like it may run beside it."""
        return self.request.route is not None and self.request.route.parallel

    def is_ready(self) -> bool:
        """Return whether it can be answered."""
        return self.response is not None

    def answer(self, pipeline: Pipeline) -> None:
        """Answer; it is ready, and its turn."""
        if self.response is not None:
            pipeline.finish(self.request, self.response)


class Pipeline:
    """Runs requests; `on_progress` is called when answers became ready outside a call of ours."""

    def __init__(
        self, shared: ConnectionSet, application: Application, on_progress: Callable[[], None]
    ) -> None:
        self._shared = shared
        self._application = application
        self._on_progress = on_progress
        self._waiting: deque[Request] = deque()
        self._running: deque[Exchange] = deque()
        self._out: list[bytes] = []
        #: Nothing is started while the peer does not read its answers.
        self.held = False
        #: The last answer of this connection has been given.
        self.ended = False

    def is_busy(self) -> bool:
        """Return whether a request waits or runs."""
        return bool(self._running or self._waiting)

    def is_full(self) -> bool:
        """Return whether no more should be read."""
        return len(self._running) + len(self._waiting) >= HTTP_PIPELINE_MAX

    def submit(self, request: Request) -> None:
        """Take the next request of the connection."""
        self._waiting.append(request)
        self.start()

    def refuse(self, refusal: ApiError) -> None:
        """Answer, in its turn, what could not be read; it is the last answer."""
        request = Request(b"", b"", b"", {}, keep_alive=False)
        request.refusal = refusal.response(close=True)
        self.submit(request)

    def start(self) -> None:
        """Start what may start."""
        waiting, running = self._waiting, self._running
        while waiting and not self.held and not self.ended:
            if running and not self._may_join(waiting[0]):
                return
            request = waiting.popleft()
            request.started_s = self._shared.clock.monotonic()
            result = request.refusal or self._application.handle(request)
            if not isinstance(result, Response):
                self._run(request, result)
            elif running:
                running.append(Exchange(request, result))
            else:
                self.finish(request, result)

    def take(self) -> bytes:
        """Start what may start, and return the answers to be written now."""
        if self._waiting:
            self.start()
        out = self._out
        if not out:
            return b""
        self._out = []
        return out[0] if len(out) == 1 else b"".join(out)

    def abandon(self) -> None:
        """Forget what waits; what runs finishes, unseen."""
        self.ended = True
        while self._waiting:
            self._shared.held_bytes -= self._waiting.popleft().held_bytes

    # --- the express lane --------------------------------------------------------------------
    def may_express(self) -> bool:
        """Return whether a request that takes the express lane may be started now.

        Not behind one that took the long way: that one takes its place when its task runs.
        """
        running = self._running
        if self._waiting or self.held or self.ended or not self._shared.may_run():
            return False
        return not running or (running[-1].is_express and len(running) < HTTP_PIPELINE_MAX)

    def join(self, exchange: Exchange) -> None:
        """Take a request that was started; `told` must follow."""
        self._shared.posted += 1
        self._running.append(exchange)

    def told(self) -> None:
        """Answer what may be answered, now that one that joined is ready.

        Raises nothing: it is called amidst the work of the router, which has others to tell.
        """
        self._shared.posted -= 1
        try:
            self._answer_ready()
            self._on_progress()
        except Exception:
            _log.exception("answering_failed")

    def failure(self, request: Request, error: Exception) -> Response:
        """Return the answer for one that joined and failed."""
        return self._application.failed(request, error)

    def is_open(self) -> bool:
        """Return whether the connection lives on after an answer given now."""
        return not (self.ended or self._shared.stopping)

    def put(self, data: bytes) -> None:
        """Add an answer to those that are to be written."""
        self._out.append(data)

    # --- inside ------------------------------------------------------------------------------
    def _may_join(self, request: Request) -> bool:
        return (
            request.route is not None
            and request.route.parallel
            and self._running[-1].is_parallel()
            and len(self._running) < HTTP_PIPELINE_MAX
        )

    def _run(self, request: Request, coroutine: Coroutine[Any, Any, Response]) -> None:
        exchange = Exchange(request)
        self._running.append(exchange)
        if not self._shared.may_run():
            coroutine.close()
            exchange.response = overloaded("too many requests are waiting").response()
            self._answer_ready()
            return
        task = self._shared.loop.create_task(coroutine)
        self._shared.running.add(task)
        task.add_done_callback(partial(self._ran, exchange))

    def _ran(self, exchange: Exchange, task: asyncio.Task[Response]) -> None:
        self._shared.running.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            exchange.response = task.result()
        else:
            exchange.response = self._application.failed(exchange.request, error)
        self._answer_ready()
        self._on_progress()

    def _answer_ready(self) -> None:
        running = self._running
        while running and running[0].is_ready():
            running.popleft().answer(self)

    def finish(self, request: Request, response: Response) -> None:
        """Answer one request in its turn."""
        shared = self._shared
        if request.held_bytes:
            shared.held_bytes -= request.held_bytes
        self._application.answered(request, response)
        if self.ended:
            return
        keep_alive = request.keep_alive and not response.close and not shared.stopping
        self._out.append(
            render(
                response,
                shared.date,
                keep_alive=keep_alive,
                legacy=request.legacy,
                is_head=request.is_head,
            )
        )
        if not keep_alive:
            self.abandon()
