"""The client against a real socket whose other side misbehaves."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
from pydantic import SecretStr

from kustom_mcp.api.client import KustomClient
from kustom_mcp.api.endpoints import CANCEL_ORDER, CAPTURE_ORDER, GET_ORDER
from kustom_mcp.api.errors import NotSent, OmsError, OutcomeUnknown, ProtocolError, Refused, Unavailable
from kustom_mcp.api.models import Order
from kustom_mcp.api.reconcile import Landed, Written
from tests.api.scripted import API_KEY, APPROVED, CAPTURE_ID, ORDER_ID, order_json
from tests.support.unhurried import PATIENCE

Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]
BODY = json.dumps(order_json()).encode()


class Server:
    """A loopback server that reads one request after the other and replies as it is told."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.asked = asyncio.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
                self.requests.append(head + body)
                self.asked.set()
                await self.replies.pop(0)(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, IndexError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    @asynccontextmanager
    async def running(self, scheme: str = "http") -> AsyncGenerator[KustomClient]:
        """A client for this server, while it runs."""
        talks = set[asyncio.Task[None]]()

        def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            talks.add(asyncio.ensure_future(self.talk(reader, writer)))

        listening = await asyncio.start_server(met, "127.0.0.1", 0)
        self.port = listening.sockets[0].getsockname()[1]
        try:
            with anyio.fail_after(PATIENCE):
                async with client_for(f"{scheme}://127.0.0.1:{self.port}") as client:
                    yield client
        finally:
            listening.close()
            for talk in talks:
                talk.cancel()
            await asyncio.gather(*talks, return_exceptions=True)


def client_for(url: str) -> KustomClient:
    return KustomClient(url, "M1-abc", SecretStr(API_KEY), clock=anyio.current_time, rand=lambda: 0.0)


def soon(seconds: float = 3.0) -> float:
    return anyio.current_time() + seconds


def says(*parts: bytes, close: bool = False) -> Reply:
    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(parts))
        if close:
            writer.close()

    return reply


def page(status: bytes, body: bytes = b"", *headers: bytes, length: int | None = None, close: bool = False) -> Reply:
    size = b"content-length: %d" % (len(body) if length is None else length)
    return says(b"\r\n".join((b"HTTP/1.1 " + status, size, *headers, b"", body)), close=close)


