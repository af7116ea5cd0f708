"""The common part of the calls: a request that reached one, its refusal and its answer.

The calls themselves are in `order_calls`, `capture_calls` and `refund_calls`. Each decides first and changes
afterwards, so that a refused request changes nothing. The permissions by state are in `states`, the rules for bodies in
`limits`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kustom_mcp.simulator.allocation import line_total
from kustom_mcp.simulator.drafts import Json
from kustom_mcp.simulator.store import OrderStore, StoredOrder
from kustom_mcp.simulator.wire import ErrorAnswer, Response


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A request that has passed auth, routing and limits. `origin` is the beginning of a Location."""

    operation: str
    store: OrderStore
    record: StoredOrder
    ids: Mapping[str, str]
    body: Json
    origin: str


NO_CONTENT: Final = Response(204)


def created(call: ApiCall, header: str, kind: str, made: str) -> Response:
    """Return a 201 with the id of the new entry, in its header and in Location."""
    order_id = call.record.order["order_id"]
    location = f"{call.origin}/ordermanagement/v1/orders/{order_id}/{kind}/{made}"
    return Response(201, {"Location": location, header: made})


def invalid(*messages: str) -> ErrorAnswer:
    """Return the 400 for a body that breaks the rules."""
    return ErrorAnswer(400, "INVALID_REQUEST_PARAMETERS", messages)


def check_sums(call: ApiCall, amount: int) -> None:
    """Refuse lines that do not add up to the amount, where the switch says so."""
    lines: list[Json] = call.body.get("order_lines", [])
    if call.store.switches.line_sums == "refused" and lines and sum(map(line_total, lines)) != amount:
        raise invalid("order_lines: total_amount does not add up to the amount")


def append_shipments(call: ApiCall, to: Json) -> None:
    """Add the shipments of the body to an order or a capture; those that are there already too, or not: a switch."""
    before: list[Json] = to.get("shipping_info") or []
    given: list[Json] = call.body["shipping_info"]
    once = call.store.switches.shipments == "once"
    to["shipping_info"] = before + [each for each in given if not (once and each in before)]
