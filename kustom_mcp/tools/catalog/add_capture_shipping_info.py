"""kustom_add_capture_shipping_info: shipments of one capture."""

from kustom_mcp.api.endpoints import APPEND_CAPTURE_SHIPPING_INFO
from kustom_mcp.api.models import Order, ShippingInfo
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.arguments import CaptureId, OrderId, Shipments
from kustom_mcp.schema.result import Result
from kustom_mcp.tools.shipments import add_shipments
from kustom_mcp.tools.tool import Effect, operation


@operation(APPEND_CAPTURE_SHIPPING_INFO, Effect.ADDS, toolset="captures")
async def add_capture_shipping_info(
    call: Call, order_id: OrderId, capture_id: CaptureId, shipping_info: Shipments
) -> Result:
    """Add a tracking number to what is captured already, such as a second parcel or a return label. Before the
    capture use kustom_add_shipping_info."""

    def shipments(order: Order) -> list[ShippingInfo] | None:
        for capture in order.captures:
            if capture.capture_id == capture_id and "shipping_info" in capture.model_fields_set:
                return capture.shipping_info
        return None

    return await add_shipments(
        call, APPEND_CAPTURE_SHIPPING_INFO, shipping_info, shipments, order_id=order_id, capture_id=capture_id
    )
