"""kustom_get_capture: one capture."""

from kustom_mcp.api.endpoints import GET_CAPTURE
from kustom_mcp.calls.write import Call
from kustom_mcp.money import show
from kustom_mcp.orders import third_party
from kustom_mcp.orders.pages import capture_page
from kustom_mcp.schema.arguments import CaptureId, OrderId
from kustom_mcp.schema.result import Result
from kustom_mcp.tools.amounts import short
from kustom_mcp.tools.tool import Effect, operation


@operation(GET_CAPTURE, Effect.READS, toolset="captures", payload=("capture",))
async def get_capture(call: Call, order_id: OrderId, capture_id: CaptureId) -> Result:
    """Read one capture with its goods, shipments and refunds. Use kustom_list_captures for all of an order."""
    order, capture = await call.order_with(GET_CAPTURE, entry="capture", order_id=order_id, capture_id=capture_id)
    captured = show(capture.captured_amount or 0, order.currency)
    refunded = show(capture.refunded_amount or 0, order.currency)
    return Result(
        "ok",
        f"This capture of {short(order)} took {captured}, of which {refunded} was refunded.",
        call.facts(order),
        {"capture": capture_page(capture)},
        payload={"capture": third_party.capture_facts(capture)},
    )
