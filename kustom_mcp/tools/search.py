"""A search of the order book: stale orders are read again, then come a page, totals, and the coverage of the book.

The book is never taken for the whole truth: an open order that was read too long ago is read again before it is
shown, and where that was not possible the row says so.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import anyio

from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.errors import NotFound, OmsError
from kustom_mcp.api.identifiers import ASK_FOR
from kustom_mcp.book import BookUnavailable, completeness
from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.entry import BookEntry, order_of, stamp
from kustom_mcp.book.query import MOST_COUNTED, Place, Query, SortKey, place
from kustom_mcp.book.references import LEAST, folded, parse_reference
from kustom_mcp.book.sqlite import DAMAGED
from kustom_mcp.calls.write import Call
from kustom_mcp.orders.facts import REFERENCES, row
from kustom_mcp.schema.cursor import NEXT, next_cursor
from kustom_mcp.schema.cursor import place_of as read_cursor
from kustom_mcp.schema.result import Code, Json, ToolError

if TYPE_CHECKING:
    from kustom_mcp.app.app import App
    from kustom_mcp.book.search import Coverage

AT_MOST = 100
"""Stale orders that one call reads again."""
PAUSE = 0.2
"""Seconds between two of these reads: about five a second leave Kustom's rate limit to others."""
_RESERVE = 3.0
"""Seconds of the call's time that are kept for the answer; a quarter of it where that is less."""
_BATCH = 500
"""Announced orders that are put into the book together."""
_OF_ONE_ORDER = frozenset({Code.NOT_FOUND, Code.UPSTREAM_PROTOCOL, Code.ACTION_NOT_ALLOWED, Code.UPSTREAM_REJECTED})
"""Codes about one order, which tell nothing about the next."""
_PATIENCE = 5
"""Failed reads in a row, of causes that may concern one order or all of Kustom, before refreshing stops."""


class SearchResult(NamedTuple):
    """The matches of a search, of one state of the book."""

    entries: list[BookEntry]
    totals: list[dict[str, Json]]
    known: Coverage
    complete_since: int | None
    """Unix milliseconds."""
    doubtful: int
    """Matches, shown or not, that may have changed; of many at least MOST_COUNTED."""
    exact: frozenset[str]
    """Of `entries`, those that are called exactly as was asked for."""
    exactly: int
    """Matches that are called so."""
    disputes_heard: bool

    def alike(self, entry: BookEntry) -> bool:
        """Return whether the reference of an entry only resembles the one in the search."""
        return entry.order_id not in self.exact


async def learn(app: App, seconds: float) -> None:
    """Read the orders that the embedded sandbox has announced, within so many seconds. An announcement stays until its
    order has been read and written. BookUnavailable."""
    end, waiting = app.clock() + seconds, app.book.announced()
    while waiting and app.clock() < end:
        some, waiting, heard = waiting[:_BATCH], waiting[_BATCH:], list[str]()
        for order_id in some:
            asked = app.wall()
            try:
                order = await app.client.read(GET_ORDER, deadline=app.clock() + seconds, order_id=order_id)
                app.book.note(order, completeness.WEBHOOK, read_at=asked)
            except NotFound:
                pass
            except OmsError:
                continue
            heard.append(order_id)
            if app.clock() >= end:
                break
        await app.book.ask(lambda tx, account: None)  # what is noted is written
        app.book.heard(heard)


