"""Middleware that reports every message of the protocol to telemetry, as part of the caller's trace.

In place of the SDK's own middleware: that one takes span names from the client's text, and repeats the text of errors.
Here a name is used only when it is one of ours.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.types import INVALID_PARAMS
from mcp.types.version import KNOWN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from kustom_mcp.app.telemetry import Activity, Telemetry
from kustom_mcp.calls.policy import PRINCIPAL, Principal

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
OTHER_METHOD: Final = "_OTHER"
"""The name for every other method, as OpenTelemetry's conventions have it."""


class Tracing(ServerMiddleware[Any]):
    """The middleware. `tools` and `prompts`: their names; `key`: of the digests that stand for callers over HTTP."""

    def __init__(self, telemetry: Telemetry, tools: Collection[str], prompts: Collection[str], key: bytes) -> None:
        self._telemetry = telemetry
        self._key = key
        self._tools = tools
        self._prompts = prompts

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        name = str((ctx.params or {}).get("name"))
        with self._telemetry.operation(
            ctx.method if ctx.method in METHODS else OTHER_METHOD,
            cast("Mapping[str, object] | None", ctx.meta),
            tool=name if ctx.method == "tools/call" and name in self._tools else "",
            prompt=name if ctx.method == "prompts/get" and name in self._prompts else "",
            version=ctx.protocol_version if ctx.protocol_version in KNOWN_PROTOCOL_VERSIONS else "",
            caller=self._digest(ctx),
        ) as span:
            try:
                result = await call_next(ctx)
            except MCPError as error:
                span.failed(error.error.code)
                raise
            except ValidationError:
                span.failed(INVALID_PARAMS)
                raise
            if ctx.method == "tools/call":
                _end_span(span, result)
            return result

    def _digest(self, ctx: ServerRequestContext[Any, Any]) -> str:
        """A keyed digest of the caller: the same for all tokens of a person, and nothing to read a name from. Empty
        where everybody is the operator."""
        caller: Principal | None = ctx.request.scope.get(PRINCIPAL) if ctx.request is not None else None
        if caller is None or caller.source == "operator":
            return ""
        return hmac.new(self._key, caller.identity.encode(), hashlib.sha256).hexdigest()[:16]


def _end_span(span: Activity, result: object) -> None:
    """End the span of a tool call with the outcome in its structured content; without one it is a question."""
    match result:
        case {"structuredContent": {"outcome": str(outcome), "error": {"code": str(code)}}}:
            span.ended(outcome, code)
        case {"structuredContent": {"outcome": str(outcome)}}:
            span.ended(outcome)
        case _:
            span.ended("asked")
