"""The operations of each state and their effects: two literal tables without I/O, with the rules written on top.

A `Position` is the money side of one order. Every rule takes one and returns the next, or raises and leaves
everything as it was: positions are immutable, so a refused event cannot have changed anything. Amounts are minor
units of the order's currency. Marks are the source of a cell: S and K Kustom, KL Klarna's description of the same
API, A pages of Kustom's help that were found later, I inferred, D decided here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from kustom_mcp.simulator.switches import Switches


class Status(StrEnum):
    """Order status values of the API."""

    AUTHORIZED = "AUTHORIZED"
    PART_CAPTURED = "PART_CAPTURED"
    CAPTURED = "CAPTURED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    CLOSED = "CLOSED"


class OrderEvent(StrEnum):
    """An event of an order, told apart where the resulting status differs."""

    CAPTURED_PART = "a capture that leaves something"
    CAPTURED_ALL = "a capture of all that remained"
    REPRICED = "a new order amount"
    REPRICED_TO_CAPTURED = "a new order amount equal to what is captured"
    CANCELLED = "cancel"
    RELEASED = "release of the remaining authorization"
    REFUNDED = "a refund"
    REFUNDED_ALL = "a refund of all that was left to refund"
    EXPIRED = "the clock passing expires_at"


class OperationRefused(Exception):
    """The API answers 403 with this code; nothing changed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class IllegalEvent(Exception):
    """An event that has no transition from the state: a mistake of the caller, never an answer to a client."""


Y: Final = "Y"
NO: Final = "NOT_ALLOWED"
NO_CAPTURE: Final = "CAPTURE_NOT_ALLOWED"
NO_CANCEL: Final = "CANCEL_NOT_ALLOWED"
NO_REFUND: Final = "REFUND_NOT_ALLOWED"

COLUMNS: Final = tuple(Status)

_ROWS: Final[dict[str, tuple[str, ...]]] = {
    # AUTHORIZED, PART_CAPTURED, CAPTURED, CANCELLED, EXPIRED, CLOSED; a cell is "Y" or an error code, then its mark
    "getOrder": ("Y:KL", "Y:KL", "Y:KL", "Y:KL", "Y:KL", "Y:KL"),
    "listCaptures": ("Y:KL", "Y:KL", "Y:KL", "Y:KL", "Y:KL", "Y:KL"),
    "getCapture": ("Y:KL", "Y:KL", "Y:KL", "Y:KL", "Y:KL", "Y:KL"),
    "getRefund": ("Y:KL", "Y:KL", "Y:KL", "Y:KL", "Y:KL", "Y:KL"),
    "acknowledgeOrder": ("Y:K", "Y:I", "Y:I", f"{NO}:D", f"{NO}:D", f"{NO}:D"),
    "updateAuthorization": ("Y:K", "Y:KL", f"{NO}:K", f"{NO}:K", f"{NO}:K", f"{NO}:I"),
    "updateMerchantReferences": ("Y:K", "Y:I", "Y:I", f"{NO}:KL", "Y:I", "Y:I"),
    "updateCustomerDetails": ("Y:K", f"{NO}:A", f"{NO}:A", f"{NO}:A", f"{NO}:A", f"{NO}:A"),
    "appendOrderShippingInfo": ("Y:K", "Y:I", "Y:I", "Y:D", "Y:D", "Y:D"),
    "cancelOrder": ("Y:K", f"{NO_CANCEL}:K", f"{NO_CANCEL}:K", f"{NO_CANCEL}:D", f"{NO_CANCEL}:D", f"{NO_CANCEL}:KL"),
    "extendAuthorizationTime": ("Y:K", "Y:I", f"{NO}:D", f"{NO}:KL", f"{NO}:KL", f"{NO}:D"),
    "releaseRemainingAuthorization": (f"{NO}:KL", "Y:K", f"{NO}:KL", f"{NO}:KL", f"{NO}:D", f"{NO}:D"),
    "captureOrder": ("Y:K", "Y:K", f"{NO_CAPTURE}:K", f"{NO_CAPTURE}:KL", f"{NO_CAPTURE}:KL", f"{NO_CAPTURE}:KL"),
    "appendCaptureShippingInfo": (f"{NO}:KL", "Y:KL", "Y:KL", f"{NO}:KL", f"{NO}:D", "Y:D"),
    "triggerSendOut": (f"{NO}:KL", "Y:KL", "Y:KL", f"{NO}:KL", f"{NO}:D", "Y:D"),
    "refundOrder": (f"{NO_REFUND}:KL", "Y:K", "Y:K", f"{NO_REFUND}:KL", f"{NO_REFUND}:A", "Y:K"),
}


