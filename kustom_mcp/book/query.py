"""A question to the order book as plain values: a filter, the order of its matches, and a place in that order.

For an order with nothing left to capture, neither the amount left nor the expiry means anything: in these two sort
orders such orders follow after the others, newest first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from kustom_mcp.api.models import CAPTURED
from kustom_mcp.book.entry import ENDED, BookEntry, OrderKind
from kustom_mcp.book.references import folded

SortKey = Literal["created_at", "expires_at", "remaining_authorized_amount"]
"""Sort orders: newest first, soonest first, largest first."""

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
MOST_COUNTED = 1_000
"""The most matches that may have changed that are counted."""


@dataclass(frozen=True)
class Query:
    """The filter of a search; None filters nothing. Times in unix milliseconds: from included, to and before not."""

    reference: str | None = None
    status: str | None = None
    fraud_status: str | None = None
    currency: str | None = None
    expires_before: int | None = None
    """Expiry of orders that can still be captured; with a status that has ended, the expiry that they had."""
    created_from: int | None = None
    created_to: int | None = None
    refunded_from: int | None = None
    """The last refund."""
    min_remaining: int | None = None
    unshipped: bool | None = None
    disputed: bool | None = None

    @property
    def email(self) -> bool:
        """Return whether the reference is an e-mail address, which the book does not keep."""
        return self.reference is not None and _EMAIL.fullmatch(self.reference.strip()) is not None

    def senseless(self) -> tuple[str, str] | None:
        """Return an argument that nothing can match, by name, and the reason; None without one."""
        if self.reference is not None and not folded(self.reference):
            return "reference", "it has no letter or digit: send a whole reference, or the start of an order id"
        if self.created_from is not None and self.created_to is not None and self.created_from >= self.created_to:
            return "created_from", "it is not before created_to, so nothing can be between them"
        if self.expires_before is not None and self.status == CAPTURED:
            return "expires_before", "what is CAPTURED does not expire: leave status or expires_before out"
        return None

    def fits(self, kind: OrderKind) -> bool:
        """Return whether orders of this kind can be among the matches."""
        asked = ("status", "fraud_status", "currency", "unshipped", "disputed")
        same = all(getattr(self, name) in (None, getattr(kind, name)) for name in asked)
        in_time = self.expires_before is None or kind.open or self.status in ENDED
        return same and in_time and (not self.min_remaining or kind.remains)

    @property
    def left(self) -> bool:
        """Return whether there must be something left to capture, apart from the facts of a kind."""
        expiring = self.expires_before is not None and self.status not in ENDED
        return expiring or (self.min_remaining or 0) > 1

    @property
    def of_kinds(self) -> bool:
        """Return whether kind and time of creation decide alone."""
        others = (self.reference, self.expires_before, self.refunded_from)
        return (self.min_remaining or 0) <= 1 and others == (None, None, None)


INDEXES = {
    "created_at": "book_by_created",
    "expires_at": "book_by_expires",
    "remaining_authorized_amount": "book_by_remaining",
}
LEADS: Mapping[SortKey, Callable[[OrderKind], bool]] = {
    "created_at": lambda kind: False,
    "expires_at": lambda kind: kind.open,
    "remaining_authorized_amount": lambda kind: kind.remains,
}
"""Tests of whether a sort order has a meaning for a kind: such kinds come first."""


PARTS = 2
"""Parts of a sorted list: the kinds for which the sort order means something, and the others."""


class Place(NamedTuple):
    """A place in the sorted matches. `part`: 0 for a kind for which the sort order means something, else 1; PARTS
    more for a match whose reference only resembles the one in the search."""

    part: int
    value: int
    order_id: str


def place(order_by: SortKey, entry: BookEntry, *, alike: bool = False) -> Place:
    """Return the place of an entry. `alike`: its reference only resembles the one in the search."""
    leads = LEADS[order_by](entry.kind)
    part = (0 if leads else 1) + (PARTS if alike else 0)
    return Place(part, getattr(entry, order_by) if leads else entry.created_at, entry.order_id)


def beyond(by: str) -> str:
    """Return the comparison for later places: soonest first, but newest and largest first."""
    return ">" if by == "expires_at" else "<"
