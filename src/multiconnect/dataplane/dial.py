"""A router's way to an owner: which addresses may be connected to, and how.

Guarantee: nothing is sent in the clear off this machine to somebody who has proven nothing.
"""

from __future__ import annotations

import asyncio
import socket

from multiconnect.dataplane.lane_tls import router_context
from multiconnect.errors import InvalidSettings
from multiconnect.limits import LANE_SEND_BUFFER_BYTES
from multiconnect.model.lane_address import LaneAddress, lane_address
from multiconnect.model.lane_credentials import REMEDY, LaneCredentials
from multiconnect.model.shard_map import Owner, ShardMap


def checked_address(owner: Owner, credentials: LaneCredentials) -> LaneAddress:
    """Return where an owner is; raise InvalidSettings if it must not be connected to."""
    address = lane_address(owner.address)
    if address.leaves_the_machine and not credentials:
        raise InvalidSettings(
            f"{owner.name} is at {owner.address}, off this machine, and there are no lane "
            f"credentials here; expected some, as lanes would be open to anybody: {REMEDY}. "
            "A Router of your own takes them as lanes=LaneCredentials(…)"
        )
    return address


def check_map(shard_map: ShardMap, credentials: LaneCredentials) -> None:
    """Raise InvalidSettings when one of the owners must not be connected to."""
    for slot in shard_map.slots:
        if slot.owner is not None and slot.owner.address.startswith("tcp:"):
            checked_address(slot.owner, credentials)


def wants_proof(address: LaneAddress, credentials: LaneCredentials) -> bool:
    """Whether an owner there must prove that it knows the secret: always, if there is one."""
    return bool(credentials.secrets) and not address.path


async def dial(
    address: LaneAddress, protocol: asyncio.BaseProtocol, credentials: LaneCredentials
) -> None:
    """Connect; raises OSError (ssl.SSLError is one), InvalidSettings."""
    loop = asyncio.get_running_loop()
    if address.path:
        transport, _ = await loop.create_unix_connection(lambda: protocol, address.path)
        # A whole frame waits in the kernel while the owner is busy with the one before it. (The
        # buffers of TCP grow by themselves, and a simulated transport has none.)
        ours: socket.socket | None = transport.get_extra_info("socket")
        if ours is not None:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LANE_SEND_BUFFER_BYTES)
        return
    # The files are read anew each time: a certificate that was renewed is used from then on.
    tls = router_context(credentials) if credentials.has_tls else None
    await loop.create_connection(lambda: protocol, address.host, address.port, ssl=tls)
