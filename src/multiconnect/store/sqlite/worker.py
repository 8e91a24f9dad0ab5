"""One thread for one connection, so that the event loop never waits for a disk or a lock.

Every commit crosses here twice, so the way is short: a queue there, a callback back. (A standard
executor with its two futures takes 52 µs for the round trip where this takes 37, on the machine of
docs/performance.md.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, ParamSpec, TypeVar

from multiconnect.errors import Closed

P = ParamSpec("P")
T = TypeVar("T")

_Asked = tuple[asyncio.Future[Any], Callable[[], Any]]


class Worker:
    """Runs calls one after the other in a thread of its own."""

    def __init__(self, name: str) -> None:
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()
        # A daemon: a program that forgot to close its store can still end.
        self._thread = Thread(target=_serve, args=(self._asked,), name=name, daemon=True)
        self._closed = False

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the call in the thread.

        A caller that is cancelled does not learn the result; the call itself is carried through.
        """
        if self._closed:
            raise Closed("the store is closed")
        return await self._ask(partial(call, *args, **kwargs))

    async def aclose(self, last: Callable[[], None]) -> None:
        """Run `last` after everything already asked for, then end the thread; idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._ask(last)
        finally:
            self._asked.put(None)

    async def _ask(self, call: Callable[[], T]) -> T:
        if self._thread.ident is None:
            self._thread.start()
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._asked.put((answer, call))
        return await answer


def _serve(asked: SimpleQueue[_Asked | None]) -> None:
    while (one := asked.get()) is not None:
        _answer(*one)
        # Nothing of one call may live on until the next one comes.
        del one


def _answer(answer: asyncio.Future[Any], call: Callable[[], Any]) -> None:
    try:
        result = call()
    except BaseException as error:
        _tell(answer, partial(_fail, answer, error))
    else:
        _tell(answer, partial(_finish, answer, result))


def _tell(answer: asyncio.Future[Any], how: Callable[[], None]) -> None:
    try:
        answer.get_loop().call_soon_threadsafe(how)
    except RuntimeError:
        # The loop is closed: nobody waits any more.
        return


def _finish(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[Any], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
