"""kustom_resolve_order: find out the outcome of the writes in doubt on an order."""

from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.arguments import OrderId
from kustom_mcp.schema.result import Result
from kustom_mcp.tools.amounts import short
from kustom_mcp.tools.tool import Effect, operation


@operation(GET_ORDER, Effect.READS, toolset="orders", payload=("writes",))
async def resolve_order(call: Call, order_id: OrderId) -> Result:
    """Find out what became of a write whose outcome is unknown. Use it after `unknown` or WRITE_IN_DOUBT; it only
    reads, and gives the call that sends it again if it was not done."""
    order = await call.order(order_id)
    writes = await call.writes_resolved(order)
    left = [write for write in writes if write["state"] in ("absent", "uncertain", "not_readable")]
    again = any("repeat" in write for write in left)
    return Result(
        "ok",
        _summary(short(order), len(writes), len(left)),
        call.facts(order),
        payload={"writes": writes},
        next_step=_next_step(len(left), again=again),
    )


def _summary(order: str, writes: int, left: int) -> str:
    if not writes:
        return f"Every write on {order} has a known outcome: there is nothing to resolve."
    if not left:
        return f"Every write on {order} that was in doubt is resolved: see writes."
    some = "1 write" if left == 1 else f"{left} writes"
    return f"{some} on {order} may have been done or not: see the state of each in writes."


def _next_step(left: int, *, again: bool) -> str | None:
    if not left:
        return None
    if again:
        return (
            "Tell the person what was not found. To send it again, if they want that, make the call in `repeat`, with "
            "confirm set to its confirm.code where one is given; it looks once more, and is done at most once."
        )
    return (
        "Tell the person that it is not certain yet. Look again later, or in the Kustom portal; the operator can close "
        "it by hand with the command `resolve` of kustom-mcp."
    )
