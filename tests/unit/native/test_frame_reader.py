"""A reader under a real event loop, and what it does with its memory."""

import asyncio
import socket
import sys

import pytest

from multiconnect import _native

START_BYTES = 256 * 1024
FRAMES = [(kind, kind * 7, bytes([kind]) * size) for kind, size in enumerate((0, 5, 300_000, 1))]


def encoded(frames):
    return b"".join(
        _native.frame_header(kind, number, len(body)) + body for kind, number, body in frames
    )


class Receiver(asyncio.BufferedProtocol):
    """The thinnest protocol around a reader."""

    def __init__(self, expected):
        self.reader = _native.FrameReader()
        self.frames = []
        self.expected = expected
        self.done = asyncio.get_running_loop().create_future()

    def get_buffer(self, sizehint):
        return self.reader.get_buffer(sizehint)

    def buffer_updated(self, nbytes):
        self.frames += self.reader.buffer_updated(nbytes)
        if len(self.frames) >= self.expected and not self.done.done():
            self.done.set_result(None)


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_frames_through_a_socket():
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    sent = FRAMES * 20
    transport, receiver = await loop.create_connection(lambda: Receiver(len(sent)), sock=ours)
    await loop.sock_sendall(theirs, encoded(sent))
    await asyncio.wait_for(receiver.done, 10)
    transport.close()
    theirs.close()
    assert receiver.frames == sent


def test_buffer_handed_out_survives_growing():
    """A loop keeps its view while frames are cut; the reader must not take the memory away."""
    reader = _native.FrameReader()
    large = encoded([(1, 2, b"z" * (1 << 20))])
    held = []
    data = large
    found = []
    while data:
        room = reader.get_buffer(-1)
        held.append(room)
        size = min(len(room), len(data), 100_000)
        room[:size] = data[:size]
        found += reader.buffer_updated(size)
        data = data[size:]
    assert found == [(1, 2, b"z" * (1 << 20))]
    for room in held:
        room[:1] = b"!"
        assert bytes(room[-1:]) is not None
    assert reader.feed(encoded(FRAMES)) == FRAMES


def test_large_frame_in_small_pieces():
    reader = _native.FrameReader()
    stream = encoded([(1, 2, bytes(range(256)) * 8192), (3, 4, b"after")])
    found = []
    for at in range(0, len(stream), 1000):
        found += reader.feed(stream[at : at + 1000])
    assert encoded(found) == stream


def test_there_is_always_room():
    reader = _native.FrameReader()
    stream = encoded([(1, 1, b"x" * (START_BYTES - 16)), (2, 2, b"y" * (3 * START_BYTES))])
    while stream:
        room = reader.get_buffer(-1)
        assert len(room) > 0
        size = min(len(room), len(stream))
        room[:size] = stream[:size]
        reader.buffer_updated(size)
        stream = stream[size:]


def test_memory_of_a_large_frame_is_given_up():
    reader = _native.FrameReader()
    assert len(reader.get_buffer(-1)) == START_BYTES
    reader.feed(encoded([(1, 1, bytes(4 << 20))]))
    assert len(reader.get_buffer(-1)) > 4 << 20
    for _ in range(63):
        reader.feed(encoded([(1, 1, b"small")]))
    reader.feed(encoded([(1, 1, b"small")])[:7])
    assert len(reader.get_buffer(-1)) == START_BYTES - 7


def test_large_frames_in_a_row_keep_their_memory():
    reader = _native.FrameReader()
    for _ in range(4):
        reader.feed(encoded([(1, 1, bytes(2 << 20))]))
        for _ in range(40):
            reader.feed(encoded([(1, 1, b"small")]))
        assert len(reader.get_buffer(-1)) > 2 << 20


def test_payloads_are_copies():
    reader = _native.FrameReader()
    room = reader.get_buffer(-1)
    data = encoded([(1, 1, b"payload")])
    room[: len(data)] = data
    [(_, _, body)] = reader.buffer_updated(len(data))
    room[: len(data)] = bytes(len(data))
    assert body == b"payload"
    assert sys.getrefcount(body) == 2
