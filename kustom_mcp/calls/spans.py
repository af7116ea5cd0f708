"""The steps of a call, as an operator sees them: a preview, a commit, a settlement, each with its outcome.

A method of a call is marked with the step that it is. What it answers or raises says how the step ended, so the method
itself need not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from kustom_mcp.api.reconcile import Landed, Written
from kustom_mcp.app.app import App
from kustom_mcp.app.telemetry import Seen, Step
from kustom_mcp.calls.confirmation import Answer, Ask
from kustom_mcp.schema.result import ToolError


class _OfApp(Protocol):
    app: App


C = TypeVar("C", bound=_OfApp)
P = ParamSpec("P")
R = TypeVar("R")
Method = Callable[Concatenate[C, P], Awaitable[R]]
Marked = Callable[Concatenate[C, P], Coroutine[Any, Any, R]]


def step(name: Step) -> Callable[[Method[C, P, R]], Marked[C, P, R]]:
    """Mark a method as a step. Without anybody who looks it is called as it is."""

    def mark(method: Method[C, P, R]) -> Marked[C, P, R]:
        @wraps(method)
        async def run(self: C, *args: P.args, **kwargs: P.kwargs) -> R:
            telemetry = self.app.telemetry
            if not telemetry.on:
                return await method(self, *args, **kwargs)
            with telemetry.step(name) as seen:
                try:
                    result = await method(self, *args, **kwargs)
                except (Answer, Ask, ToolError) as end:
                    _ended(seen, end)
                    raise
                if isinstance(result, Landed):
                    telemetry.found(result.value)
                elif isinstance(result, Written):
                    seen.ended("applied")
                return result

        return run

    return mark


def _ended(seen: Seen, end: Answer | Ask | ToolError) -> None:
    """How a step ended that did not come back."""
    if isinstance(end, Ask):
        seen.ended("asked")
    elif isinstance(end, ToolError):
        seen.ended(end.ends, end.code.value)
    else:
        error = end.result.error
        seen.ended(end.result.outcome, error.code.value if error else None)
