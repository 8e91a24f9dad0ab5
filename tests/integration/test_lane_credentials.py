"""Lanes between hosts over real sockets: who is let in, and that nobody else reaches the intake.

The attacks: no credentials, another secret, a skipped challenge, a replayed or reflected proof,
rubbish, a torn frame, a greeting without end, and owners that are not who they should be.
"""

import asyncio
import os
import subprocess
import sys

import orjson
import pytest

from multiconnect import DeadlineExceeded, InvalidSettings, LaneCredentials
from multiconnect._native import FrameReader, frame_header
from multiconnect.coreapp import doorkeeper
from multiconnect.coreapp.endpoint import Endpoint
from multiconnect.coreapp.listen import listen
from multiconnect.dataplane.challenge import NONCE_BYTES, RouterChallenge
from multiconnect.dataplane.link import OwnerLink
from multiconnect.dataplane.router import Router
from multiconnect.dataplane.wire import FrameType, json_body, json_frame, whole_frame
from multiconnect.limits import LANE_GREETING_BYTES_MAX
from multiconnect.model.shard_map import Owner
from tests.integration.lane_parts import ALICE, Peer, Rig, batch
from tests.unit.dataplane.waiting import until

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

OLD, NEW = (LaneCredentials((word * 11,)) for word in ("old", "new"))
BOTH = LaneCredentials(OLD.secrets + NEW.secrets)
FIELDS = {"protocol": 1, "events": False}


@pytest.fixture
async def rig(tmp_path):
    rig = Rig(tmp_path, "tcp", OLD)
    yield rig
    await rig.aclose()


@pytest.fixture
async def a(rig):
    owner = await rig.owner("a")
    await rig.grant("a")
    return owner


@pytest.fixture
async def peer(a):
    peer = await Peer.connect(a)
    yield peer
    await peer.close()


def submit():
    data = batch()
    return frame_header(FrameType.SUBMIT, 1, len(data)) + data


async def challenged(peer, secrets=OLD.secrets, nonce=b"n" * NONCE_BYTES, fields=FIELDS):
    """Say HELLO with these secrets; return our side of the challenge, and the owner's words."""
    ours = RouterChallenge(secrets, "a", nonce)
    peer.writer.write(whole_frame(FrameType.HELLO, ours.hello(fields)))
    ((kind, _, body),) = await peer.receive(1)
    assert kind == FrameType.CHALLENGE
    return ours, json_body(body, dict)


async def assert_nothing_got_in(rig, a, peer):
    await peer.hung_up()
    assert rig.stored() == 0
    assert not a.app._endpoints
    assert a.app.figures()["routers"] == 0


# --- routers and owners that know each other -------------------------------------------------
async def test_a_router_with_the_secret_sends(rig, a):
    async with Router(rig.store, lanes=OLD) as router:
        receipts = await router.send_many([(ALICE, {"n": n}) for n in range(3)])
        assert [receipt.sequence for receipt in receipts] == [0, 1, 2]
        await until(lambda: rig.sent == [(ALICE, n) for n in range(3)])


async def test_events_come_over_a_proven_lane(rig, a):
    async with Router(rig.store, lanes=OLD) as router:
        events = router.events()
        receipt = await router.send(ALICE, {"n": 1})
        event = await asyncio.wait_for(anext(aiter(events)), 10)
        assert (event.type, event.id) == ("sent", receipt.id)


async def test_a_secret_is_replaced_while_traffic_flows(rig, a):
    """Old everywhere; both everywhere, host by host; new everywhere, host by host."""
    steps = ((BOTH, OLD), (BOTH, BOTH), (NEW, BOTH), (NEW, NEW))
    for n, (of_owner, of_router) in enumerate(steps):
        rig.credentials = of_owner
        await a.listen_again()
        async with Router(rig.store, lanes=of_router) as router:
            await router.send(ALICE, {"n": n}, timeout_s=10)
    await until(lambda: [n for _, n in rig.sent] == [0, 1, 2, 3])


