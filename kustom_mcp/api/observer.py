"""Who is told of each request to Kustom: its method, its path as a template, how it ended. Never what was in it.

The client has no opinion on what becomes of that. Without an observer it tells nobody.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol


class AttemptObserver(Protocol):
    """An attempt under way."""

    def answered(self, outcome: str, status: int | None, error: str | None) -> None:
        """How it ended: what it proves, the HTTP status if there was one, the class of error if it was one."""


class Observer(Protocol):
    """What the client tells. Nothing here may raise."""

    def attempt(
        self, method: str, template: str, server: tuple[str, int], resends: int
    ) -> AbstractContextManager[AttemptObserver]:
        """A request that leaves now. `resends`: how many of its kind have left before it."""
        ...

    def out_of_retries(self) -> None:
        """A retry was due, and the budget had none left."""


class _Nobody:
    def answered(self, outcome: str, status: int | None, error: str | None) -> None:
        return

    def attempt(
        self, method: str, template: str, server: tuple[str, int], resends: int
    ) -> AbstractContextManager[AttemptObserver]:
        return nullcontext(self)

    def out_of_retries(self) -> None:
        return


NOBODY: Final[Observer] = _Nobody()
