"""kustom_list_captures: the captures of an order, each with its refunds."""

from kustom_mcp.api.endpoints import LIST_CAPTURES
from kustom_mcp.calls.write import Call
from kustom_mcp.money import show
from kustom_mcp.orders import third_party
from kustom_mcp.orders.pages import captures_page
from kustom_mcp.schema.arguments import OrderId
from kustom_mcp.schema.result import Result
from kustom_mcp.tools.amounts import short
from kustom_mcp.tools.tool import Effect, operation

GOODS_LEFT_OUT = "Goods and texts of some captures are left out: read one with kustom_get_capture."


@operation(LIST_CAPTURES, Effect.READS, toolset="captures", payload=("captures",))
async def list_captures(call: Call, order_id: OrderId) -> Result:
    """List the captures of an order: when the customer was charged, how much, and what was refunded of each. For
    the whole order use kustom_get_order."""
    order, captures = await call.order_with(LIST_CAPTURES, order_id=order_id)
    total = show(sum(capture.captured_amount or 0 for capture in captures), order.currency)
    count = "1 capture" if len(captures) == 1 else f"{len(captures)} captures"
    result = Result(
        "ok",
        f"{short(order).capitalize()} has {count}, {total} in all.",
        call.facts(order),
        payload={"captures": [third_party.capture_facts(capture) for capture in captures]},
    )
    result.third_party = captures_page(captures, result.structured(call.app.settings.environment))
    if "captures_left_out" in result.third_party:
        result.next_step = GOODS_LEFT_OUT
    return result
