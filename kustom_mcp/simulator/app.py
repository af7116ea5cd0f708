"""The simulator: a request in, a response out, no I/O.

The order of checks is that of a common gateway: credentials, idempotency key, path, body, order, state. Every request
to the API is kept in `requests`, so that a test can see what was sent and whether it had an effect of its own or was
a replay.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kustom_mcp.simulator import payout_calls, reading, states
from kustom_mcp.simulator.calls import ApiCall
from kustom_mcp.simulator.demo_orders import demo_orders
from kustom_mcp.simulator.drafts import Json, made_up_id
from kustom_mcp.simulator.events import CAUSED_BY, Outbox
from kustom_mcp.simulator.faults import Faults
from kustom_mcp.simulator.limits import with_texts
from kustom_mcp.simulator.routes import Route, find_route
from kustom_mcp.simulator.seeds import Seed
from kustom_mcp.simulator.store import OrderStore, StoredOrder, system_clock
from kustom_mcp.simulator.switches import Switches
from kustom_mcp.simulator.wire import JSON_TYPE, ErrorAnswer, NotJson, Request, Response, error_response, parse_json

API_KEY: Final = "kco_test_api_sandbox"
KEY_HEADER: Final = "Klarna-Idempotency-Key"
MAX_LOG: Final = 10_000

_UUID_SHAPE: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request to the API in the simulator's log. `status` is None where no answer was sent."""

    method: str
    path: str
    key: str | None
    body: Any
    status: int | None
    replayed: bool = False
    fault: str | None = None


