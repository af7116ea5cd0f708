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
from kustom_mcp.book.candidates import FEW, MOST_ADDED
from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.entry import BookEntry, order_of, stamp
from kustom_mcp.book.people import KeyLost, Sought
from kustom_mcp.book.query import MOST_COUNTED, Place, Query, SortKey, place
from kustom_mcp.book.references import LEAST, folded, parse_reference, written
from kustom_mcp.book.sqlite import DAMAGED
from kustom_mcp.calls.write import Call
from kustom_mcp.orders.facts import REFERENCES, row
from kustom_mcp.schema.cursor import NEXT, next_cursor
from kustom_mcp.schema.cursor import place_of as read_cursor
from kustom_mcp.schema.parsing import CORRECT
from kustom_mcp.schema.result import Code, Json, ToolError

if TYPE_CHECKING:
    from kustom_mcp.app.app import App
    from kustom_mcp.book.search import Coverage, Totals

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
MOST_NAMED = 10
"""Order ids that a summary names."""
_PATIENCE = 5
"""Failed reads in a row, of causes that may concern one order or all of Kustom, before refreshing stops."""


class SearchResult(NamedTuple):
    """The matches of a search, of one state of the book."""

    entries: list[BookEntry]
    totals: Totals
    known: Coverage
    complete_since: int | None
    """Unix milliseconds."""
    doubtful: int
    """Matches, shown or not, that may have changed; of many at least MOST_COUNTED."""
    exact: frozenset[str]
    """Of `entries`, those that are called exactly as was asked for."""
    exact_count: int
    """The number of matches that are called exactly as was asked for."""
    each: list[int]
    """For each reference, the number of matches that are called exactly so, two at most."""
    missed: list[int]
    """Places of references without a match."""
    cut: bool
    """Whether more orders resemble a reference than were looked at."""
    disputes_heard: bool
    unknown: list[str] = []  # noqa: RUF012 - never changed
    """Orders with a write in doubt that are asked for and not in the book."""

    @property
    def matching(self) -> int:
        """The number of matches that were counted."""
        return self.totals.orders

    @property
    def shared(self) -> list[int]:
        """Places, from 1, of references that several matches have exactly."""
        return [place for place, orders in enumerate(self.each, start=1) if orders > 1]

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
        impossible = self.wanted.impossible()
        if impossible is not None:
            field, why = impossible
            raise ToolError(Code.INVALID_ARGUMENT, f"{field}: {why}.", field=field)
        from kustom_mcp.book.search import Search

        scope, book = self.call.policy.scope, self.call.app.book
        if not book.on:
            raise _switched_off()
        if not self.wanted.selects:
            raise ToolError(Code.INVALID_ARGUMENT, _NOTHING_ASKED, next_step=_ASK_FOR_ANY)

        def stale(tx: BookTransaction, account: int) -> list[str]:
            unknown = self._unknown(tx, account)[:AT_MOST]
            more = AT_MOST - len(unknown)
            found = Search(tx, account, self.wanted, scope).stale(self.order_by, more, self.oldest, self.after)
            return [*unknown, *found]

        def all_of_it(tx: BookTransaction, account: int) -> SearchResult:
            search = Search(tx, account, self.wanted, scope)
            entries = search.page(self.order_by, self.limit + 1, self.after)
            since = book.complete_since(tx, account)
            known = search.known(self.oldest)
            exact_count, of_each = search.exact_counts()
            return SearchResult(
                entries,
                search.totals(),
                known,
                since,
                search.doubtful(known, self.oldest),
                search.exact(entries),
                exact_count,
                of_each,
                search.missed(),
                search.cut,
                completeness.has_listener(tx, account, book.time()),
                self._unknown(tx, account),
            )

        try:
            await learn(self.call.app, self.call.time_left / 2)
            await self._refresh(await book.ask(stale))
            return await book.ask(all_of_it)
        except BookUnavailable as error:
            raise _unusable(book.place, error) from None

    def _unknown(self, tx: BookTransaction, account: int) -> list[str]:
        """Return the orders with a write in doubt that are asked for, and that the book does not know."""
        if not self.wanted.only:
            return []
        from kustom_mcp.book.imports import known

        wanted, scope = self.wanted.only, self.call.policy.scope
        visible = wanted if scope is None else wanted.intersection(scope)
        return sorted(visible.difference(known(tx, account, visible)))

    async def _refresh(self, order_ids: list[str]) -> None:
        done, failed, stopped = 0, 0, False

        async def read(order_id: str) -> None:
            nonlocal done, failed, stopped
            try:
                await self.call.order(order_id, for_row=True)
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
        return [self.row(found, entry) for entry in found.entries[: self.limit]]

    def row(self, found: SearchResult, entry: BookEntry, shop: str = "") -> dict[str, Json]:
        """One compact row. `shop`: the name of its shop, where several were searched."""
        more = self._more(found, entry) | ({"shop": shop} if shop else {})
        return row("ok", order_of(entry), now=self.call.app.now(), called=self._called(entry), more=more)

    def _more(self, found: SearchResult, entry: BookEntry) -> dict[str, Json]:
        """Return what a row says of the search and of the book."""
        match = "person" if self.wanted.people else None
        if self.wanted.reference:
            match = "part" if found.alike(entry) else "exact"
        said = {"match": match, "ever_disputed": entry.kind.disputed or None, "stale": self.is_stale(entry) or None}
        return {name: value for name, value in said.items() if value is not None}

    def _called(self, entry: BookEntry) -> str:
        """The reference that a row shows: the one by which the order was found."""
        names = [name for name in REFERENCES if getattr(entry, name)]
        for same in (written, folded):
            asked = {same(one) for one in self.wanted.reference}
            called = [name for name in names if same(getattr(entry, name)) in asked]
            if called:
                return called[0]
        return REFERENCES[0]

    def _called_by_move(self, entry: BookEntry) -> bool:
        """Return whether only a capture or refund of an order is called exactly as was asked for."""
        asked = {written(one) for one in self.wanted.reference}
        own = {written(getattr(entry, name)) for name in REFERENCES if getattr(entry, name)}
        others = {written(one) for one in (entry.other_references or "").split("\n") if one}
        return bool(asked & others) and not asked & own and entry.order_id not in asked

    def is_stale(self, entry: BookEntry) -> bool:
        """Return whether an entry is in doubt, or open and read too long ago."""
        return entry.read_at < (self.oldest if entry.kind.open else 0)

    def coverage(self, found: SearchResult) -> dict[str, Json]:
        """The `coverage` part of an answer: what the book knows, and how fresh it is."""
        known, since = found.known, found.complete_since
        complete: dict[str, Json] = {} if since is None else {"complete_since": stamp(since)}
        oldest = {"oldest_read": stamp(known.oldest_read)} if known.oldest_read else {}
        return {"known": known.orders} | complete | {"sources": known.sources, "stale": known.stale} | oldest

    def summary(self, found: SearchResult) -> str:
        """Say how many match of how many that are known; never that there are no others."""
        shown, wanted, matching = found.entries[: self.limit], self.wanted, found.matching
        known = f"the {found.known.orders:,} orders I know" if found.known.orders != 1 else "the 1 order I know"
        part = f", {len(shown)} are shown" if len(shown) < matching or found.totals.more else ""
        told = self._unanswerable(found)
        told.append(f"{_matching(found, wanted, matching, known)}{part}{self._doubts(found, shown)}.")
        if matching and wanted.of_moves:
            told.append("Amounts are of whole orders: they count captures and refunds of other times, too.")
        by_moves = sum(self._called_by_move(entry) for entry in shown)
        if by_moves:
            has = "has it" if by_moves == 1 else "have it"
            told.append(f"{by_moves:,} of those shown {has} as the reference of a capture or refund, not as its own.")
        if found.cut:
            told.append(f"More than {FEW:,} resemble a reference; the others were left out.")
        if found.missed and len(wanted.reference) > 1:
            places = ", ".join(map(str, found.missed))
            told.append(f"Of the {len(wanted.reference)} references these have no match: number {places} of the list.")
        if found.shared and len(wanted.reference) > 1:
            places = ", ".join(map(str, found.shared))
            told.append(f"These references belong to several orders each: number {places} of the list.")
        currencies = {group["purchase_currency"] for group in found.totals.groups if "purchase_currency" in group}
        if wanted.min_remaining and len(currencies) > 1:
            told.append(
                f"min_remaining was compared in the minor units of each of {len(currencies)} currencies, which are not "
                "worth the same: send `currency` for one."
            )
        return " ".join(told)

    def _unanswerable(self, found: SearchResult) -> list[str]:
        """Sentences for what this server cannot know, which come before all others."""
        wanted, known, told = self.wanted, found.known, list[str]()
        if found.unknown:
            count = len(found.unknown)
            which = ", ".join(found.unknown[:MOST_NAMED]) + ("" if count <= MOST_NAMED else ", ...")
            are = "is" if count == 1 else "are"
            told.append(f"{_orders(count)} with a write in doubt {are} not in the order book: {which}.")
        if wanted.emails and not found.exact_count:
            how = "look for it with `email`" if self.call.finds_people else _NOT_FOUND_BY
            told.append(f"An e-mail address is no reference: {how}.")
        if wanted.ever_disputed and not found.disputes_heard:
            told.append(
                "Which orders are disputed cannot be answered here: only signed webhooks of Kustom tell of disputes, "
                "and this server gets none."
            )
        if self.wanted.people and known.without_people:
            told.append(f"Of {_orders(known.without_people)} I do not know whose they are: kept without people.")
        if known.earlier and (wanted.of_moves or wanted.amount is not None or wanted.reference):
            told.append(
                f"Of {_orders(known.earlier)} kept by version 0.1 I do not know single captures and refunds, nor their "
                "references, until they are read again."
            )
        begins = self._begins_before(found)
        if begins is not None:
            told.append(begins)
        return told

    def _begins_before(self, found: SearchResult) -> str | None:
        """Return a sentence where a period begins before every order is known; None where it does not."""
        wanted = self.wanted
        starts = [wanted.created_from, wanted.captured_from, wanted.refunded_from]
        ends = [wanted.created_before, wanted.captured_before, wanted.refunded_before]
        if all(time is None for time in (*starts, *ends)):
            return None
        if found.complete_since is None:
            return "The period may be incomplete: it is not known since when I know every order."
        asked = min((time for time in starts if time is not None), default=0)
        if wanted.created_from is not None and asked >= found.complete_since:
            return None
        since = self.call.app.local(found.complete_since)
        return f"Every order is known only since {since}: of earlier ones some may be missing."

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


