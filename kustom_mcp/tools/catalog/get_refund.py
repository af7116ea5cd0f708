"""kustom_get_refund: one refund."""

from kustom_mcp.api.endpoints import GET_REFUND
from kustom_mcp.calls.write import Call
from kustom_mcp.money import show
from kustom_mcp.orders import third_party
from kustom_mcp.schema.arguments import OrderId, RefundId
from kustom_mcp.schema.result import Result
from kustom_mcp.tools.amounts import short
from kustom_mcp.tools.tool import Effect, operation


@operation(GET_REFUND, Effect.READS, toolset="refunds", payload=("refund",))
async def get_refund(call: Call, order_id: OrderId, refund_id: RefundId) -> Result:
    """Read one refund: when, how much, for which goods, and under which reference."""
    order, refund = await call.order_with(GET_REFUND, entry="refund", order_id=order_id, refund_id=refund_id)
    amount = show(refund.refunded_amount or 0, order.currency)
    return Result(
        "ok",
        f"This refund of {short(order)} gave back {amount}.",
        call.facts(order),
        {"refund": third_party.refund_view(refund)},
        payload={"refund": third_party.refund_facts(refund)},
    )
