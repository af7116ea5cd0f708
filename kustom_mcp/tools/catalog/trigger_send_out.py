"""kustom_trigger_send_out: send the customer's message about a capture again."""

from kustom_mcp.api.endpoints import TRIGGER_SEND_OUT
from kustom_mcp.calls.confirmation import Proposal, Watch
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.arguments import CaptureId, OrderId
from kustom_mcp.schema.result import Result
from kustom_mcp.tools.amounts import short
from kustom_mcp.tools.tool import Effect, operation

WATCH = Watch(depends=lambda order: [order.status, len(order.captures)], recurs=True)
"""A message leaves no trace in the order, and may be wanted twice."""


@operation(TRIGGER_SEND_OUT, Effect.SENDS, toolset="klarna")
async def trigger_send_out(call: Call, order_id: OrderId, capture_id: CaptureId) -> Result:
    """Send the customer Kustom's message about a capture again, such as an invoice that was lost. Each call sends
    one message."""
    order = await call.order(order_id, WATCH)
    call.require(TRIGGER_SEND_OUT, order)
    proposal = Proposal(action="send-out", effect=f"Send the message about a capture of {short(order)} again.")
    allowed = call.unasked(proposal, "it changes no data and the customer has had this message before")
    await call.write(
        TRIGGER_SEND_OUT, allowed, contradicted=None, entry="capture", order_id=order_id, capture_id=capture_id
    )
    result, _ = await call.applied(f"Kustom sends the message about this capture of {short(order)} again.")
    return result
