"""The seven calls about captures."""

from typing import Final

from kustom_mcp.simulator import reading, states
from kustom_mcp.simulator.calls import NO_CONTENT, ApiCall, append_shipments, check_sums, created
from kustom_mcp.simulator.drafts import Json, made_up_id, stamp
from kustom_mcp.simulator.store import PAY_LATER
from kustom_mcp.simulator.wire import ErrorAnswer, Response, json_response

DUE_DATE_FEES: Final = {14: 500, 30: 1000, 60: 2000}


def list_captures(call: ApiCall) -> Response:
    """Return all captures."""
    order = reading.visible(call.store, call.record)
    return json_response(200, reading.shown_entries(call.store, order, "captures"))


def capture_order(call: ApiCall) -> Response:
    """Take money; the order counts as acknowledged."""
    record, body = call.record, call.body
    check_sums(call, body["captured_amount"])
    position = states.capture(record.position, body["captured_amount"], call.store.switches)
    order, place = record.order, len(record.order["captures"]) + 1
    capture: Json = {
        "capture_id": made_up_id(order["order_id"], "capture", place),
        "klarna_reference": f"{order.get('klarna_reference') or 'SANDBOX'}-{place}",
        "captured_amount": body["captured_amount"],
        "captured_at": stamp(call.store.now()),
        "refunded_amount": 0,
        "order_lines": body.get("order_lines", []),
        "shipping_info": list(body.get("shipping_info", [])),
    }
    capture |= {name: body[name] for name in ("description", "reference") if name in body}
    capture |= {
        name: dict(order[name]) for name in ("billing_address", "shipping_address") if order.get(name) is not None
    }
    order["captures"].append(capture)
    record.acknowledged = True
    record.move(position)
    return created(call, "Capture-Id", "captures", capture["capture_id"])


def get_capture(call: ApiCall) -> Response:
    """Return one capture."""
    for capture in reading.visible(call.store, call.record)["captures"]:
        if capture["capture_id"] == call.ids["capture_id"]:
            return json_response(200, reading.shown_entry(call.store, capture))
    raise _no_capture(call)


def append_capture_shipping_info(call: ApiCall) -> Response:
    """Add shipments to one capture."""
    _need_captures(call)
    capture = _capture(call)
    append_shipments(call, capture)
    return NO_CONTENT


def trigger_send_out(call: ApiCall) -> Response:
    """Send a message to the customer again; nothing that can be read changes."""
    _need_captures(call)
    _capture(call)
    return NO_CONTENT


def list_due_date_options(call: ApiCall) -> Response:
    """Return the possible extensions of an invoice; none for other payment methods."""
    _capture(call)
    fees = DUE_DATE_FEES if call.record.payment_type in PAY_LATER else {}
    options = [{"number_of_days": days, "amount": fee} for days, fee in fees.items()]
    return json_response(200, {"currency": call.record.order["purchase_currency"], "options": options})


def extend_due_date(call: ApiCall) -> Response:
    """Give the customer of an invoice more time, by one of the offered numbers of days."""
    capture_id, days = str(_capture(call)["capture_id"]), call.body["number_of_days"]
    if call.record.payment_type not in PAY_LATER or days not in DUE_DATE_FEES:
        raise states.OperationRefused(states.NO, "Extension of the due date is not possible.")
    call.record.extra_due_days[capture_id] = call.record.extra_due_days.get(capture_id, 0) + days
    return NO_CONTENT


def _capture(call: ApiCall) -> Json:
    capture = call.record.capture(call.ids["capture_id"])
    if capture is None:
        raise _no_capture(call)
    return capture


def _no_capture(call: ApiCall) -> ErrorAnswer:
    return ErrorAnswer(404, "NO_SUCH_CAPTURE", [f"Capture {call.ids['capture_id']} not found."])


def _need_captures(call: ApiCall) -> None:
    states.permit(call.operation, call.record.position.status)
    if not call.record.order["captures"]:
        raise states.OperationRefused(states.NO, "The order has no captures.")
