"""The sender of the sandbox's events: real HTTP to an address on loopback, again and again until the answer is 2xx.

Repeats wait by the sandbox's clock, so that a test moves it on instead of waiting.

Written on h11 like the port, so that the simulator needs no HTTP library of the server's.
"""

import asyncio
import contextlib
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self
from urllib.parse import urlsplit

import h11

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.events import PAUSES, PUSH, Outbox, OutgoingEvent

AT_ONCE: Final = 4
ANSWER_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """The receiver of events: an http URL on loopback."""

    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Parse a URL. ValueError for any other kind, with the rule that it breaks."""
        parts = urlsplit(url)
        host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
        if parts.scheme != "http":
            raise ValueError("events are sent over http, so the URL begins with http://")
        if not _is_loopback(host):
            raise ValueError("events are sent to this machine only: the host is localhost, 127.0.0.1 or [::1]")
        if parts.query or parts.fragment or not url.isascii():
            raise ValueError("the URL has a path in plain ASCII, and neither a query nor a fragment")
        return cls(host, parts.port or 80, parts.path or "/")

    @property
    def name(self) -> str:
        """Host and port, as a Host header has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def send_events(simulator: Simulator, outbox: Outbox, address: WebhookTarget) -> None:
    """Send events until cancelled."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def send(event: OutgoingEvent) -> None:
        for pause in (*PAUSES[event.kind == PUSH], None):
            async with slots:
                event.status = await _post(event, address)
                event.attempts += 1
            if pause is None or (200 <= event.status < 300 and event.kind != PUSH):
                return
            await _wait(simulator, pause)
            if event.kind == PUSH and simulator.is_acknowledged(event.order_id):
                return

    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(send(await outbox.waiting.get()))


async def _wait(simulator: Simulator, seconds: float) -> None:
    """Wait by the sandbox's clock, which may be moved on meanwhile."""
    until = simulator.store.now() + timedelta(seconds=seconds)
    while (left := (until - simulator.store.now()).total_seconds()) > 0:
        moved = simulator.store.moved
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await moved.wait()


async def _post(event: OutgoingEvent, address: WebhookTarget) -> int:
    """Send one event and return the status of the answer; 0 where none came."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            try:
                return await _exchange(event, address, reader, writer)
            finally:
                writer.transport.abort()
    except (OSError, h11.ProtocolError):
        return 0


async def _exchange(
    event: OutgoingEvent, address: WebhookTarget, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> int:
    http = h11.Connection(h11.CLIENT)
    headers = {"Host": address.name, "Content-Length": str(len(event.body)), "Connection": "close"}
    headers |= event.headers(datetime.now(UTC))
    target = f"{address.path}?{event.query}" if event.query else address.path
    out = http.send(h11.Request(method="POST", target=target, headers=[*headers.items()])) or b""
    out += (http.send(h11.Data(data=event.body)) or b"") + (http.send(h11.EndOfMessage()) or b"")
    writer.write(out)
    while True:
        found = http.next_event()
        if isinstance(found, h11.Response):
            return found.status_code
        if found is h11.NEED_DATA:
            http.receive_data(await reader.read(65536))
        elif isinstance(found, h11.ConnectionClosed):
            return 0
