"""The gated operations as cases: an order on which each is possible, what it sends, and what somebody else may do.

`change` is a change by somebody else that the operation watches and that leaves it possible; `says` is how the server
must name it. `body` is the request that the operation sends; sent by somebody else, it has the same effect.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.calls.quick import ALL as EVERYTHING
from tests.support.conversation import OURS, Talk
from tests.support.direct import ask

Request = tuple[str, str, Any]
"""Method, path below the order, body."""

LAMPS: dict[str, Any] = {"reference": "A", "name": "Lamp", "quantity": 2, "unit_price": 5000, "total_amount": 10000}
MUG: dict[str, Any] = {"reference": "B", "name": "Mug", "quantity": 1, "unit_price": 2000, "total_amount": 2000}
"""An order of 120.00 SEK: two lamps and a mug."""

ENTRIES_OF = ("capture_order", "refund_order")
ENTRIES = "its lines, its address or its entries were changed"


@dataclass(frozen=True)
class Case:
    """One gated operation. `first` is what a person's dialog reads of its code, before the order id."""

    tool: str
    order: Mapping[str, Any]
    arguments: Mapping[str, Any]
    first: str
    request: Request
    change: Request = ("", "", None)
    says: str = ""
    readable: bool = True
    """Return whether the order shows the effect."""

    def begin(self, talk: Talk) -> tuple[str, dict[str, Any]]:
        """An order, and the arguments of the call on it."""
        order_id = talk.order(order_lines=[LAMPS, MUG], **self.order)
        given: dict[str, Any] = {"order_id": order_id, **self.arguments}
        if "capture_id" in given:
            given["capture_id"] = talk.stored(order_id)["captures"][0]["capture_id"]
        return order_id, given

    def sent(self, talk: Talk, order_id: str) -> list[Request]:
        """The requests that `Talk.sent` shows when it has been sent once."""
        method, path, body = self.request
        if self.tool in ENTRIES_OF and "reference" not in body:
            body = {**body, "reference": OURS}
        return [(method, f"/ordermanagement/v1/orders/{order_id}{_filled(path, talk, order_id)}", body)]


def somebody(talk: Talk, order_id: str, request: Request, *, user: str = "somebody") -> None:
    """Somebody else changes the order, past the server. Nothing of it is in `Talk.sent`."""
    method, path, body = request
    path = f"/orders/{order_id}{_filled(path, talk, order_id)}"
    answer = ask(talk.simulator, method, path, body, key=str(uuid.uuid4()), user=user)
    assert answer.status < 300, answer
    talk.simulator.requests.pop()


def _filled(path: str, talk: Talk, order_id: str) -> str:
    captures = talk.stored(order_id)["captures"]
    return path.replace("{capture_id}", captures[0]["capture_id"]) if captures else path


