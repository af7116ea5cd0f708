"""Webhooks and pushes on their way: repeated by the sandbox's clock until they are answered well, or acknowledged."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime

import pytest

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.events import PAUSES, PUSH, Outbox
from kustom_mcp.simulator.sending import WebhookTarget, send_events
from tests.support.unhurried import PATIENCE

pytestmark = pytest.mark.real_clock
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = 3600


class Receiver:
    """A server that answers each request with the next status; 0 hangs up."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self.heads: list[str] = []

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        status = self._statuses.pop(0) if self._statuses else 500
        if status:
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()

    def header(self, name: str) -> list[str]:
        """The values of a header, one for each request."""
        return [line.partition(": ")[2] for head in self.heads for line in head.split("\r\n") if line.startswith(name)]


@contextlib.asynccontextmanager
async def sending(simulator: Simulator, receiver: Receiver) -> AsyncGenerator[None]:
    simulator.outbox = Outbox()
    server = await asyncio.start_server(receiver.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    task = asyncio.create_task(
        send_events(simulator, simulator.outbox, WebhookTarget.of(f"http://127.0.0.1:{port}/hooks"))
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        server.close()


async def until(done: Callable[[], bool]) -> None:
    while not done():  # noqa: ASYNC110 - the sender tells nobody
        await asyncio.sleep(0.005)


async def told_another(simulator: Simulator, order_id: str) -> str:
    """Wait until one more event has been sent, which comes after all that was due; return its id."""
    simulator.tell("capture.created", order_id)
    assert simulator.outbox is not None
    event = simulator.outbox.events[-1]
    await until(lambda: event.attempts == 1)
    return event.id


def shop() -> Simulator:
    return Simulator(clock=lambda: NOON)


async def test_a_webhook_comes_again_by_the_sandboxs_clock_until_it_is_answered_well() -> None:
    simulator, receiver = shop(), Receiver(503, 0, 302, 401, 204)
    order_id = str(simulator.store.records()[0].order["order_id"])
    async with sending(simulator, receiver):
        simulator.tell("order.created", order_id)
        assert simulator.outbox is not None
        (event,) = simulator.outbox.events
        for number, pause in enumerate(PAUSES[False][:4], 1):
            await until(lambda number=number: event.attempts == number)
            simulator.advance(pause - 1)
            await asyncio.sleep(0)
            assert len(receiver.heads) == number
            simulator.advance(1)
        await until(lambda: event.attempts == 5)
        simulator.advance(100 * HOUR)
        other = await told_another(simulator, order_id)
    assert event.status == 204
    assert receiver.header("webhook-id") == [event.id] * 5 + [other]
    assert len(receiver.header("webhook-signature")) == 6


async def test_a_webhook_that_is_never_answered_well_is_given_up_within_the_hours_that_are_assumed() -> None:
    simulator, receiver = shop(), Receiver()
    async with sending(simulator, receiver):
        simulator.tell("order.created", str(simulator.store.records()[0].order["order_id"]))
        assert simulator.outbox is not None
        (event,) = simulator.outbox.events
        for number in range(1, len(PAUSES[False]) + 1):
            await until(lambda number=number: event.attempts == number)
            simulator.advance(10 * HOUR)
        await until(lambda: event.attempts == len(PAUSES[False]) + 1)
    assert sum(PAUSES[False]) < 12 * HOUR
    assert len(receiver.heads) == 8


async def test_a_push_comes_again_however_it_is_answered_until_the_order_is_acknowledged() -> None:
    simulator, receiver = shop(), Receiver(200, 500)
    record = next(record for record in simulator.store.records() if not record.acknowledged)
    order_id = str(record.order["order_id"])
    async with sending(simulator, receiver):
        simulator.tell(PUSH, order_id)
        assert simulator.outbox is not None
        (event,) = simulator.outbox.events
        await until(lambda: event.attempts == 1)
        simulator.advance(300)
        await until(lambda: event.attempts == 2)
        record.acknowledged = True
        simulator.advance(3 * 24 * HOUR)
        await told_another(simulator, order_id)
    push, other = f"POST /hooks?order_id={order_id} HTTP/1.1", "POST /hooks HTTP/1.1"
    assert [head.partition("\r\n")[0] for head in receiver.heads] == [push, push, other]
