"""The operations as cases: an order on which each is possible, and the arguments of the call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.exams.scripted_upstream import Upstream

LAMPS: dict[str, Any] = {"reference": "A", "name": "Lamp", "quantity": 2, "unit_price": 5000, "total_amount": 10000}
MUG: dict[str, Any] = {"reference": "B", "name": "Mug", "quantity": 1, "unit_price": 2000, "total_amount": 2000}
SHIPMENT = {"shipping_company": "Demo Post", "tracking_number": "001"}
OPEN: dict[str, Any] = {}
HALF: dict[str, Any] = {"captures": [{"captured_amount": 6000}]}
ALL: dict[str, Any] = {"captures": [{"captured_amount": 12000}]}


@dataclass(frozen=True)
class Operation:
    """One operation. `shows`: the order tells whether it was done; `harmless`: doing it again changes nothing."""

    tool: str
    order: Mapping[str, Any]
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    gated: bool = True
    shows: bool = True
    harmless: bool = False
    hidden: bool = False
    """The upstream does not return the list in which it would show."""

    def __repr__(self) -> str:
        return f"{self.tool}{' (not returned)' if self.hidden else ''}"

    def begin(self, upstream: Upstream) -> dict[str, Any]:
        """A new order, and the arguments of the call on it."""
        soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
        given_order = {"order_lines": [LAMPS, MUG], "expires_at": soon, **self.order}
        order = upstream.simulator.add_order(given_order).order
        order_id = str(order["order_id"])
        if self.hidden:
            upstream.hides.add(order_id)
        given = {"order_id": order_id, **self.arguments}
        if "capture_id" in given:
            given["capture_id"] = order["captures"][0]["capture_id"]
        return given


REFUND = Operation("refund_order", ALL, {"refunded_amount": 5000})
CAPTURE = Operation("capture_order", HALF, {"captured_amount": 5000})
CANCEL = Operation("cancel_order", OPEN)
AMOUNT = Operation("update_order_amount", OPEN, {"line_changes": [{"line": 1, "quantity": 1}]})
SHIPPING = Operation("add_shipping_info", OPEN, {"shipping_info": [SHIPMENT]}, gated=False)
SEND_OUT = Operation("trigger_send_out", ALL, {"capture_id": ""}, gated=False, shows=False)
DUE_DATE = Operation("extend_due_date", ALL, {"capture_id": "", "number_of_days": 14}, shows=False)
ACKNOWLEDGE = Operation("acknowledge_order", OPEN, gated=False, harmless=True)
REFERENCES = Operation("update_merchant_references", OPEN, {"merchant_reference1": "X-1"}, gated=False)
RELEASE = Operation("release_remaining_authorization", HALF)

OPERATIONS = (
    REFUND,
    CAPTURE,
    CANCEL,
    AMOUNT,
    SHIPPING,
    SEND_OUT,
    DUE_DATE,
    ACKNOWLEDGE,
    REFERENCES,
    RELEASE,
    Operation("update_customer_details", OPEN, {"shipping_address": {"city": "Lund", "postal_code": "22100"}}),
    Operation("extend_authorization", OPEN, gated=False),
    Operation("add_capture_shipping_info", ALL, {"capture_id": "", "shipping_info": [SHIPMENT]}, gated=False),
    Operation("add_shipping_info", OPEN, {"shipping_info": [SHIPMENT]}, gated=False, shows=False, hidden=True),
    Operation(
        "add_capture_shipping_info",
        ALL,
        {"capture_id": "", "shipping_info": [SHIPMENT]},
        gated=False,
        shows=False,
        hidden=True,
    ),
)
