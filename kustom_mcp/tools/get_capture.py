"""kustom_get_capture: one capture."""

from kustom_mcp import view
from kustom_mcp.arguments import CaptureId, OrderId
from kustom_mcp.call import Call
from kustom_mcp.entries import short
from kustom_mcp.money import show
from kustom_mcp.oms.endpoints import GET_CAPTURE
from kustom_mcp.operation import Effect, operation
from kustom_mcp.result import Result


@operation(GET_CAPTURE, Effect.READS, toolset="captures", payload=("capture",))
async def get_capture(call: Call, order_id: OrderId, capture_id: CaptureId) -> Result:
    """Show or read a single capture: time, which items, what amount, and how much was refunded."""
    order, capture = await call.order_with(GET_CAPTURE, entry="capture", order_id=order_id, capture_id=capture_id)
    captured = show(capture.captured_amount or 0, order.currency)
    refunded = show(capture.refunded_amount or 0, order.currency)
    return Result(
        "ok",
        f"This capture of {short(order)} took {captured}, of which {refunded} was refunded.",
        call.facts(order),
        {"capture": view.capture_view(capture)},
        payload={"capture": view.capture_facts(capture)},
    )
