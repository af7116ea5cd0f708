"""Which orders of the book are called so: the statements that find their numbers, with their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kustom_mcp.book.references import backwards, sought
from kustom_mcp.book.sqlite import Page

_FEW = 1_000
"""Orders whose ids have a part in common."""
_REFERENCES = ("merchant_reference1", "merchant_reference2", "klarna_reference")


class Called(NamedTuple):
    """Statements that give the numbers of orders, and the values of both."""

    found: str
    exact: str
    """Of these, those that are called exactly so."""
    values: dict[str, Any]


def called(page: Page, reference: str, values: Mapping[str, Any], scope: str | None) -> Called:
    """By a whole reference, or the beginning of an id; where there is none, by the end of one, then by any part.

    `values` has the account, and what the condition `scope` needs: of orders out of scope nothing is told.
    """
    asked = sought(reference)
    forms = {f"written{index}": form for index, form in enumerate(sorted(asked.written))}
    more: dict[str, Any] = {"name": asked.name, "whole": asked.whole, **forms}
    mine = "SELECT number FROM book {index} WHERE account = :account AND "
    found = "SELECT number FROM book_names WHERE name = :name"
    for index, start in enumerate(asked.starts):
        found += f" UNION {mine.format(index='')}order_id >= :start{index} AND order_id < :beyond{index}"
        more |= {f"start{index}": start, f"beyond{index}": f"{start}~"}
    if asked.part:
        last = backwards(asked.part)
        more |= {"last": last, "before_last": f"{last}~", "anywhere": f"%{asked.part}%"}
        anywhere = f"{mine}order_id LIKE :anywhere"
        ending = f"{anywhere} AND id_backwards >= :last AND id_backwards < :before_last"
        within = f" AND {scope}" if scope is not None else ""
        for index, wider in (("book_by_id_backwards", ending), ("book_by_id", anywhere)):
            known = f"SELECT 1 FROM book WHERE +account = :account AND number IN ({found}){within} LIMIT 1"
            if not page.rows(known, {**values, **more}):
                statement = f"{wider.format(index=page.by(index))} LIMIT {_FEW}"
                numbers = [str(number) for (number,) in page.rows(statement, {**values, **more})]
                found = ", ".join(numbers) or "NULL"
    listed = ", ".join(f":{name}" for name in forms)
    trimmed = [f"trim({name})" for name in _REFERENCES]
    lowered = [f"lower({text})" if reference.isascii() else page.lower(text) for text in trimmed]  # the first is faster
    same = " OR ".join(f"{text} IN ({listed})" for text in lowered)
    exact = (
        f"SELECT number FROM book WHERE number IN (SELECT number FROM book_names WHERE name = :name) AND ({same}) "
        "UNION SELECT number FROM book WHERE account = :account AND order_id = :whole"
    )
    return Called(found, exact, more)
