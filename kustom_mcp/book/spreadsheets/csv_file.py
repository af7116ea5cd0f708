"""CSV and its relatives: encoding, delimiter and records.

Encodings are told by a byte order mark, by the zeros of UTF-16, or by trying; order ids are ASCII, so a character that
does not decode spoils nothing. The delimiter is the one that makes the most cells into order ids. A quotation mark that
is never closed swallows the rows behind it: a record that spans many lines, or order ids in a text of several lines, is
reported and not believed.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

from kustom_mcp.book.spreadsheets.columns import is_order_id, without_named
from kustom_mcp.book.spreadsheets.records import Record, Unreadable

DELIMITERS = ",;\t|"
HEAD = 64 * 1024  # bytes that encoding and delimiter are told by
LONGEST_LINE = 1024 * 1024  # characters
MOST_LINES = 100
"""Lines of one record; no cell of an export has more."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEP = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_ID_BELOW = re.compile(r"[\r\n].*[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.DOTALL)
_UNCLOSED = (
    "a quotation mark opens here and is not closed where it should be, so that rows behind it are part of this one: "
    "mend the file"
)


class Dialect(NamedTuple):
    """The encoding and the delimiter of a file."""

    encoding: str
    delimiter: str
    named: bool = False
    """Whether the first line only names the delimiter, as Excel understands it."""


def dialect_of(head: bytes) -> Dialect:
    """Tell the dialect of the file that begins like this. Unreadable when it is no text."""
    head = head[:HEAD]
    encoding = _encoding_of(head)
    text = head.decode(encoding, "replace").removeprefix("\ufeff")
    if sum(mark < " " and mark not in "\t\n\r\f\x1a" for mark in text) > len(text) // 1000:
        raise Unreadable("this is neither a text file (CSV) nor an Excel file (.xlsx)")
    lines = list(io.StringIO(text, newline=""))
    if len(lines) > 1 and len(head) == HEAD:
        lines.pop()  # it may be cut
    named = _SEP.fullmatch(lines[0]) if lines else None
    if named:
        return Dialect(encoding, named[1], named=True)
    return Dialect(encoding, max(DELIMITERS, key=lambda delimiter: _fit(lines, delimiter)))


def records(path: Path, dialect: Dialect) -> Iterator[Record]:
    """Yield every record, one after the other. Unreadable for a line that is endless."""
    with path.open(encoding=dialect.encoding, errors="replace", newline="") as file:
        lines: list[str] = []  # of one record

        def lines_of_file() -> Iterator[str]:
            for one in _lines(file):
                lines.append(one)
                yield one

        reader = csv.reader(lines_of_file(), delimiter=dialect.delimiter)
        while True:
            line = reader.line_num + 1
            lines.clear()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield Record(line, (), _UNCLOSED)
                continue
            if line == 1 and dialect.named:
                continue
            yield Record(line, cells, _flaw(cells, lines, dialect.delimiter))


def _flaw(cells: list[str], lines: list[str], delimiter: str) -> str | None:
    if len(lines) == 1:
        return None
    swallows = (
        len(lines) > MOST_LINES
        or any(_ID_BELOW.search(without_named(cell)) for cell in cells)
        or _is_open(lines, delimiter)
    )
    return _UNCLOSED if swallows else None


def _is_open(lines: list[str], delimiter: str) -> bool:
    """Return whether the file ends within quotation marks: only then it ends within its last record."""
    try:
        list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _lines(file: IO[str]) -> Iterator[str]:
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise Unreadable(f"line {number} is longer than a million characters: this is no table")
        yield line


def _encoding_of(head: bytes) -> str:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if len(zeros) > 1 and zeros.count(0) > 0.4 * len(zeros):
            return encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may be cut
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _fit(lines: list[str], delimiter: str) -> tuple[int, float, int]:
    """Rate a delimiter: order ids, then how many records are equally wide, then how wide."""
    try:
        found = list(islice(csv.reader(lines, delimiter=delimiter), 200))
    except csv.Error:
        return 0, 0.0, 0
    ids = sum(any(map(is_order_id, cells)) for cells in found)
    widths = Counter(len(cells) for cells in found if len(cells) > 1)
    width, often = widths.most_common(1)[0] if widths else (0, 0)
    return ids, often / max(1, len(found)), width
