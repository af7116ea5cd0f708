"""An entry of the book: states, amounts, times and references of an order. No name, no address, no text of a line.

Of people it holds keyed digests at most: see `people`.

Times are unix milliseconds, 0 where Kustom sent none or something that is no time. Amounts are minor units.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from kustom_mcp.api.models import AMOUNTS, CANCELLED, CLOSED, EXPIRED, Capture, Order, Refund
from kustom_mcp.book.references import LONGEST
from kustom_mcp.text import clean

DAY = 86_400_000  # milliseconds
MOST = 10**14
"""Minor units that no real order comes to. One that claims more is not kept: sums must not overflow."""

MOST_OTHERS = 100
"""References of captures and refunds that are kept of one order; of more, the latest."""

EARLIER, WITHOUT_PEOPLE, WITH_PEOPLE = 0, 1, 2
"""The detail of an entry: kept by version 0.1, without captures and refunds one by one; without people; with people."""

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
    untracked: bool
    """Whether something is captured and no shipment is known. EARLIER: no shipment is known and it has not ended."""
    disputed: bool
    source: str
    """The way by which the order first became known: call, import, webhook, settlement."""
    detail: int = 1
    """EARLIER, WITHOUT_PEOPLE or WITH_PEOPLE."""

    @property
    def open(self) -> bool:
        """Return whether anything can still be captured, so that it can change by itself."""
        return self.remains and self.status not in ENDED


class Move(NamedTuple):
    """A capture or a refund. `at`: unix milliseconds, 0 where unknown; `amount`: minor units, below 0 where unknown."""

    refund: bool
    at: int
    amount: int


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
    other_references: str | None = None
    """References of its captures and refunds, one a line."""
    moves: tuple[Move, ...] = ()
    people: frozenset[int] | None = None
    """Digests of the people in it; None where none are kept."""

    def doubted(self, since: int) -> BookEntry:
        """Return the same entry, in doubt since this time."""
        return self._replace(read_at=-since)

    @property
    def amounts(self) -> tuple[int, ...]:
        """The five, in the order of `AMOUNTS`."""
        return self[6:11]

    @property
    def references(self) -> tuple[str, ...]:
        """The references by which it is found, besides its id, each once."""
        return references_of(self.merchant_reference1, self.merchant_reference2, self.klarna_reference, self[16])


COLUMNS = BookEntry._fields[2:17]
"""The fields that stand in the order's own row, without id and kind."""


def references_of(*texts: str | None) -> tuple[str, ...]:
    """Return the references in these texts, which may hold several, one a line; each once."""
    return tuple(dict.fromkeys(line for text in texts if text for line in text.split("\n") if line))


def entry_of(
    order: Order, source: str, read_at: float, *, disputed: bool = False, people: frozenset[int] | None = None
) -> BookEntry | None:
    """Return the entry of an order that was read at this time (unix seconds); None for one with impossible amounts.

    `people`: digests of the people in it, None where none are kept.
    """
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
            order.captured_amount > 0 and not shipped,
            disputed,
            source,
            WITHOUT_PEOPLE if people is None else WITH_PEOPLE,
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
        _others(order),
        _moves(order),
        people,
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
        captures=[Capture.model_construct(captured_at=stamp(entry.captured_at))] * (entry.captured_at > 0),
        refunds=[Refund.model_construct(refunded_at=stamp(entry.refunded_at))] * (entry.refunded_at > 0),
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


def _others(order: Order) -> str | None:
    texts = [text for capture in order.captures for text in (capture.klarna_reference, capture.reference)]
    texts += [refund.reference for refund in order.refunds]
    short = [" ".join((_short(text) or "").splitlines()) for text in texts[-MOST_OTHERS:]]
    return "\n".join(references_of(*short)) or None


def _moves(order: Order) -> tuple[Move, ...]:
    made = [Move(False, milliseconds(one.captured_at), one.captured_amount or 0) for one in order.captures]
    made += [Move(True, milliseconds(one.refunded_at), one.refunded_amount or 0) for one in order.refunds]
    return tuple(dict.fromkeys(move for move in made if abs(move.amount) <= MOST))


def _last(times: Iterable[str | None]) -> int:
    return max(map(milliseconds, times), default=0)


def _short(text: str | None) -> str | None:
    """Cut a text for the database. PostgreSQL takes no NUL, and no database a lone surrogate."""
    return text[:LONGEST].replace("\0", "").encode("utf-8", "replace").decode() if text else None
