"""Sheets and records of a file, and the value of a cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

_AROUND = " \t\r\n\v\f\u00a0\u2007\u202f\u200b\u200c\u200d\u2060\ufeff"
_QUOTES = "'\"\u2018\u2019\u201c\u201d`"


class Unreadable(Exception):
    """The file cannot be read as a table. A sentence without anything from the file."""


class Record(NamedTuple):
    """A record of a file. `line`: where it begins. `flaw`: why its cells cannot be trusted."""

    line: int
    cells: Sequence[str]
    flaw: str | None = None


class Sheet(NamedTuple):
    """A table of records that may hold the column: the only one of a CSV file, one of several in a workbook.

    `lines`: about how many there are, None where that is unknown.
    """

    name: str
    lines: int | None
    records: Callable[[], Iterator[Record]]


def plain(cell: str) -> str:
    """Return a cell without the signs that programs put around a value: `="..."`, so that Excel leaves it as it is,
    quotes, spaces, and the braces around a UUID."""
    text = cell.strip(_AROUND)
    text = text.removeprefix("=").strip(_QUOTES + _AROUND) if text else text
    return text[1:-1] if text.startswith("{") and text.endswith("}") else text
