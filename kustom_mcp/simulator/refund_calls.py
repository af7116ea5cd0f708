"""The two calls about refunds."""

from typing import Final

from kustom_mcp.simulator import reading, states
from kustom_mcp.simulator.allocation import RETURN_FEE, allocate, line_total, of_capture
from kustom_mcp.simulator.calls import ApiCall, check_sums, created
from kustom_mcp.simulator.drafts import Json, made_up_id, stamp
from kustom_mcp.simulator.store import StoredOrder
from kustom_mcp.simulator.switches import Switches
from kustom_mcp.simulator.wire import ErrorAnswer, Response, json_response

RETURN_FEE_COUNTRIES: Final = {
    "8": frozenset({"AT", "DE", "DK", "FI", "FR", "NL", "NO", "SE"}),
    "15": frozenset({"AT", "DE", "DK", "FI", "FR", "NL", "NO", "SE", "IT", "ES", "IE", "PT", "CZ", "AU", "GR"}),
}


def refund_order(call: ApiCall) -> Response:
    """Give money back, booked on the captures whose lines the refund repeats."""
    record, body = call.record, call.body
    check_sums(call, body["refunded_amount"])
    position = states.refund(record.position, body["refunded_amount"], call.store.switches)
    lines: list[Json] = body.get("order_lines", [])
    _check_return_fee(record, lines, body["refunded_amount"], call.store.switches)
    order = record.order
    captures: list[Json] = order["captures"]
    added = allocate(captures, record.booked, lines, body["refunded_amount"])
    refund: Json = {
        "refund_id": made_up_id(order["order_id"], "refund", len(order["refunds"]) + 1),
        "refunded_amount": body["refunded_amount"],
        "refunded_at": stamp(call.store.now()),
        "order_lines": lines,
    }
    refund |= {name: body[name] for name in ("description", "reference") if name in body}
    for capture in captures:
        capture["refunded_amount"] = int(capture.get("refunded_amount", 0)) + of_capture(added, capture["capture_id"])
    for place, amount in added.items():
        record.booked[place] = record.booked.get(place, 0) + amount
    order["refunds"].append(refund)
    record.move(position)
    return created(call, "Refund-Id", "refunds", refund["refund_id"])


def get_refund(call: ApiCall) -> Response:
    """Return one refund."""
    refunds: list[Json] = reading.visible(call.store, call.record)["refunds"]
    for refund in refunds:
        if refund["refund_id"] == call.ids["refund_id"]:
            return json_response(200, reading.shown_entry(call.store, refund))
    raise ErrorAnswer(404, "NOT_FOUND", [f"Refund {call.ids['refund_id']} was not found for the order."])


def _check_return_fee(record: StoredOrder, lines: list[Json], amount: int, switches: Switches) -> None:
    """A fee is negative, and of one capture of the whole order. One of 0 is sent with every refund by WooCommerce."""
    fees = [line_total(line) for line in lines if line.get("type") == RETURN_FEE]
    if not fees:
        return
    captures: list[Json] = record.order["captures"]
    whole = len(captures) == 1 and captures[0]["captured_amount"] == record.position.ordered
    fits = whole and all(fee < 0 for fee in fees) and sum(map(line_total, lines)) == amount
    zero = not any(fees) and (whole or switches.zero_return_fee == "accepted")
    if not (record.country in RETURN_FEE_COUNTRIES[switches.return_fee_markets] and (fits or zero)):
        raise states.OperationRefused(states.NO_REFUND, "A return fee is not possible for this refund.")
