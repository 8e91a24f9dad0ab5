"""A simulator to call, and a business that receives its webhooks."""

from contextlib import asynccontextmanager

import aiohttp
import orjson
from aiohttp import web

from multiconnect.model.message_id import encode_id
from multiconnect.upstream.simulator.server import SimulatorServer


def body(sequence=0, to="16315550000", text="hi", **fields):
    return {
        "messaging_product": "whatsapp",
        "to": to,
        "type": "text",
        "text": {"body": text},
        "biz_opaque_callback_data": encode_id(1, 3, sequence),
        **fields,
    }


class Caller:
    """An HTTP client of one simulator."""

    def __init__(self, session: aiohttp.ClientSession, simulator: SimulatorServer) -> None:
        self._session = session
        self.simulator = simulator

    async def post(self, path, value=None, headers=None):
        data = value if isinstance(value, bytes) else orjson.dumps(value)
        url = self.simulator.url + path
        async with self._session.post(url, data=data, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def get(self, path):
        async with self._session.get(self.simulator.url + path) as response:
            return response.status, await response.json()

    async def send(self, value, headers=None):
        headers = {"Authorization": "Bearer t", **(headers or {})}
        return await self.post("/v24.0/1065/messages", value, headers)

    async def report(self):
        return (await self.get("/simulator/report"))[1]


@asynccontextmanager
async def calling(**options):
    async with SimulatorServer(**options) as simulator, aiohttp.ClientSession() as session:
        yield Caller(session, simulator)


class Receiver:
    """A business' webhook: keeps what it is sent and answers with the given statuses, then 200."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self.posts: list[tuple[bytes, str]] = []

    async def __aenter__(self) -> "Receiver":
        application = web.Application()
        application.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        signature = request.headers.get("X-Hub-Signature-256", "")
        self.posts.append((await request.read(), signature))
        return web.Response(status=self._statuses.pop(0) if self._statuses else 200)

    def values(self):
        bodies = (orjson.loads(raw) for raw, _ in self.posts)
        return [c["value"] for b in bodies for e in b["entry"] for c in e["changes"]]

    def statuses(self):
        return [line for value in self.values() for line in value.get("statuses", ())]
