"""The operations that Kustom documents as possible in each state of an order: a literal table, and words for a person.

Each cell says `Y` or the error code that Kustom answers with, and how well that is known: S, K and KL are documented by
Kustom or Klarna, A by pages of Kustom's help that were found later; I is inferred, D decided by us where nothing public
decides, U unknown. Only documented refusals are refused here: everything else is sent, and Kustom decides. The table is
laid out like the documentation, so that a difference is found by reading. No clock: `expires_at` alone refuses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kustom_mcp.api.models import STATUSES, Order

DOCUMENTED: Final = frozenset({"S", "K", "KL", "A"})

OPERATIONS: Final = {
    "cancelOrder": "cancel",
    "captureOrder": "capture",
    "refundOrder": "refund",
    "releaseRemainingAuthorization": "release the remainder",
    "updateAuthorization": "change the amount",
    "appendOrderShippingInfo": "add the shipment to the order",
}
"""Operations that are named as alternatives, in words for a person."""


@dataclass(frozen=True)
class StatusRule:
    """One cell of the table: `error_code` None means allowed; `mark` says how well that is known."""

    error_code: str | None
    mark: str


@dataclass(frozen=True)
class Verdict:
    """The possibility of an operation for an order as it is.

    `why` is the reason in words that follow "the order" ("has captures"), empty when allowed. `alternatives` are
    operations that may do instead; `elsewhere` is the person or company to ask where none does.
    """

    operation: str
    allowed: bool
    error_code: str | None
    mark: str
    why: str = ""
    alternatives: tuple[str, ...] = ()
    elsewhere: str = ""

    @property
    def refused_here(self) -> bool:
        """Return whether the refusal is documented, so that nothing needs to be sent."""
        return not self.allowed and self.mark in DOCUMENTED

    @property
    def sentence(self) -> str:
        """The reason and the alternatives: "has captures: refund, or release the remainder"."""
        words = [OPERATIONS[operation] for operation in self.alternatives] or [self.elsewhere]
        instead = ", or ".join(filter(None, words))
        return f"{self.why}: {instead}" if instead else self.why


def _row(*cells: str) -> Mapping[str, StatusRule]:
    parts = [cell.split(":") for cell in cells]
    made = [StatusRule(None if answer == "Y" else answer, mark) for answer, mark in parts]
    return dict(zip(STATUSES, made, strict=True))


_READ: Final = _row("Y:KL", "Y:KL", "Y:KL", "Y:KL", "Y:KL", "Y:KL")

# fmt: off
PERMISSIONS: Final[Mapping[str, Mapping[str, StatusRule]]] = {
    # AUTHORIZED, PART_CAPTURED, CAPTURED, CANCELLED, EXPIRED, CLOSED
    "getOrder": _READ,
    "listCaptures": _READ,
    "getCapture": _READ,
    "getRefund": _READ,
    "acknowledgeOrder": _row(
        "Y:K", "Y:I", "Y:I", "NOT_ALLOWED:D", "NOT_ALLOWED:D", "NOT_ALLOWED:D"),
    "updateAuthorization": _row(
        "Y:K", "Y:KL", "NOT_ALLOWED:K", "NOT_ALLOWED:K", "NOT_ALLOWED:K", "NOT_ALLOWED:I"),
    "updateMerchantReferences": _row(
        "Y:K", "Y:I", "Y:I", "NOT_ALLOWED:KL", "Y:I", "Y:I"),
    "updateCustomerDetails": _row(
        "Y:K", "NOT_ALLOWED:A", "NOT_ALLOWED:A", "NOT_ALLOWED:A", "NOT_ALLOWED:A", "NOT_ALLOWED:A"),
    "appendOrderShippingInfo": _row(
        "Y:K", "Y:I", "Y:I", "Y:D", "Y:D", "Y:D"),
    "cancelOrder": _row(
        "Y:K", "CANCEL_NOT_ALLOWED:K", "CANCEL_NOT_ALLOWED:K", "CANCEL_NOT_ALLOWED:D", "CANCEL_NOT_ALLOWED:D",
        "CANCEL_NOT_ALLOWED:KL"),
    "extendAuthorizationTime": _row(
        "Y:K", "Y:I", "NOT_ALLOWED:D", "NOT_ALLOWED:KL", "NOT_ALLOWED:KL", "NOT_ALLOWED:D"),
    "releaseRemainingAuthorization": _row(
        "NOT_ALLOWED:KL", "Y:K", "NOT_ALLOWED:KL", "NOT_ALLOWED:KL", "NOT_ALLOWED:D", "NOT_ALLOWED:D"),
    "captureOrder": _row(
        "Y:K", "Y:K", "CAPTURE_NOT_ALLOWED:K", "CAPTURE_NOT_ALLOWED:KL", "CAPTURE_NOT_ALLOWED:KL",
        "CAPTURE_NOT_ALLOWED:KL"),
    "appendCaptureShippingInfo": _row(
        "NOT_ALLOWED:KL", "Y:KL", "Y:KL", "NOT_ALLOWED:KL", "NOT_ALLOWED:D", "Y:D"),
    "triggerSendOut": _row(
        "NOT_ALLOWED:KL", "Y:KL", "Y:KL", "NOT_ALLOWED:KL", "NOT_ALLOWED:D", "Y:D"),
    "refundOrder": _row(
        "REFUND_NOT_ALLOWED:KL", "Y:K", "Y:K", "REFUND_NOT_ALLOWED:KL", "REFUND_NOT_ALLOWED:A", "Y:K"),
}
# fmt: on
"""The table. The due-date operations are not in it: their rules are unknown, so they are always sent."""

UNKNOWN: Final = StatusRule(None, "U")

REASONS: Final[Mapping[str, str]] = {
    "AUTHORIZED": "has no captures",
    "PART_CAPTURED": "has captures",
    "CAPTURED": "is fully captured",
    "CANCELLED": "is cancelled",
    "EXPIRED": "has expired",
    "CLOSED": "is closed",
}
"""The reason of a refusal by state, in words that follow "the order"."""

ALTERNATIVES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("cancelOrder", "PART_CAPTURED"): ("refundOrder", "releaseRemainingAuthorization"),
    ("cancelOrder", "CAPTURED"): ("refundOrder",),
    ("updateAuthorization", "CAPTURED"): ("refundOrder",),
    ("releaseRemainingAuthorization", "AUTHORIZED"): ("cancelOrder", "updateAuthorization"),
    ("releaseRemainingAuthorization", "CAPTURED"): ("refundOrder",),
    ("refundOrder", "AUTHORIZED"): ("cancelOrder", "updateAuthorization"),
    ("appendCaptureShippingInfo", "AUTHORIZED"): ("appendOrderShippingInfo",),
}
"""Operations that may do instead."""

ELSEWHERE: Final[Mapping[tuple[str, str], str]] = {
    ("updateCustomerDetails", "PART_CAPTURED"): "ask the carrier to redirect the parcel",
    ("updateCustomerDetails", "CAPTURED"): "ask the carrier to redirect the parcel",
    ("refundOrder", "EXPIRED"): "ask Kustom's merchant support",
}
"""The person or company to ask where no operation does."""

NEEDS_AUTHORIZATION: Final = frozenset(
    {
        "updateAuthorization",
        "updateCustomerDetails",
        "cancelOrder",
        "extendAuthorizationTime",
        "releaseRemainingAuthorization",
        "captureOrder",
    }
)
"""Operations that no EXPIRED order allows: an order past its `expires_at` is about to be one."""

PAID_AT_ONCE: Final = frozenset(
    {
        "APPLE_PAY_CARD",
        "BANCONTACT",
        "BANK_TRANSFER",
        "BLIK",
        "CARD",
        "CARTES_BANCAIRES",
        "GOOGLE_PAY_CARD",
        "MOBILEPAY",
        "SWISH",
        "TWINT",
    }
)
"""Payment types that are none of Klarna's, so that nothing can be extended (K for authorizations, KL for due dates)."""

