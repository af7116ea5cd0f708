"""A question to the order book as plain values: a filter, the order of its matches, and a place in that order.

For an order with nothing left to capture, neither the amount left nor the expiry means anything: in these two sort
orders such orders follow after the others, newest first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from kustom_mcp.api.models import AUTHORIZED, CAPTURED, PART_CAPTURED
from kustom_mcp.book.entry import EARLIER, ENDED, BookEntry, OrderKind
from kustom_mcp.book.references import folded

SortKey = Literal["created_at", "expires_at", "remaining_authorized_amount"]
"""Sort orders: newest first, soonest first, largest first."""

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
MOST_COUNTED = 1_000
"""The most matches that may have changed that are counted."""


@dataclass(frozen=True)
class Query:
    """The filter of a search; None and () filter nothing. Times in unix milliseconds: from included, before not."""

    reference: tuple[str, ...] = ()
    """An order matches that has one of them."""
    people: tuple[tuple[int, ...], ...] = ()
    """Digests: an order matches that has one of each."""
    status: tuple[str, ...] = ()
    fraud_status: tuple[str, ...] = ()
    currency: tuple[str, ...] = ()
    amount: int | None = None
    """That of the order, or of one of its captures or refunds."""
    created_from: int | None = None
    created_before: int | None = None
    captured_from: int | None = None
    captured_before: int | None = None
    refunded_from: int | None = None
    refunded_before: int | None = None
    expires_from: int | None = None
    expires_before: int | None = None
    """Expiry of orders that can still be captured; with a status that has ended, the expiry that they had."""
    min_remaining: int | None = None
    to_capture: int | None = None
    """The time now: something is left to capture, and its expiry has not passed."""
    no_tracking: bool = False
    ever_disputed: bool = False
    only: frozenset[str] | None = None
    """The only order ids that can match."""

    @property
    def selects(self) -> bool:
        """Return whether any part of the filter selects orders."""
        return self != Query()

    @property
    def emails(self) -> int:
        """Count the references that are e-mail addresses, which are no references."""
        return sum(_EMAIL.fullmatch(one.strip()) is not None for one in self.reference)

    def impossible(self) -> tuple[str, str] | None:
        """Return an argument that nothing can match, by name, and the reason; None without one."""
        if any(not folded(one) for one in self.reference):
            return "reference", "it has no letter or digit: send a whole reference, or the start of an order id"
        for what in ("created", "captured", "refunded", "expires"):
            first, end = getattr(self, f"{what}_from"), getattr(self, f"{what}_before")
            if first is not None and end is not None and first >= end:
                return f"{what}_from", f"it is not before {what}_before, so nothing can be between them"
        if self.expiring and self.status == (CAPTURED,):
            name = "expires_before" if self.expires_before is not None else "expires_from"
            return name, f"what is CAPTURED does not expire: leave status or {name} out"
        return None

    @property
    def expiring(self) -> bool:
        """Return whether the expiry is asked for."""
        return self.expires_from is not None or self.expires_before is not None

    def fits(self, kind: OrderKind) -> bool:
        """Return whether orders of this kind can be among the matches."""
        asked = ("status", "fraud_status", "currency")
        same = all(not getattr(self, name) or getattr(kind, name) in getattr(self, name) for name in asked)
        in_time = not self.expiring or kind.open or (kind.status in ENDED and kind.status in self.status)
        left = kind.remains and kind.status in (AUTHORIZED, PART_CAPTURED)
        untracked = kind.untracked and (kind.detail != EARLIER or kind.status in (CAPTURED, PART_CAPTURED))
        return (
            same
            and in_time
            and (not self.min_remaining or kind.remains)
            and (self.to_capture is None or left)
            and (not self.no_tracking or untracked)
            and (not self.ever_disputed or kind.disputed)
        )

    @property
    def left(self) -> bool:
        """Return whether there must be something left to capture, apart from the facts of a kind."""
        expiring = self.expiring and not ENDED & set(self.status)
        return expiring or (self.min_remaining or 0) > 1 or self.to_capture is not None

    @property
    def of_moves(self) -> bool:
        """Return whether single captures or refunds are asked for."""
        times = (self.captured_from, self.captured_before, self.refunded_from, self.refunded_before)
        return any(time is not None for time in times)

    @property
    def of_kinds(self) -> bool:
        """Return whether kind and time of creation decide alone."""
        others = self.reference or self.people or self.expiring or self.of_moves
        alone = self.amount is None and self.to_capture is None and self.only is None
        return alone and not others and (self.min_remaining or 0) <= 1


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
