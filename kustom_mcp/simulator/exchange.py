"""One exchange over a line that may break: scripted faults are played out here, for the port and for the transport.

A request that waits and is abandoned by its client still has its effect, as it would on a server that never learns of
it. In process the effect then happens at the moment when the client leaves.
"""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.control import handle
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.simulator.wire import Request, Response

CODES: Final = {
    400: "BAD_REQUEST",
    403: "FORBIDDEN",
    404: "RESOURCE_NOT_FOUND",
    409: "CONFLICT",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "UNPROCESSABLE_ENTITY",
    429: "TOO_MANY_REQUESTS",
    502: "TEMPORARILY_UNAVAILABLE",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "TEMPORARILY_UNAVAILABLE",
}


class Hangup(Enum):
    """The ways in which a connection ends without an answer."""

    CLOSED = "closed in good order"
    RESET = "reset"


async def exchange(
    simulator: Simulator, request: Request, sleep: Callable[[float], Awaitable[None]]
) -> Response | Hangup:
    """Answer a request, or end the connection, as the faults say. `sleep` is how the caller waits."""
    fault = simulator.faults.take(request.method, request.segments)
    if fault is None:
        return handle(simulator, request)
    if fault.kind == "reset":
        simulator.note(request, None, fault=fault.kind)
        return Hangup.RESET
    if fault.kind == "status":
        simulator.note(request, fault.status, fault=fault.kind)
        return _scripted(simulator, fault)
    if fault.kind == "delay":
        try:
            await sleep(fault.seconds)
        finally:
            response = handle(simulator, request)
        return response
    response = handle(simulator, request)
    if fault.kind == "lose_response":
        return Hangup.CLOSED
    if fault.kind == "late_status":
        return _scripted(simulator, fault)
    return Response(response.status, response.headers, response.body[: len(response.body) // 2])


def _scripted(simulator: Simulator, fault: Fault) -> Response:
    """Return the answer that a fault asks for: its own body, or an error body that fits the status. 401 has none."""
    if fault.body is not None:
        return Response(fault.status, {"Content-Type": "text/html"} | dict(fault.headers), fault.body.encode())
    if fault.status < 400 or fault.status == 401:
        return Response(fault.status, dict(fault.headers))
    code = fault.code or CODES.get(fault.status, "INTERNAL_ERROR" if fault.status >= 500 else "BAD_REQUEST")
    answer = simulator.error(fault.status, code, "A scripted fault of the sandbox.")
    return Response(answer.status, dict(answer.headers) | dict(fault.headers), answer.body)