class Simulator:
    """An in-process Kustom: the Order Management API with demo orders, an injected clock and scripted faults."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = system_clock,
        switches: Switches | None = None,
        seeds: Sequence[Seed] | None = None,
    ) -> None:
        self.seeds = tuple(demo_orders() if seeds is None else seeds)
        """The orders that it starts with."""
        self.store = OrderStore(clock, switches or Switches(), self.seeds)
        self.faults = Faults()
        self.requests: list[LoggedRequest] = []
        self.outbox: Outbox | None = None
        """The events to send; None where webhooks and pushes are not sent."""
        self._errors = 0

    def handle(self, request: Request) -> Response:
        """Answer one request to the API."""
        response, replayed = self._respond(request)
        self.note(request, response.status, replayed=replayed)
        return response

    def note(self, request: Request, status: int | None, *, replayed: bool = False, fault: str | None = None) -> None:
        """Write a request into the log; the oldest entries go when it is long."""
        seen = LoggedRequest(
            request.method, request.path, request.header(KEY_HEADER), _readable(request), status, replayed, fault
        )
        self.requests.append(seen)
        if len(self.requests) > MAX_LOG:
            del self.requests[: MAX_LOG // 10]

    def reset(self) -> None:
        """Return to the demo orders and the switches of the start; keys, faults and the log are forgotten."""
        self.store.reset()
        self.faults.clear()
        self.requests.clear()

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self.store.advance(seconds)

    def assume(self, given: Mapping[str, str]) -> None:
        """Set switches from now on. ValueError, with the possible values."""
        self.store.switches = self.store.switches.assume(given)

    def add_order(self, given: Json, name: str | None = None) -> StoredOrder:
        """Add an order from any part of one."""
        return self.store.add(given, name)

    def announce_to(self, hear: Callable[[str], None]) -> None:
        """Tell the id of each order that there is, and from now on of each that is added."""
        self.store.announce = hear
        for record in self.store.records():
            hear(str(record.order["order_id"]).lower())

    def is_acknowledged(self, order_id: str) -> bool:
        """Return whether an order is acknowledged, so that it is pushed no more; also where it is gone."""
        record = self.store.find(order_id)
        return record is None or record.acknowledged

    def tell(self, kind: str, order_id: str, **data: str) -> None:
        """Send an event by webhook or push, if they are sent at all."""
        if self.outbox is not None:
            self.outbox.add(kind, order_id, self.store.now(), data)

    def error(self, status: int, code: str, *messages: str) -> Response:
        """Return an error body with the next correlation id."""
        self._errors += 1
        return error_response(status, code, messages, made_up_id("correlation", self._errors))

    def _respond(self, request: Request) -> tuple[Response, bool]:
        merchant = merchant_of(request)
        if merchant is None:
            return Response(401, {"WWW-Authenticate": 'Basic realm="api"'}), False
        key = request.header(KEY_HEADER) if request.method in ("POST", "PATCH") else None
        key = key or None  # an empty one is none
        if key is not None:
            earlier = self.store.recall(merchant, key)
            if earlier is not None:
                return earlier, True
        response = self._perform(request)
        if key is not None:
            self.store.remember(merchant, key, response)
        return response, False

    def by_hand(self, route: Route, ids: Mapping[str, str], body: Any, request: Request) -> Response:
        """Answer what somebody does in Kustom's portal: no request to the API, so neither key nor log."""

        def answer() -> Response:
            checked = _checked(route, body, self.store.switches)
            return self._act(route, self._call(route, ids, checked, _origin(request)))

        return self._guard(answer)

    def _perform(self, request: Request) -> Response:
        def answer() -> Response:
            if request.segments[: len(payout_calls.PREFIX)] == payout_calls.PREFIX:
                return payout_calls.answer(self.store, request)
            return self._act(*self._prepare(request))

        return self._guard(answer)

    def _act(self, route: Route, call: ApiCall) -> Response:
        before = None if route.method == "GET" else reading.snapshot(self.store, call.record)
        response = route.perform(call)
        if before is not None:
            reading.note_write(self.store, call.record, before)
        if route.operation in CAUSED_BY:
            kind, header, name = CAUSED_BY[route.operation]
            self.tell(kind, call.record.order["order_id"], **{name: response.headers[header]})
        return response

    def _guard(self, answer: Callable[[], Response]) -> Response:
        try:
            return answer()
        except ErrorAnswer as problem:
            return self.error(problem.status, problem.code, *problem.messages)
        except states.OperationRefused as refusal:
            return self.error(403, refusal.code, refusal.message)
        except states.IllegalEvent as mistake:
            return self.error(500, "INTERNAL_ERROR", str(mistake))

    def _prepare(self, request: Request) -> tuple[Route, ApiCall]:
        found = find_route(request.method, request.segments)
        if found is None:
            raise ErrorAnswer(404, "RESOURCE_NOT_FOUND", ["The requested resource was not found."])
        route, ids = found
        body = self._body(route, request)
        return route, self._call(route, ids, body, _origin(request))

    def _call(self, route: Route, ids: Mapping[str, str], body: Json, origin: str) -> ApiCall:
        order_id = ids["order_id"]
        if self.store.switches.malformed_order_id == "400" and not _UUID_SHAPE.fullmatch(order_id):
            raise ErrorAnswer(400, "INVALID_REQUEST_PARAMETERS", ["order_id: must be a UUID"])
        record = self.store.find(order_id)
        if record is None:
            raise ErrorAnswer(404, route.lost, [f"Order {order_id} not found."])
        return ApiCall(route.operation, self.store, record, ids, body, origin)

    def _body(self, route: Route, request: Request) -> Json:
        switches = self.store.switches
        if len(request.body) > switches.max_body:
            raise ErrorAnswer(413, "PAYLOAD_TOO_LARGE", ["The request body is too large."])
        media_type = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
        if request.body and media_type != JSON_TYPE:
            raise ErrorAnswer(415, "UNSUPPORTED_MEDIA_TYPE", ["The content type must be application/json."])
        if route.body is None:
            return {}
        try:
            value = parse_json(request.body)
        except NotJson:
            raise ErrorAnswer(400, "BAD_REQUEST", ["The request body is not valid JSON."]) from None
        return _checked(route, value, switches)


def _checked(route: Route, value: Any, switches: Switches) -> Json:
    """Return the body of a call, held against its limits; an empty one where the call takes none."""
    if route.body is None:
        return {}
    if switches.numbers == "as_texts":
        value = with_texts(route.body, value)
    problems = list(route.body.problems(value, ""))
    if problems:
        code = "INVALID_REQUEST_PARAMETERS" if switches.limits == "400" else "UNPROCESSABLE_ENTITY"
        raise ErrorAnswer(int(switches.limits), code, problems)
    return value


def _origin(request: Request) -> str:
    """Return the beginning of an absolute Location."""
    return f"http://{request.header('Host') or 'sandbox.invalid'}"


def merchant_of(request: Request) -> str | None:
    """Return the caller's user name, by Basic auth: any with the sandbox key, or "" for the key as it is; None
    otherwise."""
    scheme, _, credentials = (request.header("Authorization") or "").partition(" ")
    credentials = credentials.strip()
    if scheme.lower() != "basic":
        return None
    if credentials == API_KEY:
        return ""
    try:
        user, _, key = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user if key == API_KEY else None


def _readable(request: Request) -> Any:
    if not request.body:
        return None
    try:
        return parse_json(request.body, keep_nulls=True)
    except NotJson:
        return request.body.decode("utf-8", "replace")
