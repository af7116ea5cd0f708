"""kustom_update_merchant_references: the shop's own numbers for an order."""

from typing import Annotated

from pydantic import Field

from kustom_mcp.api.endpoints import UPDATE_MERCHANT_REFERENCES
from kustom_mcp.api.models import Order
from kustom_mcp.calls.confirmation import Proposal, Watch, unset
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.arguments import ClearedReferences, OrderId, OrderReference
from kustom_mcp.schema.parsing import with_cleared
from kustom_mcp.schema.result import Code, Result, ToolError
from kustom_mcp.tools.amounts import short
from kustom_mcp.tools.tool import Effect, operation

Reference1 = Annotated[OrderReference, Field(description="Order number that the customer sees.")]
Reference2 = Annotated[OrderReference, Field(description="Second, internal reference.")]


@operation(UPDATE_MERCHANT_REFERENCES, Effect.NOTES, toolset="orders")
async def update_merchant_references(
    call: Call,
    order_id: OrderId,
    merchant_reference1: Reference1 | None = None,
    merchant_reference2: Reference2 | None = None,
    clear: ClearedReferences | None = None,
) -> Result:
    """Set or clear the shop's own numbers on an order, such as the order number that the customer knows. A number
    that is not given stays."""
    given = {"merchant_reference1": merchant_reference1, "merchant_reference2": merchant_reference2}
    wanted = with_cleared({name: value for name, value in given.items() if value is not None}, clear)
    if not wanted:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            "Send merchant_reference1, merchant_reference2 or both, or name them in clear.",
            next_step="Ask the person which reference to set, or to clear.",
            field="merchant_reference1",
        )

    def references(order: Order) -> dict[str, str]:
        return {name: getattr(order, name) or "" for name in wanted}

    watch = Watch(
        depends=lambda order: [order.merchant_reference1, order.merchant_reference2], shows=references, recurs=True
    )
    order = await call.order(order_id, watch)
    if references(order) == wanted:
        call.already(f"{short(order).capitalize()} has these references already.")
    call.require(UPDATE_MERCHANT_REFERENCES, order)
    before = references(order)
    proposal = Proposal(
        action="references",
        effect=f"Set the references of {short(order)}.",
        expects=wanted,
        body=wanted,
        changes=[{"field": name, "before": before[name], "after": wanted[name]} for name in wanted],
    )
    allowed = call.unasked(proposal, "it moves no money and can be set back")
    await call.write(
        UPDATE_MERCHANT_REFERENCES,
        allowed,
        wanted,
        contradicted=lambda now: unset(wanted, before, references(now)),
        order_id=order_id,
    )
    result, _ = await call.applied(f"Set the references of {short(order)}.")
    return result
