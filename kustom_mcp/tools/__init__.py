"""The contents page: every tool, in the order in which a model should meet them. One file per tool."""

from kustom_mcp.operation import Operation
from kustom_mcp.tools.acknowledge_order import acknowledge_order
from kustom_mcp.tools.add_capture_shipping_info import add_capture_shipping_info
from kustom_mcp.tools.add_shipping_info import add_shipping_info
from kustom_mcp.tools.cancel_order import cancel_order
from kustom_mcp.tools.capture_order import capture_order
from kustom_mcp.tools.extend_authorization import extend_authorization
from kustom_mcp.tools.extend_due_date import extend_due_date
from kustom_mcp.tools.find_orders import find_orders
from kustom_mcp.tools.get_capture import get_capture
from kustom_mcp.tools.get_due_date_options import get_due_date_options
from kustom_mcp.tools.get_order import get_order
from kustom_mcp.tools.get_orders import get_orders
from kustom_mcp.tools.get_refund import get_refund
from kustom_mcp.tools.list_captures import list_captures
from kustom_mcp.tools.list_payouts import list_payouts
from kustom_mcp.tools.list_transactions import list_transactions
from kustom_mcp.tools.refund_order import refund_order
from kustom_mcp.tools.release_remaining_authorization import release_remaining_authorization
from kustom_mcp.tools.trigger_send_out import trigger_send_out
from kustom_mcp.tools.update_customer_details import update_customer_details
from kustom_mcp.tools.update_merchant_references import update_merchant_references
from kustom_mcp.tools.update_order_amount import update_order_amount

CATALOG: dict[str, Operation] = {
    tool.name: tool
    for tool in (
        get_order,
        get_orders,
        find_orders,
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
