"""kustom_acknowledge_order: tell Kustom that the shop has the order."""

from kustom_mcp.api.endpoints import ACKNOWLEDGE_ORDER
from kustom_mcp.api.reconcile import resend_without_looking
from kustom_mcp.calls.confirmation import Proposal, Watch
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.arguments import OrderId
from kustom_mcp.schema.result import Result
from kustom_mcp.tools.amounts import short
from kustom_mcp.tools.tool import Effect, operation

SEEN = "acknowledged"
WATCH = Watch(depends=lambda _: None, shows=lambda _: SEEN)
"""The mark cannot be read and changes nothing else, so a write in doubt is simply sent again with the same key."""


@operation(ACKNOWLEDGE_ORDER, Effect.NOTES, toolset="orders")
async def acknowledge_order(call: Call, order_id: OrderId) -> Result:
    """Tell Kustom that the shop has received an order, so that it stops notifying the shop. It moves no money and
    changes nothing else."""
    order = await call.order(order_id, WATCH)
    proposal = Proposal(action="acknowledge", effect=f"Acknowledge {short(order)}.", expects=SEEN)
    allowed = call.unasked(proposal, "it moves nothing and repeating it changes nothing")
    await call.write(
        ACKNOWLEDGE_ORDER, allowed, contradicted=None, check_effect=resend_without_looking, order_id=order_id
    )
    result, _ = await call.applied(f"Acknowledged {short(order)}.")
    return result
