"""The frames that are not hot: what is written is read, and another shape is CorruptData."""

import orjson
import pytest

from multiconnect._native import FrameReader
from multiconnect.dataplane.wire import (
    FrameType,
    events_frame,
    events_of,
    json_body,
    json_frame,
)
from multiconnect.errors import CorruptData
from multiconnect.model.message import Event

EVENTS = [
    Event("sent", "gBEG", "1631", 3, 17, True, {}),
    Event("message", "wamid.x", "é", 31, 18, False, {"text": {"body": "hi"}}),
]


def frame_of(data):
    ((frame_type, number, body),) = FrameReader().feed(data)
    return frame_type, number, body


def test_events_travel():
    frame_type, _, body = frame_of(events_frame(EVENTS))
    assert frame_type == FrameType.EVENTS
    assert events_of(body) == EVENTS


def test_a_json_frame_is_a_whole_frame():
    frame_type, number, body = frame_of(json_frame(FrameType.HELLO, {"protocol": 1}))
    assert (frame_type, number, json_body(body, dict)) == (FrameType.HELLO, 0, {"protocol": 1})


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[1]", b"7"])
def test_another_body_is_corrupt(body):
    with pytest.raises(CorruptData):
        json_body(body, dict)


@pytest.mark.parametrize("rows", [[1], [["sent"]], [["sent"] * 8], {"a": 1}, [None]])
def test_another_shape_of_event_is_corrupt(rows):
    with pytest.raises(CorruptData):
        events_of(orjson.dumps(rows))
