"""Excel's .xlsx, through openpyxl as a stream. An extra, because few installations import anything."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kustom_mcp.book.spreadsheets.records import Record, Sheet, Unreadable

if TYPE_CHECKING:
    from openpyxl.workbook.workbook import Workbook

MOST_TEXT = 512 * 1024 * 1024
"""Bytes of the texts that all sheets share, the only part that has to be in memory."""
_NO_WORKBOOK = "it cannot be read as an Excel file (.xlsx): save it again in Excel, or as CSV"


def sheets(path: Path, name: str | None, *, formulas: bool = False) -> list[Sheet]:
    """Return the visible sheets, or the one of this name; with the formulas in place of their results if asked for.
    Unreadable."""
    book = _loaded(path, formulas)
    found = [sheet for sheet in book.worksheets if (sheet.sheet_state == "visible" if name is None else False)]
    if name is not None:
        found = [sheet for sheet in book.worksheets if sheet.title.strip().casefold() == name.strip().casefold()]
    if not found:
        raise Unreadable("there is no sheet of the name that --sheet gives" if name else "it has no visible sheet")
    return [Sheet(sheet.title, sheet.max_row, lambda title=sheet.title: _records(book, title)) for sheet in found]


def _loaded(path: Path, formulas: bool) -> Workbook:
    try:
        from openpyxl import load_workbook
    except ImportError:
        load_workbook = None
    if load_workbook is None:
        raise Unreadable("Excel files need the extra `excel`: install kustom-mcp[excel], or save the file as CSV")
    try:
        with zipfile.ZipFile(path) as parts:
            texts = sum(part.file_size for part in parts.infolist() if part.filename.endswith("sharedStrings.xml"))
        if texts > MOST_TEXT:
            raise Unreadable("its texts are too large to be read from Excel's format: save it as CSV")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and extensions, which nobody needs here
            return load_workbook(path, read_only=True, data_only=not formulas, keep_links=False)
    except (Unreadable, OSError):
        raise
    except Exception:  # whatever a broken file makes it raise
        problem = Unreadable(_NO_WORKBOOK)
    raise problem


def _records(book: Workbook, title: str) -> Iterator[Record]:
    sheet = book[title]
    sheet.reset_dimensions()  # some programs write wrong ones
    rows = sheet.iter_rows(values_only=True)
    line = 0
    while True:
        line += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                cells = next(rows, None)
        except Exception:
            cells, problem = None, Unreadable(f"line {line}: {_NO_WORKBOOK}")
        else:
            problem = None
        if problem is not None:
            raise problem
        if cells is None:
            return
        yield Record(line, ["" if cell is None else cell if isinstance(cell, str) else str(cell) for cell in cells])