# --- strangers -------------------------------------------------------------------------------
ATTACKS = {
    "no introduction": submit(),
    "a hello without a secret": json_frame(FrameType.HELLO, FIELDS),
    "the challenge skipped": json_frame(FrameType.HELLO, FIELDS) + submit(),
    "a ping": whole_frame(FrameType.PING),
    "a proof of nothing": json_frame(FrameType.PROOF, {"proof": "0" * 64}),
    "another protocol": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "noise": bytes(range(256)),
    "no JSON": whole_frame(FrameType.HELLO, b"{"),
    "no object": whole_frame(FrameType.HELLO, b"[1]"),
    "a greeting too long": json_frame(
        FrameType.HELLO, {**FIELDS, "x": "x" * LANE_GREETING_BYTES_MAX}
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_a_stranger_reaches_nothing(rig, a, peer, name):
    peer.writer.write(ATTACKS[name])
    await assert_nothing_got_in(rig, a, peer)


@pytest.mark.parametrize("credentials", [NEW, LaneCredentials()], ids=["another secret", "none"])
async def test_a_router_without_the_secret_is_told_so(rig, a, credentials):
    async with Router(rig.store, lanes=credentials) as router:
        with pytest.raises(DeadlineExceeded, match="hung up before it had greeted us"):
            await router.send(ALICE, {"n": 1}, timeout_s=0.3)
    assert rig.stored() == 0


async def test_a_replayed_greeting_is_worth_nothing(rig, a, peer):
    ours, challenge = await challenged(peer)
    proof = json_frame(FrameType.PROOF, ours.answer(challenge))
    peer.writer.write(proof)
    ((kind, _, _),) = await peer.receive(1)
    assert kind == FrameType.WELCOME
    await peer.close()
    await until(lambda: not a.app._endpoints)
    again = await Peer.connect(a)
    # The very bytes of before: the owner's nonce is another one.
    await challenged(again)
    again.writer.write(proof + submit())
    await assert_nothing_got_in(rig, a, again)
    await again.close()


async def test_the_owners_own_proof_is_worth_nothing_to_it(rig, a, peer):
    _, challenge = await challenged(peer)
    peer.writer.write(json_frame(FrameType.PROOF, {"proof": challenge["proof"]}) + submit())
    await assert_nothing_got_in(rig, a, peer)


async def test_an_owner_does_not_make_proofs_for_a_stranger(rig, a, peer):
    """A stranger who is an owner to one and a router to another gets nowhere: roles differ."""
    ours, _ = await challenged(peer)
    other = await Peer.connect(a)
    _, challenge = await challenged(other, nonce=b"m" * NONCE_BYTES)
    with pytest.raises(Exception, match="could not prove"):
        ours.answer(challenge)
    peer.writer.write(json_frame(FrameType.PROOF, {"proof": challenge["proof"]}))
    await assert_nothing_got_in(rig, a, peer)
    await other.close()


async def test_nothing_may_follow_the_proof_before_the_welcome(rig, a, peer):
    ours, challenge = await challenged(peer)
    proof = json_frame(FrameType.PROOF, ours.answer(challenge))
    peer.writer.write(proof + submit()[:10])
    await assert_nothing_got_in(rig, a, peer)


async def test_a_second_hello_ends_it(rig, a, peer):
    await challenged(peer)
    peer.writer.write(json_frame(FrameType.HELLO, FIELDS))
    await assert_nothing_got_in(rig, a, peer)


async def test_the_secret_alone_does_not_make_a_protocol(rig, a, peer):
    ours, challenge = await challenged(peer, fields={"protocol": 0})
    peer.writer.write(json_frame(FrameType.PROOF, ours.answer(challenge)))
    await assert_nothing_got_in(rig, a, peer)


async def test_half_a_greeting_and_a_hang_up_is_nothing(rig, a, peer):
    ours, challenge = await challenged(peer)
    proof = json_frame(FrameType.PROOF, ours.answer(challenge))
    peer.writer.write(proof[:-1])
    await peer.writer.drain()
    peer.writer.write_eof()
    await assert_nothing_got_in(rig, a, peer)


async def test_a_greeting_a_byte_at_a_time_is_one(rig, a, peer):
    ours, challenge = await challenged(peer)
    for byte in json_frame(FrameType.PROOF, ours.answer(challenge)):
        peer.writer.write(bytes([byte]))
        await peer.writer.drain()
        await asyncio.sleep(0)
    ((kind, _, _),) = await peer.receive(1)
    assert kind == FrameType.WELCOME


async def test_who_says_nothing_is_hung_up_on(rig, a, monkeypatch):
    monkeypatch.setattr(doorkeeper, "LANE_GREETING_MAX_S", 0.05)
    peer = await Peer.connect(a)
    await assert_nothing_got_in(rig, a, peer)
    await peer.close()


# --- owners that are not who they should be --------------------------------------------------
async def impostor(says):
    """Listen; answer each frame with what `says` returns for its type."""

    async def serve(reader, writer):
        frames = FrameReader()
        try:
            while data := await reader.read(65536):
                for kind, _, body in frames.feed(data):
                    writer.write(says(kind, body))
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}"


class Told:
    """A link's user that remembers."""

    def __init__(self):
        self.ready = False
        self.events = []

    def link_ready(self, link):
        self.ready = True

    def link_events(self, link, events):
        self.events += events

    def link_answered(self, link, entries):
        raise AssertionError(entries)

    def link_lost(self, link):
        pass


WELCOME = json_frame(FrameType.WELCOME, {"protocol": 1, "incarnation": "a"})
EVENTS = whole_frame(FrameType.EVENTS, b'[["sent","gBEG","1631",3,1,false,{}]]')


def reflecting(kind, body):
    """Answer with what the router itself said, and with a proof that it has no way to check."""
    said = orjson.loads(body)
    secret = (said.get("secrets") or ["0"])[0]
    nonce = said.get("nonce", "0" * 64)
    return json_frame(FrameType.CHALLENGE, {"secret": secret, "nonce": nonce, "proof": "0" * 64})


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        (lambda *_: WELCOME, "did not prove"),
        (lambda *_: EVENTS + WELCOME, "before WELCOME"),
        (lambda *_: json_frame(FrameType.CHALLENGE, {}), "named no lane secret"),
        (reflecting, "could not prove that it is a"),
        (lambda *_: b"HTTP/1.1 400 Bad Request\r\n\r\n", "a: "),
    ],
    ids=["a downgrade", "events first", "half a challenge", "a reflection", "another protocol"],
)
async def test_an_impostor_is_told_nothing(says, problem):
    server, address = await impostor(says)
    told = Told()
    link = OwnerLink(Owner("a", "a", address), told, events=True, credentials=OLD)
    await until(lambda: problem in link.problem)
    assert not told.ready
    assert told.events == []
    link.close()
    server.close()


