"""The child's side of supervision: one event loop, one role, an orderly end.

`python -m multiconnect.coreapp` and its like are three lines: `serve_child(run)`.

Exit codes: 0 the role returned, 1 it raised, HARD_EXIT a second SIGTERM or SIGINT.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from multiconnect.config.child import ChildContext, ProcessIdentity
from multiconnect.config.process import ProcessSettings, take_process_settings
from multiconnect.errors import InvalidSettings
from multiconnect.loop import new_event_loop
from multiconnect.observe.log import configure_logging, redact
from multiconnect.supervisor import identity
from multiconnect.supervisor.liveness import SupervisorLink, die_with_parent, parent_is_gone

__all__ = ["ChildContext", "serve_child"]

HARD_EXIT: Final = 70
_log = logging.getLogger(__name__)

RoleMain = Callable[[ChildContext], Awaitable[None]]


def serve_child(main: RoleMain) -> None:
    """Run a role until it is told to stop, then exit the process."""
    die_with_parent()
    parent = os.getppid()
    try:
        settings = take_process_settings()
    except InvalidSettings as error:
        sys.stderr.write(f"multiconnect: {error}\n")
        raise SystemExit(2) from None
    configure_logging(settings.log_level, file=settings.log_file, process=settings.incarnation)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        code = runner.run(_serve(main, settings, parent))
    logging.shutdown()
    raise SystemExit(code)


async def _serve(main: RoleMain, settings: ProcessSettings, parent: int) -> int:
    stop = asyncio.Event()
    with _supervised(settings, stop) as link, _signals(stop, parent):
        context = ChildContext(
            settings,
            stop,
            on_ready=link.say_ready if link else lambda: None,
            identity=_own_identity(),
        )
        _log.info("started", extra={"role": settings.role, "generation": settings.generation})
        try:
            await main(context)
        except Exception as error:
            _log.exception("ended by an error")
            # The supervisor shows the last line of stderr to whoever waits for this child.
            sys.stderr.write(redact(f"{type(error).__name__}: {error}\n"))
            return 1
    _log.info("ended", extra={"asked": stop.is_set()})
    return 0


@contextlib.contextmanager
def _supervised(settings: ProcessSettings, stop: asyncio.Event) -> Iterator[SupervisorLink | None]:
    if settings.pipe_fd < 0:
        yield None
        return

    def lost() -> None:
        _log.warning("the supervisor is gone: giving up the slots")
        stop.set()

    link = SupervisorLink(settings.pipe_fd, settings.timers.ping_s, lost)
    link.start()
    try:
        yield link
    finally:
        link.close()


@contextlib.contextmanager
def _signals(stop: asyncio.Event, parent: int) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        # The kernel's word of the parent's death comes as SIGTERM too and is not a second order.
        if stop.is_set() and not parent_is_gone(parent):
            _log.warning("second signal: ending at once", extra={"signal": number.name})
            logging.shutdown()
            os._exit(HARD_EXIT)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _own_identity() -> ProcessIdentity:
    pid = os.getpid()
    return ProcessIdentity(pid, identity.start_ticks(pid), identity.boot_id())
