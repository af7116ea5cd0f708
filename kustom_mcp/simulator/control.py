"""The sandbox's own endpoints under /sandbox: orders, clock, reset, faults, assumptions, the portal, webhooks, the log.

They need no credentials, since the sandbox listens on loopback only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.drafts import made_up_id
from kustom_mcp.simulator.events import PUSH
from kustom_mcp.simulator.faults import KINDS, Fault
from kustom_mcp.simulator.limits import Items, Rule, Shape, Text, Whole
from kustom_mcp.simulator.routes import ROUTES, Route
from kustom_mcp.simulator.wire import NotJson, Request, Response, json_response, parse_json

_ANY_OBJECT: Final = Shape({})
_AMOUNTS: Final = (
    "order_amount",
    "original_order_amount",
    "captured_amount",
    "refunded_amount",
    "remaining_authorized_amount",
)
_LINE: Final = Shape(
    {name: Whole() for name in ("quantity", "unit_price", "total_amount", "total_discount_amount", "tax_rate")}
)
_LINES: Final = Items(_LINE, 0, 10_000)
_ORDER_RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(_AMOUNTS, Whole()),
    "order_id": Text(255),
    "name": Text(255),
    "status": Text(),
    "purchase_currency": Text(),
    "created_at": Text(),
    "expires_at": Text(),
    "order_lines": _LINES,
    "captures": Items(Shape({"captured_amount": Whole(), "order_lines": _LINES})),
    "refunds": Items(Shape({"refunded_amount": Whole(), "order_lines": _LINES})),
}
ORDER_PART: Final = Shape(_ORDER_RULES)
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]+")
_HEADER_VALUE: Final = re.compile(r"[!-~]([ -~]*[!-~])?")
CLOCK: Final = Shape({"advance_seconds": Whole(0, 10**10)}, required=("advance_seconds",))
FAULT: Final = Shape(
    {
        "method": Text(10),
        "path": Text(255, re.compile("/.*")),
        "fault": Text(),
        "status": Whole(200, 599),
        "times": Whole(1, 10**6),
        "code": Text(100),
        "body": Text(10**6),
        "headers": _ANY_OBJECT,
    },
    required=("method", "path", "fault"),
)


PORTAL: Final = Shape(
    {"order_id": Text(255), "operation": Text(100), "capture_id": Text(255), "body": _ANY_OBJECT},
    required=("order_id", "operation"),
)


class _Wrong(Exception):
    """A request that the sandbox cannot follow, with the reasons."""


def handle(simulator: Simulator, request: Request) -> Response:
    """Answer one request, to /sandbox or to the API. Scripted faults are not looked at here, see `exchange`."""
    return _answer(simulator, request) if request.segments[:1] == ("sandbox",) else simulator.handle(request)


def _answer(simulator: Simulator, request: Request) -> Response:
    if request.segments[:2] == ("sandbox", "hooks"):
        return _hooks(simulator, request)
    follow = _CALLS.get(f"{request.method} {request.path}")
    if follow is None:
        return simulator.error(404, "RESOURCE_NOT_FOUND", "The sandbox has no such endpoint.")
    try:
        return follow(simulator, request)
    except _Wrong as problem:
        return simulator.error(400, "INVALID_REQUEST_PARAMETERS", *map(str, problem.args))


def _move_clock(simulator: Simulator, request: Request) -> Response:
    simulator.advance(_body(request, CLOCK)["advance_seconds"])
    return _DONE


def _add_fault(simulator: Simulator, request: Request) -> Response:
    simulator.faults.add(_fault(_body(request, FAULT)))
    return _DONE


def _reset(simulator: Simulator, _request: Request) -> Response:
    simulator.reset()
    return _DONE


def _assume(simulator: Simulator, request: Request) -> Response:
    """Set the switches of a request such as {"keys": "forgotten"}, or {"name": "keys", "value": "forgotten"}."""
    given = _body(request, _ANY_OBJECT)
    if given.keys() == {"name", "value"}:
        given = {str(given["name"]): given["value"]}
    try:
        simulator.assume({name: str(value) for name, value in given.items()})
    except ValueError as problem:
        raise _Wrong(str(problem)) from None
    return _DONE


def _portal(simulator: Simulator, request: Request) -> Response:
    """Act on an order as somebody does in Kustom's portal: the answer is that of the API's call."""
    given = _body(request, PORTAL)
    route = PORTAL_NAMES.get(_plain(given["operation"]))
    if route is None:
        names = ", ".join(sorted({known.operation for known in PORTAL_NAMES.values()}))
        raise _Wrong(f"operation: must be one of {names}")
    body = dict(given.get("body", {}))
    ids = {"order_id": given["order_id"], "capture_id": given.get("capture_id") or str(body.pop("capture_id", ""))}
    return simulator.by_hand(route, ids, body, request)


def _plain(name: str) -> str:
    """Return an operation's name in small letters alone: refund_order and refundOrder are the same."""
    return re.sub(r"[^a-z]", "", name.lower()).removeprefix("kustom")


