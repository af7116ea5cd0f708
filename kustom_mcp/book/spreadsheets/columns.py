"""The column that holds order ids: found by the look of its cells, and by its header where that leaves a choice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from kustom_mcp.api import identifiers
from kustom_mcp.book.spreadsheets.records import Record, plain
from kustom_mcp.text import letters_and_digits

HEADERS_WITHIN = 20
"""Records among which the headers are: some programs write a title above them."""

_SURELY = frozenset(
    f"{whose}{what}"
    for whose in ("kustom", "klarna", "kco", "checkout", "kustomcheckout", "klarnacheckout", "klarnapayments")
    for what in ("orderid", "id", "order", "orderno", "ordernumber", "orderuuid", "ordernr")
)
_LIKELY = frozenset(
    {
        *("orderid", "orderuuid", "order", "orderno", "ordernr", "ordernumber", "id", "bestellid", "bestellnummer"),
        *("ordreid", "tilausid", "zamowienieid", "idzamowienia", "bestelid", "ordrenummer", "transactionid"),
        *("paymentid", "paymentreference", "pspreference", "externalid"),
    }
)
_OTHERS = frozenset(
    f"{what}{ending}"
    for what in ("capture", "refund", "session", "cart", "customer", "correlation", "idempotency", "request", "payout")
    for ending in ("id", "uuid", "key")
)
_IN_A_TEXT = frozenset({"orderid", "orderuuid"})
_ENDS_SURELY = ("kustomorderid", "klarnaorderid", "kcoorderid")
_QUOTES = r"[\"'\\]*"
_THEN = rf"{_QUOTES}[ \t]*(?:[:=]|;s:36:|,[ \t]*{_QUOTES}value{_QUOTES}[ \t]*:)[ \t]*{_QUOTES}"
_NAMED = re.compile(
    rf"([A-Za-z][A-Za-z0-9 _.-]{{0,40}}){_THEN}([0-9A-Fa-f]{{8}}(?:-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}})"
    r"(?![0-9A-Fa-f-])"
)
"""A named id in a text of several values: JSON, PHP's serialized values, or a line such as `kustom_order_id: ...`."""
_LONGEST_TEXT = 64 * 1024  # characters
_FORMULA = re.compile(r"\w+\(.*\)", re.DOTALL)
"""A formula such as Excel's HYPERLINK, which each language calls otherwise."""
_QUOTED = re.compile(r'"([^"]*)"')
_NUMBER = re.compile(r"[1-9][0-9]{0,4}")
_LETTERS = re.compile(r"[A-Za-z]{1,3}")


class NoColumn(Exception):
    """There is no column of order ids, or more than one. The text says how to go on."""


class Column(NamedTuple):
    """A column. `place`: from 0. `header`: the line of the headers, 0 where there are none."""

    place: int
    header: int


def is_order_id(cell: str) -> bool:
    """Return whether a cell is an order id, or a link to an order in the portal."""
    return _order_id(cell) is not None


def order_id_in(cell: str) -> str | None:
    """Return the order id that a cell is, links to, or names as one among other values; None without exactly one."""
    return _order_id(cell) or _named(cell)


def without_named(cell: str) -> str:
    """Return a text without the order ids that it names as such."""
    return _NAMED.sub(lambda named: "" if _rank(named[1]) is not None else named[0], cell)


def find_column(sample: Sequence[Record]) -> Column:
    """Find the only column that holds order ids, or of several the one whose header says so; where none holds them
    alone, the one whose texts name them. NoColumn."""
    headers = _headers(sample)
    found, likely = _likely(sample, headers, _order_id)
    if not likely:
        found, likely = _likely(sample, headers, order_id_in)
    for names in (_SURELY, _LIKELY):
        so_called = [index for index in likely if headers.get(index, ("",))[0] in names]
        likely = so_called or likely
        if len(so_called) == 1:
            break
    if not likely:
        raise NoColumn(
            f"none of its columns holds order ids (looked at {_count(len(sample))}): an order id looks like "
            "00000000-0000-4000-8000-000000000000. If there is one, name its header or its number with --column"
        )
    if len(likely) > 1 and any(len({ids[i] for i in likely if i < len(ids)} - {None}) > 1 for ids in found):
        numbers = [str(index + 1) for index in likely]
        raise NoColumn(
            f"columns {', '.join(numbers[:-1])} and {numbers[-1]} all hold ids: say with --column which are order ids"
        )
    return Column(likely[0], _header_line(sample, likely[0]))


