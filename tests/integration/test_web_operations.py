"""Health, readiness, figures, settings, the API's own description, and TLS."""

import asyncio
import re
import ssl
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from multiconnect.errors import InvalidSettings, StoreUnavailable
from multiconnect.model.cluster import Beat, NodeState
from multiconnect.web.routes import ROUTES
from multiconnect.web.server import WebServer
from tests.unit.web.serving import SETTINGS, Wire, message, node, request, serving

SETTINGS_PATH = "/v1/settings/application"


async def fail(*_):
    raise StoreUnavailable("down")


# --- probes --------------------------------------------------------------------------------------


async def test_alive_and_ready():
    async with serving() as served:
        assert (await served.call("GET", "/livez", token="")).status == 200
        answer = await served.call("GET", "/readyz", token="")
        assert (answer.status, answer.json["reasons"]) == (200, [])


async def test_not_ready_says_why(monkeypatch):
    async with serving() as served:
        await served.control.set_node_state("coreapp-1-1", NodeState.DEAD, "killed")
        answer = await served.call("GET", "/readyz")
        assert answer.status == 503
        (reason,) = answer.json["reasons"]
        assert reason.startswith("16 of 32 slots have no live owner: 0, 2, 4")
        monkeypatch.setattr(served.control, "snapshot", fail)
        answer = await served.call("GET", "/readyz")
        assert (answer.status, answer.json["reasons"]) == (503, ["the store does not answer"])
        assert (await served.call("GET", "/livez")).status == 200


async def test_a_stopping_server_is_not_ready():
    async with serving() as served:
        wire = await served.wire()
        await wire.send(b"GET /rea")
        served.server.services.connections.stopping = True
        await wire.send(b"dyz HTTP/1.1\r\nHost: test\r\n\r\n")
        answer = await wire.answer()
        assert (answer.status, answer.json["reasons"]) == (503, ["this server is stopping"])
        await wire.aclose()


# --- health --------------------------------------------------------------------------------------


async def test_health_shows_every_node_as_it_is_now():
    async with serving() as served:
        answer = await served.call("GET", "/v1/health")
        assert (answer.status, answer.json["health"]) == (
            200,
            {
                "master-1:master-1-1": {"gateway_status": "connected", "role": "primary_master"},
                "master-2:master-2-1": {
                    "gateway_status": "disconnected",
                    "role": "secondary_master",
                },
                "coreapp-1:coreapp-1-1": {"gateway_status": "connected", "role": "coreapp"},
                "coreapp-2:coreapp-2-1": {"gateway_status": "connected", "role": "coreapp"},
                "coreapp-3:coreapp-3-1": {"gateway_status": "disconnected", "role": "coreapp"},
            },
        )
        await served.control.set_node_state("coreapp-1-1", NodeState.DEAD, "killed")
        joining = replace(node("coreapp-4"), state=NodeState.JOINING)
        await served.control.join(joining)
        health = (await served.call("GET", "/v1/health")).json["health"]
        assert "coreapp-1:coreapp-1-1" not in health
        assert health["coreapp-4:coreapp-4-1"]["gateway_status"] == "connecting"


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("Apikey monitoring-key", 200),
        ("apikey monitoring-key", 200),
        ("Apikey monitoring-kez", 401),
        ("Apikey ", 401),
        ("Bearer monitoring-key", 401),
        ("", 401),
    ],
)
async def test_monitoring_has_a_key_for_health_and_nothing_else(key, status):
    async with serving() as served:
        headers = {"Authorization": key} if key else {}
        assert (await served.call("GET", "/v1/health", token="", headers=headers)).status == status
        answer = await served.call("POST", "/v1/messages", message(), token="", headers=headers)
        assert answer.status == 401


async def test_an_empty_api_key_is_no_key():
    async with serving(api_key="") as served:
        headers = {"Authorization": "Apikey "}
        assert (await served.call("GET", "/v1/health", token="", headers=headers)).status == 401


async def test_many_who_ask_at_once_cost_few_reads(monkeypatch):
    async with serving() as served:
        reads, snapshot, begun = [], served.control.snapshot, asyncio.Event()

        async def slow():
            reads.append(1)
            begun.set()
            await asyncio.sleep(0.01)
            return await snapshot()

        monkeypatch.setattr(served.control, "snapshot", slow)
        fresh = served.server.services.snapshots.fresh
        first = asyncio.create_task(fresh())
        await begun.wait()
        # The one under way began before these asked, so they share the next.
        views = await asyncio.gather(*[fresh() for _ in range(50)])
        assert len(reads) == 2
        assert len({id(view) for view in views}) == 1
        assert await first is not views[0]


# --- figures -------------------------------------------------------------------------------------


async def figures(served):
    answer = await served.call("GET", "/metrics", token="")
    assert answer.status == 200
    samples = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            samples[sample.name, *sorted(sample.labels.items())] = sample.value
    return samples


