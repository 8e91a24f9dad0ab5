"""`python -m bench.worst_minute --store S`: kill, freeze, cut off and resize under load, and count.

    --store S         sqlite (default) or postgresql (a server of its own, with fsync)
    --only kill,stop  some of: kill, stop, host, master, masters-down, resize, resize-few, steal,
                      storm
    --cycles N        cycles of each kind (default 200), or what stands for so many (kinds.py)
    --folder DIR      where the stores are made (default: where temporary files go)
    --write-docs      puts the kept figures into docs/faults.md, runs nothing

The figures of each kind replace those kept in bench/results/worst_minute-STORE.json; the others
stay. What somebody else's program takes of the machine is part of every figure, so the load before
each kind is kept with it.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from bench.environment import environment, file_system_of
from bench.worst_minute.kinds import KINDS, Kind
from bench.worst_minute.pages import write_docs
from bench.worst_minute.results import STORES, file_of, keep, table
from bench.worst_minute.rows import BROKEN, rows_of, totals
from multiconnect.limits import SLOTS
from multiconnect.loop import new_event_loop
from tests.support.postgres import PostgresServer, new_server


def main(arguments: list[str]) -> int:
    """Do what the command line says."""
    options = _options(arguments)
    # Like Ctrl-C: what was started is ended on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.write_docs:
        print(write_docs())
        return 0
    clean = True
    with _server(options.store, options.folder) as server:
        for name in options.only:
            print(f"{name} …", file=sys.stderr, flush=True)
            entry = _run(KINDS[name], server, options.cycles, options.folder)
            entry["command"] = shlex.join(["python", "-m", "bench.worst_minute", *arguments])
            keep(options.json, name, entry)
            print(table({name: entry}, [name]), entry["totals"], sep="\n", flush=True)
            clean = clean and not any(entry["totals"][bad] for bad in BROKEN)
    return 0 if clean else 1


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.worst_minute", description=__doc__)
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--only", metavar="KIND,…")
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--json", type=Path, help="keep the figures in this file instead")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--write-docs", action="store_true")
    options = parser.parse_args(arguments)
    known = [name for name, kind in KINDS.items() if options.store in kind.stores]
    options.only = options.only.split(",") if options.only else known
    options.json = options.json or file_of(options.store)
    if unknown := set(options.only) - set(known):
        parser.error(f"--only knows {', '.join(known)} here, not {', '.join(unknown)}")
    return options


@contextmanager
def _server(store: str, folder: Path) -> Iterator[PostgresServer | None]:
    """Start a PostgreSQL server when one is asked for; it syncs, as one in use would."""
    if store == "sqlite":
        yield None
    else:
        PostgresServer.place = str(folder)
        with new_server(_missing) as server:
            server.settings["fsync"] = "on"
            server.restart("fast")
            yield server


def _missing(reason: str) -> NoReturn:
    raise SystemExit(reason)


def _run(kind: Kind, server: PostgresServer | None, cycles: int, place: Path) -> dict[str, Any]:
    """Run one kind of fault on a cluster of its own; return what is kept of it."""
    where = environment(quick=cycles < 200)
    store = "sqlite" if server is None else server.url()
    with (
        tempfile.TemporaryDirectory(prefix="mc-worst-", dir=place) as folder,
        asyncio.Runner(loop_factory=new_event_loop) as runner,
    ):
        figures = runner.run(_measure(kind, Path(folder) / "cluster", store, cycles))
    layout = kind.layout
    return {
        "environment": where,
        "file_system": file_system_of(place),
        "cycles": cycles,
        "messages_per_s": round(SLOTS * layout.recipients / layout.period_s),
        **figures,
    }


async def _measure(kind: Kind, folder: Path, store: str, cycles: int) -> dict[str, Any]:
    async with kind.ground(folder, kind.layout, store) as here:
        await here.until_whole(kind.layout.shards, kind.layout.ready)
        await asyncio.sleep(1)
        calm = await here.cpu(2.0)
        samples = await kind.run(here, cycles)
        verdict = await here.verdict()
        given_up = await here.given_up(verdict.lost)
        return {
            "rows": rows_of(kind.name, samples),
            "totals": totals(here.kills, here.talk, verdict, given_up),
            "calm_cpu": calm,
            "load_late_ms": round(1000 * here.talk.lag_s, 1),
        }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
