"""Telemetry as the rest of the code sees it: an interface, and one that does nothing, the default.

The code that works reports an operation, a part of a write, an attempt, an event, and knows nothing of spans, metrics
and exporters. The reports are taken from closed lists: names of methods, tools and settings, outcomes, codes, statuses,
templates. No method takes an id or a text that a person typed.

`start` looks for settings that ask for an exporter. Without one the answer is SILENT: nothing more is imported, and a
call pays for a few empty methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Literal, Self

PREFIX: Final = "OTEL_"

WritePart = Literal["preview", "commit", "settle"]


class Activity:
    """Something that takes time, while it runs. Ends with its block; an exception that passes through is named."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def ended(self, outcome: str, code: str | None = None) -> None:
        """Note the outcome of an operation or a part of a write, and the error code where it is one."""

    def failed(self, code: int) -> None:
        """Note that an operation was answered with an error of the protocol."""

    def answered(self, outcome: str, status: int | None, error: str | None) -> None:
        """Note the end of an attempt: the class that it proves, the HTTP status, and the class of error."""


class Telemetry:
    """The reports that can be made. This class ignores them."""

    on = False
    """True if reports are exported."""

    def for_shop(self, name: str) -> Telemetry:
        """Telemetry in which every report names this shop, of several."""
        return self

    def in_shop(self) -> None:
        """Note that the operation that runs is about the shop of this telemetry."""

    def operation(
        self,
        method: str,
        meta: Mapping[str, object] | None,
        *,
        tool: str = "",
        prompt: str = "",
        version: str = "",
        caller: str = "",
    ) -> AbstractContextManager[Activity]:
        """Note a message of the protocol. `meta`: its `_meta`, from which the caller's trace is continued; `caller`: a
        digest that stands for the caller, never a name."""
        return NOTHING

    def write_part(self, name: WritePart) -> AbstractContextManager[Activity]:
        """Note a part of a call that changes something."""
        return NOTHING

    def attempt(
        self, method: str, template: str, server: tuple[str, int], resends: int
    ) -> AbstractContextManager[Activity]:
        """Note one request to Kustom. `template`: the path with its placeholders. `resends`: attempts before this
        one."""
        return NOTHING

    def event(self, tool: str, event: str, *, outcome: str = "", means: str = "", error: str = "") -> None:
        """Note a line of the audit, as far as it can be counted."""

    def found(self, landed: str) -> None:
        """Note the answer of a check for the effect of a write in doubt."""

    def refused(self, tool: str, setting: str) -> None:
        """Note that the operator's setting refused a call."""

    def webhook(self, kind: str, result: str) -> None:
        """Note that a webhook or a push came, and its result."""

    def in_flight(self, change: int) -> None:
        """Note that a write has left, or has come back."""

    def out_of_retries(self) -> None:
        """Note that the process had no retry left when one was due."""

    def retries(self, left: Callable[[], float]) -> None:
        """Take the function that counts the retries that are left."""

    def finish(self, seconds: float) -> None:
        """Export all that was reported, and stop; blocks for at most so long. May be called again."""


NOTHING: Final = Activity()
SILENT: Final = Telemetry()


def start(settings: Mapping[str, str]) -> Telemetry:
    """Return telemetry as the OTEL_ variables among these ask for it; SILENT when none does."""
    if not any(name.startswith(PREFIX) for name in settings):
        return SILENT
    from kustom_mcp.app.telemetry.exporting import exporting

    return exporting(settings)
