"""A question to the order book as plain values: a filter, the order of its matches, and a place in that order.

Of what nothing is left to capture neither the amount left nor the expiry tells anything: where one of them gives the
order these follow after the others, newest first.
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
"""Orders of a page: newest first, soonest first, largest first."""

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
MOST_COUNTED = 1_000
"""Matches that may have changed, in one count."""


@dataclass(frozen=True)
class Query:
    """What is looked for; None is not asked. Times in unix milliseconds: from included, to and before not."""

    reference: str | None = None
    status: str | None = None
    fraud_status: str | None = None
    currency: str | None = None
    expires_before: int | None = None
    """What can still be captured, and expires; with a status that has ended, what had to be captured before."""
    created_from: int | None = None
    created_to: int | None = None
    refunded_from: int | None = None
    """The last refund."""
    min_remaining: int | None = None
    unshipped: bool | None = None
    disputed: bool | None = None

    @property
    def email(self) -> bool:
        """Whether what was given as a reference is an e-mail address, which the book does not keep."""
        return self.reference is not None and _EMAIL.fullmatch(self.reference.strip()) is not None

    def senseless(self) -> tuple[str, str] | None:
        """What nothing can match: the name of the argument, and why."""
        if self.reference is not None and not folded(self.reference):
            return "reference", "it has no letter or digit: send a whole reference, or the start of an order id"
        if self.created_from is not None and self.created_to is not None and self.created_from >= self.created_to:
            return "created_from", "it is not before created_to, so nothing can be between them"
        if self.expires_before is not None and self.status == CAPTURED:
            return "expires_before", "what is CAPTURED does not expire: leave status or expires_before out"
        return None

    def fits(self, kind: OrderKind) -> bool:
        """Whether orders of this kind can be among the matches."""
        asked = ("status", "fraud_status", "currency", "unshipped", "disputed")
        same = all(getattr(self, name) in (None, getattr(kind, name)) for name in asked)
        in_time = self.expires_before is None or kind.open or self.status in ENDED
        return same and in_time and (not self.min_remaining or kind.remains)

    @property
    def left(self) -> bool:
        """Whether there must be something left to capture, apart from what kinds say."""
        expiring = self.expires_before is not None and self.status not in ENDED
        return expiring or (self.min_remaining or 0) > 1

    @property
    def of_kinds(self) -> bool:
        """Whether kind and time of creation decide alone."""
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
"""What an order concerns, by its kind: these come first."""


PARTS = 2
"""What the order concerns, and the rest."""


class Place(NamedTuple):
    """Where an order stands in the order of a search. `part`: 0 before what the order does not concern, 1 there; of
    orders that are called only like what was looked for PARTS more."""

    part: int
    value: int
    order_id: str


def place(order_by: SortKey, entry: BookEntry, *, alike: bool = False) -> Place:
    """`alike`: a reference was looked for, and this order is not called exactly so."""
    leads = LEADS[order_by](entry.kind)
    part = (0 if leads else 1) + (PARTS if alike else 0)
    return Place(part, getattr(entry, order_by) if leads else entry.created_at, entry.order_id)


def beyond(by: str) -> str:
    """How what comes later compares: soonest first, but newest and largest first."""
    return ">" if by == "expires_at" else "<"
