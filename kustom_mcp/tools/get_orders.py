"""kustom_get_orders: a row for each of many orders, and totals."""

from typing import Annotated

import anyio
from pydantic import AfterValidator, Field

from kustom_mcp import view
from kustom_mcp.arguments import OrderId
from kustom_mcp.call import Call
from kustom_mcp.oms.endpoints import GET_ORDER
from kustom_mcp.oms.models import Order
from kustom_mcp.operation import Effect, operation
from kustom_mcp.result import Code, Failure, Json, Result

AT_ONCE = 8
"""Reads in flight: quick, and far below the lowest rate limit that is documented (50 a second)."""

OrderIds = Annotated[
    list[OrderId],
    Field(min_length=1, max_length=100, description="Order ids; rows come back in this order."),
    AfterValidator(lambda ids: list(dict.fromkeys(ids))),
]


@operation(GET_ORDER, Effect.READS, toolset="orders", payload=("orders", "totals", "now"))
async def get_orders(call: Call, order_ids: OrderIds) -> Result:
    """Read up to 100 orders at once: a compact row each, and totals per currency and status. Use it to review or
    compare a list of orders."""
    found: dict[str, Order | Failure] = {}
    slots = anyio.CapacityLimiter(AT_ONCE)

    async def read(order_id: str) -> None:
        async with slots:
            try:
                found[order_id] = await call.order(order_id)
            except Failure as failure:
                found[order_id] = failure
        await call.context.session.report_progress(len(found), len(order_ids))

    async with anyio.create_task_group() as group:
        for order_id in order_ids:
            group.start_soon(read, order_id)
    return _answer(call, order_ids, found)


def _answer(call: Call, order_ids: list[str], found: dict[str, Order | Failure]) -> Result:
    failures = [failure for failure in found.values() if isinstance(failure, Failure)]
    if len(failures) == len(order_ids) and failures[0].code is not Code.NOT_FOUND:
        raise failures[0]
    now = call.app.now()
    rows: list[dict[str, Json]] = []
    for order_id in order_ids:
        order = found[order_id]
        if isinstance(order, Failure):
            rows.append({"outcome": order.ends, "order_id": order_id, "error": order.code.value})
        else:
            rows.append(view.row("ok", order, now=now))
    read = [order for order in found.values() if isinstance(order, Order)]
    missing = f" {len(failures)} could not be read: see `error` in their rows." if failures else ""
    payload = {"orders": rows, "totals": view.totals(read), "now": now.isoformat(timespec="seconds")}
    return Result("ok", f"Read {len(read)} of {len(order_ids)} orders.{missing}", payload=payload)
