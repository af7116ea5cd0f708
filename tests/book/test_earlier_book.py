"""The book of version 0.1, as its file was written, opened by this version."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from kustom_mcp.api.models import Order
from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.entry import EARLIER, BookEntry, entry_of
from kustom_mcp.book.search import Search
from kustom_mcp.book.sqlite import SqliteBook
from kustom_mcp.book.upgrading import put_in_references, unnamed
from kustom_mcp.book.writing import put, take_out
from tests.book.books import asked

ACCOUNT = 1


@pytest.fixture
def earlier(tmp_path: Path) -> Generator[SqliteBook]:
    path = tmp_path / "book" / "book.sqlite3"
    path.parent.mkdir(mode=0o700)
    with sqlite3.connect(path) as file:
        file.executescript(Path(__file__).with_name("earlier.sql").read_text("utf-8"))
    file.close()
    book = SqliteBook(path)
    while book.write(put_in_references):
        pass
    yield book
    book.close()


def found(book: SqliteBook, **wanted: Any) -> list[tuple[str | None, str]]:
    def ask(tx: BookTransaction) -> list[BookEntry]:
        return Search(tx, ACCOUNT, asked(**wanted), None).page("created_at", 50)

    return sorted((entry.klarna_reference, entry.kind.status) for entry in book.read(ask))


def test_what_it_knew_is_found_as_before(earlier: SqliteBook) -> None:
    assert len(found(earlier)) == 12
    assert found(earlier, reference="web 20451") == found(earlier, reference="20451")
    assert [name for name, _ in found(earlier, reference="20451")] == ["K000", "K006"]
    assert [name for name, _ in found(earlier, status="CLOSED")] == ["K004", "K010"]
    assert [name for name, _ in found(earlier, no_tracking=True)] == ["K001", "K002", "K007"]
    totals = earlier.read(lambda tx: Search(tx, ACCOUNT, asked(), None).totals())
    assert totals.orders == 12
    assert earlier.read(unnamed) is False


def test_its_last_captures_and_refunds_are_found_by_their_time(earlier: SqliteBook) -> None:
    captured = found(earlier, captured_from=1)
    assert {status for _, status in captured} == {"PART_CAPTURED", "CAPTURED", "CLOSED"}
    assert {status for _, status in found(earlier, refunded_from=1)} == {"CLOSED"}


def test_how_many_orders_it_knew_less_of_is_known_until_they_are_read_again(earlier: SqliteBook) -> None:
    def known(tx: BookTransaction) -> tuple[int, int]:
        coverage = Search(tx, ACCOUNT, asked(), None).known(0)
        return coverage.earlier, coverage.without_people

    assert earlier.read(known) == (12, 12)
    (order_id,) = earlier.read(
        lambda tx: [
            entry.order_id for entry in Search(tx, ACCOUNT, asked(reference="K004"), None).page("created_at", 2)
        ]
    )
    capture = {"captured_amount": 700, "captured_at": "2026-03-06T00:00:00Z", "klarna_reference": "K004-1"}
    facts = {"status": "CLOSED", "captured_amount": 700, "order_amount": 1500}
    again = Order.model_validate({"order_id": order_id, **facts, "captures": [capture]})
    entry = entry_of(again, "call", 1_773_600_000.0, people=frozenset({7}))
    assert entry is not None
    earlier.write(lambda tx: put(tx, ACCOUNT, [entry]))
    assert earlier.read(known) == (11, 11)
    assert [status for _, status in found(earlier, reference="k004-1")] == ["CLOSED"]
    assert [status for _, status in found(earlier, amount=700)] == ["CLOSED"]
    assert found(earlier, reference="K004") == []


def test_an_order_that_is_taken_out_leaves_nothing(earlier: SqliteBook) -> None:
    ids = earlier.read(lambda tx: [str(row[0]) for row in tx.rows("SELECT order_id FROM book")])
    earlier.write(lambda tx: take_out(tx, ACCOUNT, ids))
    for table in ("book", "book_references", "book_moves", "book_people", "book_sums", "book_unnamed"):
        assert earlier.read(lambda tx, of=table: tx.rows(f"SELECT count(*) FROM {of}")) == [(0,)], table


def test_a_kind_of_before_is_told_from_one_of_today(earlier: SqliteBook) -> None:
    details = earlier.read(lambda tx: tx.rows("SELECT DISTINCT detail FROM book_kinds"))
    assert details == [(EARLIER,)]