def told(sample: Sequence[Record], name: str) -> Column:
    """Find the column with this header, or this number from 1, or these letters as in Excel. NoColumn."""
    wanted = letters_and_digits(name)
    for record in sample[:HEADERS_WITHIN]:
        called = [index for index, cell in enumerate(record.cells) if wanted and letters_and_digits(cell) == wanted]
        if len(called) > 1:
            numbers = ", ".join(str(index + 1) for index in called)
            raise NoColumn(f"columns {numbers} all have the header that --column names: give the number of one")
        if called:
            return Column(called[0], record.line)
    width = max((len(record.cells) for record in sample), default=0)
    number = int(name) if _NUMBER.fullmatch(name) else _of_letters(name) if _LETTERS.fullmatch(name) else 0
    if not 1 <= number <= width:
        raise NoColumn("no column has the header that --column names, nor is it the number of one")
    return Column(number - 1, _header_line(sample, number - 1))


def _likely(
    sample: Sequence[Record], headers: Mapping[int, tuple[str, int]], read: Callable[[str], str | None]
) -> tuple[list[list[str | None]], list[int]]:
    """Return what is read of every cell, and the columns that often hold ids and whose headers do not deny it."""
    found = [[read(cell) for cell in record.cells] for record in sample]
    counts = Counter(index for ids in found for index, one in enumerate(ids) if one)
    likely = [index for index, count in counts.items() if 2 * count >= max(counts.values())]
    return found, sorted(index for index in likely if headers.get(index, ("",))[0] not in _OTHERS)


def _headers(sample: Sequence[Record]) -> dict[int, tuple[str, int]]:
    """Return the known headers of columns, and their lines."""
    found: dict[int, tuple[str, int]] = {}
    for record in sample[:HEADERS_WITHIN]:
        for index, cell in enumerate(record.cells):
            name = letters_and_digits(cell)
            if name in _SURELY or name in _LIKELY or name in _OTHERS:
                found.setdefault(index, (name, record.line))
    return found


def _header_line(sample: Sequence[Record], index: int) -> int:
    """Find the line of the headers: that of a known header, or else the first, unless that holds an id or nearly
    one."""
    called = _headers(sample).get(index)
    if called is not None:
        return called[1]
    first = next((record for record in sample if any(map(plain, record.cells))), None)
    if first is None or index >= len(first.cells):
        return first.line if first else 0
    cell = plain(first.cells[index])
    nearly = is_order_id(cell) or cell.count("-") == 4 or (len(cell) > 20 and any(map(str.isdigit, cell)))
    return 0 if nearly else first.line


def _order_id(cell: str) -> str | None:
    text = plain(cell)
    if len(text) < 36:
        return None
    if cell.lstrip().startswith("=") and _FORMULA.fullmatch(text):
        ids = {found for quoted in _QUOTED.findall(text) if (found := _order_id(quoted))}
        return ids.pop() if len(ids) == 1 else None
    try:
        return identifiers.order_id(text)
    except identifiers.IdentifierError:
        return None


def _named(cell: str) -> str | None:
    """Return the order id that a text of several values names as one; of more such names the surest counts."""
    named: dict[int, set[str]] = {}
    for name, found in _NAMED.findall(cell[:_LONGEST_TEXT]) if len(cell) > 36 else ():
        rank = _rank(name)
        if rank is not None:
            named.setdefault(rank, set()).add(found.lower())
    surest = named[min(named)] if named else set[str]()
    return surest.pop() if len(surest) == 1 else None


def _rank(name: str) -> int | None:
    """Return how surely a name is that of an order id, 0 the surest; None where it is not."""
    called = letters_and_digits(name)
    if called in _SURELY or called.endswith(_ENDS_SURELY):
        return 0
    return 1 if called in _IN_A_TEXT else None


def _of_letters(name: str) -> int:
    number = 0
    for letter in name.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _count(records: int) -> str:
    return "1 row" if records == 1 else f"{records:,} rows"
