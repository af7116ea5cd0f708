"""kustom_release_remaining_authorization: release the hold on the amount that will not be captured."""

from kustom_mcp.api.endpoints import RELEASE_REMAINING_AUTHORIZATION
from kustom_mcp.api.models import PART_CAPTURED, Order
from kustom_mcp.calls.confirmation import Proposal, Watch
from kustom_mcp.calls.write import Call
from kustom_mcp.money import show
from kustom_mcp.orders.facts import reported
from kustom_mcp.schema.arguments import OrderId
from kustom_mcp.schema.result import Result
from kustom_mcp.tools.amounts import short
from kustom_mcp.tools.tool import Effect, operation

WATCH = Watch(
    depends=lambda order: [order.status, order.captured_amount, order.remaining_authorized_amount],
    shows=lambda order: [order.captured_amount, order.remaining_authorized_amount],
)


@operation(RELEASE_REMAINING_AUTHORIZATION, Effect.MOVES_MONEY, toolset="orders", label="Release what is left")
async def release_remaining_authorization(call: Call, order_id: OrderId) -> Result:
    """Release the hold on what is left of a partly captured order, when nothing more will be delivered. It cannot
    be undone, and captured money stays. Where nothing is captured use kustom_cancel_order."""
    order = await call.order(order_id, WATCH)
    call.require(RELEASE_REMAINING_AUTHORIZATION, order)
    remaining = order.remaining_authorized_amount
    if order.status == PART_CAPTURED and remaining == 0:
        call.already(f"{short(order).capitalize()} has nothing left to release.")
    approved = await call.approval(
        Proposal(
            action="release",
            amount=remaining,
            currency=order.currency,
            effect=f"Release the remaining {show(remaining, order.currency)} of {short(order)}.",
            afterwards="This cannot be undone: the released amount can no longer be captured.",
            expects=[order.captured_amount, 0],
            changes=[{"field": "remaining_authorized_amount", "before": remaining, "after": 0}],
            warnings=reported(order),
        )
    )

    def unreleased(now: Order) -> bool:
        reserved = order.captured_amount + remaining
        return now.status == order.status and now.captured_amount + now.remaining_authorized_amount == reserved

    await call.write(RELEASE_REMAINING_AUTHORIZATION, approved, contradicted=unreleased, order_id=order_id)
    result, _ = await call.applied(f"Released {show(remaining, order.currency)} of {short(order)}.")
    return result
