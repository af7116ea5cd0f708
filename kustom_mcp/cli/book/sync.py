"""`kustom-mcp book sync`: open orders that were read too long ago are read again, and what was only announced is read.

It needs no record of how far it got: what it has read is not stale any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from kustom_mcp.api.errors import OmsError
from kustom_mcp.app.app import App
from kustom_mcp.book.query import Wanted
from kustom_mcp.book.search import Search
from kustom_mcp.calls.upstream_errors import unsettled
from kustom_mcp.cli.book.bulk_read import Ends, Gathering, Piece
from kustom_mcp.cli.book.progress_bar import progress
from kustom_mcp.cli.book.runner import (
    NOT_ALL,
    UNHEARD,
    heard,
    in_memory,
    note,
    patiently,
    result,
    stoppable,
)
from kustom_mcp.cli.book.sources import SOURCES, Source, hinted, paid_out


async def catch_up(
    app: App, max_age: int, rate: float, settlements_from: int | None = None, say: Callable[[str], None] = result
) -> int:
    """Read them; 0 when all could be read. `max_age` in seconds, `rate` in reads a second; with `settlements_from`
    (unix milliseconds) what was paid out since then, too. BookUnavailable."""
    in_memory(app)
    before = int((app.wall() - max_age) * 1000)
    counts: Counter[Ends] = Counter()
    scope = app.settings.order_scope

    def settled(piece: Piece, ends: Ends, why: str) -> None:
        counts[ends] += 1
        if ends is not Ends.READ:
            tell(f"order {piece.order_id}: {'not read: ' * (ends is Ends.UNREAD)}{why}")
        advance(counts.total(), _words(counts))

    known = await patiently(
        lambda: app.book.ask(lambda page, account: Search(page, account, Wanted(), scope).known(before))
    )
    gathering = Gathering(app, settled, per_second=rate)
    tell = heard(say, gathering.stop)
    sources = SOURCES if settlements_from is None else (*SOURCES, paid_out(settlements_from))
    with progress(known.stale, "orders") as advance:
        async with stoppable(gathering.stop):
            await gathering.run(_pieces(app, before, sources, gathering.stop))
    if gathering.stopped is not None:
        tell = note if gathering.stopped == UNHEARD else tell
        tell(f"Stopped ({gathering.stopped.rstrip('.')}). {_words(counts)}. The same command reads the rest.")
        return NOT_ALL
    tell(f"Done. {_words(counts)}.")
    return 0 if counts.total() == counts[Ends.READ] else NOT_ALL


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
                failure = unsettled(error, payout=False)
                stop(f"{failure.message} {failure.next_step}")


def _words(counts: Counter[Ends]) -> str:
    missed = counts[Ends.REJECTED] + counts[Ends.UNREAD]
    return f"{counts[Ends.READ]:,} read{f', {missed:,} could not be read' if missed else ''}"
