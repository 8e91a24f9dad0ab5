"""Lanes over mutual TLS: the cluster's certificates get through, in their role, others do not."""

import pytest

from multiconnect import DeadlineExceeded, InvalidSettings, LaneCredentials
from multiconnect.coreapp.endpoint import Endpoint
from multiconnect.coreapp.listen import listen
from multiconnect.dataplane.router import Router
from tests.integration.lane_parts import ALICE, Rig
from tests.support.lane_certificates import tls_credentials

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

SECRET = LaneCredentials(("secret" * 6,))


@pytest.fixture
async def rig(tmp_path):
    rig = Rig(tmp_path, "tcp", SECRET)
    yield rig
    await rig.aclose()


@pytest.fixture
async def tls_rig(tmp_path):
    rig = Rig(tmp_path, "tcp", tls_credentials(tmp_path))
    await rig.owner("a")
    await rig.grant("a")
    yield rig
    await rig.aclose()


@pytest.mark.parametrize("name", ["host", "sender"])
async def test_certificates_of_the_cluster_get_through(tls_rig, tmp_path, name):
    async with Router(tls_rig.store, lanes=tls_credentials(tmp_path, name)) as router:
        await router.send_many([(ALICE, {"n": n}) for n in range(100)])


async def test_a_secret_is_proven_inside_tls_as_well(rig, tmp_path):
    paths = tls_credentials(tmp_path)
    both = LaneCredentials(SECRET.secrets, paths.tls_cert, paths.tls_key, paths.tls_ca)
    rig.credentials = both
    await rig.owner("a")
    await rig.grant("a")
    async with Router(rig.store, lanes=both) as router:
        await router.send(ALICE, {"n": 1})
    async with Router(rig.store, lanes=paths) as router:
        with pytest.raises(DeadlineExceeded):
            await router.send(ALICE, {"n": 1}, timeout_s=0.3)


@pytest.mark.parametrize(
    ("name", "ca", "problem"),
    [
        ("foreign", "cluster", "alert|hung up|reset"),
        ("host", "stranger", "CERTIFICATE_VERIFY_FAILED"),
    ],
)
async def test_certificates_of_a_stranger_do_not(tls_rig, tmp_path, name, ca, problem):
    async with Router(tls_rig.store, lanes=tls_credentials(tmp_path, name, ca)) as router:
        with pytest.raises(DeadlineExceeded, match=problem):
            await router.send(ALICE, {"n": 1}, timeout_s=0.5)
    assert tls_rig.stored() == 0


@pytest.mark.parametrize("lanes", [LaneCredentials(), SECRET], ids=["nothing", "a secret alone"])
async def test_who_does_not_speak_tls_does_not(tls_rig, lanes):
    async with Router(tls_rig.store, lanes=lanes) as router:
        with pytest.raises(DeadlineExceeded):
            await router.send(ALICE, {"n": 1}, timeout_s=0.3)
    assert tls_rig.stored() == 0


@pytest.mark.parametrize(
    ("name", "problem"), [("sender", "certificate purpose"), ("elsewhere", "IP address mismatch")]
)
async def test_an_owner_with_a_routers_certificate_or_anothers_is_refused(
    rig, tmp_path, name, problem
):
    rig.credentials = tls_credentials(tmp_path, name)
    await rig.owner("a")
    await rig.grant("a")
    async with Router(rig.store, lanes=tls_credentials(tmp_path)) as router:
        with pytest.raises(DeadlineExceeded, match=problem):
            await router.send(ALICE, {"n": 1}, timeout_s=0.5)


def nobody() -> Endpoint:
    raise AssertionError("somebody was let in")


async def test_files_that_are_of_no_use_are_named(tmp_path):
    good = tls_credentials(tmp_path)
    (tmp_path / "torn.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    bad = LaneCredentials((), str(tmp_path / "torn.pem"), good.tls_key, good.tls_ca)
    with pytest.raises(InvalidSettings, match=r"torn\.pem"):
        await listen(nobody, "", "127.0.0.1", bad)