async def require_people(call: Call, person: Sought) -> None:
    """Count a search for a person once, in however many shops it looks. ToolError where it may not be asked."""
    books = [one.app.book for one in call.over_shops().values()]
    if person.given and any(book.on and book.people.on for book in books):
        await call.may_ask_for_people()


async def digests_of(call: Call, person: Sought) -> tuple[tuple[int, ...], ...]:
    """Return the digests of a person that is looked for; none for nobody. ToolError where they cannot be made."""
    book = call.app.book
    if not person.given:
        return ()
    if not book.on:
        raise _switched_off()
    if not book.people.on:
        raise _no_people()
    try:
        await book.ask(lambda tx, account: None)  # which compares the key with that of the book
        return tuple(map(tuple, book.people.sought(person)))
    except BookUnavailable as error:
        raise _unusable(book.place, error) from None
    except KeyLost:
        raise _no_key(book.place) from None
    except ValueError as error:
        field = str(error)
    raise ToolError(Code.INVALID_ARGUMENT, f"{field}: {_NOBODY[field]}.", field=field, next_step=CORRECT)


def _orders(count: int) -> str:
    return f"{count:,} order{'' if count == 1 else 's'}"


def _matching(found: SearchResult, wanted: Query, matching: int, known: str) -> str:
    """Count what matches, and how many of them are called exactly as was asked for."""
    if found.totals.more:
        return f"More than {MOST_ADDED:,} of {known} match, too many for totals"
    counted = f"{matching:,} of {known} match{'es' if matching == 1 else ''}"
    alike = matching - found.exact_count
    if not wanted.reference or not alike:
        return counted
    if not found.exact_count:
        some = "any of these references or ids" if len(wanted.reference) > 1 else "exactly this reference or id"
        return f"None of {known} has {some}; {alike:,} resemble{'s' if alike == 1 else ''} it"
    return f"{counted}, {found.exact_count:,} of them exactly; the others only resemble what was asked for"


