"""Which of two readings of an order counts: the one that was asked for later; and what a write puts in doubt."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx2 as httpx
import pytest
from pydantic import SecretStr

from kustom_mcp.api.client import KustomClient
from kustom_mcp.api.models import Order
from kustom_mcp.app.app import SANDBOX_URL, App
from kustom_mcp.app.sandbox import SandboxTransport
from kustom_mcp.book import Book
from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.query import Query
from kustom_mcp.book.search import Search
from kustom_mcp.book.sqlite import SqliteBook
from kustom_mcp.settings.settings import SANDBOX_KEY
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.faults import Fault
from tests.book.writers import SANDBOX
from tests.support.conversation import conversation, demo
from tests.support.unhurried import PATIENCE

T = TypeVar("T")
ONE = "00000000-0000-4000-8000-000000000001"


def order(amount: int, status: str = "AUTHORIZED", order_id: str = ONE) -> Order:
    left = {"AUTHORIZED": amount}.get(status, 0)
    made = {"order_id": order_id, "status": status, "order_amount": amount, "remaining_authorized_amount": left}
    return Order.model_validate(made | {"purchase_currency": "SEK"})


def opened(now: float = 1_000.0, account: str = SANDBOX, database: SqliteBook | None = None) -> Book:
    return Book(database or SqliteBook(None), account, 400, lambda: now)


async def kept(book: Book) -> list[tuple[int, int]]:
    """Amount and time of every order of this account."""

    def look(tx: BookTransaction, account: int) -> list[tuple[int, int]]:
        return [
            (entry.order_amount, entry.read_at) for entry in Search(tx, account, Query(), None).page("created_at", 9)
        ]

    return await book.ask(look)


class SlowShelf(SqliteBook):
    """Memory that takes its time to write."""

    def __init__(self) -> None:
        super().__init__(None)
        self.entered, self.go_on = threading.Event(), threading.Event()

    def write(self, work: Callable[[BookTransaction], T]) -> T:
        self.entered.set()
        assert self.go_on.wait(PATIENCE)
        return super().write(work)


@pytest.mark.real_clock
async def test_who_asks_waits_for_what_is_being_written() -> None:
    database = SlowShelf()
    book, answers = opened(database=database), list[list[tuple[int, int]]]()

    async def ask() -> None:
        answers.append(await kept(book))

    async with book.kept(), anyio.create_task_group() as group:
        book.note(order(200), read_at=20)
        await anyio.to_thread.run_sync(database.entered.wait)
        group.start_soon(ask)
        with anyio.move_on_after(0.2):  # time enough for one that does not wait
            while not answers:
                await anyio.lowlevel.checkpoint()
        database.go_on.set()
    assert answers == [[(200, 20_000)]]


async def test_a_reading_that_was_asked_for_earlier_does_not_replace_a_later_one_before_they_are_written() -> None:
    book = opened()
    book.note(order(200), read_at=20)
    book.note(order(100), read_at=10)
    assert await kept(book) == [(200, 20_000)]
    book.note(order(300), read_at=20)
    assert await kept(book) == [(300, 20_000)]


async def test_a_reading_that_was_asked_for_earlier_does_not_replace_a_later_one_that_is_written() -> None:
    book = opened()
    book.note(order(200), read_at=20)
    assert await kept(book) == [(200, 20_000)]
    book.note(order(100), read_at=10)
    assert await kept(book) == [(200, 20_000)]


async def test_what_was_asked_for_before_a_write_does_not_end_the_doubt_about_it() -> None:
    for written in (True, False):
        book = opened(30.0)
        book.note(order(100), read_at=10)
        if written:
            await kept(book)
        book.doubt(ONE)
        if written:
            assert await kept(book) == [(100, -30_000)]
        book.note(order(200), read_at=20)
        assert await kept(book) == [(100, -30_000)]
        book.note(order(300), read_at=40)
        assert await kept(book) == [(300, 40_000)]
    book = opened(30.0)
    book.doubt(ONE)
    book.note(order(200), read_at=20)
    assert await kept(book) == [(200, -30_000)]


async def test_a_doubt_that_is_written_late_leaves_a_later_reading_alone() -> None:
    database = SqliteBook(None)
    mine, theirs = opened(30.0, database=database), opened(40.0, database=database)
    mine.note(order(100), read_at=10)
    await kept(mine)
    mine.doubt(ONE)
    theirs.note(order(200), read_at=40)
    assert await kept(theirs) == [(200, 40_000)]
    assert await kept(mine) == [(200, 40_000)]


async def test_what_a_clock_that_was_ahead_has_read_is_in_doubt_and_loses() -> None:
    database = SqliteBook(None)
    ahead, right = opened(1e9, database=database), opened(1_000.0, database=database)
    ahead.note(order(100))
    assert await kept(ahead) == [(100, 10**12)]
    right.note(order(1, order_id=ONE.replace("1", "2")))
    assert sorted(await kept(right)) == [(1, 1_000_000), (100, -1)]
    right.note(order(200))
    assert (200, 1_000_000) in await kept(right)


async def test_accounts_and_environments_know_nothing_of_one_another() -> None:
    database = SqliteBook(None)
    accounts = ("playground/M1", "production/M1", "playground/M2")
    books = {account: opened(float(number + 1), account, database) for number, account in enumerate(accounts)}
    for number, book in enumerate(books.values()):
        book.note(order(100 + number))
    for number, book in enumerate(books.values()):
        assert await kept(book) == [(100 + number, 1_000 * (number + 1))]
    books["production/M1"].doubt(ONE)
    assert await kept(books["production/M1"]) == [(101, -2_000)]
    assert await kept(books["playground/M1"]) == [(100, 1_000)]
    assert await kept(opened(account="production/M2", database=database)) == []


class Slow(SandboxTransport):
    """Kustom, but the answer to one read comes only when it is let go."""

    def __init__(self, sandbox: Simulator) -> None:
        super().__init__(sandbox)
        self.hold = False
        self.held, self.go = anyio.Event(), anyio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        hold, self.hold = self.hold and request.method == "GET", False
        response = await super().handle_async_request(request)
        if hold:
            self.held.set()
            await self.go.wait()
        return response


async def test_an_answer_from_before_a_write_that_arrives_after_it_is_not_believed() -> None:
    sandbox = Simulator()
    slow = Slow(sandbox)

    def host(app: App) -> None:
        app.simulator = None
        app.client = KustomClient(SANDBOX_URL, "sandbox", SecretStr(SANDBOX_KEY), transport=slow)

    order_id = demo("authorized-sek")
    async with conversation(host=host, simulator=sandbox) as talk, anyio.create_task_group() as group:
        slow.hold = True
        group.start_soon(talk.call, "get_order", {"order_id": order_id})
        await slow.held.wait()
        assert (await talk.confirmed("cancel_order", order_id=order_id))["outcome"] == "applied"
        slow.go.set()
        await anyio.wait_all_tasks_blocked()
        (row,) = (await talk.call("find_orders", min_remaining=0))["orders"]
        assert (row["status"], row.get("stale")) == ("CANCELLED", None)


async def test_after_a_write_that_could_not_be_read_again_the_order_is_in_doubt_until_it_is_read() -> None:
    """Also one that is not open: a refund in doubt would be missing in the totals."""

    def host(app: App) -> None:
        app.simulator = None

    order_id = demo("captured-sek")
    async with conversation(host=host) as talk:
        preview = await talk.call("refund_order", order_id=order_id, refunded_amount=100)
        assert (await talk.call("find_orders", min_remaining=0))["coverage"]["stale"] == 0
        unreadable = Fault("GET", "/orders/{order_id}", "status", status=404, times=3)
        simulator = talk.simulator

        class Failing(SandboxTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                response = await super().handle_async_request(request)
                if request.method == "POST":
                    simulator.faults.add(unreadable)
                return response

        client = talk.app.client
        talk.app.client = KustomClient(SANDBOX_URL, "sandbox", SecretStr(SANDBOX_KEY), transport=Failing(simulator))
        async with talk.app.client:
            code = preview["confirm"]["code"]
            done = await talk.call("refund_order", order_id=order_id, refunded_amount=100, confirm=code)
        talk.app.client = client
        assert done["outcome"] == "applied"
        doubtful: dict[str, Any] = await talk.call("find_orders", min_remaining=0, max_age=10**8)
        assert [(row["order_id"], row["stale"]) for row in doubtful["orders"]] == [(order_id, True)]
        assert (doubtful["coverage"]["stale"], "oldest_read" in doubtful["coverage"]) == (1, False)
        simulator.faults.clear()
        sure = await talk.call("find_orders", status="CANCELLED", max_age=10**8)  # what it is like is not known
        assert sure["coverage"]["stale"] == 0
        (total,) = (await talk.call("find_orders", min_remaining=0))["totals"]
        assert total["refunded_amount"] == 100
