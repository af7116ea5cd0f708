"""kustom_get_order: one order, and the operations that are possible now."""

from typing import Annotated

from pydantic import Field

from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.calls.write import Call
from kustom_mcp.orders import facts as order_facts
from kustom_mcp.orders.pages import page
from kustom_mcp.schema.arguments import Include, OrderId
from kustom_mcp.schema.cursor import NEXT, behind_the_end, next_cursor, start_of
from kustom_mcp.schema.result import Json, Result
from kustom_mcp.tools.tool import Effect, operation

Parts = Annotated[
    list[Include],
    Field(max_length=7, description="More: full lines, what is refundable, addresses."),
]
Cursor = Annotated[str, Field(description="next_cursor of the last answer.")]

LINES_LEFT_OUT = "Where the other lines matter, call again with include: lines."


@operation(GET_ORDER, Effect.READS, toolset="orders", payload=("refundable", "next_cursor"), card=True)
async def get_order(
    call: Call, order_id: OrderId, include: Parts | None = None, cursor: Cursor | None = None
) -> Result:
    """Read one order: state, amounts, goods, and what can be done now. Use it first, before any change, and
    after one with an unclear outcome. Several: kustom_get_orders; without an id: kustom_find_orders."""
    wanted = frozenset(include or ())
    asked: dict[str, Json] = {"order_id": order_id, "include": sorted(wanted)}
    start = start_of(cursor, asked)
    order = await call.order(order_id)
    if start and start >= len(order.order_lines):
        raise behind_the_end()
    result = Result("ok", order_facts.summary(order, call.app.now()), call.facts(order))
    shown = page(order, wanted, call.app.settings.pii, start, beside=result.structured(call.app.settings.environment))
    result.third_party = shown.typed
    result.payload = {} if shown.refundable is None else {"refundable": shown.refundable}
    if shown.end is not None:
        result.payload = {**result.payload, "next_cursor": next_cursor(asked, shown.end)}
        result.next_step = NEXT
    elif "lines_left_out" in shown.typed:
        result.next_step = LINES_LEFT_OUT
    return result
