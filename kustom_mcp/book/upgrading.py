"""Put in the references of orders that version 0.1 kept, in the form in which they are compared now.

In small steps, each of which leaves a whole book: an interrupted upgrade goes on with the next use, and several
processes may do it at the same time.
"""

from __future__ import annotations

from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.entry import references_of
from kustom_mcp.book.writing import NAME, names

_AT_ONCE = 2_000
"""Orders in one step: they have to fit into the patience of a shared store."""


def unnamed(tx: BookTransaction) -> bool:
    """Return whether any order lacks its references in the present form."""
    return bool(tx.rows("SELECT number FROM book_unnamed LIMIT 1"))


def put_in_references(tx: BookTransaction) -> bool:
    """Take one step, and return whether there may be another."""
    found = tx.rows(
        "SELECT account, number, merchant_reference1, merchant_reference2, klarna_reference FROM book "
        f"WHERE number IN (SELECT number FROM book_unnamed ORDER BY number LIMIT {_AT_ONCE})"
    )
    tx.many(NAME, [row for account, number, *texts in found for row in names(account, number, references_of(*texts))])
    tx.many("DELETE FROM book_unnamed WHERE number = :number", [{"number": number} for _, number, *_ in found])
    return len(found) == _AT_ONCE
