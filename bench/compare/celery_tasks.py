"""Peer of row 13: Celery over Redis, a task per message from `apply_async` to its stored result.

What it does: one producer queues tasks with recipient and payload; a worker of one process (the
other core is the producer's) runs them, and each result is stored in Redis, appendfsync always,
which is what our outcome commit does. A message counts when its result is there.

Unfair to us: Celery keeps no order per recipient. Unfair to it: `apply_async` waits for Redis each
time, one task after the other, because Celery has no call for many.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.compare.jobs import until, worker
from bench.compare.rounds import Done, options, serve
from bench.traffic import make_traffic

#: Redis numbers its databases: tasks in one, results in the other, where all keys are results.
TASKS_DB, RESULTS_DB = 0, 1


def application(port: int) -> Any:
    """Return the Celery application that producer and worker share."""
    app = import_module("celery").Celery("bench", broker=f"redis://127.0.0.1:{port}/{TASKS_DB}")
    app.conf.update(
        result_backend=f"redis://127.0.0.1:{port}/{RESULTS_DB}",
        task_serializer="json",
        worker_prefetch_multiplier=256,
        worker_send_task_events=False,
        task_send_sent_event=False,
        broker_connection_retry_on_startup=True,
    )
    return app


def main() -> None:
    """Queue tasks, or with --worker run them."""
    told = options(__doc__)
    app = application(told.port)
    task = app.task(name="deliver")(_deliver)
    if told.worker:
        with TemporaryDirectory(prefix="mc-bench-") as folder:
            arguments = ["worker", "--pool", "prefork", "--concurrency", "1", "--loglevel", "ERROR"]
            switched_off = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
            app.worker_main([*arguments, *switched_off, "--pidfile", str(Path(folder) / "pid")])
        return
    with worker("celery_tasks", told):
        serve(_rounds(told, task))


def _rounds(told: argparse.Namespace, task: Any) -> Any:
    items = [(name, payload.decode()) for name, payload in make_traffic().items(told.messages)]
    results = import_module("redis").Redis(port=told.port, db=RESULTS_DB)

    def run() -> Done:
        results.flushdb()
        for name, payload in items:
            task.apply_async((name, payload))
        return {"messages": until(lambda: int(results.dbsize()), len(items))}

    return run


def _deliver(recipient: str, payload: str) -> bool:
    return bool(recipient and payload)


if __name__ == "__main__":
    main()
