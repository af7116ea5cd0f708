"""Exports of other programs - CSV or Excel - as far as order ids are concerned.

    export = opened(path)                 find the sheet and the column, or take those that are named
    for row in export.rows(): ...         a line number, and either an order id or the mistake in the cell

An id may also be in a formula that makes a link, or in a text that names it among other values. Rows of other payment
methods than Kustom's are told apart (`payment_methods`). Nothing else of a file gets out of this package: not a cell of
another column, not a header, and of a malformed cell only the mistake. Files are streamed; the texts of a workbook,
which cannot be, are bounded.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from kustom_mcp.api import identifiers
from kustom_mcp.book.spreadsheets import csv_file
from kustom_mcp.book.spreadsheets.columns import Column, NoColumn, find_column, order_id_in, told
from kustom_mcp.book.spreadsheets.payment_methods import OtherMethods
from kustom_mcp.book.spreadsheets.records import Record, Sheet, Unreadable, plain
from kustom_mcp.text import letters_and_digits

__all__ = ["Export", "NoColumn", "Row", "Unreadable", "opened"]

SAMPLE = 1000
"""Records that are looked at to find the column."""
_PIECE = 1024 * 1024
_BARE = re.compile(r"[0-9A-Fa-f]{32}")
"""An id without hyphens. It is taken in a column that holds order ids, and makes no column one: it may be a digest."""
_ORDER_NUMBER = frozenset(
    {
        *("order", "ordernumber", "orderno", "ordernr", "ordername", "orderreference", "bestellnummer", "bestellnr"),
        *("bestelnummer", "ordrenummer", "ordrenr", "tilausnumero", "numerzamowienia", "incrementid"),
    }
)
_SHOPIFYS = frozenset({"name"})
"""Shopify's header of the numbers, which elsewhere may stand over the names of customers."""
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"


class Row(NamedTuple):
    """One row. `line` is the number that an editor or Excel shows."""

    line: int
    order_id: str | None
    problem: str | None = None
    elsewhere: bool = False
    """Whether it is of another payment method than Kustom's, so that Kustom has no order of it."""


@dataclass(frozen=True)
class Export:
    """A file whose column of order ids is known. `lines`: about how many it has, None where that is unknown."""

    digest: str
    """A digest of the content and of the column that is read, without regard to the file's place and name."""
    lines: int | None
    column: Column
    records: Callable[[], Iterator[Record]]
    not_kustom: tuple[str, ...] = ()
    """Payment methods that the operator says are not Kustom's."""

    def rows(self, after: int = 0) -> Iterator[Row]:
        """Yield the rows that begin after this line, without blank ones, the headers, and rows that continue an order.

        An export of order lines, such as Shopify's, gives an order several rows, of which only the first has its id.
        """
        begin, numbers = max(after, self.column.header), self._numbers(None)
        before, others = Record(0, ()), self._others()
        for record in self.records():
            if not (record.flaw or any(map(plain, record.cells))):
                continue
            if record.line == self.column.header:
                numbers = self._numbers(record)
            elif self._continues(before, record, numbers, others):
                continue
            else:
                before = record
            if record.line > begin:
                elsewhere = not record.flaw and others.has(record.cells)
                yield Row(record.line, None, elsewhere=True) if elsewhere else self._row(record)

    def _others(self) -> OtherMethods:
        """Find the payment methods that are not Kustom's. Reads the whole file where it has a column of methods."""
        found = OtherMethods()
        for record in self.records() if self.column.header else ():
            if record.line < self.column.header or record.flaw:
                continue
            if record.line == self.column.header:
                found = OtherMethods.of(record.cells, self.not_kustom)
            elif not found.places:
                break
            elif order_id_in(self._written(record)):
                found.beside_id(record.cells)
        return found

    def _continues(
        self, before: Record, record: Record, numbers: tuple[int, bool] | None, others: OtherMethods
    ) -> bool:
        """Return whether a row has more of the order of the row before it, which has an id or is not Kustom's: it has
        no id itself, and repeats the order's number, or has none of a column that surely is of numbers. A name without
        a digit is none.
        """
        if numbers is None or before.flaw or record.flaw or self._cell(record):
            return False
        if not (self._cell(before) or others.has(before.cells)):
            return False
        place, surely = numbers
        there, here = (plain(one.cells[place]) if place < len(one.cells) else "" for one in (before, record))
        if not surely and not any(map(str.isdigit, there)):
            return False
        return bool(there) and (here == there or (surely and not here))

    def _numbers(self, headers: Record | None) -> tuple[int, bool] | None:
        """Return the column with the numbers of the orders, and whether its header says so; None where the first
        column has the ids and no header names another."""
        names = [letters_and_digits(cell) for cell in headers.cells] if headers else []
        for of, surely in ((_ORDER_NUMBER, True), (_SHOPIFYS, False)):
            called = [place for place, name in enumerate(names) if name in of and place != self.column.place]
            if called:
                return called[0], surely
        return (0, False) if self.column.place else None

    def _written(self, record: Record) -> str:
        return record.cells[self.column.place] if self.column.place < len(record.cells) else ""

    def _cell(self, record: Record) -> str:
        return plain(self._written(record))

    def _row(self, record: Record) -> Row:
        if record.flaw:
            return Row(record.line, None, record.flaw)
        cell = self._cell(record)
        if not cell:
            return Row(record.line, None, "there is no order id in this row")
        found = order_id_in(self._written(record))
        if found:
            return Row(record.line, found)
        try:
            return Row(record.line, identifiers.order_id(str(UUID(cell)) if _BARE.fullmatch(cell) else cell))
        except identifiers.IdentifierError as error:
            return Row(record.line, None, f"this is not an order id: {str(error).partition('. ')[0]}")