@dataclass(frozen=True, slots=True)
class Permission:
    """One cell of the permission table: `code` is None where the operation is allowed."""

    code: str | None
    mark: str


def _cell(text: str) -> Permission:
    verdict, mark = text.split(":")
    return Permission(None if verdict == Y else verdict, mark)


PERMISSIONS: Final[Mapping[str, Mapping[str, Permission]]] = MappingProxyType(
    {name: MappingProxyType(dict(zip(COLUMNS, map(_cell, row), strict=True))) for name, row in _ROWS.items()}
)
"""operation -> status -> Cell. Amount conditions are in the rules below, not in the table."""

TRANSITIONS: Final[Mapping[tuple[str, OrderEvent], Status]] = MappingProxyType(
    {
        (Status.AUTHORIZED, OrderEvent.CAPTURED_PART): Status.PART_CAPTURED,
        (Status.AUTHORIZED, OrderEvent.CAPTURED_ALL): Status.CAPTURED,
        (Status.AUTHORIZED, OrderEvent.REPRICED): Status.AUTHORIZED,
        (Status.AUTHORIZED, OrderEvent.CANCELLED): Status.CANCELLED,
        (Status.AUTHORIZED, OrderEvent.EXPIRED): Status.EXPIRED,
        (Status.PART_CAPTURED, OrderEvent.CAPTURED_PART): Status.PART_CAPTURED,
        (Status.PART_CAPTURED, OrderEvent.CAPTURED_ALL): Status.CAPTURED,
        (Status.PART_CAPTURED, OrderEvent.REPRICED): Status.PART_CAPTURED,
        (Status.PART_CAPTURED, OrderEvent.REPRICED_TO_CAPTURED): Status.CAPTURED,
        (Status.PART_CAPTURED, OrderEvent.RELEASED): Status.CAPTURED,
        (Status.PART_CAPTURED, OrderEvent.REFUNDED): Status.PART_CAPTURED,
        (Status.PART_CAPTURED, OrderEvent.REFUNDED_ALL): Status.PART_CAPTURED,
        (Status.PART_CAPTURED, OrderEvent.EXPIRED): Status.EXPIRED,
        (Status.CAPTURED, OrderEvent.REFUNDED): Status.CAPTURED,
        (Status.CAPTURED, OrderEvent.REFUNDED_ALL): Status.CAPTURED,
        (Status.CLOSED, OrderEvent.REFUNDED): Status.CLOSED,
        (Status.CLOSED, OrderEvent.REFUNDED_ALL): Status.CLOSED,
    }
)


def advance(status: str, event: OrderEvent, switches: Switches) -> str:
    """Return the status after an event; raises IllegalEvent where there is no transition."""
    after = TRANSITIONS.get((status, event))
    if after is None:
        raise IllegalEvent(f"{status}: no transition for {event}")
    if event is OrderEvent.RELEASED and switches.release == "CLOSED":
        return Status.CLOSED
    if event is OrderEvent.REFUNDED_ALL and status == Status.CAPTURED and switches.full_refund == "CLOSED":
        return Status.CLOSED
    if event is OrderEvent.EXPIRED and status == Status.PART_CAPTURED and switches.part_captured_expiry != "EXPIRED":
        return Status.PART_CAPTURED
    return after


