"""An entry of the book: states, amounts, times and references of an order. No name, no address, no text of a line.

Times are unix milliseconds, 0 where Kustom sent none or something that is no time. Amounts are minor units.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from kustom_mcp.api.models import AMOUNTS, CANCELLED, CLOSED, EXPIRED, Order
from kustom_mcp.book.references import LONGEST, folded
from kustom_mcp.text import clean

DAY = 86_400_000  # milliseconds
MOST = 10**14
"""Minor units that no real order comes to. One that claims more is not kept: sums must not overflow."""

ENDED = frozenset({CANCELLED, EXPIRED, CLOSED})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LAST = 253_402_300_799_999
"""The last millisecond that can be written as a time."""


class OrderKind(NamedTuple):
    """A kind of order: the facts that many orders share. `remains`: whether anything is left to capture."""

    currency: str
    status: str
    fraud_status: str
    remains: bool
    unshipped: bool
    disputed: bool
    source: str
    """The way by which the order became known first: call, import, webhook, settlement."""

    @property
    def open(self) -> bool:
        """Return whether anything can still be captured, so that it can change by itself."""
        return self.remains and self.status not in ENDED


class BookEntry(NamedTuple):
    """One order of the book."""

    order_id: str
    kind: OrderKind
    merchant_reference1: str | None
    merchant_reference2: str | None
    klarna_reference: str | None
    payment_type: str | None
    order_amount: int
    original_order_amount: int
    captured_amount: int
    refunded_amount: int
    remaining_authorized_amount: int
    created_at: int
    expires_at: int
    captured_at: int
    refunded_at: int
    read_at: int
    """The time of the request; below zero when it is in doubt since that time: it may have changed."""

    def doubted(self, since: int) -> BookEntry:
        """Return the same entry, in doubt since this time."""
        return self._replace(read_at=-since)

    @property
    def amounts(self) -> tuple[int, ...]:
        """The five, in the order of `AMOUNTS`."""
        return self[6:11]

    @property
    def names(self) -> frozenset[str]:
        """The folded references by which it is found, besides its id."""
        references = (self.merchant_reference1, self.merchant_reference2, self.klarna_reference)
        return frozenset(name for name in map(folded, references) if name)


def entry_of(order: Order, source: str, read_at: float, *, disputed: bool = False) -> BookEntry | None:
    """Return the entry of an order that was read at this time (unix seconds); None for one with impossible amounts."""
    if any(abs(getattr(order, name)) > MOST for name in AMOUNTS):
        return None
    shipped = order.shipping_info or any(capture.shipping_info for capture in order.captures)
    method = order.initial_payment_method
    return BookEntry(
        order.order_id.lower(),
        OrderKind(
            clean(order.currency, 10),
            clean(order.status, 30),
            clean(order.fraud_status or "", 30),
            order.remaining_authorized_amount > 0,
            not shipped and order.status not in ENDED,
            disputed,
            source,
        ),
        _short(order.merchant_reference1),
        _short(order.merchant_reference2),
        _short(order.klarna_reference),
        _short(method.type if method else None),
        order.order_amount,
        order.original_order_amount,
        order.captured_amount,
        order.refunded_amount,
        order.remaining_authorized_amount,
        milliseconds(order.created_at),
        milliseconds(order.expires_at),
        _last(capture.captured_at for capture in order.captures),
        _last(refund.refunded_at for refund in order.refunds),
        int(read_at * 1000),
    )


def order_of(entry: BookEntry) -> Order:
    """Return the order as far as the book knows it, for a row of a result."""
    kind = entry.kind
    return Order.model_construct(
        {"order_id", "status", "remaining_authorized_amount"},
        order_id=entry.order_id,
        status=kind.status,
        fraud_status=kind.fraud_status or None,
        purchase_currency=kind.currency or None,
        merchant_reference1=entry.merchant_reference1,
        merchant_reference2=entry.merchant_reference2,
        klarna_reference=entry.klarna_reference,
        expires_at=stamp(entry.expires_at),
        created_at=stamp(entry.created_at),
        **dict(zip(AMOUNTS, entry.amounts, strict=True)),
    )


def milliseconds(text: str | None) -> int:
    """Parse a time as Kustom writes it; 0 when it is none."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return 0
    found = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
    return found if 0 < found <= _LAST else 0


def stamp(moment: int) -> str | None:
    """Write a time as Kustom writes it; None for 0."""
    if not moment:
        return None
    return (_EPOCH + moment * _MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _last(times: Iterable[str | None]) -> int:
    return max(map(milliseconds, times), default=0)


def _short(text: str | None) -> str | None:
    """Cut a text for the database. PostgreSQL takes no NUL, and no database a lone surrogate."""
    return text[:LONGEST].replace("\0", "").encode("utf-8", "replace").decode() if text else None