def opened(path: Path, column: str | None = None, sheet: str | None = None, not_kustom: Sequence[str] = ()) -> Export:
    """Find the kind of a file and its column of order ids. Unreadable, NoColumn. Reads the whole file once.

    `not_kustom`: payment methods in it that are not Kustom's.
    """
    try:
        if path.is_dir():
            raise Unreadable("it is a folder, and not a file")
        if path.exists() and not path.is_file():
            raise Unreadable("it is a device or a pipe: save it as a file, because an import reads it more than once")
        digest, newlines, head = _digested(path)
        try:
            export = _export(digest, _sheets(path, head, newlines, sheet), column)
        except NoColumn:
            if not head.startswith(_ZIP):
                raise
            export = _export(digest, _formulas(path, sheet), column)
        return _told_apart(export, not_kustom) if not_kustom else export
    except FileNotFoundError:
        raise Unreadable("there is no such file") from None
    except OSError as error:
        raise Unreadable(f"the file cannot be read ({error.strerror or type(error).__name__})") from None


def _told_apart(export: Export, not_kustom: Sequence[str]) -> Export:
    """Return the export with payment methods that are not Kustom's. NoColumn where it has no column of methods."""
    headers = next((one.cells for one in export.records() if one.line == export.column.header), ())
    if not OtherMethods.of(headers, ()).places:
        raise NoColumn("none of its columns has the header of a payment method, as --not-kustom needs")
    names = sorted(set(map(letters_and_digits, not_kustom)))
    digest = hashlib.sha256("\0".join((export.digest, *names)).encode()).hexdigest()
    return replace(export, digest=digest, not_kustom=tuple(not_kustom))


def _formulas(path: Path, sheet: str | None) -> list[Sheet]:
    """Return the sheets of a workbook with the formulas in place of what they show, such as the text of a link."""
    from kustom_mcp.book.spreadsheets import excel_file

    return excel_file.sheets(path, sheet, formulas=True)


def _digested(path: Path) -> tuple[str, int, bytes]:
    digest, newlines, head = hashlib.sha256(), 0, b""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            head = head or piece
            digest.update(piece)
            newlines += piece.count(b"\n")
    return digest.hexdigest(), newlines, head


def _sheets(path: Path, head: bytes, newlines: int, sheet: str | None) -> list[Sheet]:
    if head.startswith(_OLE):
        raise Unreadable("this is an Excel file of the old kind (.xls), or has a password: save it as .xlsx or as CSV")
    if head.startswith(_ZIP):
        from kustom_mcp.book.spreadsheets import excel_file

        return excel_file.sheets(path, sheet)
    if sheet is not None:
        raise Unreadable("only an Excel file has sheets, and this is none")
    dialect = csv_file.dialect_of(head)
    return [Sheet("", newlines + 1, lambda: csv_file.records(path, dialect))]


def _export(digest: str, sheets: list[Sheet], column: str | None) -> Export:
    problem = NoColumn("the file has no rows")
    for sheet in sheets:
        sample = list(islice(sheet.records(), SAMPLE))
        if not any(record.flaw or any(map(plain, record.cells)) for record in sample):
            continue
        try:
            found = find_column(sample) if column is None else told(sample, column)
        except NoColumn as error:
            problem = error
            continue
        whole = hashlib.sha256(f"{digest}\0{sheet.name}\0{found.place}".encode()).hexdigest()
        return Export(whole, sheet.lines, found, sheet.records)
    raise problem
