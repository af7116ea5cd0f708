"""kustom_extend_authorization: more time to capture."""

from kustom_mcp.api.endpoints import EXTEND_AUTHORIZATION_TIME
from kustom_mcp.api.models import Order
from kustom_mcp.calls.confirmation import Proposal, Watch
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.arguments import OrderId
from kustom_mcp.schema.result import Result
from kustom_mcp.tools.amounts import short
from kustom_mcp.tools.tool import Effect, operation

LATER = "extended"
WATCH = Watch(depends=lambda order: order.expires_at, shows=lambda _: LATER)
"""The new expiry is Kustom's to choose, so any change of it is the effect."""
DAYS = 27
"""Whole days that are left after an extension to midnight, 28 days from today (K). Another one on the same day gives
the same date (K), so that a date that does not move says nothing then."""


@operation(EXTEND_AUTHORIZATION_TIME, Effect.ADDS, toolset="orders", label="Extend the authorization")
async def extend_authorization(call: Call, order_id: OrderId) -> Result:
    """Extend the time in which an order can still be captured, before it expires. Kustom does it for Klarna
    payments in some countries, and chooses the date."""
    order = await call.order(order_id, WATCH)
    call.require(EXTEND_AUTHORIZATION_TIME, order)
    proposal = Proposal(action="extend", effect=f"Extend the authorization of {short(order)}.", expects=LATER)
    allowed = call.unasked(proposal, "it moves no money and takes nothing from the customer")
    extended_today = call.facts(order).get("days_left", 0) >= DAYS

    def unmoved(now: Order) -> bool:
        return not extended_today and order.expires_at is not None and now.expires_at == order.expires_at

    await call.write(EXTEND_AUTHORIZATION_TIME, allowed, contradicted=unmoved, order_id=order_id)
    result, after = await call.applied(f"Extended the authorization of {short(order)}.")
    if after is not None and after.expires_at == order.expires_at:
        result.warnings = [*result.warnings, "The date did not move: it had been extended today already."]
    return result
