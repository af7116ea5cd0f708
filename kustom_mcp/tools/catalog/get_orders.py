"""kustom_get_orders: a row for each of many orders, and totals."""

from typing import Annotated

import anyio
from pydantic import AfterValidator, Field

from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.calls.write import Call
from kustom_mcp.orders import facts as order_facts
from kustom_mcp.schema.arguments import OrderId
from kustom_mcp.schema.result import Code, Json, Result, ToolError
from kustom_mcp.tools.over_shops import of_shop
from kustom_mcp.tools.tool import Effect, operation

AT_ONCE = 8
"""Reads in flight: quick, and far below the lowest rate limit that is documented (50 a second)."""

OrderIds = Annotated[
    list[OrderId],
    Field(min_length=1, max_length=100, description="Order ids; rows come back in this order."),
    AfterValidator(lambda ids: list(dict.fromkeys(ids))),
]


@operation(GET_ORDER, Effect.READS, toolset="orders", payload=("orders", "totals", "now"), card=True)
async def get_orders(call: Call, order_ids: OrderIds) -> Result:
    """Read up to 100 orders by their ids, one row each, with totals per currency and status. Use it for a list that
    somebody gives you. Without ids use kustom_find_orders."""
    rows: dict[str, dict[str, Json]] = {}
    errors: list[ToolError] = []
    totals, now = {name: order_facts.OrderTotals() for name in call.over_shops()}, call.app.now()
    left = iter(order_ids)

    async def read_what_is_left() -> None:
        for order_id in left:
            shop: dict[str, Json] = {}
            try:
                # Only its row and its share of the totals are kept: a hundred long orders are a lot of memory.
                one = await call.in_shop_of(order_id)
                shop = {"shop": one.shop} if call.shops else {}
                order = await one.order(order_id, for_row=True)
                rows[order_id] = order_facts.row("ok", order, now=now, more=shop)
                totals[one.shop if call.shops else ""].add(order)
            except ToolError as error:
                rows[order_id] = {"outcome": error.ends, "order_id": order_id, "error": error.code.value} | shop
                errors.append(error)
            await call.context.session.report_progress(len(rows), len(order_ids))

    async with anyio.create_task_group() as group:
        for _ in range(AT_ONCE):
            group.start_soon(read_what_is_left)
    if len(errors) == len(order_ids) and errors[0].code is not Code.NOT_FOUND:
        raise errors[0]
    missing = f" {len(errors)} could not be read: see `error` in their rows." if errors else ""
    payload = {
        "orders": [rows[order_id] for order_id in order_ids],
        "totals": order_facts.short_totals(
            [of_shop(name, group) for name, one in totals.items() for group in one.groups()]
        ),
        "now": now.isoformat(timespec="seconds"),
    }
    return Result("ok", f"Read {len(order_ids) - len(errors)} of {len(order_ids)} orders.{missing}", payload=payload)
