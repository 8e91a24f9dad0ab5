"""The reference of row 4: bytes in messages of that size over loopback TCP, and nothing else."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Iterator
from contextlib import contextmanager

CHUNK_BYTES = 64 * 1024


class RawTcp:
    """A connection to a process that reads and counts."""

    def __init__(self, connection: socket.socket, message_bytes: int) -> None:
        self._connection = connection
        self._chunk = bytes(message_bytes) * (CHUNK_BYTES // message_bytes)
        self.messages_per_chunk = CHUNK_BYTES // message_bytes

    def send(self, chunks: int) -> int:
        """Send chunks; return the messages in them once the other side has read all of them."""
        size = chunks * len(self._chunk)
        self._connection.sendall(size.to_bytes(8, "big"))
        for _ in range(chunks):
            self._connection.sendall(self._chunk)
        if int.from_bytes(self._connection.recv(8, socket.MSG_WAITALL), "big") != size:
            raise AssertionError("the other side counted other bytes")
        return chunks * self.messages_per_chunk


@contextmanager
def raw_tcp(message_bytes: int) -> Iterator[RawTcp]:
    """Connect to a counting process on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = multiprocessing.get_context("spawn").Process(target=_count, args=(listener,))
        process.start()
        with socket.create_connection(listener.getsockname()) as connection:
            yield RawTcp(connection, message_bytes)
        process.join()


def _count(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    buffer = bytearray(CHUNK_BYTES)
    while head := connection.recv(8, socket.MSG_WAITALL):
        left = size = int.from_bytes(head, "big")
        while left:
            left -= connection.recv_into(buffer, min(left, len(buffer)))
        connection.sendall(size.to_bytes(8, "big"))