async def test_figures_are_counted_and_name_nobody(monkeypatch):
    async with serving() as served:
        await served.control.beat(Beat("coreapp-1-1", 1, {"pending": 3, "name": "x", "a-b": 1.5}))
        await served.call("POST", "/v1/messages", message())
        await served.call("PUT", "/v1/messages/16315550000", {"status": "read"})
        await served.call("GET", "/v1/users/clerk")
        await served.call("GET", "/nothing/16315550000")
        found = await figures(served)
        here = ("node", "web-1")
        sent = (("method", "POST"), here, ("route", "/v1/messages"), ("status", "201"))
        assert found["multiconnect_web_requests_total", *sent] == 1
        lost = (("method", ""), here, ("route", "(refused)"), ("status", "404"))
        assert found["multiconnect_web_requests_total", *lost] == 1
        assert found["multiconnect_web_messages_accepted_total", here] == 1
        assert found["multiconnect_web_connections", here] == 1
        counted = [("method", "POST"), here, ("route", "/v1/messages")]
        assert found["multiconnect_web_request_seconds_count", *counted] == 1
        assert found["multiconnect_shards",] == 2
        assert found["multiconnect_store_up",] == 1
        assert found["multiconnect_state", ("state", "ok")] == 1
        assert found["multiconnect_slots_owned", ("node", "coreapp-1")] == 16
        assert found["multiconnect_slots_owned", ("node", "coreapp-3")] == 0
        assert found["multiconnect_nodes", ("role", "coreapp"), ("state", "spare")] == 1
        assert found["multiconnect_node_pending", ("node", "coreapp-1")] == 3
        assert found["multiconnect_node_a_b", ("node", "coreapp-1")] == 1.5
        text = (await served.call("GET", "/metrics")).body.decode()
        assert not re.search(r"5550000|clerk", text)
        monkeypatch.setattr(served.control, "snapshot", fail)
        found = await figures(served)
        assert found["multiconnect_store_up",] == 0
        assert found["multiconnect_web_messages_accepted_total", here] == 1


# --- the page and the description ----------------------------------------------------------------


async def test_the_page_shows_the_nodes_escaped_and_runs_nothing():
    async with serving() as served:
        await served.control.join(node("<script>alert(1)</script>"))
        answer = await served.call("GET", "/", token="")
        page = answer.body.decode()
        assert answer.headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        assert "coreapp-1" in page
        assert "master-1" in page


async def test_the_description_names_every_route_and_every_reference_leads_somewhere():
    async with serving() as served:
        found = (await served.call("GET", "/openapi.json", token="")).json
    assert found["openapi"].startswith("3.1.")
    assert set(found["info"]) >= {"title", "version"}
    operations = {
        (method.upper(), path): operation
        for path, methods in found["paths"].items()
        for method, operation in methods.items()
    }
    assert set(operations) == {(route.method, route.path) for route in ROUTES}
    schemes = found["components"]["securitySchemes"]
    ids = set()
    for (_, path), operation in operations.items():
        ids.add(operation["operationId"])
        assert operation["summary"]
        assert operation["responses"]["default"]["description"]
        assert len(operation["responses"]) > 1
        for response in operation["responses"].values():
            assert set(response) <= {"description", "content"}
        declared = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
        assert declared == re.findall(r"{(\w+)}", path)
        assert {name for entry in operation["security"] for name in entry} <= set(schemes)
    assert len(ids) == len(ROUTES)
    references = set(re.findall(r"'#/components/schemas/(\w+)'", str(found)))
    assert references == set(found["components"]["schemas"]), "unknown, or never used"


# --- settings ------------------------------------------------------------------------------------


async def test_settings_are_shown_changed_and_reset():
    async with serving() as served:
        shown = (await served.call("GET", SETTINGS_PATH)).json["settings"]["application"]
        assert shown["callback_backoff_delay_ms"] == 3000
        assert shown["max_callback_backoff_delay_ms"] == 900_000
        changes = {
            "callback_backoff_delay_ms": 5000,
            "webhooks": {"url": "https://example.test/hook", "message": {"sent": False}},
        }
        assert (await served.call("PATCH", SETTINGS_PATH, changes)).status == 200
        more = {"webhooks": {"max_concurrent_requests": 12}, "media": {"auto_download": ["image"]}}
        assert (await served.call("PATCH", SETTINGS_PATH, more)).status == 200
        changed = (await served.call("GET", SETTINGS_PATH)).json["settings"]["application"]
        assert changed == {
            **shown,
            "callback_backoff_delay_ms": 5000,
            "media": {"auto_download": ["image"]},
            "webhooks": {
                "url": "https://example.test/hook",
                "max_concurrent_requests": 12,
                "message": {"sent": False, "delivered": True, "read": True},
            },
        }
        assert (await served.call("DELETE", SETTINGS_PATH)).status == 200
        assert (await served.call("GET", SETTINGS_PATH)).json["settings"]["application"] == shown


