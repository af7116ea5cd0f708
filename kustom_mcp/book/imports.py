"""The progress of imports of files, and the orders that need not be read again."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from kustom_mcp.book.database import BookTransaction

_AT_ONCE = 200  # ids in one statement
_EVER = -(2**62)
"""Before every time that is kept; the time of an order in doubt is negative."""


class UnfinishedImport(NamedTuple):
    """An import that was cut off. `file`: a digest. `done`: the line up to which it is done; `rejected`: the rows
    before it that were rejected. `at`: unix milliseconds."""

    file: str
    done: int
    rejected: int
    at: int


def done(tx: BookTransaction, account: int, file: str) -> tuple[int, int]:
    """Return the line up to which this file has been dealt with, and the number of rejected rows before it; 0 when
    it is new, or was finished."""
    found = tx.rows(
        "SELECT done, rejected FROM book_imports WHERE account = :account AND file = :file",
        {"account": account, "file": file},
    )
    return (int(found[0][0]), int(found[0][1])) if found else (0, 0)


def keep(tx: BookTransaction, account: int, file: str, line: int, rejected: int, now: float) -> None:
    """Keep the progress of an import: the file is done up to this line. `now` in unix seconds."""
    tx.rows(
        "INSERT INTO book_imports (account, file, done, rejected, at) VALUES (:account, :file, :done, :rejected, :at) "
        "ON CONFLICT (account, file) DO UPDATE SET done = excluded.done, rejected = excluded.rejected, "
        "at = excluded.at",
        {"account": account, "file": file, "done": line, "rejected": rejected, "at": int(now * 1000)},
    )


def finish(tx: BookTransaction, account: int, file: str) -> None:
    """Remove the progress of a file that is done: the next import of it begins anew."""
    tx.rows("DELETE FROM book_imports WHERE account = :account AND file = :file", {"account": account, "file": file})


def unfinished(tx: BookTransaction, account: int) -> list[UnfinishedImport]:
    """Return the unfinished imports, the latest first."""
    found = tx.rows(
        "SELECT file, done, rejected, at FROM book_imports WHERE account = :account ORDER BY at DESC",
        {"account": account},
    )
    return [UnfinishedImport(str(file), int(line), int(rejected), int(at)) for file, line, rejected, at in found]


def known(tx: BookTransaction, account: int, order_ids: Iterable[str]) -> set[str]:
    """Return those of the orders that the book has at all, those too that it doubts."""
    return read_since(tx, account, order_ids, _EVER)


def read_since(tx: BookTransaction, account: int, order_ids: Iterable[str], moment: int) -> set[str]:
    """Return those of the orders that were read at this time (unix milliseconds) or later."""
    found, given = set[str](), iter(order_ids)
    while some := list(islice(given, _AT_ONCE)):
        marks = ", ".join(f":id{index}" for index in range(len(some)))
        values = {"account": account, "moment": moment, **{f"id{index}": one for index, one in enumerate(some)}}
        which = f"account = :account AND order_id IN ({marks}) AND read_at >= :moment"
        found.update(str(order_id) for (order_id,) in tx.rows(f"SELECT order_id FROM book WHERE {which}", values))
    return found
