"""Requests by hand: the simulator asked directly, without HTTP in between. For tests."""

import base64
import json
from typing import Any

from kustom_mcp.simulator.app import API_KEY, KEY_HEADER, Simulator
from kustom_mcp.simulator.control import handle
from kustom_mcp.simulator.wire import JSON_TYPE, Request, Response


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
    return handle(simulator, Request(method, target, headers, content))
