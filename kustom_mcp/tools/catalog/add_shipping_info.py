"""kustom_add_shipping_info: shipments of an order as a whole."""

from kustom_mcp.api.endpoints import APPEND_ORDER_SHIPPING_INFO
from kustom_mcp.api.models import Order, ShippingInfo
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.arguments import OrderId, Shipments
from kustom_mcp.schema.result import Result
from kustom_mcp.tools.shipments import add_shipments
from kustom_mcp.tools.tool import Effect, operation


def _shipments(order: Order) -> list[ShippingInfo] | None:
    """None where Kustom does not return the list."""
    return order.shipping_info if "shipping_info" in order.model_fields_set else None


@operation(APPEND_ORDER_SHIPPING_INFO, Effect.ADDS, toolset="orders")
async def add_shipping_info(call: Call, order_id: OrderId, shipping_info: Shipments) -> Result:
    """Add a shipment with its tracking number to an order that is not captured yet. Afterwards use
    kustom_add_capture_shipping_info. To charge for it in the same step use kustom_capture_order with
    shipping_info."""
    return await add_shipments(call, APPEND_ORDER_SHIPPING_INFO, shipping_info, _shipments, order_id=order_id)
