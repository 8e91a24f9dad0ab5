"""A reader under a real event loop, and what it does with its memory."""

import asyncio
import socket
import sys
import tracemalloc

import pytest

from multiconnect import _native

START_BYTES = 64 * 1024
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


def test_long_payload_is_received_where_it_stays():
    """Beside the payload itself nothing of its size is ever allocated, and nothing is kept."""
    reader, size = _native.FrameReader(), 4 << 20
    found: list[tuple[int, int, bytes]] = []
    tracemalloc.start()
    try:
        reader.feed(_native.frame_header(1, 2, size))
        while not found:
            part = min(len(reader.get_buffer(-1)), 100_000)
            reader.get_buffer(-1)[:part] = b"p" * part
            found = reader.buffer_updated(part)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    [(kind, number, body)] = found
    del found
    assert (kind, number, body == b"p" * size) == (1, 2, True)
    assert size <= held <= peak < size + (1 << 20)
    assert sys.getrefcount(body) == 2
    assert len(reader.get_buffer(-1)) == START_BYTES


def test_room_of_a_long_frame_ends_with_it():
    """So the frame behind it begins in the reader's own buffer."""
    reader = _native.FrameReader()
    stream = encoded([(1, 2, b"z" * (2 * START_BYTES)), (3, 4, b"after")])
    assert reader.feed(stream[:START_BYTES]) == []
    room = reader.get_buffer(-1)
    assert len(room) == 2 * START_BYTES + 16 - START_BYTES
    room[:] = stream[START_BYTES:][: len(room)]
    assert reader.buffer_updated(len(room)) == [(1, 2, b"z" * (2 * START_BYTES))]
    assert reader.feed(stream[2 * START_BYTES + 16 :]) == [(3, 4, b"after")]


def test_room_outlives_its_reader():
    reader = _native.FrameReader()
    reader.feed(encoded([(1, 2, b"z" * (2 * START_BYTES))])[:100])
    room = reader.get_buffer(-1)
    del reader
    room[:] = bytes(len(room))
    assert room[-1] == 0


def test_payloads_are_copies():
    reader = _native.FrameReader()
    room = reader.get_buffer(-1)
    data = encoded([(1, 1, b"payload")])
    room[: len(data)] = data
    [(_, _, body)] = reader.buffer_updated(len(data))
    room[: len(data)] = bytes(len(data))
    assert body == b"payload"
    assert sys.getrefcount(body) == 2