def _portal_names() -> dict[str, Route]:
    """Return the writes of the API by every name that they have: Kustom's, a tool's, a verb."""
    others = {
        "acknowledgeOrder": ("acknowledge",),
        "updateAuthorization": ("updateorderamount", "authorization", "amount"),
        "updateMerchantReferences": ("merchantreferences", "references"),
        "updateCustomerDetails": ("customerdetails", "address"),
        "appendOrderShippingInfo": ("addshippinginfo", "shippinginfo"),
        "cancelOrder": ("cancel",),
        "extendAuthorizationTime": ("extendauthorization", "extend"),
        "releaseRemainingAuthorization": ("release",),
        "captureOrder": ("capture", "captures"),
        "appendCaptureShippingInfo": ("addcaptureshippinginfo",),
        "refundOrder": ("refund", "refunds"),
    }
    writes = [route for route in ROUTES if route.method != "GET"]
    return {name: route for route in writes for name in (_plain(route.operation), *others.get(route.operation, ()))}


PORTAL_NAMES: Final = _portal_names()


def _hooks(simulator: Simulator, request: Request) -> Response:
    """Follow one request to /sandbox/hooks."""
    outbox = simulator.outbox
    if outbox is None:
        return simulator.error(404, "RESOURCE_NOT_FOUND", "Webhooks are sent with --hooks only.")
    call = f"{request.method} {request.path}"
    if call == "GET /sandbox/hooks":
        names = ("id", "kind", "order_id", "attempts", "status")
        return json_response(200, [{name: getattr(event, name) for name in names} for event in outbox.events])
    kind = {"POST /sandbox/hooks/disputes": "dispute.created", "POST /sandbox/hooks/pushes": PUSH}.get(call)
    if kind is None:
        return simulator.error(404, "RESOURCE_NOT_FOUND", "The sandbox has no such endpoint.")
    try:
        given: Any = parse_json(request.body)
        record = simulator.store.find(str(given["order_id"]))
    except (NotJson, KeyError, TypeError):
        return simulator.error(400, "INVALID_REQUEST_PARAMETERS", "order_id: must be given")
    if record is None:
        return simulator.error(404, "NO_SUCH_ORDER", "There is no such order.")
    if kind == PUSH and record.acknowledged:
        return simulator.error(403, "NOT_ALLOWED", "An acknowledged order is not pushed.")
    more = {} if kind == PUSH else {"dispute_id": made_up_id(record.order["order_id"], "dispute")}
    if kind != PUSH:
        record.disputed_at(simulator.store.now())
    simulator.tell(kind, str(record.order["order_id"]), **more)
    return Response(202)


def _list(simulator: Simulator) -> list[dict[str, str]]:
    return [
        {"order_id": record.order["order_id"], "name": record.name, "status": record.order["status"]}
        for record in simulator.store.records()
    ]


def _add(simulator: Simulator, request: Request) -> Response:
    given = _body(request, ORDER_PART)
    name = given.pop("name", None)
    try:
        record = simulator.add_order(given, name)
    except (ValueError, TypeError, AttributeError) as problem:
        raise _Wrong(f"The order cannot be made up from this: {problem}") from problem
    simulator.tell("order.created", record.order["order_id"])
    return json_response(201, record.order)


def _body(request: Request, shape: Shape) -> dict[str, Any]:
    try:
        value = parse_json(request.body or b"{}", keep_nulls=True)
    except NotJson:
        raise _Wrong("The request body is not valid JSON.") from None
    problems = list(shape.problems(value, ""))
    if problems:
        raise _Wrong(*problems)
    return value


def _fault(given: dict[str, Any]) -> Fault:
    kind, seconds = given["fault"], given.get("seconds", 0)
    if kind not in KINDS:
        raise _Wrong(f"fault: must be one of {', '.join(KINDS)}")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 3600:
        raise _Wrong("seconds: must be a number between 0 and 3600")
    return Fault(
        method=given["method"],
        path=given["path"],
        kind=kind,
        status=given.get("status", 500),
        seconds=float(seconds),
        times=given.get("times", 1),
        code=given.get("code"),
        body=given.get("body"),
        headers=_headers(given.get("headers", {})),
    )


def _headers(given: dict[str, Any]) -> dict[str, str]:
    for name, text in given.items():
        if not _HEADER_NAME.fullmatch(name) or not isinstance(text, str) or not _HEADER_VALUE.fullmatch(text):
            raise _Wrong("headers: must be names and printable texts")
    return given


_DONE: Final = Response(204)
_CALLS: Final[dict[str, Callable[[Simulator, Request], Response]]] = {
    "GET /sandbox/orders": lambda simulator, _: json_response(200, _list(simulator)),
    "POST /sandbox/orders": _add,
    "GET /sandbox/requests": lambda simulator, _: json_response(200, [asdict(seen) for seen in simulator.requests]),
    "POST /sandbox/clock": _move_clock,
    "GET /sandbox/faults": lambda simulator, _: json_response(
        200, [asdict(fault) for fault in simulator.faults.waiting()]
    ),
    "POST /sandbox/faults": _add_fault,
    "GET /sandbox/assume": lambda simulator, _: json_response(200, simulator.store.switches.values()),
    "POST /sandbox/assume": _assume,
    "POST /sandbox/portal": _portal,
    "POST /sandbox/reset": _reset,
}
