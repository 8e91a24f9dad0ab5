"""`multiconnect up` and `multiconnect node`: from settings to a serving host, and to its end.

The only place that knows the order of a start: lock, store, leftovers, secrets, port, upstream,
accounts, children, readiness. Everything taken is given back in reverse, whatever fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from multiconnect.config.settings import ClusterSettings
from multiconnect.loop import new_event_loop
from multiconnect.observe.log import configure_logging
from multiconnect.store.open import open_store
from multiconnect.supervisor import identity, preparing, provision
from multiconnect.supervisor.host import bury_leftovers, own_data_dir
from multiconnect.supervisor.orders import Orders, orders
from multiconnect.supervisor.preparing import Host, Say
from multiconnect.supervisor.process import Supervisor
from multiconnect.supervisor.ready import WEBHOOK_PATH, Facts, until_ready, write_ready_file
from multiconnect.supervisor.stopping import first_of, stop_all

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
_log = logging.getLogger(__name__)


def run(settings: ClusterSettings, *, founding: bool, say: Say) -> int:
    """Run a host in an event loop of its own; see `run_host`."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(run_host(settings, founding=founding, say=say))


async def run_host(settings: ClusterSettings, *, founding: bool, say: Say) -> int:
    """Run one host until it is told to stop; return the exit code.

    Raises Refused (directory or port taken, store in use), InvalidSettings, StoreUnavailable.
    """
    logs = settings.data_dir / "logs"
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(own_data_dir(settings.data_dir))
        given = stack.enter_context(orders())
        log_file = str(logs / "supervisor.log")
        configure_logging(settings.log_level, file=log_file, process="supervisor")
        ready_file = stack.enter_context(_ready_file(settings.ready_file))
        store = await open_store(settings.store)
        stack.push_async_callback(store.aclose)
        name = settings.host or identity.host_name()
        host = Host(settings, founding, say, store, name, logs)
        buried = await bury_leftovers(store.control, name)
        if buried:
            say(f"{buried} processes left over from before are declared dead")
        return await _serve(host, given, ready_file, stack)


@contextlib.contextmanager
def _ready_file(name: str) -> Iterator[Path | None]:
    """Keep the ready file from being there while nothing is ready: before and after."""
    path = Path(name).absolute() if name else None
    if path is not None:
        path.unlink(missing_ok=True)
    try:
        yield path
    finally:
        if path is not None:
            path.unlink(missing_ok=True)


async def _serve(
    host: Host, given: Orders, ready_file: Path | None, stack: contextlib.AsyncExitStack
) -> int:
    secrets = await provision.ensure_webhook_secrets(host.control, host.settings)
    preparing.open_port(host, stack)
    choice = await preparing.choose_upstream(host, stack)
    facts = await preparing.known_facts(host, secrets)
    supervisor = Supervisor(
        host.control,
        await preparing.wanted_counts(host),
        host.settings.timers,
        preparing.child_programs(host, choice, secrets),
        lambda: preparing.own_node(host.name),
    )
    await supervisor.start()
    stack.push_async_callback(supervisor.aclose)
    try:
        await _run(host, supervisor, given, facts, ready_file)
    finally:
        if host.listener is not None:
            host.listener.close()
        orderly = await stop_all(supervisor, given.hurry)
    return _outcome(host, supervisor, given, orderly)


async def _run(
    host: Host, supervisor: Supervisor, given: Orders, facts: Facts, ready_file: Path | None
) -> None:
    wanted = supervisor.wanted
    host.say(
        f"starting {wanted.masters} masters, {wanted.coreapps} coreapps, {wanted.webs} webs; "
        f"logs in {host.logs}"
    )
    if await until_ready(supervisor, host.http, host.say, given.stop):
        await _announce(host, facts, ready_file)
        await first_of(given.stop, supervisor.finished)
    host.say(f"stopping: {supervisor.why or 'told to'}")


async def _announce(host: Host, facts: Facts, ready_file: Path | None) -> None:
    """Close the circle to the simulator, write the ready file, and say where to go."""
    if host.simulator and host.http:
        webhook = host.http + WEBHOOK_PATH
        await host.simulator.configure(webhook, facts.webhook.app_secret)
    snapshot = await host.control.snapshot()
    if ready_file is not None:
        write_ready_file(ready_file, facts, snapshot)
    where = f" on {host.http}" if host.http else ""
    host.say(f"serving {snapshot.cluster.shards} shards{where}")
    if host.http and facts.password_file:
        host.say(f"log in as {facts.user}, password in {facts.password_file}")
    _log.info("serving", extra={"shards": snapshot.cluster.shards, "http": host.http})


def _outcome(host: Host, supervisor: Supervisor, given: Orders, orderly: bool) -> int:
    if given.hurry.is_set():
        return EXIT_INTERRUPTED
    if supervisor.failed:
        return EXIT_FAILED
    host.say("stopped" if orderly else "stopped; what did not end in time was killed")
    return EXIT_OK
