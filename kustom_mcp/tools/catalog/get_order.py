"""kustom_get_order: one order, and what can be done with it."""

from typing import Annotated

from pydantic import Field

from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.calls.write import Call
from kustom_mcp.orders import facts as order_facts
from kustom_mcp.orders.refundable import Refundable
from kustom_mcp.orders.third_party import third_party
from kustom_mcp.schema.arguments import Include, OrderId
from kustom_mcp.schema.result import Result
from kustom_mcp.tools.tool import Effect, operation

Parts = Annotated[
    list[Include],
    Field(max_length=7, description="More to show: full lines, what is refundable of each, addresses."),
]


@operation(GET_ORDER, Effect.READS, toolset="orders", payload=("refundable",))
async def get_order(call: Call, order_id: OrderId, include: Parts | None = None) -> Result:
    """Read one order: its state, amounts, goods, and what can be done with it now. Use it first, before any change,
    and after one whose outcome is not clear. For several orders use kustom_get_orders, and without an id
    kustom_find_orders."""
    order = await call.order(order_id)
    typed = third_party(order, frozenset(include or ()), call.app.settings.pii)
    result = Result("ok", order_facts.summary(order, call.app.now()), call.facts(order), typed)
    if "refundable" in (include or ()):
        result.payload = {"refundable": Refundable(order).view()}
    return result
