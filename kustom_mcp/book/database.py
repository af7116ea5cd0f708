"""The database of a book, as the rest of the book uses it, and its errors. It is `sqlite` or `postgres`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Values = Mapping[str, Any]


class BookUnavailable(Exception):
    """The book can be neither read nor written. The text gives the reason, without a path."""


class BookBusy(BookUnavailable):
    """The book is held by others for longer than we wait."""


class BookTransaction(Protocol):
    """An open transaction of the book."""

    lateral: bool
    """Whether a selection in FROM may refer to those before it."""

    def rows(self, statement: str, values: Values = ...) -> list[tuple[Any, ...]]: ...

    def many(self, statement: str, values: Sequence[Values]) -> None: ...

    def by(self, index: str) -> str:
        """Return the clause that insists on an index, where the database has to be told."""
        ...


class BookDatabase(Protocol):
    """The database of a book."""

    place: str
    """The place for an operator to look at when this fails."""

    @property
    def skew(self) -> float:
        """Seconds to add to this machine's time of day to get the store's."""
        ...

    def read(self, work: Callable[[BookTransaction], T]) -> T:
        """Run `work` on one state, although others write meanwhile. BookUnavailable."""
        ...

    def write(self, work: Callable[[BookTransaction], T]) -> T:
        """Run `work` in one transaction, one writer at a time. BookUnavailable."""
        ...

    def exists(self) -> bool:
        """Return whether there is anything to read; looking makes nothing."""
        ...

    def size(self) -> int:
        """Return the bytes that it takes; 0 in memory. OSError, BookUnavailable."""
        ...

    def tidy(self) -> bool:
        """Shrink the file by all that was taken out. Return False where others kept that from happening now."""
        ...

    def close(self) -> None: ...
