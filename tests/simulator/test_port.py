"""The simulator on a port, asked over real sockets."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2 as httpx
import pytest

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.serve import serve
from kustom_mcp.simulator.switches import Switches
from tests.support.direct import ask, credentials
from tests.support.unhurried import PATIENCE

REFUNDS = "/orders/{order_id}/refunds"


@contextlib.asynccontextmanager
async def served(simulator: Simulator) -> AsyncGenerator[int, None]:
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(simulator, "127.0.0.1", 0, ready.set_result))
    try:
        async with asyncio.timeout(PATIENCE):
            yield await ready
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def client(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": credentials()})


def shop(**switches: Any) -> tuple[Simulator, str]:
    simulator = Simulator(seeds=(), switches=Switches(**switches))
    record = simulator.add_order({"status": "CAPTURED", "order_amount": 1000, "merchant_reference1": "שלום 🎁"})
    return simulator, f"/orders/{record.order['order_id']}"


async def exchange_bytes(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    return received


def refund_head(path: str, length: int, *more: str) -> bytes:
    lines = [
        f"POST /ordermanagement/v1{path}/refunds HTTP/1.1",
        "Host: here.test",
        f"Authorization: {credentials()}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
        *more,
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


async def test_one_connection_carries_many_requests() -> None:
    simulator, path = shop()
    async with served(simulator) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for amount in (1, 2, 3):
            body = json.dumps({"refunded_amount": amount}).encode()
            writer.write(refund_head(path, len(body)) + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert answer.startswith("HTTP/1.1 201 Created\r\n")
            assert f"Location: http://here.test/ordermanagement/v1{path}/refunds/" in answer
        writer.close()
        await writer.wait_closed()
    assert ask(simulator, "GET", path).json()["refunded_amount"] == 6


async def test_the_port_answers_as_the_simulator_does() -> None:
    simulator, path = shop()
    async with served(simulator) as port, client(port) as http:
        order = (await http.get(f"/ordermanagement/v1{path}")).json()
        assert order == ask(simulator, "GET", path).json()
        assert [entry["name"] for entry in (await http.get("/sandbox/orders")).json()] == ["order-1"]
        acknowledged = await http.post(f"/ordermanagement/v1{path}/acknowledge")
        assert (acknowledged.status_code, acknowledged.content) == (204, b"")
        head = await http.head("/sandbox/orders")
        assert (head.status_code, head.content) == (404, b"")


async def test_every_answer_says_what_time_it_is_there() -> None:
    simulator, path = shop()
    async with served(simulator) as port, client(port) as http:
        simulator.store.advance(86_400)
        before = simulator.store.now()
        answers = [await http.get(f"/ordermanagement/v1{path}"), await http.get("/nowhere")]
        told = [parsedate_to_datetime(answer.headers["date"]) for answer in answers]
    assert all(before - timedelta(seconds=1) < each <= simulator.store.now() for each in told)


async def test_a_reset_breaks_the_connection_before_the_effect() -> None:
    simulator, path = shop()
    async with served(simulator) as port, client(port) as http:
        await http.post("/sandbox/faults", json={"method": "POST", "path": REFUNDS, "fault": "reset"})
        with pytest.raises(httpx.ReadError):
            await http.post(f"/ordermanagement/v1{path}/refunds", json={"refunded_amount": 10})
        assert (await http.get(f"/ordermanagement/v1{path}")).json()["refunded_amount"] == 0


async def test_a_lost_response_closes_the_connection_after_the_effect() -> None:
    simulator, path = shop()
    async with served(simulator) as port, client(port) as http:
        await http.post("/sandbox/faults", json={"method": "POST", "path": REFUNDS, "fault": "lose_response"})
        with pytest.raises(httpx.TransportError):
            await http.post(f"/ordermanagement/v1{path}/refunds", json={"refunded_amount": 10})
        assert (await http.get(f"/ordermanagement/v1{path}")).json()["refunded_amount"] == 10


async def test_a_status_that_has_no_name_is_sent_all_the_same() -> None:
    simulator, path = shop()
    async with served(simulator) as port, client(port) as http:
        fault = {"method": "POST", "path": REFUNDS, "fault": "status", "status": 599}
        await http.post("/sandbox/faults", json=fault)
        assert (await http.post(f"/ordermanagement/v1{path}/refunds", json={})).status_code == 599


async def test_a_client_that_leaves_in_the_middle_of_a_request_does_no_harm() -> None:
    simulator, path = shop()
    async with served(simulator) as port, client(port) as http:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(refund_head(path, 21) + b'{"refunded')
        writer.write_eof()
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        await writer.wait_closed()
        assert (await http.get(f"/ordermanagement/v1{path}")).json()["refunded_amount"] == 0


async def test_a_slow_answer_does_not_hold_up_other_connections() -> None:
    simulator, path = shop()
    async with served(simulator) as port, client(port) as http:
        fault = {"method": "POST", "path": REFUNDS, "fault": "delay", "seconds": 0.2}
        await http.post("/sandbox/faults", json=fault)
        slow = asyncio.create_task(http.post(f"/ordermanagement/v1{path}/refunds", json={"refunded_amount": 10}))
        assert (await http.get(f"/ordermanagement/v1{path}")).json()["refunded_amount"] == 0
        assert not slow.done()
        assert (await slow).status_code == 201


@pytest.mark.parametrize(
    "sent", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n"]
)
async def test_what_is_no_http_is_a_bad_request(sent: bytes) -> None:
    async with served(shop()[0]) as port:
        answer = await exchange_bytes(port, sent)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")


async def test_a_head_without_end_is_refused() -> None:
    async with served(shop()[0]) as port:
        answer = await exchange_bytes(port, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 70_000)
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_body_that_is_too_large_is_refused_and_the_connection_lives_on() -> None:
    simulator, path = shop(max_body=100_000)
    async with served(simulator) as port, client(port) as http:
        body = b" " * 300_000
        headers = {"Content-Type": "application/json"}
        refused = await http.post(f"/ordermanagement/v1{path}/refunds", content=body, headers=headers)
        assert refused.status_code == 413
        assert (await http.get(f"/ordermanagement/v1{path}")).status_code == 200


async def test_a_client_may_ask_before_it_sends_the_body() -> None:
    simulator, path = shop()
    async with served(simulator) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(refund_head(path, 21, "Expect: 100-continue", "Connection: close"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b'{"refunded_amount":5}')
        assert (await reader.read()).startswith(b"HTTP/1.1 201 Created")
        writer.close()
        await writer.wait_closed()


async def test_closing_ends_idle_connections_and_lets_an_answer_through() -> None:
    simulator, path = shop()
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(simulator, "127.0.0.1", 0, ready.set_result))
    port = await ready
    idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(refund_head(path, 21, "Expect: 100-continue"))
    await reader.readuntil(b"\r\n\r\n")
    serving.cancel()
    async with asyncio.timeout(PATIENCE):
        assert await idle.read() == b""
        writer.write(b'{"refunded_amount":5}')
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 201 Created")
    assert b"\r\nConnection: close\r\n" in answer
    with pytest.raises(asyncio.CancelledError):
        await serving
    for open_writer in (idle_writer, writer):
        open_writer.close()
        with contextlib.suppress(OSError):
            await open_writer.wait_closed()


async def test_closing_does_not_wait_for_a_request_that_never_ends() -> None:
    simulator, path = shop()
    async with served(simulator) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(refund_head(path, 21, "Expect: 100-continue"))
        await reader.readuntil(b"\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(OSError):
            assert await reader.read() == b""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_other_addresses_than_loopback_are_refused() -> None:
    with pytest.raises(ValueError, match="loopback"):
        await serve(Simulator(seeds=()), "0.0.0.0", 0, lambda _: None)
