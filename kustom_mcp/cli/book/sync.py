"""`kustom-mcp book sync`: read open orders again that were read too long ago, and orders that were only announced.

It needs no record of how far it got: an order that it has read is not stale any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from kustom_mcp.api.errors import OmsError
from kustom_mcp.app.app import App
from kustom_mcp.book.query import Query
from kustom_mcp.book.search import Search
from kustom_mcp.calls.upstream_errors import settlements_failure
from kustom_mcp.cli.book.bulk_read import BulkRead, Piece, ReadOutcome
from kustom_mcp.cli.book.progress_bar import progress
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
from kustom_mcp.cli.book.sources import SOURCES, Source, hinted, paid_out


async def sync(
    app: App, max_age: int, rate: float, settlements_from: int | None = None, say: Callable[[str], None] = result
) -> int:
    """Read the orders; 0 when all could be read. `max_age` in seconds, `rate` in reads a second. BookUnavailable.

    `settlements_from` (unix milliseconds): read the orders in payouts since then, too.
    """
    in_memory(app)
    before = int((app.wall() - max_age) * 1000)
    counts: Counter[ReadOutcome] = Counter()
    scope = app.settings.order_scope

    def on_outcome(piece: Piece, ends: ReadOutcome, why: str) -> None:
        counts[ends] += 1
        if ends is not ReadOutcome.READ:
            tell(f"order {piece.order_id}: {'not read: ' * (ends is ReadOutcome.UNREAD)}{why}")
        advance(counts.total(), _words(counts))

    known = await patiently(lambda: app.book.ask(lambda tx, account: Search(tx, account, Query(), scope).known(before)))
    bulk_read = BulkRead(app, on_outcome, per_second=rate)
    tell = stop_without_reader(say, bulk_read.stop)
    sources = SOURCES if settlements_from is None else (*SOURCES, paid_out(settlements_from))
    with progress(known.stale, "orders") as advance:
        async with stoppable(bulk_read.stop):
            await bulk_read.run(_pieces(app, before, sources, bulk_read.stop))
    if bulk_read.stopped is not None:
        tell = note if bulk_read.stopped == NO_READER else tell
        tell(f"Stopped ({bulk_read.stopped.rstrip('.')}). {_words(counts)}. The same command reads the rest.")
        return NOT_ALL
    tell(f"Done. {_words(counts)}.")
    return 0 if counts.total() == counts[ReadOutcome.READ] else NOT_ALL


async def _pieces(
    app: App, before: int, sources: Sequence[Source], stop: Callable[[str], None]
) -> AsyncGenerator[Piece]:
    asked = set[str]()
    async with aclosing(hinted(app)) as pieces:
        async for piece in pieces:
            if piece.order_id not in asked:
                asked.add(piece.order_id)
                yield piece
    for source in sources:
        async with aclosing(source(app, before)) as ids:
            try:
                async for order_id, known_by in ids:
                    if order_id not in asked:
                        asked.add(order_id)
                        yield Piece(len(asked), order_id, known_by)
            except OmsError as error:
                told = settlements_failure(error, payout=False)
                stop(f"{told.message} {told.next_step}")


def _words(counts: Counter[ReadOutcome]) -> str:
    missed = counts[ReadOutcome.REJECTED] + counts[ReadOutcome.UNREAD]
    return f"{counts[ReadOutcome.READ]:,} read{f', {missed:,} could not be read' if missed else ''}"
