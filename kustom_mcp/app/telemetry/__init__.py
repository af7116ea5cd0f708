"""What an operator can see of a running server, as the rest of the code tells it; and that nobody looks, by default.

The code that works says what happens - an operation, a step, an attempt, an event - and knows nothing of spans, metrics
and exporters. What it says is taken from closed lists: names of methods, tools and settings, outcomes, codes, statuses,
templates. No method takes an id or a text that somebody typed.

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
        """How an operation or a step ended: its outcome, and the error code where it is one."""

    def failed(self, code: int) -> None:
        """That an operation was answered with an error of the protocol."""

    def answered(self, outcome: str, status: int | None, error: str | None) -> None:
        """How an attempt ended: what it proves, the HTTP status, and the class of error."""


class Telemetry:
    """What can be told. This one does not listen."""

    on = False
    """Whether anybody looks."""

    def operation(
        self, method: str, meta: Mapping[str, object] | None, *, tool: str = "", prompt: str = "", version: str = ""
    ) -> AbstractContextManager[Activity]:
        """A message of the protocol. `meta`: its `_meta`, from which the caller's trace is continued."""
        return NOTHING

    def write_part(self, name: WritePart) -> AbstractContextManager[Activity]:
        """A part of a call that changes something."""
        return NOTHING

    def attempt(
        self, method: str, template: str, server: tuple[str, int], resends: int
    ) -> AbstractContextManager[Activity]:
        """One request to Kustom. `template`: the path with its placeholders. `resends`: attempts before this one."""
        return NOTHING

    def event(self, tool: str, event: str, *, outcome: str = "", means: str = "", error: str = "") -> None:
        """A line of the audit, as far as it can be counted."""

    def found(self, landed: str) -> None:
        """What looking for the effect of a write in doubt has found."""

    def refused(self, tool: str, setting: str) -> None:
        """That the operator's setting refused a call."""

    def webhook(self, kind: str, result: str) -> None:
        """That a webhook or a push came, and what became of it."""

    def in_flight(self, change: int) -> None:
        """That a write has left, or has come back."""

    def out_of_retries(self) -> None:
        """That the process had no retry left when one was due."""

    def retries(self, left: Callable[[], float]) -> None:
        """Where to ask how many retries are left."""

    def finish(self, seconds: float) -> None:
        """Hand over what has been seen, and stop; blocks for at most so long. May be called again."""


NOTHING: Final = Activity()
SILENT: Final = Telemetry()


def start(settings: Mapping[str, str]) -> Telemetry:
    """Telemetry as the OTEL_ variables among these ask for it; SILENT when none does."""
    if not any(name.startswith(PREFIX) for name in settings):
        return SILENT
    from kustom_mcp.app.telemetry.exporting import exporting

    return exporting(settings)
