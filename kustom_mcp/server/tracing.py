"""Every message of the protocol as an operation that an operator can see, as part of the caller's trace.

In place of the SDK's own middleware: that one takes span names from whatever the client sent as a name, and repeats the
text of errors. A name is taken here only when it is one of ours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.types import INVALID_PARAMS
from mcp.types.version import KNOWN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from kustom_mcp.app.telemetry import Seen, Telemetry

METHODS: Final = frozenset(
    {
        "completion/complete",
        "initialize",
        "notifications/cancelled",
        "notifications/initialized",
        "notifications/progress",
        "ping",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/templates/list",
        "server/discover",
        "tools/call",
        "tools/list",
    }
)
OTHER: Final = "_OTHER"
"""What every other method is called, as the conventions call what they do not know."""


class Tracing(ServerMiddleware[Any]):
    """The middleware. `tools` and `prompts`: the names that there are."""

    def __init__(self, telemetry: Telemetry, tools: Collection[str], prompts: Collection[str]) -> None:
        self._telemetry = telemetry
        self._tools = tools
        self._prompts = prompts

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        name = str((ctx.params or {}).get("name"))
        with self._telemetry.operation(
            ctx.method if ctx.method in METHODS else OTHER,
            cast("Mapping[str, object] | None", ctx.meta),
            tool=name if ctx.method == "tools/call" and name in self._tools else "",
            prompt=name if ctx.method == "prompts/get" and name in self._prompts else "",
            version=ctx.protocol_version if ctx.protocol_version in KNOWN_PROTOCOL_VERSIONS else "",
        ) as seen:
            try:
                result = await call_next(ctx)
            except MCPError as error:
                seen.failed(error.error.code)
                raise
            except ValidationError:
                seen.failed(INVALID_PARAMS)
                raise
            if ctx.method == "tools/call":
                _answered(seen, result)
            return result


def _answered(seen: Seen, result: object) -> None:
    """The outcome of a tool call, which its structured content names; none: a question to a person."""
    match result:
        case {"structuredContent": {"outcome": str(outcome), "error": {"code": str(code)}}}:
            seen.ended(outcome, code)
        case {"structuredContent": {"outcome": str(outcome)}}:
            seen.ended(outcome)
        case _:
            seen.ended("asked")
