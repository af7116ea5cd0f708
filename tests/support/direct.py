"""Requests by hand: the simulator asked directly, without HTTP in between. For tests."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

from kustom_mcp.simulator.app import API_KEY, KEY_HEADER, Simulator
from kustom_mcp.simulator.control import handle
from kustom_mcp.simulator.store import StoredOrder
from kustom_mcp.simulator.switches import Switches
from kustom_mcp.simulator.wire import JSON_TYPE, Request, Response
from tests.support.oracles import somebody_else

MORNING = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def credentials(user: str = "demo", key: str = API_KEY) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()


def ask(
    simulator: Simulator, method: str, path: str, body: Any = None, *, key: str | None = None, user: str = "demo"
) -> Response:
    """Send one request. `path` starts with /orders or /sandbox; `key` is the idempotency key."""
    headers = {"Authorization": credentials(user), "Host": "sandbox.test"}
    if key is not None:
        headers[KEY_HEADER] = key
    content = b""
    if body is not None:
        headers["Content-Type"] = JSON_TYPE
        content = json.dumps(body).encode()
    target = path if path.startswith("/sandbox") else "/ordermanagement/v1" + path
    with somebody_else():
        return handle(simulator, Request(method, target, headers, content))


def shop(given: dict[str, Any], switches: Switches | None = None) -> tuple[Simulator, StoredOrder, str]:
    """A simulator of one order on that morning, the order, and its path."""
    simulator = Simulator(clock=lambda: MORNING, seeds=(), switches=switches)
    record = simulator.add_order(given)
    return simulator, record, f"/orders/{record.order['order_id']}"


def error(response: Response) -> tuple[int, str]:
    """The status and the error code of a refusal."""
    return response.status, response.json()["error_code"]