def permit(operation: str, status: str) -> None:
    """Raise OperationRefused with the table's code where the state forbids it. An unknown status counts as
    CANCELLED."""
    row = PERMISSIONS[operation]
    cell = row.get(status, row[Status.CANCELLED])
    if cell.code is not None:
        raise OperationRefused(cell.code, f"{operation} is not allowed for an order that is {status}.")


@dataclass(frozen=True, slots=True)
class Position:
    """The money side of one order in minor units: captured + remaining + released = ordered."""

    status: str
    ordered: int
    captured: int = 0
    refunded: int = 0
    remaining: int = 0
    released: int = 0


def capture(at: Position, amount: int, switches: Switches) -> Position:
    """Take money: at most what remains authorized."""
    permit("captureOrder", at.status)
    if amount > at.remaining:
        raise OperationRefused(NO_CAPTURE, "Captured amount is higher than the remaining authorized amount.")
    event = OrderEvent.CAPTURED_ALL if amount == at.remaining else OrderEvent.CAPTURED_PART
    status = advance(at.status, event, switches)
    return replace(at, status=status, captured=at.captured + amount, remaining=at.remaining - amount)


def refund(at: Position, amount: int, switches: Switches) -> Position:
    """Give money back: at most captured minus refunded. The remaining authorization does not come back."""
    permit("refundOrder", at.status)
    if not at.captured:
        raise OperationRefused(NO_REFUND, "The order has no captures.")
    left = at.captured - at.refunded
    if amount > left:
        raise OperationRefused(
            NO_REFUND, f"Refund amount {amount} is higher than what is left to refund, {max(left, 0)}."
        )
    event = OrderEvent.REFUNDED_ALL if amount == left else OrderEvent.REFUNDED
    return replace(at, status=advance(at.status, event, switches), refunded=at.refunded + amount)


def reprice(at: Position, amount: int, switches: Switches, *, may_raise: bool) -> Position:
    """Set a new order amount: not below what is captured, above the old one only where `may_raise`."""
    permit("updateAuthorization", at.status)
    if amount == at.ordered and switches.equal_amount == "refused":
        raise OperationRefused(NO, "The order has this amount already.")
    if amount < at.captured:
        raise OperationRefused(NO, f"The new amount {amount} is lower than the captured amount {at.captured}.")
    if amount > at.ordered and not may_raise:
        raise OperationRefused(NO, "Update not allowed.")
    event = OrderEvent.REPRICED_TO_CAPTURED if at.captured and amount == at.captured else OrderEvent.REPRICED
    return replace(
        at,
        status=advance(at.status, event, switches),
        ordered=amount,
        remaining=amount - at.captured,
        released=0,
    )


def cancel(at: Position, switches: Switches) -> Position:
    """End an order that has no captures; everything is released."""
    permit("cancelOrder", at.status)
    if at.captured:
        raise OperationRefused(NO_CANCEL, "The order has captures.")
    return _let_go(at, OrderEvent.CANCELLED, switches)


def release(at: Position, switches: Switches) -> Position:
    """Release the remaining authorization, after at least one capture."""
    permit("releaseRemainingAuthorization", at.status)
    if not at.remaining:
        raise OperationRefused(NO, "Nothing remains to be released.")
    return _let_go(at, OrderEvent.RELEASED, switches)


def expire(at: Position, switches: Switches) -> Position:
    """Expire an order whose expires_at has passed; finished orders stay as they are."""
    if at.status not in (Status.AUTHORIZED, Status.PART_CAPTURED):
        return at
    return _let_go(at, OrderEvent.EXPIRED, switches)


def _let_go(at: Position, event: OrderEvent, switches: Switches) -> Position:
    status = advance(at.status, event, switches)
    return replace(at, status=status, remaining=0, released=at.released + at.remaining)