@dataclass(frozen=True)
class BookSearch:
    """One search. `oldest`: unix milliseconds; an open order that was read before is stale."""

    call: Call
    wanted: Query
    order_by: SortKey
    limit: int
    after: Place | None
    oldest: int
    tried: set[str] = field(default_factory=set[str])
    """The orders that were requested again."""

    async def found(self) -> SearchResult:
        """Read stale orders again, then search. ToolError when nothing can match, and when there is no book to use."""
        senseless = self.wanted.senseless()
        if senseless is not None:
            field, why = senseless
            raise ToolError(Code.INVALID_ARGUMENT, f"{field}: {why}.", field=field)
        from kustom_mcp.book.search import Search

        scope, book = self.call.policy.scope, self.call.app.book
        if not book.on:
            raise _switched_off()

        def stale(tx: BookTransaction, account: int) -> list[str]:
            return Search(tx, account, self.wanted, scope).stale(self.order_by, AT_MOST, self.oldest, self.after)

        def all_of_it(tx: BookTransaction, account: int) -> SearchResult:
            search = Search(tx, account, self.wanted, scope)
            entries = search.page(self.order_by, self.limit + 1, self.after)
            since = book.complete_since(tx, account)
            known, totals = search.known(self.oldest), search.totals()
            return SearchResult(
                entries,
                totals,
                known,
                since,
                search.doubtful(known, self.oldest),
                search.exact(entries),
                search.exactly(sum(group["orders"] for group in totals)),
                completeness.has_listener(tx, account, book.time()),
            )

        try:
            await learn(self.call.app, self.call.time_left / 2)
            await self._refresh(await book.ask(stale))
            return await book.ask(all_of_it)
        except BookUnavailable as error:
            raise _unusable(book.place, error) from None

    async def _refresh(self, order_ids: list[str]) -> None:
        done, failed, stopped = 0, 0, False

        async def read(order_id: str) -> None:
            nonlocal done, failed, stopped
            try:
                await self.call.order(order_id)
            except ToolError as error:
                failed += error.code not in _OF_ONE_ORDER
                stopped = stopped or failed >= _PATIENCE or _concerns_all(error)
            else:
                failed = 0
            done += 1
            await self.call.context.session.report_progress(done, len(order_ids))

        app = self.call.app
        reserve = min(_RESERVE, app.settings.timeout / 4)
        with anyio.move_on_after(max(0.0, self.call.time_left - reserve)):  # a read that hangs is given up
            async with anyio.create_task_group() as group:
                for index, order_id in enumerate(order_ids):
                    if index:
                        await app.sleep(0 if app.settings.sandboxed else PAUSE)
                    if stopped or self.call.time_left < reserve:
                        break
                    self.tried.add(order_id)
                    group.start_soon(read, order_id)

    def rows(self, found: SearchResult) -> list[dict[str, Json]]:
        """Compact rows, as kustom_get_orders has them. One that may have changed says so."""
        now, named = self.call.app.now(), self.wanted.reference is not None
        return [
            row("ok", order_of(entry), now=now, called=self._called(entry))
            | ({"match": "part" if found.alike(entry) else "exact"} if named else {})
            | ({"disputed": True} if entry.kind.disputed else {})
            | ({"stale": True} if self.is_stale(entry) else {})
            for entry in found.entries[: self.limit]
        ]

    def _called(self, entry: BookEntry) -> str:
        """The reference that a row shows: the one by which the order was found."""
        asked = self.wanted.reference or ""
        name, same = folded(asked), asked.strip().casefold()
        alike = [field for field in REFERENCES if name and folded(getattr(entry, field)) == name]
        exact = [field for field in alike if (getattr(entry, field) or "").strip().casefold() == same]
        return next(iter((*exact, *alike, REFERENCES[0])))

    def is_stale(self, entry: BookEntry) -> bool:
        return entry.read_at < (self.oldest if entry.kind.open else 0)

    def coverage(self, found: SearchResult) -> dict[str, Json]:
        known, since = found.known, found.complete_since
        complete: dict[str, Json] = {} if since is None else {"complete_since": stamp(since)}
        oldest = {"oldest_read": stamp(known.oldest_read)} if known.oldest_read else {}
        return {"known": known.orders} | complete | {"sources": known.sources, "stale": known.stale} | oldest

    def summary(self, found: SearchResult) -> str:
        """Say how many match of how many that are known; never that there are no others."""
        shown, wanted = found.entries[: self.limit], self.wanted
        matching = sum(group["orders"] for group in found.totals)
        known = f"the {found.known.orders:,} orders I know" if found.known.orders != 1 else "the 1 order I know"
        part = f", {len(shown)} are shown" if len(shown) < matching else ""
        told = _unanswerable(found, wanted)
        told.append(f"{_matching(found, wanted, matching, known)}{part}{self._doubts(found, shown)}.")
        if matching and wanted.refunded_from is not None:
            told.append("Amounts are of whole orders: refunded_amount counts earlier refunds too.")
        currencies = {group["purchase_currency"] for group in found.totals if "purchase_currency" in group}
        if wanted.min_remaining and len(currencies) > 1:
            told.append(
                f"min_remaining was compared in the minor units of each of {len(currencies)} currencies, which are not "
                "worth the same: send `currency` for one."
            )
        return " ".join(told)

    def _doubts(self, found: SearchResult, shown: list[BookEntry]) -> str:
        stale = [entry.order_id for entry in shown if self.is_stale(entry)]
        others = max(0, found.doubtful - len(stale))
        told = ""
        if stale:
            how = "could not be" if self.tried.intersection(stale) else "were not"
            told += f"; {len(stale)} of those shown {how} read again and may have changed"
        if others:
            many = f"at least {others:,}" if found.doubtful >= MOST_COUNTED else f"{others:,}"
            told += f"; {many} that match and are not shown were not read again and may have changed"
        return told