def next_step(search: BookSearch, found: SearchResult, payload: dict[str, Json]) -> str | None:
    """The advice after a search; None where none is needed."""
    wanted = search.wanted
    if wanted.emails and not found.exact_count:
        if search.call.finds_people:
            return "Call again with `email` in place of `reference`."
        return f"Say that orders cannot be found by e-mail address here. {ASK_FOR}."
    if wanted.ever_disputed and not found.disputes_heard:
        return (
            "Say that this server cannot tell which orders are disputed, and that the Kustom portal shows it. For the "
            "operator: KUSTOM_HOOKS_PATH and KUSTOM_HOOKS_SECRET."
        )
    steps = _steps(wanted, found, payload)
    if steps or found.matching or found.totals.more:
        return " ".join(steps) or None
    if not found.known.orders:
        return (
            "Say that this server knows no orders yet, not that there are none. Its order book fills with the orders "
            f"that are read through it, or at once by the operator's command `book import` of kustom-mcp. {_BY_ID}"
        )
    return f"Say that among the orders this server knows none matches, not that there is none.{_hint(wanted)} {_BY_ID}"


def _steps(wanted: Query, found: SearchResult, payload: Mapping[str, Any]) -> list[str]:
    """Return what is to be done with the matches, the most urgent first."""
    steps = [NEXT] if "next_cursor" in payload else []
    matches = {one.get("match") for one in payload["orders"]}
    if "part" in matches:
        steps.insert(0, _ONLY_ALIKE)
    if "person" in matches:
        steps.insert(0, _OF_A_PERSON)
    if wanted.amount is not None and not wanted.reference and payload["orders"]:
        steps.insert(0, _OF_AN_AMOUNT)
    if found.shared:
        steps.insert(0, _SHARED)
    if found.unknown:
        steps.insert(0, _UNKNOWN)
    return steps


