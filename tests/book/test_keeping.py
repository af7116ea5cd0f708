"""The book's file: what never gets into it, who else writes to it, and what happens when it cannot be used."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from kustom_mcp.app.app import App
from kustom_mcp.book import Book
from kustom_mcp.book.database import BookTransaction, BookUnavailable
from kustom_mcp.book.entry import DAY, entry_of
from kustom_mcp.book.query import Query
from kustom_mcp.book.search import Search
from kustom_mcp.book.sqlite import LATEST, SqliteBook
from kustom_mcp.book.writing import account_number, forget_all, forget_before, put
from kustom_mcp.simulator.app import Simulator
from tests.book.writers import EACH, SANDBOX, order, started
from tests.exams.hostile.test_personal_data import PERSONAL
from tests.support.conversation import conversation, demo
from tests.support.unhurried import PATIENCE

KNOWN = demo("captured-sek")


def file_of(state: Path) -> Path:
    return state / "book" / "book.sqlite3"


def strangers(app: App) -> None:
    app.simulator = None


async def test_no_personal_data_reaches_the_file(tmp_path: Path) -> None:
    simulator = Simulator(seeds=())
    record = simulator.add_order({**PERSONAL, "order_lines": [{"name": "Pii line", "quantity": 1, "total_amount": 5}]})
    record.order["merchant_data"] = "Pii data"
    async with conversation(simulator=simulator, KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        await talk.call("get_order", order_id=record.order["order_id"], include=["lines", "customer", "merchant_data"])
        assert (await talk.call("find_orders", min_remaining=0))["coverage"]["known"] == 1
        stored = b"".join(path.read_bytes() for path in (tmp_path / "book").iterdir())
    assert record.order["order_id"].encode() in stored
    assert b"Pii" not in stored
    assert file_of(tmp_path).stat().st_mode & 0o077 == 0


def test_what_is_kept_of_an_order_is_exactly_this() -> None:
    database = SqliteBook(None)
    columns = {
        table: [row[1] for row in database.read(lambda tx, table=table: tx.rows(f"PRAGMA table_info({table})"))]
        for table in ("book", "book_kinds", "book_references", "book_moves", "book_people")
    }
    database.close()
    assert columns == {
        "book": [
            *("number", "account", "order_id", "id_backwards", "kind"),
            *("merchant_reference1", "merchant_reference2", "klarna_reference", "payment_type"),
            *("order_amount", "original_order_amount", "captured_amount", "refunded_amount"),
            *("remaining_authorized_amount", "created_at", "expires_at", "captured_at", "refunded_at", "read_at"),
            "other_references",
        ],
        "book_kinds": [
            *("kind", "currency", "status", "fraud_status", "remains", "unshipped", "disputed", "source", "detail")
        ],
        "book_references": ["account", "name", "number", "written"],
        "book_moves": ["account", "refund", "kind", "at", "number", "amount"],
        "book_people": ["account", "digest", "number"],
    }


async def test_what_was_noted_is_there_after_a_restart(tmp_path: Path) -> None:
    async with conversation(host=strangers, KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        await talk.call("get_order", order_id=KNOWN)
    async with conversation(host=strangers, KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        found = await talk.call("find_orders", min_remaining=0)
        assert [row["order_id"] for row in found["orders"]] == [KNOWN]
        assert talk.requests == []


def _broken(path: Path) -> None:
    path.write_bytes(b"this is no database " * 1000)


def _written(path: Path) -> bytearray:
    """The bytes of a good book."""
    database = SqliteBook(path)
    entries = [entry_of(order(number, merchant_reference1=f"A-{number}"), "call", 1e9) for number in range(300)]
    database.write(lambda tx: put(tx, account_number(tx, SANDBOX), [entry for entry in entries if entry]))
    database.close()
    return bytearray(path.read_bytes())


def _header(path: Path) -> None:
    good = _written(path)
    good[100:108] = b"\xff" * 8
    path.write_bytes(good)


def _middle(path: Path) -> None:
    good = _written(path)
    good[4096:] = b"\xa7" * len(good[4096:])
    path.write_bytes(good)


def _text(path: Path) -> None:
    path.write_bytes(bytes(_written(path)).replace(b"AUTHORIZED", b"AUTHORI\xff\xff\xff"))


def _truncated(path: Path) -> None:
    path.write_bytes(_written(path)[:10_000])


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA user_version = {LATEST + 1}")
    connection.close()


def _directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (_broken, "damaged: SQLITE_NOTADB"),
        (_header, "damaged: SQLITE_CORRUPT"),
        (_middle, "damaged: SQLITE_CORRUPT"),
        (_truncated, "damaged: SQLITE_CORRUPT"),
        (_text, "damaged: "),
        (_newer, "a newer version"),
        (_directory, "SQLITE_CANTOPEN"),
    ],
)
async def test_a_book_that_cannot_be_used_stops_the_search_only(
    harm: Callable[[Path], None], why: str, tmp_path: Path
) -> None:
    file_of(tmp_path).parent.mkdir(parents=True)
    harm(file_of(tmp_path))
    before = file_of(tmp_path).read_bytes() if file_of(tmp_path).is_file() else b""
    async with conversation(KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        refused = await talk.call("find_orders", min_remaining=0)
        assert (refused["outcome"], refused["error"]["code"]) == ("not_sent", "AUDIT_UNAVAILABLE")
        assert why in refused["summary"]
        assert "book.sqlite3 in the state directory" in refused["next_step"]
        assert (await talk.call("get_order", order_id=KNOWN))["outcome"] == "ok"
        assert (await talk.confirmed("cancel_order", order_id=demo("authorized-sek")))["outcome"] == "applied"
        assert ("delete the folder `book`" in refused["next_step"]) is ("damaged" in why)
    assert before == (file_of(tmp_path).read_bytes() if file_of(tmp_path).is_file() else b"")


def test_a_row_whose_kind_is_missing_is_damage_as_well(tmp_path: Path) -> None:
    file_of(tmp_path).parent.mkdir(parents=True)
    _written(file_of(tmp_path))
    with sqlite3.connect(file_of(tmp_path)) as connection:
        connection.execute("DELETE FROM book_kinds")
    connection.close()
    database = SqliteBook(file_of(tmp_path))
    with pytest.raises(BookUnavailable, match="damaged: KeyError"):
        database.read(lambda tx: Search(tx, 1, Query(), None).known(0))
    database.close()


async def test_the_folder_of_a_damaged_book_may_be_deleted_while_the_server_runs(tmp_path: Path) -> None:
    file_of(tmp_path).parent.mkdir(parents=True)
    _middle(file_of(tmp_path))
    async with conversation(host=strangers, KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        assert "damaged" in (await talk.call("find_orders", min_remaining=0))["summary"]
        shutil.rmtree(file_of(tmp_path).parent)
        await talk.call("get_order", order_id=KNOWN)
        assert [row["order_id"] for row in (await talk.call("find_orders", min_remaining=0))["orders"]] == [KNOWN]
        shutil.rmtree(file_of(tmp_path).parent)  # one that is in use
        assert (await talk.call("find_orders", min_remaining=0))["coverage"]["known"] == 0


def test_a_file_from_before_there_were_tables_is_brought_up_to_date(tmp_path: Path) -> None:
    file_of(tmp_path).parent.mkdir(parents=True)
    sqlite3.connect(file_of(tmp_path)).execute("PRAGMA journal_mode = WAL").close()
    assert len(_written(file_of(tmp_path))) > 0
    with sqlite3.connect(file_of(tmp_path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (LATEST,)
        assert connection.execute("SELECT count(*) FROM book").fetchone() == (300,)
    connection.close()


@pytest.mark.real_clock
async def test_a_disk_that_is_full_stops_the_search_of_a_real_server_only(tmp_path: Path) -> None:
    """No file may grow beyond 56 KiB, as if the disk were full: that is too little for the book's notes."""
    async with conversation(KUSTOM_STATE_DIR=str(tmp_path)) as talk:  # makes the files
        await talk.call("acknowledge_order", order_id=demo("captured-sek"))
    limited = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (57344, 57344)); "
        "sys.argv = ['kustom-mcp']; runpy.run_module('kustom_mcp', run_name='__main__')"
    )
    env = {"KUSTOM_STATE_DIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    program = StdioServerParameters(command=sys.executable, args=["-c", limited], env=env)
    async with Client(stdio_client(program)) as client:

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            with anyio.fail_after(PATIENCE):
                answer: Any = (await client.call_tool(f"kustom_{tool}", arguments)).structured_content
            return answer

        given = {"order_id": demo("authorized-sek")}
        assert (await call("get_order", order_id=KNOWN))["outcome"] == "ok"
        for _ in range(2):
            refused = await call("find_orders", min_remaining=0)
            assert (refused["outcome"], refused["error"]["code"]) == ("not_sent", "AUDIT_UNAVAILABLE")
            assert "SQLITE_" in refused["summary"]
        assert (await call("acknowledge_order", **given))["outcome"] == "applied"
        assert (await call("get_order", **given))["outcome"] == "ok"


def test_a_disk_that_is_full_loses_no_order_that_is_already_there(tmp_path: Path) -> None:
    path = file_of(tmp_path)
    database = SqliteBook(path)

    def fill(first: int, count: int, pages: int) -> Callable[[BookTransaction], int]:
        def work(tx: BookTransaction) -> int:
            tx.rows(f"PRAGMA max_page_count = {pages}")
            entries = [entry_of(order(number), "call", 1.0) for number in range(first, first + count)]
            return put(tx, account_number(tx, SANDBOX), [entry for entry in entries if entry])

        return work

    assert database.write(fill(0, 10, 10_000)) == 10
    with pytest.raises(Exception, match="SQLITE_FULL"):
        database.write(fill(10, 5_000, 30))
    assert database.read(lambda tx: tx.rows("SELECT count(*), sum(orders) FROM book, book_sums WHERE day = -1")) == [
        (10, 100)
    ]
    assert database.write(fill(10, 5_000, 100_000)) == 5_000
    database.close()


def _local(state: Path, _: str) -> tuple[str, dict[str, str]]:
    return str(file_of(state)), {"KUSTOM_STATE_DIR": str(state)}


def _shared(_: Path, url: str) -> tuple[str, dict[str, str]]:
    return url, {"KUSTOM_STORE": url}


@pytest.mark.real_clock
@pytest.mark.parametrize("where", [_local, _shared])
async def test_other_processes_write_meanwhile_and_every_answer_is_of_one_state(
    where: Callable[[Path, str], tuple[str, dict[str, Any]]], tmp_path: Path, shared_database: str
) -> None:
    place, settings = where(tmp_path, shared_database)
    others = [started(place, first) for first in (0, 1000)]
    counted: list[int] = []
    async with conversation(host=strangers, **settings) as talk:
        await talk.call("get_order", order_id=KNOWN)
        for ended in (False, True):
            while ended or any(other.poll() is None for other in others):
                found = await talk.call(
                    "find_orders", min_remaining=0, max_age=10**8, order_by="remaining_authorized_amount", limit=50
                )
                counted.append(found["coverage"]["known"])
                assert counted[-1] == sum(group["orders"] for group in found["totals"])
                assert len(found["orders"]) == min(50, counted[-1])
                if ended:
                    break
    assert [other.wait(PATIENCE) for other in others] == [0, 0]
    assert (counted, counted[-1]) == (sorted(counted), 2 * EACH + 1)


def test_what_is_older_than_the_operator_keeps_is_forgotten_with_its_sums() -> None:
    database = SqliteBook(None)

    def work(tx: BookTransaction) -> None:
        mine, other = account_number(tx, "a"), account_number(tx, "b")
        dates = ["2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z", None]
        entries = [entry_of(order(number, created_at=date), "call", 1e9) for number, date in enumerate(dates)]
        for account in (mine, other):
            put(tx, account, [entry for entry in entries if entry])
        day = entries[1].created_at if entries[1] else 0
        assert forget_before(tx, mine, day - DAY // 2).orders == 2
        assert tx.rows("SELECT sum(orders) FROM book_sums WHERE account = :a AND day = -1", {"a": mine}) == [(1,)]
        assert forget_all(tx, mine).orders == 1
        assert tx.rows("SELECT count(*) FROM book WHERE account = :a", {"a": other}) == [(3,)]

    database.write(work)
    database.close()


def test_an_order_with_an_impossible_amount_is_not_kept() -> None:
    assert entry_of(order(1, order_amount=9 * 10**18), "call", 1.0) is None


async def test_a_book_that_fails_keeps_what_was_noted_until_it_works_again(tmp_path: Path) -> None:
    file_of(tmp_path).mkdir(parents=True)
    book = Book(SqliteBook(file_of(tmp_path)), SANDBOX, 400, lambda: 1e9)
    book.note(order(1))
    with pytest.raises(Exception, match="CANTOPEN"):
        await book.ask(lambda tx, account: tx.rows("SELECT 1"))
    file_of(tmp_path).rmdir()
    assert await book.ask(lambda tx, account: tx.rows("SELECT count(*) FROM book")) == [(1,)]