EXTENDED_SINCE: Final = "2025-09-25"
"""Kustom extends no authorization of an order that was made before this day (K)."""

NOT_EXTENDED_IN: Final = frozenset({"ES", "FR", "IT", "PT"})
"""Countries in which Kustom does not extend authorizations (K)."""


def left(operation: str, order: Order) -> int | None:
    """Return what is left to capture or to refund, in minor units; None for other operations, or where Kustom is
    silent.

    A capture is limited by the remaining authorization, a refund by what was captured and not refunded (K).
    """
    given = order.model_fields_set
    if operation == "captureOrder" and "remaining_authorized_amount" in given:
        return max(0, order.remaining_authorized_amount)
    if operation == "refundOrder" and "captured_amount" in given:
        return max(0, order.captured_amount - order.refunded_amount)
    return None


def max_amount(operation: str, order: Order) -> int | None:
    """Return the most that a capture or a refund may be: what is left, less the return fees that were kept, which are
    not owed to anybody. Minor units; None as in `left`."""
    most = left(operation, order)
    return most if most is None or operation != "refundOrder" else max(0, most - kept(order))


def kept(order: Order) -> int:
    """Return the return fees that refunds have kept back, in minor units."""
    lines = (line for refund in order.refunds for line in refund.order_lines if line.type == "return_fee")
    return -sum(min(0, line.total_amount or 0) for line in lines)


