"""Kustom on a real loopback socket, by script: what goes wrong on the way is chosen for each request of each order.

The simulator behind it is the ground truth. Whatever a client was told, what was really applied is what `applied`
counts in the simulator's own log. A request that is held goes on although its client has left, as it would on a server
that never learns of it.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.switches import Switches
from kustom_mcp.simulator.wire import Request, Response, json_response
from tests.support.unhurried import PATIENCE
from tests.transport.kustom import playground

_ORDER = re.compile(r"/orders/([^/?]+)")


class Exchange:
    """One request on its connection, to be read, applied and answered, or not. `over`: the connection has ended."""

    def __init__(
        self, upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes
    ) -> None:
        first, *fields = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = first.split(" ")
        self.headers = {
            name.strip().lower(): value.strip() for name, _, value in (f.partition(":") for f in fields if f)
        }
        self.over = False
        self._upstream = upstream
        self._reader = reader
        self._writer = writer
        self._body: bytes | None = None

    @property
    def order_id(self) -> str:
        """The order that the path names."""
        found = _ORDER.search(self.target)
        return found[1] if found else ""

    async def read(self) -> bytes:
        """The whole request body."""
        if self._body is None:
            self._body = await self._reader.readexactly(int(self.headers.get("content-length", "0")))
        return self._body

    async def apply(self) -> Response:
        """Let the simulator do it; its answer, not sent yet."""
        answer = self._upstream.simulator.handle(Request(self.method, self.target, self.headers, await self.read()))
        await self._upstream.tell()
        return self._upstream.as_returned(self, answer)

    async def answer(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        """Send a well-formed answer."""
        await self.read()
        given = dict(headers or {})
        if status != 204:
            given.setdefault("Content-Length", str(len(body)))
        lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in given.items()), "", ""]
        await self.raw("\r\n".join(lines).encode("latin-1") + body)

    async def raw(self, data: bytes) -> None:
        """Send these bytes, whatever they are."""
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def drip(self) -> None:
        """Send a byte now and then until the client leaves."""
        while not self._writer.is_closing():
            await self.raw(b" ")
            await asyncio.sleep(0.05)
        self.over = True

    async def gone(self) -> None:
        """Say nothing until the client leaves."""
        with suppress(ConnectionError):
            while await self._reader.read(65536):
                pass
        self.over = True

    def close(self) -> None:
        """End the connection in good order."""
        self._writer.close()
        self.over = True

    def reset(self) -> None:
        """End the connection with a reset."""
        reset(self._writer)
        self.over = True


Step = Callable[[Exchange], Awaitable[None]]
"""The plan for one request."""


async def well(exchange: Exchange) -> None:
    """As it should be."""
    answer = await exchange.apply()
    await exchange.answer(answer.status, answer.headers, answer.body)


class Upstream:
    """The scripted server. `accepts`: what meets the next connections, before anything is read of them."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.port = 0
        self.arrived: list[tuple[str, str, str | None]] = []
        """Method, target and key of every request, applied or not."""
        self.connections = 0
        self.resets = 0
        """So many of the next connections are reset before anything is read."""
        self.hides: set[str] = set()
        """Orders whose shipments are not returned."""
        self.idle_seconds: float | None = None
        """After this long without a request a kept connection is closed."""
        self._scripts: dict[tuple[str, bool], deque[Step]] = defaultdict(deque)
        self._talks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """Settings that make a server take this for the playground."""
        return playground(self.url)

    def writes(self, order_id: str, *steps: Step) -> None:
        """Plan the next writes to this order, instead of anything planned before."""
        self._scripts[order_id, True] = deque(steps)

    def reads(self, order_id: str, *steps: Step) -> None:
        """Plan the next reads of this order, instead of anything planned before."""
        self._scripts[order_id, False] = deque(steps)

    def sent(self, order_id: str) -> int:
        """Number of writes to this order that have arrived, applied or not."""
        return sum(method != "GET" and order_id in target for method, target, _ in self.arrived)

    def applied(self, order_id: str) -> int:
        """Number of writes to this order that had an effect of their own: no replays, no refusals."""
        return sum(
            seen.method != "GET" and order_id in seen.path and not seen.replayed and 200 <= (seen.status or 0) < 300
            for seen in self.simulator.requests
        )

    def as_returned(self, exchange: Exchange, answer: Response) -> Response:
        """The answer as this Kustom gives it: without the shipments where they are hidden."""
        if exchange.method != "GET" or answer.status != 200 or exchange.order_id not in self.hides:
            return answer
        order: Any = answer.json()
        for part in (order, *order.get("captures", ())):
            part.pop("shipping_info", None)
        return json_response(200, order)

    async def tell(self) -> None:
        """Something has arrived or has been applied."""
        async with self._news:
            self._news.notify_all()

    async def until(self, so: Callable[[], bool]) -> None:
        """Wait until this is so."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(so)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Upstream]:
        """Listen on any free port."""

        def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            talk = asyncio.ensure_future(self._talk(reader, writer))
            self._talks.add(talk)
            talk.add_done_callback(self._talks.discard)

        listening = await asyncio.start_server(met, "127.0.0.1", self.port, limit=2**20)
        self.port = listening.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listening.close()
            talks = [*self._talks]
            for talk in talks:
                talk.cancel()
            await asyncio.gather(*talks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.resets:
            self.resets -= 1
            reset(writer)
            return
        try:
            while True:
                async with asyncio.timeout(self.idle_seconds):
                    head = await reader.readuntil(b"\r\n\r\n")
                exchange = Exchange(self, reader, writer, head)
                self.arrived.append((exchange.method, exchange.target, exchange.headers.get("klarna-idempotency-key")))
                await self.tell()
                planned = self._scripts[exchange.order_id, exchange.method != "GET"]
                await (planned.popleft() if planned else well)(exchange)
                if exchange.over:
                    return
                await exchange.read()
        except (asyncio.IncompleteReadError, OSError):
            return  # the client has left, or was silent for too long
        finally:
            writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset instead of an orderly close."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def kustom(*, keys: bool = True, seeds: Iterable[Any] = ()) -> AsyncGenerator[Upstream]:
    """A scripted Kustom that remembers idempotency keys, or forgets them."""
    simulator = Simulator(switches=Switches(keys="kept" if keys else "forgotten"), seeds=tuple(seeds))
    async with Upstream(simulator).running() as upstream:
        yield upstream