@pytest.mark.parametrize(
    ("changes", "code", "details"),
    [
        ([], 1009, "the body"),
        ({"colour": 1}, 1010, "'colour'"),
        ({"webhooks": 1}, 1009, "webhooks is 1"),
        ({"webhooks": {"uri": ""}}, 1010, "'webhooks.uri'"),
        ({"webhooks": {"url": "ftp://x"}}, 1009, "webhooks.url is 'ftp://x'"),
        ({"webhooks": {"url": "https://user:pw@x"}}, 1009, "without a user name"),
        ({"webhooks": {"url": "https://[x"}}, 1009, "webhooks.url"),
        ({"webhooks": {"url": "https://x:99999"}}, 1009, "webhooks.url"),
        ({"webhooks": {"url": 1}}, 1009, "webhooks.url is 1"),
        ({"webhooks": {"max_concurrent_requests": 7}}, 1009, "one of 6, 12, 18, 24"),
        ({"webhooks": {"message": {"read": 1}}}, 1009, "webhooks.message.read is 1"),
        ({"callback_persist": "yes"}, 1009, "callback_persist is 'yes'"),
        ({"callback_backoff_delay_ms": True}, 1009, "callback_backoff_delay_ms is true"),
        ({"callback_backoff_delay_ms": 1}, 1009, "from 100 to 900000"),
        ({"media": {"auto_download": ["smell"]}}, 1009, "media.auto_download"),
        ({"media": {"auto_download": [[]]}}, 1009, "media.auto_download"),
    ],
)
async def test_bad_settings_are_refused_and_change_nothing(changes, code, details):
    async with serving() as served:
        before = (await served.call("GET", SETTINGS_PATH)).json
        answer = await served.call("PATCH", SETTINGS_PATH, changes)
        assert (answer.status, answer.error["code"]) == (400, code)
        assert details in answer.error["details"]
        assert (await served.call("GET", SETTINGS_PATH)).json == before


# --- TLS -----------------------------------------------------------------------------------------

# Signed by itself, for localhost; protects nothing.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUFI4wDbsB7WmVfvXjIYfaJP1Ja70wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzAyNDUyMVoYDzIxMjYxMDMw
MDI0NTIxWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASzgY7AuDosEeGtY1b9fmFDu0ZDivdNQ3qIONElJxDkm+1mrSECUZIQ
HhvbVcwQlWyWp8pTwjrtFRt4d5C07lado28wbTAdBgNVHQ4EFgQUFFJfO2ybrId8
EZTi3l4cTYQlB0owHwYDVR0jBBgwFoAUFFJfO2ybrId8EZTi3l4cTYQlB0owDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIhAJQRr088RqLEKpZCAwxumS9/Kxk9SGgbkrGrudY+Sck0AiBl
P5aoa9yu1OzjEBToJoNn8yosrgWUng4b6lDrpXaMRg==
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgtswBq6wdSsBs517O
lQLbu1LIvPXDcMEmmzRXzMbx3hehRANCAASzgY7AuDosEeGtY1b9fmFDu0ZDivdN
Q3qIONElJxDkm+1mrSECUZIQHhvbVcwQlWyWp8pTwjrtFRt4d5C07lad
-----END PRIVATE KEY-----
"""


@pytest.fixture
def pem(tmp_path):
    paths = {"tls_cert": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    paths["tls_cert"].write_text(CERTIFICATE)
    paths["tls_key"].write_text(KEY)
    return {name: str(path) for name, path in paths.items()}


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_the_door_may_speak_tls(pem):
    context = ssl.create_default_context()
    # Whatever year this machine believes in.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with serving(**pem) as served:
        host, port = served.server.address
        wire = Wire(*await asyncio.open_connection(host, port, ssl=context))
        await wire.send(request("POST", "/v1/messages", message(), token=served.admin))
        assert (await wire.answer()).status == 201
        # A refusal in the middle of a body reaches its peer here too.
        await wire.send(request("POST", "/v1/messages", b" " * 300_000))
        assert (await wire.answer()).status == 413
        await wire.aclose()
        plain = await served.wire()
        await plain.send(b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n")
        assert b"200" not in await plain.rest()
        await plain.aclose()


@pytest.mark.parametrize("changes", [{"tls_key": ""}, {"tls_cert": ""}, {"tls_key": "/nowhere"}])
async def test_tls_that_cannot_be_is_refused_at_the_start(pem, changes):
    async with serving() as served:
        settings = replace(SETTINGS, **{**pem, **changes})
        with pytest.raises(InvalidSettings, match="tls"):
            await WebServer(served.control, served.sender, settings).start()


def test_secrets_are_not_shown_with_the_settings():
    for secret in ("monitoring-key", "agreed", "app secret"):
        assert secret not in repr(SETTINGS)
