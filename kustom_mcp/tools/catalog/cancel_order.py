"""kustom_cancel_order: end an order that has no captures."""

from kustom_mcp.api.endpoints import CANCEL_ORDER
from kustom_mcp.api.models import AUTHORIZED, CANCELLED, CAPTURED, PART_CAPTURED
from kustom_mcp.calls.confirmation import Proposal, Watch
from kustom_mcp.calls.write import Call
from kustom_mcp.money import show
from kustom_mcp.orders.facts import reported
from kustom_mcp.schema.arguments import OrderId
from kustom_mcp.schema.result import Result
from kustom_mcp.tools.amounts import short
from kustom_mcp.tools.tool import Effect, operation

WATCH = Watch(
    depends=lambda order: [order.status, order.order_amount, order.captured_amount],
    shows=lambda order: [order.status, order.captured_amount],
)
GOES_ON = (AUTHORIZED, PART_CAPTURED, CAPTURED)
"""No order that was cancelled is in one of these."""


@operation(CANCEL_ORDER, Effect.ENDS_ORDER, toolset="orders", label="Cancel the order")
async def cancel_order(call: Call, order_id: OrderId) -> Result:
    """Cancel an order of which nothing is captured; the hold on the customer's money is released. It cannot be
    undone. Where something is captured use kustom_refund_order, and kustom_release_remaining_authorization for the
    rest."""
    order = await call.order(order_id, WATCH)
    if order.status == CANCELLED:
        call.already(f"{short(order).capitalize()} is cancelled already.")
    call.require(CANCEL_ORDER, order)
    approved = await call.approval(
        Proposal(
            action="cancel",
            amount=order.order_amount,
            currency=order.currency,
            effect=f"Cancel {short(order)} and release {show(order.order_amount, order.currency)} to the customer.",
            afterwards="This cannot be undone: nothing can be captured on this order afterwards.",
            expects=[CANCELLED, order.captured_amount],
            changes=[
                {"field": "status", "before": order.status, "after": CANCELLED},
                {
                    "field": "remaining_authorized_amount",
                    "before": order.remaining_authorized_amount,
                    "after": 0,
                },
            ],
            warnings=reported(order),
        )
    )
    await call.write(
        CANCEL_ORDER, approved, contradicted=lambda now: now.status in (order.status, *GOES_ON), order_id=order_id
    )
    result, _ = await call.applied(f"Cancelled {short(order)}.")
    return result