_ASK_FOR_ANY = "Ask the person what they have, such as an order number, a date or an amount, and call again with that."
_NOTHING_ASKED = (
    "Nothing says which orders: send at least one of reference, email, phone, name with postal_code, status, "
    "fraud_status, currency, amount, a date such as created_from, min_remaining, to_capture, no_tracking, "
    "ever_disputed, unresolved."
)
_ONLY_ALIKE = (
    'Rows with `match` "part" only resemble what was asked for: ask the person which one is meant before using one.'
)
_SHARED = (
    "Several orders have exactly the same reference: show the person those with their dates and amounts, and ask which "
    "one is meant before using one."
)
_UNKNOWN = "Call kustom_resolve_order with each id that is not in the order book, and tell the person what it says."
_OF_AN_AMOUNT = "Rows only have the amount in common: ask the person which one is meant before using one."
_OF_A_PERSON = (
    'Rows with `match` "person" are orders of somebody called so: ask the person which one is meant before using one.'
)
_BY_ID = "By an order id kustom_get_order asks Kustom itself, as far as this server may."
_WHOLE = (
    " People are found by a whole e-mail address, a whole phone with its area code, or given and family name as the "
    "order has them."
)
_NOT_FOUND_BY = "orders are not found by one here, so I cannot say which belong to it"
_NOBODY = {
    "email": "it is no e-mail address",
    "phone": "it is no phone number: send it with the code of its country, such as +46",
    "name": "it has no letter",
    "postal_code": "it has no letter or digit",
}


def _hint(wanted: Query) -> str:
    """A hint about a reference, or a person, without a match."""
    if not wanted.reference:
        return _WHOLE if wanted.people else ""
    hint = f" References are found whole or by their end, of at least {LEAST} characters."
    short = any(parse_reference(one).too_short for one in wanted.reference)
    return f"{hint}{' So are order ids, by their beginning.' if short else ''}"


def _concerns_all(error: ToolError) -> bool:
    """Return whether the next read would fail for the same cause: surely not about one order alone."""
    status = error.upstream.status if error.upstream else 0
    return error.code not in _OF_ONE_ORDER and status != 403 and status < 500


def cursor_at(arguments: Mapping[str, Any], entry: BookEntry, order_by: SortKey, *, alike: bool, shop: str = "") -> str:
    """The cursor of the next page. It holds only values that the row shows."""
    part, value, order_id = place(order_by, entry, alike=alike)
    short = base64.urlsafe_b64encode(UUID(order_id).bytes).decode().rstrip("=")
    return next_cursor(arguments, part, value, short, *([shop] if shop else []))


def place_of(text: str, arguments: Mapping[str, Any], *, several: bool = False) -> tuple[Place, str]:
    """The last order that was shown, and its shop where several were searched. ToolError INVALID_ARGUMENT."""
    part, value, short, *shop = read_cursor(text, arguments, int, int, _order_id, *([str] if several else []))
    return Place(part, value, short), shop[0] if shop else ""


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


def _no_people() -> ToolError:
    return ToolError(
        Code.NOT_PERMITTED,
        "The order book of this server keeps no people (KUSTOM_BOOK_PEOPLE), so it finds nobody's orders.",
        next_step=f"Say so, not that there are none. {ASK_FOR}. The Kustom portal finds orders by e-mail address and "
        "name. For the operator: KUSTOM_BOOK_PEOPLE=on.",
        setting="KUSTOM_BOOK_PEOPLE",
    )


def _no_key(place: str) -> ToolError:
    return ToolError(
        Code.AUDIT_UNAVAILABLE,
        "People cannot be looked up: the key with which they were kept is missing, or is another one now.",
        next_step=f"Say so, not that there are none. {ASK_FOR}. For the operator: bring back the file of the key "
        f"(folder `people` of the state directory), or begin anew with `book forget --all` of kustom-mcp ({place}).",
    )


_REMEDY = {False: "", True: ", and to delete the folder `book` there: then a new book is begun"}


def _unusable(place: str, error: BookUnavailable) -> ToolError:
    damaged = str(error).startswith(DAMAGED)
    return ToolError(
        Code.AUDIT_UNAVAILABLE,
        f"The order book cannot be used ({error}), so nothing can be looked up.",
        next_step=f"Orders can still be read by their id. Tell the operator to look at {place}{_REMEDY[damaged]}.",
    )
