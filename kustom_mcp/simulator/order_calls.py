"""The nine calls about an order as a whole."""

from datetime import timedelta
from typing import Final

from kustom_mcp.simulator import reading, states
from kustom_mcp.simulator.calls import NO_CONTENT, ApiCall, append_shipments, check_sums, invalid
from kustom_mcp.simulator.drafts import Json, expiry_after, stamp
from kustom_mcp.simulator.store import KLARNA_METHODS, StoredOrder, parse_time
from kustom_mcp.simulator.wire import Response, json_response

EVERYWHERE_BUT_CH: Final = frozenset({"INVOICE", "INVOICE_BUSINESS", "ACCOUNT", "DIRECT_DEBIT"})
FIXED_AMOUNT_COUNTRIES: Final = frozenset({"AT", "DE", "DK", "FI", "FR", "NL", "NO", "SE"})
NOT_EXTENDED_IN: Final = frozenset({"ES", "FR", "IT", "PT"})
EXTENSION_SINCE: Final = parse_time("2025-09-25T00:00:00Z")
EXTENSION_CEILING: Final = timedelta(days=90)
MANDATORY_ADDRESS: Final = ("street_address", "postal_code", "city", "country")


def get_order(call: ApiCall) -> Response:
    """Return the whole order."""
    return json_response(200, reading.shown(call.store, call.record))


def acknowledge_order(call: ApiCall) -> Response:
    """Note that the shop has stored the order. A second time is fine, or not: a switch."""
    states.permit(call.operation, call.record.position.status)
    if call.record.acknowledged and call.store.switches.second_acknowledge == "refused":
        raise states.OperationRefused(states.NO, "The order is acknowledged already.")
    call.record.acknowledged = True
    return NO_CONTENT


def update_authorization(call: ApiCall) -> Response:
    """Set a new total and a complete new list of lines."""
    record, body = call.record, call.body
    if "order_lines" not in body and call.store.switches.order_lines == "required":
        raise invalid("order_lines: must not be null")
    check_sums(call, body["order_amount"])
    position = states.reprice(record.position, body["order_amount"], call.store.switches, may_raise=_may_raise(record))
    record.order["order_lines"] = body.get("order_lines", [])
    record.move(position)
    return NO_CONTENT


def update_merchant_references(call: ApiCall) -> Response:
    """Overwrite the references that are given; an empty text clears."""
    states.permit(call.operation, call.record.position.status)
    for name in ("merchant_reference1", "merchant_reference2"):
        if name in call.body:
            call.record.order[name] = call.body[name]
    return NO_CONTENT


def update_customer_details(call: ApiCall) -> Response:
    """Change the shipping address, field by field; an empty text clears a field that an address can do without."""
    states.permit(call.operation, call.record.position.status)
    if "billing_address" in call.body:
        raise states.OperationRefused(states.NO, "Billing address cannot be updated.")
    given: Json = call.body.get("shipping_address", {})
    empty = [name for name in MANDATORY_ADDRESS if given.get(name) == ""]
    if empty:
        raise invalid(*(f"shipping_address.{name}: must not be empty" for name in empty))
    before: Json = call.record.order.get("shipping_address") or {}
    merged = before | given
    call.record.order["shipping_address"] = {
        name: text for name, text in merged.items() if name not in given or text != ""
    }
    return NO_CONTENT


def append_order_shipping_info(call: ApiCall) -> Response:
    """Add shipments to the order; nothing is removed."""
    states.permit(call.operation, call.record.position.status)
    append_shipments(call, call.record.order)
    return NO_CONTENT


def cancel_order(call: ApiCall) -> Response:
    """End an order without captures."""
    call.record.move(states.cancel(call.record.position, call.store.switches))
    return NO_CONTENT


def extend_authorization_time(call: ApiCall) -> Response:
    """Extend to 28 days from today, midnight UTC, for orders that qualify; never earlier than before."""
    record, now = call.record, call.store.now()
    states.permit(call.operation, record.position.status)
    if (
        record.payment_type not in KLARNA_METHODS
        or record.country in NOT_EXTENDED_IN
        or parse_time(record.order["created_at"]) < EXTENSION_SINCE
        or record.expires_at - now >= EXTENSION_CEILING
    ):
        raise states.OperationRefused(states.NO, "Extension of the authorization time is not allowed.")
    record.order["expires_at"] = stamp(max(expiry_after(now), record.expires_at))
    record.can_expire = True
    return NO_CONTENT


def release_remaining_authorization(call: ApiCall) -> Response:
    """Release the remaining authorization."""
    call.record.move(states.release(call.record.position, call.store.switches))
    return NO_CONTENT


def _may_raise(record: StoredOrder) -> bool:
    if record.payment_type == "FIXED_AMOUNT":
        return record.country in FIXED_AMOUNT_COUNTRIES
    return record.payment_type in EVERYWHERE_BUT_CH and record.country != "CH"