def paid_at_once(order: Order) -> bool:
    """Return whether the payment method is known to be none of Klarna's. An unlisted type may be one."""
    method = order.initial_payment_method
    return method is not None and method.type in PAID_AT_ONCE


def extendable(order: Order) -> bool:
    """Return whether Kustom may extend the authorization, as far as the order tells: no method that pays at once, no
    order of certain countries, none that is too old (K). For the list of offered actions only; nothing is refused by
    it."""
    country = (order.purchase_country or "").upper()
    since = (order.created_at or EXTENDED_SINCE)[: len(EXTENDED_SINCE)]
    return not paid_at_once(order) and country not in NOT_EXTENDED_IN and since >= EXTENDED_SINCE


def verdict(operation: str, order: Order, amount: int | None = None) -> Verdict:
    """Decide whether an operation is possible for an order as it is, and with this amount when one is given.

    `amount` is the capture, the refund, or the new order amount, in minor units. A status or an operation that is not
    in the table is allowed with the mark U: Kustom decides.
    """
    cell = PERMISSIONS.get(operation, {}).get(order.status, UNKNOWN)
    if cell.error_code is not None:
        return Verdict(
            operation,
            allowed=False,
            error_code=cell.error_code,
            mark=cell.mark,
            why=REASONS[order.status],
            alternatives=ALTERNATIVES.get((operation, order.status), ()),
            elsewhere=ELSEWHERE.get((operation, order.status), ""),
        )
    return _over_limit(operation, order, amount, cell) or Verdict(operation, True, None, cell.mark)


def _over_limit(operation: str, order: Order, amount: int | None, cell: StatusRule) -> Verdict | None:
    """Return the refusal of an amount above the limit of an allowed cell, with the cell's own mark; None below it."""
    if operation == "updateAuthorization":
        if amount is None or amount >= order.captured_amount:
            return None
        why = "has captured more than the new amount"
        return Verdict(operation, False, "NOT_ALLOWED", cell.mark, why, ("refundOrder",))
    most = max_amount(operation, order)
    if most is None or (most > 0 if amount is None else amount <= most):
        return None
    if operation == "refundOrder" and amount is not None and amount <= most + kept(order):
        return None  # giving a fee back after all: not offered, and Kustom decides
    if operation == "captureOrder":
        why = "has less left to capture" if most else "has nothing left to capture"
        # With a discount or a gift card in the order the amount is mostly right, and lines are missing in the capture.
        # With captures a new amount that fits would charge more than was ordered, or take lines off.
        takes_off = any((line.total_amount or 0) < 0 for line in order.order_lines)
        instead = () if takes_off or order.captured_amount else ("updateAuthorization",)
        return Verdict(operation, False, "CAPTURE_NOT_ALLOWED", cell.mark, why, instead)
    why = "has less left to refund" if most else "has nothing left to refund"
    return Verdict(operation, False, "REFUND_NOT_ALLOWED", cell.mark, why)


def refused_here(operation: str, order: Order, amount: int | None = None) -> bool:
    """Return whether Kustom's or Klarna's documentation refuses it, so that nothing needs to be sent to know."""
    return verdict(operation, order, amount).refused_here
