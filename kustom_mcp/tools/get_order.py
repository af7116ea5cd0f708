"""kustom_get_order: one order, and what can be done with it."""

from typing import Annotated

from pydantic import Field

from kustom_mcp import view
from kustom_mcp.arguments import Include, OrderId
from kustom_mcp.call import Call
from kustom_mcp.oms.endpoints import GET_ORDER
from kustom_mcp.operation import Effect, operation
from kustom_mcp.result import Result

Parts = Annotated[
    list[Include], Field(max_length=6, description="More to show: full lines, addresses, shipments, captures, refunds.")
]


@operation(GET_ORDER, Effect.READS, toolset="orders")
async def get_order(call: Call, order_id: OrderId, include: Parts | None = None) -> Result:
    """Read one order: status, amounts, expiry, lines, and what is possible now. Use it before anything else, and again
    when unsure what happened."""
    order = await call.order(order_id)
    third_party = view.third_party(order, frozenset(include or ()), call.app.settings.pii)
    return Result("ok", view.summary(order, call.app.now()), call.facts(order), third_party)
