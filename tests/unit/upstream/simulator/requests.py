"""Send requests for the tests of this folder."""

from multiconnect.model.message_id import encode_id
from multiconnect.upstream.simulator.request import SendRequest


def request(sequence=0, recipient="16315550000", slot=3, text="hi", **fields) -> SendRequest:
    """Return a request whose id says (cluster 1, slot, sequence), unless `opaque_id` is given."""
    fields.setdefault("opaque_id", encode_id(1, slot, sequence))
    values = {"phone_number_id": "1065", "field": "to", "type": "text", **fields}
    return SendRequest(recipient=recipient, text=text, **values)
