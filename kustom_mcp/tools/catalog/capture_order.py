"""kustom_capture_order: take the money for goods that are shipped."""

from typing import Annotated

from pydantic import Field

from kustom_mcp.api.endpoints import CAPTURE_ORDER
from kustom_mcp.api.models import ACCEPTED, Order
from kustom_mcp.calls.confirmation import Proposal, Watch
from kustom_mcp.calls.write import Call
from kustom_mcp.money import show
from kustom_mcp.orders import plausibility, third_party
from kustom_mcp.orders.entries import EntryKind
from kustom_mcp.orders.facts import more_than_left
from kustom_mcp.schema.arguments import (
    Currency,
    Description,
    Money,
    OrderId,
    OrderLines,
    Picks,
    Reference,
    Shipments,
    sent,
)
from kustom_mcp.schema.result import Json, Result
from kustom_mcp.tools.amounts import RequestedAmount, capture_amount, line_facts, short, unbooked
from kustom_mcp.tools.tool import Effect, operation

Captured = Annotated[Money, Field(description="Minor units (100 = 1.00), tax included. Never means everything.")]
Days = Annotated[int, Field(ge=0, le=365, description="Days until shipment; above 0 only if Kustom enabled it.")]
Text = Annotated[Description, Field(description="Shown to the customer. No links.")]
Mark = Annotated[Reference, Field(description="Shop's own reference, for settlement files.")]


def _captures(order: Order) -> list[int]:
    return sorted(capture.captured_amount or 0 for capture in order.captures)


WATCH = Watch(
    depends=lambda order: [
        order.status,
        order.order_amount,
        order.captured_amount,
        order.remaining_authorized_amount,
        _captures(order),
        line_facts(order),
    ],
    shows=lambda order: [order.captured_amount, order.remaining_authorized_amount, _captures(order)],
    entry=EntryKind.CAPTURE,
)


@operation(CAPTURE_ORDER, Effect.MOVES_MONEY, toolset="captures", payload=("capture",), label="Capture")
async def capture_order(
    call: Call,
    order_id: OrderId,
    captured_amount: Captured | None = None,
    lines: Picks | None = None,
    order_lines: OrderLines | None = None,
    currency: Currency | None = None,
    description: Text | None = None,
    reference: Mark | None = None,
    shipping_info: Shipments | None = None,
    shipping_delay: Days | None = None,
) -> Result:
    """Capture (activate) an order: charge the customer for goods that are shipped, all of them or a part. Send
    lines or captured_amount. If fewer goods will ever ship, lower the order first with
    kustom_update_order_amount."""
    shipments = [sent(shipment) for shipment in shipping_info or ()]
    call.policy.tracking_links(shipments)
    order = await call.order(order_id, WATCH)
    call.same_currency(order, currency)
    call.require(CAPTURE_ORDER, order)
    taken = capture_amount(order, captured_amount, lines, order_lines)
    call.require(CAPTURE_ORDER, order, taken.amount, field="captured_amount")
    call.policy.within_ceiling(taken.amount, order.currency, "captured_amount")
    optional: dict[str, Json] = {
        "description": description,
        "reference": reference,
        "order_lines": taken.order_lines,
        "shipping_info": shipments or None,
        "shipping_delay": shipping_delay,
    }
    body: dict[str, Json] = {"captured_amount": taken.amount}
    body |= {name: value for name, value in optional.items() if value is not None}
    warnings = _warnings(order, taken, description, shipped=bool(shipments))
    approved = await call.approval(_proposal(order, taken, body, warnings))
    written = await call.write(
        CAPTURE_ORDER,
        approved,
        body,
        contradicted=unbooked(order, "captured_amount", taken.amount),
        order_id=order_id,
    )
    result, after = await call.applied(
        f"Captured {show(taken.amount, order.currency)} of {short(order)}.", warnings=tuple(warnings)
    )
    made = [capture for capture in after.captures if capture.capture_id == written.new_id] if after else []
    facts = third_party.capture_facts(made[0]) if made else {"captured_amount": taken.amount}
    result.payload = {"capture": {**({"capture_id": written.new_id} if written.new_id else {}), **facts}}
    return result


def _proposal(order: Order, taken: RequestedAmount, body: dict[str, Json], warnings: list[str]) -> Proposal:
    captured = order.captured_amount + taken.amount
    remaining = order.remaining_authorized_amount - taken.amount
    return Proposal(
        action="capture",
        amount=taken.amount,
        currency=order.currency,
        effect=f"Capture {show(taken.amount, order.currency)} of {short(order)}.",
        afterwards="A capture cannot be undone, only refunded, and the order can no longer be cancelled.",
        expects=[captured, remaining, sorted([*_captures(order), taken.amount])],
        body=body,
        changes=[
            {"field": "captured_amount", "before": order.captured_amount, "after": captured},
            {"field": "remaining_authorized_amount", "before": order.remaining_authorized_amount, "after": remaining},
        ],
        warnings=warnings,
    )


def _warnings(order: Order, taken: RequestedAmount, description: str | None, *, shipped: bool) -> list[str]:
    """The warnings of a capture, the gravest first."""
    warnings: list[str] = []
    if order.fraud_status not in (ACCEPTED, None):
        warnings.append(
            f"The fraud status is {third_party.cleaned(order.fraud_status)}, not ACCEPTED: do not ship yet."
        )
    warnings += more_than_left(CAPTURE_ORDER.name, order, taken.amount)
    warnings += [*taken.asked, *plausibility.currencies(order, (description,))]
    reported = any(entry.shipping_info for entry in (order, *order.captures))
    if shipped and reported:
        warnings.append("A shipment of this order is reported already: is this another one?")
    warnings += taken.warnings
    if taken.order_lines is None:
        warnings.append("Without lines the customer's invoice shows no items for this capture.")
    if not shipped:
        otherwise = "a shipment is reported already" if reported else "the customer gets no tracking from Kustom"
        warnings.append(f"No shipment is given: {otherwise}.")
    return warnings