def _unanswerable(found: SearchResult, wanted: Query) -> list[str]:
    """Sentences for the conditions that this server cannot answer."""
    told: list[str] = []
    if wanted.email and not found.exactly:
        told.append("The order book keeps no e-mail addresses, so it cannot say which orders belong to one.")
    if wanted.disputed is not None and not found.disputes_heard:
        told.append(
            "Which orders are disputed cannot be answered here: only signed webhooks of Kustom tell of disputes, and "
            "this server gets none."
        )
    return told


def _matching(found: SearchResult, wanted: Query, matching: int, known: str) -> str:
    """Count what matches, and how many of them are called exactly as was asked for."""
    counted = f"{matching:,} of {known} match{'es' if matching == 1 else ''}"
    alike = matching - found.exactly
    if wanted.reference is None or not alike:
        return counted
    if not found.exactly:
        return f"None of {known} has exactly this reference or id; {alike:,} resemble{'s' if alike == 1 else ''} it"
    return f"{counted}, {found.exactly:,} of them exactly; the others only resemble what was asked for"


def next_step(found: SearchResult, wanted: Query, payload: dict[str, Json]) -> str | None:
    if wanted.email and not found.exactly:
        return f"Say that this server cannot find orders by e-mail address. {ASK_FOR}."
    if wanted.disputed is not None and not found.disputes_heard:
        return (
            "Say that this server cannot tell which orders are disputed, and that the Kustom portal shows it. For the "
            "operator: KUSTOM_HOOKS_PATH and KUSTOM_HOOKS_SECRET."
        )
    steps = [NEXT] if "next_cursor" in payload else []
    if any(one.get("match") == "part" for one in payload["orders"]):
        steps.insert(0, _ONLY_ALIKE)
    if steps or found.totals:
        return " ".join(steps) or None
    if not found.known.orders:
        return (
            "Say that this server knows no orders yet, not that there are none. Its order book fills with the orders "
            f"that are read through it, or at once by the operator's command `book import` of kustom-mcp. {_BY_ID}"
        )
    return f"Say that among the orders this server knows none matches, not that there is none.{_hint(wanted)} {_BY_ID}"


_ONLY_ALIKE = (
    'Rows with `match` "part" only resemble what was asked for: ask the person which one is meant before using one.'
)
_BY_ID = "By an order id kustom_get_order asks Kustom itself, as far as this server may."


def _hint(wanted: Query) -> str:
    """A hint about a reference without a match."""
    if wanted.reference is None:
        return ""
    hint = " References are compared whole"
    if folded(wanted.reference).isdigit():
        hint += ": letters before this number, such as WEB-, may be missing"
    short = (
        f" Of an order id at least {LEAST} characters are needed."
        if parse_reference(wanted.reference).too_short
        else ""
    )
    return f"{hint}.{short}"


def _concerns_all(error: ToolError) -> bool:
    """Return whether the next read would fail for the same cause: surely not about one order alone."""
    status = error.upstream.status if error.upstream else 0
    return error.code not in _OF_ONE_ORDER and status != 403 and status < 500


def cursor_at(arguments: Mapping[str, Any], entry: BookEntry, order_by: SortKey, *, alike: bool) -> str:
    """The cursor of the next page. It holds only values that the row shows."""
    part, value, order_id = place(order_by, entry, alike=alike)
    short = base64.urlsafe_b64encode(UUID(order_id).bytes).decode().rstrip("=")
    return next_cursor(arguments, part, value, short)


def place_of(text: str, arguments: Mapping[str, Any]) -> Place:
    """The last order that was shown. ToolError INVALID_ARGUMENT."""
    part, value, short = read_cursor(text, arguments, int, int, _order_id)
    return Place(part, value, short)


def _order_id(short: str) -> str:
    """Read an order id out of a cursor. ValueError."""
    return str(UUID(bytes=base64.urlsafe_b64decode(f"{short}==")))


def _switched_off() -> ToolError:
    return ToolError(
        Code.NOT_PERMITTED,
        "This server keeps no order book (KUSTOM_BOOK_DAYS is 0), so it cannot look for orders.",
        next_step="Tell the person that the operator of this server decides this with KUSTOM_BOOK_DAYS. "
        f"{_BY_ID} The Kustom portal finds orders by name, e-mail address and number.",
        setting="KUSTOM_BOOK_DAYS",
    )


_REMEDY = {False: "", True: ", and to delete the folder `book` there: then a new book is begun"}


def _unusable(place: str, error: BookUnavailable) -> ToolError:
    damaged = str(error).startswith(DAMAGED)
    return ToolError(
        Code.AUDIT_UNAVAILABLE,
        f"The order book cannot be used ({error}), so nothing can be looked up.",
        next_step=f"Orders can still be read by their id. Tell the operator to look at {place}{_REMEDY[damaged]}.",
    )
