"""`kustom-mcp book import FILE`: read the orders that an export of another program names, and keep them in the book.

The file gives ids and nothing else; the book keeps Kustom's answers. Progress is kept in the book itself, by the digest
of the file's content, in the same transaction as the orders: so an import goes on where it was cut off, also when the
file has moved.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from kustom_mcp.app.app import App
from kustom_mcp.book import completeness, imports
from kustom_mcp.book.entry import stamp
from kustom_mcp.book.spreadsheets import Export, NoColumn, Unreadable, opened
from kustom_mcp.cli.book.bulk_read import Along, BulkRead, Piece, ReadOutcome
from kustom_mcp.cli.book.import_progress import ImportProgress
from kustom_mcp.cli.book.progress_bar import Advance, progress
from kustom_mcp.cli.book.runner import (
    NO_READER,
    NOT_ALL,
    in_memory,
    note,
    patiently,
    result,
    stop_without_reader,
    stoppable,
)
from kustom_mcp.settings.settings import ConfigError
from kustom_mcp.state.threads import in_thread

CHUNK = 500
"""Rows that are looked up in the book together."""
SOURCE = "import"
_NOT_BEGUN = (
    "no signed webhook has told of a new order yet, or one was missed since. Import an export that is made after the "
    "next one"
)

_REJECTED = (
    "not every row of the file led to an order. If rows are of payment methods that are not Kustom's, name these with "
    "--not-kustom"
)


class Options(NamedTuple):
    """`max_age`: seconds within which an order that was read need not be read again. `rate`: reads a second.
    `complete_from`: unix milliseconds since when the file has every order. `not_kustom`: payment methods in the file
    that are not Kustom's."""

    file: Path
    column: str | None
    sheet: str | None
    max_age: int
    rate: float
    restart: bool
    complete_from: int | None = None
    not_kustom: tuple[str, ...] = ()


async def import_file(app: App, options: Options, say: Callable[[str], None] = result) -> int:
    """Import a file; 0 when every row led to an order that was read. ConfigError, BookUnavailable."""
    if options.complete_from is not None and options.complete_from > app.wall() * 1000:
        raise ConfigError("--complete-from", "It is in the future.")
    export = await in_thread(lambda: _opened(options))
    done = await patiently(lambda: app.book.ask(lambda tx, account: imports.done(tx, account, export.digest)))
    after, rejected = (0, 0) if options.restart else done
    _announce(app, export, after)
    one = _Import(app, options, export, say, after, rejected)
    with progress(export.lines, "lines") as advance:
        await one.run(after, advance)
    return await one.end()


class _Import:
    def __init__(
        self, app: App, options: Options, export: Export, say: Callable[[str], None], after: int, rejected: int
    ) -> None:
        self._app = app
        self._options = options
        self._export = export
        self._advance: Advance = lambda done, counts: None
        self._bulk_read = BulkRead(app, self._on_outcome, per_second=options.rate, along=self._along)
        self._say = stop_without_reader(say, self._bulk_read.stop)
        self._progress = ImportProgress(self._say, after, rejected)
        self._broken: Unreadable | None = None

    async def run(self, after: int, advance: Advance) -> None:
        self._advance = advance
        async with stoppable(self._bulk_read.stop):
            await self._bulk_read.run(self._pieces(after))

    async def end(self) -> int:
        """Print the summary and return the exit code."""
        counted, why = self._progress, self._bulk_read.stopped
        counted.report_rest()
        if self._broken is not None:
            note(f"FILE: {self._broken}")
        if why is not None or not counted.complete:
            stopped = f"Stopped ({why.rstrip('.')}). " if why else ""
            tell = note if why == NO_READER else self._say
            tell(f"{stopped}{counted.summary} The same command goes on after line {counted.done}.")
            return NOT_ALL
        await patiently(
            lambda: self._app.book.change(lambda tx, account: imports.finish(tx, account, self._export.digest))
        )
        self._say(f"Done. {counted.summary}")
        whole = counted.all_read and self._broken is None
        if self._options.complete_from is not None:
            whole = await self._complete(self._options.complete_from, whole) and whole
        return 0 if whole else NOT_ALL

    async def _complete(self, first: int, whole: bool) -> bool:
        """Let the book be complete from this time on, say so or why not, and return whether it is."""
        why = await self._incomplete(first) if whole else _REJECTED
        if why is None:
            self._say(f"Every order since {stamp(first)} is known, so `complete_since` begins there.")
        else:
            self._say(f"`complete_since` stays as it was: {why}.")
        return why is None

    async def _incomplete(self, first: int) -> str | None:
        """Return why the book is not complete from this time on; None where it has been made so."""
        book = self._app.book
        since = await patiently(lambda: book.ask(completeness.begun))
        if not since:
            return _NOT_BEGUN
        if since <= first:
            return f"it has begun at {stamp(since)} already"
        known = await patiently(
            lambda: book.ask(lambda tx, account: completeness.created_between(tx, account, first, since))
        )
        missing = await in_thread(lambda: known.difference(row.order_id for row in self._export.rows()))
        if missing:
            count = f"{len(missing):,} order{'' if len(missing) == 1 else 's'}"
            return (
                f"the file does not name {count} from before {stamp(since)}, when webhooks began, such as "
                f"{min(missing)}, so it was made earlier than that, or is not complete"
            )
        began = await patiently(
            lambda: book.change(lambda tx, account: completeness.begin_earlier(tx, account, first, since))
        )
        return None if began else _NOT_BEGUN

    async def _pieces(self, after: int) -> AsyncGenerator[Piece]:
        """The orders to read: without those that were read recently, and without a second row of the same order."""
        rows, counted = self._export.rows(after), self._progress
        since = int((self._app.wall() - self._options.max_age) * 1000)
        while True:
            try:
                chunk = await in_thread(lambda: list(islice(rows, CHUNK)))
            except Unreadable as error:
                self._broken = error
                return
            asked: dict[str, int] = {}
            for line, order_id, problem, elsewhere in chunk:
                if elsewhere:
                    counted.elsewhere(line)
                elif order_id is None:
                    counted.reject(line, problem or "")
                elif counted.begin(line, order_id):
                    asked[order_id] = line
            if not chunk:
                return
            fresh = await patiently(
                lambda asked=asked: self._app.book.ask(
                    lambda tx, account: imports.read_since(tx, account, asked, since)
                )
            )
            self._bulk_read.changed()
            for order_id, line in asked.items():
                if order_id in fresh:
                    counted.fresh(line, order_id)
                else:
                    yield Piece(line, order_id, SOURCE)
            self._advance(counted.done, counted.counts)

    def _on_outcome(self, piece: Piece, ends: ReadOutcome, why: str) -> None:
        self._progress.finish(piece, ends, why)
        self._advance(self._progress.done, self._progress.counts)

    def _along(self) -> Along:
        """Return a function that writes the progress within the transaction of the orders."""
        line, rejected, now = self._progress.done, self._progress.rejected, self._app.wall()
        return lambda tx, account: imports.keep(tx, account, self._export.digest, line, rejected, now)


def _opened(options: Options) -> Export:
    try:
        return opened(options.file.expanduser(), options.column, options.sheet, options.not_kustom)
    except (Unreadable, NoColumn) as error:
        problem = str(error)
    raise ConfigError("FILE", f"{problem[:1].upper()}{problem[1:]}.")


def _announce(app: App, export: Export, after: int) -> None:
    in_memory(app)
    where = f"order ids are in column {export.column.place + 1}"
    header = f", headers in line {export.column.header}" if export.column.header else ""
    note(f"{where}{header}{f'; going on after line {after:,}' if after else ''}")