# --- off this machine ------------------------------------------------------------------------
def nobody() -> Endpoint:
    raise AssertionError("somebody was let in")


async def test_nobody_listens_off_this_machine_without_credentials():
    with pytest.raises(InvalidSettings, match=r"'198\.18\.0\.1'.*--lane-secret-file"):
        await listen(nobody, "", "198.18.0.1")


async def test_a_router_refuses_an_owner_off_this_machine_without_credentials(rig, a):
    node = rig.state.nodes["a"]
    rig.state.nodes["a"] = type(node)(**{**_fields(node), "address": "tcp:198.18.0.1:7000"})
    router = Router(rig.store)
    with pytest.raises(InvalidSettings, match=r"a is at tcp:198\.18\.0\.1:7000.*LaneCredentials"):
        await router.start()
    await router.aclose()


def _fields(node):
    return {name: getattr(node, name) for name in node.__dataclass_fields__}


async def test_a_later_owner_off_this_machine_is_not_connected_to():
    link = OwnerLink(Owner("a", "a", "tcp:198.18.0.1:7000"), Told(), events=False)
    await until(lambda: "no lane credentials" in link.problem)
    link.close()


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may be another"
)
async def test_another_user_of_this_machine_is_hung_up_on(tmp_path):
    """Even where the socket's mode was opened to everybody."""
    rig = Rig(tmp_path, "unix")
    a = await rig.owner("a")
    path = a.address.removeprefix("unix:")
    os.chmod(path, 0o666)  # noqa: PTH101
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    program = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(10)\n"
        "print(s.recv(100))"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(child.communicate(), 20)
    assert said == b"b''\n" or b"ConnectionReset" in said
    assert not a.app._endpoints
    await rig.aclose()
