"""Peer of row 4: ZeroMQ PUSH to PULL in another process, over a UNIX socket.

What it does: one ZeroMQ message for each of ours (recipient and payload in one frame). The other
process receives and counts them and answers once per round, when it has them all.

Unfair to us: nothing is hashed, checksummed, numbered or acknowledged one by one; a lost message
would not be sent again. Unfair to it: it has no call that sends many, so each costs a Python call.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.compare.rounds import Done, options, serve
from bench.traffic import make_traffic


def main() -> None:
    """Push, or with --worker pull."""
    told = options(__doc__)
    zmq = import_module("zmq")
    if told.worker:
        _pull(zmq, told.url, told.messages)
        return
    with TemporaryDirectory(prefix="mc-bench-") as folder:
        context = zmq.Context()
        push, answers = context.socket(zmq.PUSH), context.socket(zmq.PULL)
        push.bind(f"ipc://{folder}/messages")
        answers.bind(f"ipc://{folder}/answers")
        messages = [b"%b%b" % (n.encode(), p) for n, p in make_traffic().items(told.messages)]
        command = [sys.executable, "-m", "bench.compare.zeromq", "--worker"]
        command += ["--url", folder, "--messages", str(told.messages)]
        other = subprocess.Popen(command, cwd=Path(__file__).resolve().parents[2])

        def run() -> Done:
            for message in messages:
                push.send(message)
            return {"messages": int(answers.recv())}

        try:
            run()
            serve(run)
        finally:
            other.terminate()
            other.wait()
            context.destroy(linger=0)


def _pull(zmq: object, folder: str, count: int) -> None:
    context = zmq.Context()  # type: ignore[attr-defined]
    pull, answers = context.socket(zmq.PULL), context.socket(zmq.PUSH)  # type: ignore[attr-defined]
    pull.connect(f"ipc://{folder}/messages")
    answers.connect(f"ipc://{folder}/answers")
    while True:
        for _ in range(count):
            pull.recv()
        answers.send(str(count).encode())


if __name__ == "__main__":
    main()
