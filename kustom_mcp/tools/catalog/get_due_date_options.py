"""kustom_get_due_date_options: the possible extensions of an invoice's due date, and their fees."""

from kustom_mcp.api.endpoints import LIST_DUE_DATE_OPTIONS
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.arguments import CaptureId, OrderId
from kustom_mcp.schema.result import Json, Result
from kustom_mcp.tools.amounts import short
from kustom_mcp.tools.tool import Effect, operation


@operation(LIST_DUE_DATE_OPTIONS, Effect.READS, toolset="klarna", payload=("options",))
async def get_due_date_options(call: Call, order_id: OrderId, capture_id: CaptureId) -> Result:
    """List by how many days the due date of an invoice can be extended, and what each choice costs the shop. To do
    it use kustom_extend_due_date."""
    order, found = await call.order_with(
        LIST_DUE_DATE_OPTIONS, entry="capture", order_id=order_id, capture_id=capture_id
    )
    currency = (found.currency or order.currency).upper()
    options: list[dict[str, Json]] = [
        {"number_of_days": option.number_of_days, "amount": option.amount or 0, "currency": currency}
        for option in found.options
        if option.number_of_days is not None
    ]
    summary = f"{len(options)} extensions are possible for this capture of {short(order)}."
    return Result("ok", summary, call.facts(order), payload={"options": options})