def line(stored: Mapping[str, Any], quantity: int) -> dict[str, Any]:
    """A line as the simulator completes it, in another quantity."""
    total = stored["unit_price"] * quantity
    made_up = {"type": "physical", "tax_rate": 2500, "total_discount_amount": 0, "total_tax_amount": total // 5}
    return {**stored, **made_up, "quantity": quantity, "total_amount": total}


def amount(lamps: int, mugs: int) -> Request:
    """A change to so many lamps and mugs."""
    lines = [line(stored, quantity) for stored, quantity in ((LAMPS, lamps), (MUG, mugs)) if quantity]
    total = lamps * 5000 + mugs * 2000
    return "PATCH", "/authorization", {"order_amount": total, "order_lines": lines}


def captured(minor: int) -> Request:
    return "POST", "/captures", {"captured_amount": minor}


def refunded(minor: int) -> Request:
    return "POST", "/refunds", {"refunded_amount": minor}


ONE_LAMP = amount(1, 1)
LUND = {"street_address": "Provgatan 3", "postal_code": "22222", "city": "Lund"}
HALF = {"captures": [{"captured_amount": 6000}]}
ALL = {"captures": [{"captured_amount": 12000}]}

CANCEL = Case(
    "cancel_order",
    {},
    {},
    "cancel-120.00SEK",
    ("POST", "/cancel", None),
    amount(2, 0),
    "order_amount 120.00 SEK -> 100.00 SEK; remaining_authorized_amount 120.00 SEK -> 100.00 SEK",
)
AMOUNT = Case(
    "update_order_amount",
    {},
    {"line_changes": [{"line": 1, "quantity": 1}]},
    "update-amount-70.00SEK",
    ONE_LAMP,
    amount(2, 2),
    "order_amount 120.00 SEK -> 140.00 SEK; remaining_authorized_amount 120.00 SEK -> 140.00 SEK",
)
ADDRESS = Case(
    "update_customer_details",
    {},
    {"shipping_address": LUND},
    "change-address",
    ("PATCH", "/customer-details", {"shipping_address": LUND}),
    ("PATCH", "/customer-details", {"shipping_address": {"phone": "+46700000001"}}),
    ENTRIES,
)
RELEASE = Case(
    "release_remaining_authorization",
    HALF,
    {},
    "release-60.00SEK",
    ("POST", "/release-remaining-authorization", None),
    captured(1000),
    "captured_amount 60.00 SEK -> 70.00 SEK; remaining_authorized_amount 60.00 SEK -> 50.00 SEK",
)
CAPTURE = Case(
    "capture_order",
    HALF,
    {"captured_amount": 5000},
    "capture-50.00SEK",
    captured(5000),
    captured(1000),
    "captured_amount 60.00 SEK -> 70.00 SEK; remaining_authorized_amount 60.00 SEK -> 50.00 SEK",
)
REFUND = Case(
    "refund_order",
    ALL,
    {"refunded_amount": 5000},
    "refund-50.00SEK",
    refunded(5000),
    refunded(1000),
    "refunded_amount 0.00 SEK -> 10.00 SEK",
)
DUE_DATE = Case(
    "extend_due_date",
    HALF,
    {"capture_id": "", "number_of_days": 14},
    "extend-due-date-14days",
    ("PATCH", "/captures/{capture_id}/extend-due-date", {"number_of_days": 14}),
    captured(1000),
    "captured_amount 60.00 SEK -> 70.00 SEK; remaining_authorized_amount 60.00 SEK -> 50.00 SEK",
    readable=False,
)

GATED = (CANCEL, AMOUNT, ADDRESS, RELEASE, CAPTURE, REFUND, DUE_DATE)
READABLE = tuple(case for case in GATED if case.readable)
VALUES = tuple(case for case in READABLE if case.tool not in ENTRIES_OF)
"""Those whose effect is recognised by values of the order, and not by an entry."""


PARCEL = {"shipping_company": "PostNord SE", "tracking_number": "00340000000000000002"}
ACKNOWLEDGE = Case("acknowledge_order", {}, {}, "", ("POST", "/acknowledge", None), readable=False)
REFERENCES = Case(
    "update_merchant_references",
    {},
    {"merchant_reference1": "SE-2"},
    "",
    ("PATCH", "/merchant-references", {"merchant_reference1": "SE-2"}),
)
SHIPMENT = Case(
    "add_shipping_info",
    {},
    {"shipping_info": [PARCEL]},
    "",
    ("POST", "/shipping-info", {"shipping_info": [PARCEL]}),
)
CAPTURE_SHIPMENT = Case(
    "add_capture_shipping_info",
    HALF,
    {"capture_id": "", "shipping_info": [PARCEL]},
    "",
    ("POST", "/captures/{capture_id}/shipping-info", {"shipping_info": [PARCEL]}),
)
EXTENSION = Case("extend_authorization", {}, {}, "", ("POST", "/extend-authorization-time", None))
SEND_OUT = Case(
    "trigger_send_out",
    HALF,
    {"capture_id": ""},
    "",
    ("POST", "/captures/{capture_id}/trigger-send-out", None),
    readable=False,
)

UNGATED = (ACKNOWLEDGE, REFERENCES, SHIPMENT, CAPTURE_SHIPMENT, EXTENSION, SEND_OUT)


def applications(talk: Talk) -> int:
    """Number of writes since the mark that had an effect of their own at Kustom."""
    return sum(
        seen.status is not None and seen.status < 300 and not seen.replayed and seen.fault is None
        for seen in talk.writes
    )


def only(case: Case, settings: Mapping[str, Any] = EVERYTHING) -> dict[str, Any]:
    """The settings of a server that has this operation and no other: it starts much faster."""
    return {**settings, "KUSTOM_TOOLS": f"kustom_{case.tool}"}


def name_of(value: object) -> str | None:
    """The name of a parameter in a test's name."""
    return value.tool if isinstance(value, Case) else None