async def reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection without an answer."""
    writer.transport.abort()


async def hang(writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.sleep(3600)


def drips(head: bytes) -> Reply:
    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    return reply


async def read(client: KustomClient, deadline: float | None = None) -> Order:
    return await client.read(GET_ORDER, deadline=deadline or soon(), order_id=ORDER_ID)


async def read_failure(server: Server, deadline: float | None = None) -> OmsError:
    async with server.running() as client:
        with pytest.raises(OmsError) as caught:
            await read(client, deadline)
    return caught.value


async def test_a_connection_is_kept_between_reads_and_a_write_has_its_own() -> None:
    server = Server(page(b"200 OK", BODY), page(b"204 No Content"), page(b"200 OK", BODY))
    async with server.running() as client:
        assert await read(client) == Order(order_id=ORDER_ID, status="AUTHORIZED")
        await client.write(CANCEL_ORDER, APPROVED, deadline=soon(), order_id=ORDER_ID)
        await read(client)
    assert (server.connections, len(server.requests)) == (2, 3)
    assert server.requests[1].startswith(b"POST /ordermanagement/v1/orders/%s/cancel HTTP/1.1\r\n" % ORDER_ID.encode())


async def test_a_reset_before_the_answer_leaves_a_write_in_doubt() -> None:
    server = Server(reset)
    async with server.running() as client:
        with pytest.raises(OutcomeUnknown) as caught:
            await client.write(CANCEL_ORDER, APPROVED, deadline=soon(), order_id=ORDER_ID)
    assert caught.value.status is None
    assert len(server.requests) == 1


async def test_a_reset_write_is_resent_with_the_same_key_once_its_effect_is_known_to_be_absent() -> None:
    async def absent() -> Landed:
        return Landed.ABSENT

    server = Server(reset, page(b"201 Created", b"", b"Capture-Id: " + CAPTURE_ID.encode()))
    async with server.running() as client:
        found = await client.write(
            CAPTURE_ORDER,
            APPROVED,
            deadline=soon(),
            body={"captured_amount": 1, "description": "Ärmel"},
            check_effect=absent,
            order_id=ORDER_ID,
        )
    assert found == Written(201, new_id=CAPTURE_ID, attempts=2)
    assert server.requests[0] == server.requests[1]


async def test_a_reset_read_is_asked_again() -> None:
    server = Server(reset, page(b"200 OK", BODY))
    async with server.running() as client:
        assert (await read(client)).order_id == ORDER_ID
    assert server.connections == 2


async def test_nobody_listening_is_not_sent() -> None:
    server = Server()
    async with server.running():
        port = server.port
    async with client_for(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(NotSent):
            await read(client)
        with pytest.raises(NotSent):
            await client.write(CANCEL_ORDER, APPROVED, deadline=soon(), order_id=ORDER_ID)


async def test_time_that_runs_out_in_the_handshake_is_not_sent() -> None:
    async with Server().running("https") as client:
        with pytest.raises(NotSent) as caught:
            await client.write(CANCEL_ORDER, APPROVED, deadline=soon(1.0), order_id=ORDER_ID)
    assert caught.value.cause in ("ConnectTimeout", "deadline")


async def test_a_truncated_body_is_no_answer() -> None:
    error = await read_failure(Server(*[page(b"200 OK", BODY[:20], length=len(BODY), close=True)] * 3))
    assert isinstance(error, Unavailable)
    assert (error.cause, error.status) == ("RemoteProtocolError", 200)


async def test_a_content_length_that_lies_short_is_not_the_promised_json() -> None:
    assert isinstance(await read_failure(Server(page(b"200 OK", BODY, length=20))), ProtocolError)


async def test_a_body_that_drips_does_not_outlast_the_deadline() -> None:
    error = await read_failure(Server(drips(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")), soon(1.0))
    assert isinstance(error, Unavailable)
    assert (error.cause, error.status) == ("deadline", 200)


async def test_headers_that_drip_do_not_outlast_the_deadline() -> None:
    error = await read_failure(Server(drips(b"HTTP/1.1 200 OK\r\nx-slow:")), soon(1.0))
    assert isinstance(error, Unavailable)
    assert (error.cause, error.status) == ("deadline", None)


async def test_a_dripping_body_does_not_hold_up_the_news_that_a_write_was_applied() -> None:
    server = Server(drips(b"HTTP/1.1 201 Created\r\ncontent-length: 100000\r\n\r\n"))
    async with server.running() as client:
        found = await client.write(CANCEL_ORDER, APPROVED, deadline=soon(4.0), order_id=ORDER_ID)
    assert found == Written(201)


async def test_a_compressed_answer_is_refused_for_a_read_and_applied_for_a_write() -> None:
    packed = gzip.compress(BODY)
    error = await read_failure(Server(page(b"200 OK", packed, b"content-encoding: gzip")))
    assert isinstance(error, ProtocolError)
    server = Server(page(b"200 OK", packed, b"content-encoding: gzip"))
    async with server.running() as client:
        found = await client.write(CANCEL_ORDER, APPROVED, deadline=soon(), order_id=ORDER_ID)
    assert found == Written(200)


async def test_headers_without_end_are_no_answer() -> None:
    error = await read_failure(Server(*[says(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 300_000 + b"\r\n\r\n", BODY)] * 3))
    assert isinstance(error, Unavailable)
    assert error.status is None


async def test_what_is_not_http_is_no_answer_and_is_not_repeated_in_the_error() -> None:
    error = await read_failure(Server(*[says(b"hello from another protocol\r\n\r\n", close=True)] * 3))
    assert isinstance(error, Unavailable)
    assert "hello" not in repr(error)


async def test_a_redirect_is_never_followed() -> None:
    elsewhere = Server(page(b"200 OK", BODY))
    async with elsewhere.running():
        location = b"location: http://127.0.0.1:%d/ordermanagement/v1/orders/%s" % (elsewhere.port, ORDER_ID.encode())
        server = Server(page(b"302 Found", b"", location), page(b"307 Temporary Redirect", b"", location))
        async with server.running() as client:
            with pytest.raises(Refused):
                await read(client)
            with pytest.raises(Refused):
                await client.write(CANCEL_ORDER, APPROVED, deadline=soon(), order_id=ORDER_ID)
    assert (len(server.requests), elsewhere.requests) == (2, [])


async def test_writes_that_are_cancelled_do_not_use_up_the_connections() -> None:
    server = Server(*[hang] * 70, page(b"204 No Content"))
    async with server.running() as client:
        for _ in range(70):
            write = asyncio.create_task(client.write(CANCEL_ORDER, APPROVED, deadline=soon(), order_id=ORDER_ID))
            await server.asked.wait()
            server.asked.clear()
            write.cancel()
            with pytest.raises(asyncio.CancelledError):
                await write
        assert await client.write(CANCEL_ORDER, APPROVED, deadline=soon(), order_id=ORDER_ID) == Written(204)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "LOCALHOST"])
async def test_loopback_is_never_reached_through_a_proxy(host: str) -> None:
    server, proxy = Server(page(b"200 OK", BODY)), Server(page(b"200 OK", BODY))
    async with server.running(), proxy.running():
        url, through = f"http://{host}:{server.port}", f"http://127.0.0.1:{proxy.port}"
        async with KustomClient(
            base_url=url, username="shop", api_key=lambda: SecretStr("kco_test_x"), proxy=through
        ) as client:
            with suppress(OmsError):
                await read(client)
    assert not proxy.requests


async def test_the_environment_does_not_choose_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server = Server(page(b"200 OK", BODY))
    async with server.running() as client:
        assert (await read(client)).order_id == ORDER_ID
