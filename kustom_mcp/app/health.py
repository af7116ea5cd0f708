"""The health of one of several shops, as its last request to Kustom showed it.

Every request of the shop is seen here, whoever made it, so that a key that was mended is known by the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from kustom_mcp.api.observer import AttemptObserver, Observer

REFUSED: Final = "Kustom did not accept its credentials"
SILENT: Final = "Kustom did not answer for it"
HELD_UP: Final = "Kustom wants its requests to wait"


def why_failing(status: int | None) -> str | None:
    """The reason why a shop cannot be used, from the status of its last answer; None where it can."""
    if status in (401, 403):
        return REFUSED
    if status == 429:
        return HELD_UP
    return SILENT if status is None or status >= 500 else None


class Health:
    """An observer that tells another one of each request, and `noted` the reason why the shop fails, or None."""

    def __init__(self, other: Observer, noted: Callable[[str | None], None]) -> None:
        self._other = other
        self._noted = noted

    @contextmanager
    def attempt(self, method: str, template: str, server: tuple[str, int], resends: int) -> Generator[AttemptObserver]:
        with self._other.attempt(method, template, server, resends) as seen:
            yield _WatchedAttempt(seen, self._noted)

    def out_of_retries(self) -> None:
        self._other.out_of_retries()


class _WatchedAttempt:
    def __init__(self, other: AttemptObserver, noted: Callable[[str | None], None]) -> None:
        self._other = other
        self._noted = noted

    def answered(self, outcome: str, status: int | None, error: str | None) -> None:
        self._noted(why_failing(status))
        self._other.answered(outcome, status, error)
