"""The reference of row 4: bytes in messages of that size over loopback TCP, and nothing else.

Blocking sockets, 64 KiB at a time, one process on the first core and one on the last: on one core
they would hand each other bytes that never leave its cache. What is sent lies in memory like the
messages of a real sender, not in one small block that stays in the cache.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

CHUNK_BYTES = 64 * 1024
MEMORY_BYTES = 64 * 1024 * 1024


class RawTcp:
    """A connection to a process that reads and counts."""

    def __init__(self, connection: socket.socket, message_bytes: int) -> None:
        self._connection = connection
        self.messages_per_chunk = CHUNK_BYTES // message_bytes
        size = self.messages_per_chunk * message_bytes
        memory = memoryview(os.urandom(MEMORY_BYTES))
        self._chunks = [memory[at : at + size] for at in range(0, MEMORY_BYTES - size, size)]

    def send(self, chunks: int) -> int:
        """Send chunks; return the messages in them once the other side has read all of them."""
        size = chunks * len(self._chunks[0])
        self._connection.sendall(size.to_bytes(8, "big"))
        for number in range(chunks):
            self._connection.sendall(self._chunks[number % len(self._chunks)])
        if int.from_bytes(self._connection.recv(8, socket.MSG_WAITALL), "big") != size:
            raise AssertionError("the other side counted other bytes")
        return chunks * self.messages_per_chunk


@contextmanager
def raw_tcp(message_bytes: int) -> Iterator[RawTcp]:
    """Connect to a counting process on loopback."""
    cores = os.sched_getaffinity(0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        count = multiprocessing.get_context("spawn").Process(
            target=_count, args=(listener, max(cores))
        )
        count.start()
        os.sched_setaffinity(0, {min(cores)})
        try:
            with socket.create_connection(listener.getsockname()) as connection:
                yield RawTcp(connection, message_bytes)
            count.join()
        finally:
            os.sched_setaffinity(0, cores)


def _count(listener: socket.socket, core: int) -> None:
    os.sched_setaffinity(0, {core})
    connection, _ = listener.accept()
    buffer = bytearray(CHUNK_BYTES)
    while head := connection.recv(8, socket.MSG_WAITALL):
        left = size = int.from_bytes(head, "big")
        while left:
            left -= connection.recv_into(buffer, min(left, len(buffer)))
        connection.sendall(size.to_bytes(8, "big"))
