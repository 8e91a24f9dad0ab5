"""Messages for the tests of this folder."""

import orjson

from multiconnect.model.message import Kind, Message
from multiconnect.model.message_id import encode_id

TEXT = {"to": "+1 631 555 0000", "type": "text", "text": {"body": "hi"}}


def message(payload=TEXT, recipient="16315550000", sequence=0, slot=3, **fields) -> Message:
    """Return a message with that payload (a dict, or bytes as they are)."""
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    fields.setdefault("kind", Kind.SEND)
    return Message(
        encode_id(1, slot, sequence), recipient, body, slot=slot, sequence=sequence, **fields
    )
