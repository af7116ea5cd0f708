"""The spans of a call for an operator: a preview, a commit, the resolving of a doubt, each with its outcome.

A method of a call is decorated with the name of its span. The outcome is read from its result or its exception, so the
method itself need not report it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from kustom_mcp.api.reconcile import Landed, Written
from kustom_mcp.app.app import App
from kustom_mcp.app.telemetry import Activity, WritePart
from kustom_mcp.calls.confirmation import Answer, Ask
from kustom_mcp.schema.result import ToolError


class _HasApp(Protocol):
    app: App


C = TypeVar("C", bound=_HasApp)
P = ParamSpec("P")
R = TypeVar("R")
Method = Callable[Concatenate[C, P], Awaitable[R]]
Marked = Callable[Concatenate[C, P], Coroutine[Any, Any, R]]


def traced(name: WritePart) -> Callable[[Method[C, P, R]], Marked[C, P, R]]:
    """Decorate a method with a span. While telemetry is off the method is called as it is."""

    def decorate(method: Method[C, P, R]) -> Marked[C, P, R]:
        @wraps(method)
        async def run(self: C, *args: P.args, **kwargs: P.kwargs) -> R:
            telemetry = self.app.telemetry
            if not telemetry.on:
                return await method(self, *args, **kwargs)
            with telemetry.write_part(name) as span:
                try:
                    result = await method(self, *args, **kwargs)
                except (Answer, Ask, ToolError) as end:
                    _end_span(span, end)
                    raise
                if isinstance(result, Landed):
                    telemetry.found(result.value)
                elif isinstance(result, Written):
                    span.ended("applied")
                return result

        return run

    return decorate


def _end_span(span: Activity, end: Answer | Ask | ToolError) -> None:
    """End a span with the outcome that an exception stands for."""
    if isinstance(end, Ask):
        span.ended("asked")
    elif isinstance(end, ToolError):
        span.ended(end.ends, end.code.value)
    else:
        error = end.result.error
        span.ended(end.result.outcome, error.code.value if error else None)
