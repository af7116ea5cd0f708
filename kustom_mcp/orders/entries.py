"""Recognise the capture or refund that a request made by the fields of its entry, never by a sum.

An entry is *ours* when its amount and every field that it gives back agree with what was sent, and at least one of the
fields that tell wishes apart is among them: the reference, the description, the lines or the shipments. Kustom may trim
texts, cut them, leave fields out, drop lines of 0 and change the order of lines (A): none of that makes an entry
another's. An entry of the same amount that cannot be told to be ours is uncertain, and never a reason to send again.

Entries are counted, because they may have no id: where n entries looked like ours before and n+1 do afterwards, one of
them was made since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from uuid import UUID

from kustom_mcp.api.models import Capture, Order, OrderLine, Refund, ShippingInfo
from kustom_mcp.text import alike, same_start

OUR_REFERENCE = "km-"
"""The beginning of a reference that this server gave, because the request had none."""


class EntryKind(Enum):
    """The kinds of entries that an order lists."""

    CAPTURE = "capture"
    REFUND = "refund"

    def of(self, order: Order) -> Sequence[Capture] | Sequence[Refund]:
        """The entries of this kind, as Kustom lists them."""
        return order.captures if self is EntryKind.CAPTURE else order.refunds


class Likeness(Enum):
    """The result of comparing an entry with a request."""

    OURS = "ours"
    UNCERTAIN = "uncertain"
    ANOTHER = "another"
    """The amounts differ: it is another entry."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """The fields of a request for a capture or a refund that its entry may give back. `amount` in minor units.

    `lines` is None where the request named none, or where they are not known any more.
    """

    kind: EntryKind
    amount: int
    reference: str
    description: str | None = None
    lines: Sequence[Mapping[str, Any]] | None = None
    shipments: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def likeness(self, entry: Capture | Refund) -> Likeness:
        """Compare one entry with the request."""
        if amount_of(entry) != self.amount:
            return Likeness.ANOTHER
        described = _text(self.description, entry.description)
        told = {
            _text(self.reference, entry.reference),
            self._lines(entry.order_lines),
            self._shipments(entry.shipping_info) if isinstance(entry, Capture) else _Told.NOTHING,
        }
        if self.lines is not None or not entry.order_lines:  # lines that were not sent say more than a description
            told.add(described)
        differs = _Told.DIFFERS in (*told, described)
        return Likeness.OURS if _Told.AGREES in told and not differs else Likeness.UNCERTAIN

    def found(self, order: Order) -> list[Capture | Refund]:
        """The entries of the order that are like ours, in the order in which Kustom lists them."""
        return [entry for entry in self.kind.of(order) if self.likeness(entry) is Likeness.OURS]

    def _lines(self, given: Sequence[OrderLine]) -> _Told:
        entries = [line for line in given if line.total_amount]
        if self.lines is None or not entries:
            return _Told.NOTHING
        left = [line for line in self.lines if line.get("total_amount") != 0]
        for line in entries:
            match = next((sent for sent in left if _same_line(sent, line)), None)
            if match is None:
                return _Told.DIFFERS
            left.remove(match)
        return _Told.DIFFERS if left else _Told.AGREES

    def _shipments(self, given: Sequence[ShippingInfo]) -> _Told:
        """Shipments may be added to a capture afterwards: those that were sent have to be among them."""
        if not self.shipments or not given:
            return _Told.NOTHING
        found = all(any(_same_shipment(sent, one) for one in given) for sent in self.shipments)
        return _Told.AGREES if found else _Told.DIFFERS


def amount_of(entry: Capture | Refund) -> int | None:
    """The amount of an entry in minor units, where Kustom gave one."""
    return entry.captured_amount if isinstance(entry, Capture) else entry.refunded_amount


def id_of(entry: Capture | Refund) -> str | None:
    """The id of an entry, where Kustom gave one."""
    return entry.capture_id if isinstance(entry, Capture) else entry.refund_id


def time_of(entry: Capture | Refund) -> str | None:
    """The time of an entry, as Kustom gives it."""
    return entry.captured_at if isinstance(entry, Capture) else entry.refunded_at


def reference_of(key: UUID) -> str:
    """The reference of a request that had none, made from its idempotency key."""
    return OUR_REFERENCE + key.hex[:8]


def sent_by(kind: EntryKind, amount: int, key: UUID, body: Mapping[str, Any]) -> Sent:
    """The fields of a request with this key. `body`: the request, or the arguments of the call that makes it."""
    return Sent(
        kind=kind,
        amount=amount,
        reference=body.get("reference") or reference_of(key),
        description=body.get("description"),
        lines=body.get("order_lines"),
        shipments=body.get("shipping_info") or (),
    )


class _Told(Enum):
    """The result of comparing one field."""

    AGREES = 1
    DIFFERS = 2
    NOTHING = 3


def _text(sent: str | None, given: str | None) -> _Told:
    """A text that was cut agrees with what was sent, but tells nothing apart."""
    if not sent or not given:
        return _Told.NOTHING
    if alike(sent, given):
        return _Told.AGREES
    return _Told.NOTHING if same_start(sent, given) else _Told.DIFFERS


def _same_line(sent: Mapping[str, Any], line: OrderLine) -> bool:
    """Return whether a line agrees with a line that was sent, in all fields that both have."""
    for name in ("quantity", "unit_price", "tax_rate", "total_amount", "total_tax_amount", "total_discount_amount"):
        figure = getattr(line, name)
        if figure is not None and sent.get(name) is not None and figure != sent[name]:
            return False
    return all(
        _text(sent.get(name), getattr(line, name)) is not _Told.DIFFERS for name in ("reference", "name", "type")
    )


def _same_shipment(sent: Mapping[str, Any], given: ShippingInfo) -> bool:
    """Return whether a shipment agrees with one that was sent, in all fields that both have; one at least."""
    told = [_text(text, getattr(given, name, None)) for name, text in sent.items()]
    return _Told.AGREES in told and _Told.DIFFERS not in told
