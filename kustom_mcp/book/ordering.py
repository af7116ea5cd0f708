"""In which order the orders of a search come, and where in it one of them stands.

Of what nothing is left to capture neither the amount left nor the expiry tells anything: where one of them gives the
order these follow after the others, newest first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from kustom_mcp.book.entry import Entry, Kind
from kustom_mcp.book.query import By

INDEXES = {
    "created_at": "book_by_created",
    "expires_at": "book_by_expires",
    "remaining_authorized_amount": "book_by_remaining",
}
LEADS: Mapping[By, Callable[[Kind], bool]] = {
    "created_at": lambda kind: False,
    "expires_at": lambda kind: kind.open,
    "remaining_authorized_amount": lambda kind: kind.remains,
}
"""What an order concerns, by its kind: these come first."""


PARTS = 2
"""What the order concerns, and the rest."""


class Place(NamedTuple):
    """Where an order stands in the order of a search. `part`: 0 before what the order does not concern, 1 there; of
    orders that are called only like what was looked for PARTS more."""

    part: int
    value: int
    order_id: str


def place(order_by: By, entry: Entry, *, alike: bool = False) -> Place:
    """`alike`: a reference was looked for, and this order is not called exactly so."""
    leads = LEADS[order_by](entry.kind)
    part = (0 if leads else 1) + (PARTS if alike else 0)
    return Place(part, getattr(entry, order_by) if leads else entry.created_at, entry.order_id)


def beyond(by: str) -> str:
    """How what comes later compares: soonest first, but newest and largest first."""
    return ">" if by == "expires_at" else "<"
