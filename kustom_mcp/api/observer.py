"""The observer of requests to Kustom: method, path as a template, outcome, and never their contents.

Without an observer the client tells nothing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol


class AttemptObserver(Protocol):
    """The observer of an attempt under way."""

    def answered(self, outcome: str, status: int | None, error: str | None) -> None:
        """Note the end: what the attempt proves, the HTTP status if there was one, the class of error if it was one."""


class Observer(Protocol):
    """The observer of all requests. No method may raise."""

    def attempt(
        self, method: str, template: str, server: tuple[str, int], resends: int
    ) -> AbstractContextManager[AttemptObserver]:
        """Note a request that leaves now. `resends`: the number of attempts of the same request before it."""
        ...

    def out_of_retries(self) -> None:
        """Note that a retry was due, and the budget had none left."""


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
