"""The connections to the upstream: kept while they are used, made when none is free.

How many there are is the caller's matter: one for each `post` under way. Guarantees: `NotConnected`
means that nothing was sent; whatever went wrong after that is `Lost` or TimeoutError; a connection
whose exchange was given up is closed, so a late reply can never be taken for the next one.
"""

from __future__ import annotations

import asyncio
import ssl

from multiconnect.limits import UPSTREAM_KEEPALIVE_S, UPSTREAM_SWEEP_S
from multiconnect.upstream.cloud_api.address import Address
from multiconnect.upstream.cloud_api.dial import open_socket
from multiconnect.upstream.cloud_api.exchange import Exchange, Lost, Reply


class NotConnected(Exception):
    """No connection could be made; nothing was sent."""


class Pool:
    """Connections to one address."""

    def __init__(self, address: Address, *, connect_s: float, request_s: float) -> None:
        self._address = address
        self._connect_s = connect_s
        self._request_s = request_s
        self._tls = ssl.create_default_context() if address.is_tls else None
        self._loop = asyncio.get_running_loop()
        #: Free connections; the one used last comes first, so that the others can age.
        self._free: list[Exchange] = []
        self._open: set[Exchange] = set()
        self._closed = False
        self._sweep_s = min(UPSTREAM_SWEEP_S, request_s / 4)
        self._timer = self._loop.call_later(self._sweep_s, self._sweep)

    async def post(self, request: bytes) -> Reply:
        """Send a request, return its reply; raises NotConnected, Lost or TimeoutError."""
        if self._closed:
            raise NotConnected("the connector was closed")
        deadline_s = self._loop.time() + self._request_s
        exchange = self._free.pop() if self._free else await self._connect()
        exchange.deadline_s = deadline_s
        waiter = exchange.post(request)
        try:
            return await waiter
        except Lost:
            if self._loop.time() >= deadline_s:
                raise TimeoutError from None
            raise
        except asyncio.CancelledError:
            exchange.end("")
            raise

    def close(self) -> None:
        """Close all connections; what is under way is lost."""
        self._closed = True
        self._timer.cancel()
        for exchange in list(self._open):
            exchange.end("the connector was closed")

    # --- inside ------------------------------------------------------------------------------
    async def _connect(self) -> Exchange:
        exchange = Exchange(self._freed, self._gone)
        try:
            async with asyncio.timeout(self._connect_s):
                await self._open_connection(exchange)
        except TimeoutError:
            raise NotConnected(f"none within {self._connect_s} s") from None
        except OSError as error:
            raise NotConnected(error.strerror or type(error).__name__) from None
        if self._closed or not exchange.is_open():
            exchange.end("")
            raise NotConnected("it was closed at once")
        return exchange

    async def _open_connection(self, exchange: Exchange) -> None:
        sock = await open_socket(self._address.host, self._address.port)
        try:
            await self._loop.create_connection(
                lambda: exchange,
                sock=sock,
                ssl=self._tls,
                server_hostname=self._address.host if self._tls else None,
            )
        except BaseException:
            sock.close()
            raise
        self._open.add(exchange)

    def _freed(self, exchange: Exchange) -> None:
        exchange.deadline_s = self._loop.time() + UPSTREAM_KEEPALIVE_S
        self._free.append(exchange)

    def _gone(self, exchange: Exchange) -> None:
        self._open.discard(exchange)
        if exchange in self._free:
            self._free.remove(exchange)

    def _sweep(self) -> None:
        """Close what is past its deadline: exchanges without a reply, connections without a use."""
        now_s = self._loop.time()
        for exchange in [one for one in self._open if one.deadline_s <= now_s]:
            exchange.end("")
        self._timer = self._loop.call_later(self._sweep_s, self._sweep)
