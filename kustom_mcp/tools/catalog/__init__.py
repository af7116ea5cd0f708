"""The contents page: every tool, in the order in which a model should meet them. One file per tool."""

from kustom_mcp.tools.catalog.acknowledge_order import acknowledge_order
from kustom_mcp.tools.catalog.add_capture_shipping_info import add_capture_shipping_info
from kustom_mcp.tools.catalog.add_shipping_info import add_shipping_info
from kustom_mcp.tools.catalog.cancel_order import cancel_order
from kustom_mcp.tools.catalog.capture_order import capture_order
from kustom_mcp.tools.catalog.extend_authorization import extend_authorization
from kustom_mcp.tools.catalog.extend_due_date import extend_due_date
from kustom_mcp.tools.catalog.find_orders import find_orders
from kustom_mcp.tools.catalog.get_capture import get_capture
from kustom_mcp.tools.catalog.get_due_date_options import get_due_date_options
from kustom_mcp.tools.catalog.get_order import get_order
from kustom_mcp.tools.catalog.get_orders import get_orders
from kustom_mcp.tools.catalog.get_refund import get_refund
from kustom_mcp.tools.catalog.list_activity import list_activity
from kustom_mcp.tools.catalog.list_captures import list_captures
from kustom_mcp.tools.catalog.list_payouts import list_payouts
from kustom_mcp.tools.catalog.list_transactions import list_transactions
from kustom_mcp.tools.catalog.refund_order import refund_order
from kustom_mcp.tools.catalog.release_remaining_authorization import release_remaining_authorization
from kustom_mcp.tools.catalog.resolve_order import resolve_order
from kustom_mcp.tools.catalog.trigger_send_out import trigger_send_out
from kustom_mcp.tools.catalog.update_customer_details import update_customer_details
from kustom_mcp.tools.catalog.update_merchant_references import update_merchant_references
from kustom_mcp.tools.catalog.update_order_amount import update_order_amount
from kustom_mcp.tools.tool import Operation

CATALOG: dict[str, Operation] = {
    tool.name: tool
    for tool in (
        get_order,
        get_orders,
        find_orders,
        resolve_order,
        list_activity,
        acknowledge_order,
        update_order_amount,
        update_merchant_references,
        update_customer_details,
        add_shipping_info,
        cancel_order,
        extend_authorization,
        release_remaining_authorization,
        capture_order,
        list_captures,
        get_capture,
        add_capture_shipping_info,
        refund_order,
        get_refund,
        list_transactions,
        list_payouts,
        trigger_send_out,
        get_due_date_options,
        extend_due_date,
    )
}
