"""The book's file: what never gets into it, who else writes to it, and what happens when it cannot be used."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kustom_mcp.app import App
from kustom_mcp.book import Book
from kustom_mcp.book.entry import DAY, entry_of
from kustom_mcp.book.shelf import LATEST, LocalShelf, Page
from kustom_mcp.book.writing import account_number, forget_all, forget_before, put
from kustom_mcp.oms.models import Order
from kustom_mcp.simulator.app import Simulator
from tests.conversation import conversation, demo
from tests.hostile.test_personal_data import PERSONAL

KNOWN = demo("captured-sek")


def file_of(state: Path) -> Path:
    return state / "book" / "book.sqlite3"


def strangers(app: App) -> None:
    app.simulator = None


def order(number: int, **more: Any) -> Order:
    made = {"order_id": f"00000000-0000-4000-8000-{number:012}", "status": "AUTHORIZED", "purchase_currency": "SEK"}
    return Order.model_validate(made | {"order_amount": 100, "remaining_authorized_amount": 100} | more)


async def test_no_personal_data_reaches_the_file(tmp_path: Path) -> None:
    simulator = Simulator(seeds=())
    record = simulator.add_order({**PERSONAL, "order_lines": [{"name": "Pii line", "quantity": 1, "total_amount": 5}]})
    record.order["merchant_data"] = "Pii data"
    async with conversation(simulator=simulator, KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        await talk.call("get_order", order_id=record.order["order_id"], include=["lines", "customer", "merchant_data"])
        assert (await talk.call("find_orders"))["coverage"]["known"] == 1
        stored = b"".join(path.read_bytes() for path in (tmp_path / "book").iterdir())
    assert record.order["order_id"].encode() in stored
    assert b"Pii" not in stored
    assert file_of(tmp_path).stat().st_mode & 0o077 == 0


async def test_what_was_noted_is_there_after_a_restart(tmp_path: Path) -> None:
    async with conversation(host=strangers, KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        await talk.call("get_order", order_id=KNOWN)
    async with conversation(host=strangers, KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        found = await talk.call("find_orders")
        assert [row["order_id"] for row in found["orders"]] == [KNOWN]
        assert talk.requests == []


def _broken(path: Path) -> None:
    path.write_bytes(b"this is no database " * 1000)


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA user_version = {LATEST + 1}")
    connection.close()


def _directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("harm", "why"),
    [(_broken, "SQLITE_NOTADB"), (_newer, "a newer version"), (_directory, "SQLITE_CANTOPEN")],
)
async def test_a_book_that_cannot_be_used_stops_the_search_only(
    harm: Callable[[Path], None], why: str, tmp_path: Path
) -> None:
    file_of(tmp_path).parent.mkdir(parents=True)
    harm(file_of(tmp_path))
    before = file_of(tmp_path).read_bytes() if file_of(tmp_path).is_file() else b""
    async with conversation(KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        refused = await talk.call("find_orders")
        assert (refused["outcome"], refused["error"]["code"]) == ("not_sent", "AUDIT_UNAVAILABLE")
        assert why in refused["summary"]
        assert "book.sqlite3 in the state directory" in refused["next_step"]
        assert (await talk.call("get_order", order_id=KNOWN))["outcome"] == "ok"
        assert (await talk.confirmed("cancel_order", order_id=demo("authorized-sek")))["outcome"] == "applied"
    assert before == (file_of(tmp_path).read_bytes() if file_of(tmp_path).is_file() else b"")


def test_a_disk_that_is_full_loses_no_order_that_is_already_there(tmp_path: Path) -> None:
    path = file_of(tmp_path)
    shelf = LocalShelf(path)

    def fill(first: int, count: int, pages: int) -> Callable[[Page], int]:
        def work(page: Page) -> int:
            page.rows(f"PRAGMA max_page_count = {pages}")
            entries = [entry_of(order(number), "call", 1.0) for number in range(first, first + count)]
            return put(page, account_number(page, "sandbox/"), [entry for entry in entries if entry])

        return work

    assert shelf.write(fill(0, 10, 10_000)) == 10
    with pytest.raises(Exception, match="SQLITE_FULL"):
        shelf.write(fill(10, 5_000, 30))
    assert shelf.read(lambda page: page.rows("SELECT count(*), sum(orders) FROM book, book_sums WHERE day = -1")) == [
        (10, 100)
    ]
    assert shelf.write(fill(10, 5_000, 100_000)) == 5_000
    shelf.close()


async def test_a_second_process_writes_meanwhile(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.book.test_keeping import write_many;"
        "write_many(Path(sys.argv[1]), int(sys.argv[2]))"
    )
    others = [started(program, str(file_of(tmp_path)), str(first)) for first in (0, 1000)]
    async with conversation(host=strangers, KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        for name in ("captured-sek", "authorized-sek", "closed-eur"):
            assert (await talk.call("get_order", order_id=demo(name)))["outcome"] == "ok"
            assert (await talk.call("find_orders"))["outcome"] == "ok"
        assert [other.wait(30) for other in others] == [0, 0]
        found = await talk.call("find_orders", max_age=10**8)
        assert found["coverage"]["known"] == sum(group["orders"] for group in found["totals"]) == 403


def started(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", program, *arguments])


def write_many(path: Path, first: int) -> None:
    """200 orders, one at a time, as another server of this machine would."""
    shelf = LocalShelf(path)
    for number in range(first, first + 200):
        entry = entry_of(order(number), "call", 1e9)
        assert entry is not None
        shelf.write(lambda page, entry=entry: put(page, account_number(page, "sandbox/"), [entry]))
    shelf.close()


def test_what_is_older_than_the_operator_keeps_is_forgotten_with_its_sums() -> None:
    shelf = LocalShelf(None)

    def work(page: Page) -> None:
        mine, other = account_number(page, "a"), account_number(page, "b")
        dates = ["2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z", None]
        entries = [entry_of(order(number, created_at=date), "call", 1e9) for number, date in enumerate(dates)]
        for account in (mine, other):
            put(page, account, [entry for entry in entries if entry])
        day = entries[1].created_at if entries[1] else 0
        assert forget_before(page, mine, day - DAY // 2) == 2
        assert page.rows("SELECT sum(orders) FROM book_sums WHERE account = :a AND day = -1", {"a": mine}) == [(1,)]
        assert forget_all(page, mine) == 1
        assert page.rows("SELECT count(*) FROM book WHERE account = :a", {"a": other}) == [(3,)]

    shelf.write(work)
    shelf.close()


def test_an_order_with_an_impossible_amount_is_not_kept() -> None:
    assert entry_of(order(1, order_amount=9 * 10**18), "call", 1.0) is None


async def test_a_book_that_fails_keeps_what_was_noted_until_it_works_again(tmp_path: Path) -> None:
    file_of(tmp_path).mkdir(parents=True)
    book = Book(LocalShelf(file_of(tmp_path)), "sandbox/", 400, lambda: 1e9)
    book.note(order(1))
    with pytest.raises(Exception, match="CANTOPEN"):
        await book.ask(lambda page, account: page.rows("SELECT 1"))
    file_of(tmp_path).rmdir()
    assert await book.ask(lambda page, account: page.rows("SELECT count(*) FROM book")) == [(1,)]
