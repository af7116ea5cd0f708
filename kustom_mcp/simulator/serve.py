"""The simulator on a port: HTTP/1.1 on loopback, with real keep-alive and connections that really break.

One connection is one task. Sizes and idle time are bounded: h11 limits the head, the simulator's switch limits the
body, a silent connection is closed. Loopback only, since /sandbox asks for no credentials.
"""

import asyncio
import contextlib
import ipaddress
import socket
import struct
from collections.abc import Callable
from email.utils import format_datetime
from http import HTTPStatus
from typing import Final

import h11

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.exchange import Hangup, exchange
from kustom_mcp.simulator.wire import Request, Response

MAX_HEAD: Final = 64 * 1024
CHUNK: Final = 64 * 1024
IDLE_SECONDS: Final = 75.0
GRACE_SECONDS: Final = 1.0


async def serve(simulator: Simulator, host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve until cancelled; `ready` gets the port once connections are accepted (port 0 takes any free one).

    On cancellation idle connections end at once and answers on their way get a second. Raises OSError where the port
    cannot be had, ValueError for an address that is not loopback.
    """
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError("The simulator listens on loopback addresses only.")
    connections = Connections(simulator)
    server = await asyncio.start_server(connections.accept, host, port)
    try:
        ready(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()
    finally:
        server.close()
        await connections.end()


class Connections:
    """The open connections and their state."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._open: dict[asyncio.Task[None], Connection] = {}

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        task = asyncio.current_task()
        assert task is not None
        connection = Connection(self._simulator, reader, writer)
        self._open[task] = connection
        try:
            await connection.run()
        except asyncio.CancelledError:
            pass  # the server is closing; nobody awaits this task
        finally:
            del self._open[task]
            writer.transport.abort()

    async def end(self) -> None:
        """End idle connections, give the busy ones a moment, then end those too."""
        for task, connection in self._open.items():
            connection.closing = True
            if not connection.busy:
                task.cancel()
        if self._open:
            _, late = await asyncio.wait(self._open, timeout=GRACE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


class Connection:
    """One client's connection: requests one after the other, until either side has had enough."""

    def __init__(self, simulator: Simulator, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._simulator = simulator
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self.busy = False
        self.closing = False

    async def run(self) -> None:
        """Answer requests until the connection ends."""
        try:
            while await self._turn() and not self.closing:
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as problem:
            await self._refuse(problem.error_status_hint)
        except OSError:  # the client is gone, or silent for too long
            return
        await self._finish()

    async def _turn(self) -> bool:
        """Answer one request; return False when the connection is not to be used again."""
        request = await self._receive()
        if request is None:
            return False
        outcome = await exchange(self._simulator, request, asyncio.sleep)
        if outcome is Hangup.RESET:
            _make_reset(self._writer)
        if isinstance(outcome, Hangup):
            self._writer.transport.abort()
            return False
        await self._send(outcome, with_body=request.method != "HEAD")
        self.busy = False
        return self._http.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}

    async def _receive(self) -> Request | None:
        head, parts, size = None, list[bytes](), 0
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Request):
                head, self.busy = event, True
            elif isinstance(event, h11.Data):
                if size <= self._simulator.store.switches.max_body:
                    parts.append(bytes(event.data))  # one part more than allowed, so that the answer is 413
                size += len(event.data)
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
                body = b"".join(parts)
                return Request(head.method.decode("ascii"), head.target.decode("ascii"), headers, body)
            else:
                return None

    async def _next_event(self) -> h11.Event | None:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Event):
                return event
            if event is h11.PAUSED:
                return None
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
                self._writer.write(self._http.send(go_on) or b"")
            async with asyncio.timeout(IDLE_SECONDS):
                self._http.receive_data(await self._reader.read(CHUNK))

    async def _send(self, response: Response, *, with_body: bool = True) -> None:
        date = format_datetime(self._simulator.store.now(), usegmt=True)
        headers = [("Date", date), *response.headers.items()]
        if response.status != 204:
            headers.append(("Content-Length", str(len(response.body))))
        if self.closing:
            headers.append(("Connection", "close"))
        out = (
            self._http.send(h11.Response(status_code=response.status, headers=headers, reason=_reason(response.status)))
            or b""
        )
        if with_body and response.body:
            out += self._http.send(h11.Data(data=response.body)) or b""
        self._writer.write(out + (self._http.send(h11.EndOfMessage()) or b""))
        await self._writer.drain()

    async def _refuse(self, status: int) -> None:
        """Answer a message that is not HTTP, if an answer can still be sent."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await self._send(Response(status))

    async def _finish(self) -> None:
        """Close in good order, so that the last answer arrives."""
        if self._writer.transport.is_closing():
            return
        with contextlib.suppress(OSError):
            self._writer.close()
            async with asyncio.timeout(GRACE_SECONDS):
                await self._writer.wait_closed()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _make_reset(writer: asyncio.StreamWriter) -> None:
    """Make the close of this connection a reset, not an orderly end."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
