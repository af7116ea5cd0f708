"""The answer of a search: that of one book, or those of several shops in one order.

Rows of several shops are sorted as those of one are, and equal ones by the name of the shop. One cursor serves all of
them: it holds the place of the last row and its shop. In the books of shops before it the next page begins behind all
equals of that row, in those of shops after it with the first of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from kustom_mcp.book.entry import BookEntry
from kustom_mcp.book.query import Place, SortKey, beyond, place
from kustom_mcp.orders.facts import short_totals
from kustom_mcp.schema.result import Json, Result, ToolError
from kustom_mcp.tools.over_shops import of_shop, silent
from kustom_mcp.tools.search import BookSearch, SearchResult, cursor_at, next_step, place_of

_NO_ORDER = "00000000-0000-0000-0000-000000000000"
"""No book has it: a page that begins behind it has every order of the same value."""


class _Match(NamedTuple):
    """A match of one shop. `alike`: its reference only resembles the one in the search."""

    shop: str
    entry: BookEntry
    place: Place
    alike: bool


def answer(
    searches: Mapping[str, BookSearch],
    found: Mapping[str, SearchResult],
    failures: Mapping[str, ToolError],
    asked: Mapping[str, Json],
) -> Result:
    """The answer of a search. `failures`: the shops that gave none; `asked`: the arguments, for the cursor."""
    first = searches[next(iter(found))]
    matches = [match for shop, some in found.items() for match in _matches(shop, searches[shop], some)]
    if len(found) > 1:
        sign = 1 if beyond(first.order_by) == ">" else -1
        matches.sort(key=lambda match: (match.place.part, sign * match.place.value, match.shop))
    shown = matches[: first.limit]
    groups = [of_shop(shop, group) for shop, some in found.items() for group in some.totals.groups]
    whole = next(iter(found.values())) if len(found) == 1 else _together(found, shown, groups)
    if failures:  # of a shop that gave no answer nothing is known
        whole = whole._replace(complete_since=None, disputes_heard=False)
    search = replace(first, limit=len(shown), tried=set[str]().union(*(searches[shop].tried for shop in found)))
    payload: dict[str, Json] = {
        "orders": [searches[match.shop].row(found[match.shop], match.entry, match.shop) for match in shown],
        "totals": short_totals(groups),
        "now": first.call.app.now().isoformat(timespec="seconds"),
        "coverage": search.coverage(whole),
    }
    if len(matches) > len(shown):
        last = shown[-1]
        payload["next_cursor"] = cursor_at(asked, last.entry, first.order_by, alike=last.alike, shop=last.shop)
    where = "" if "" in found else f" Searched in {', '.join(found)}.{silent(failures)}"
    return Result("ok", f"{search.summary(whole)}{where}", payload=payload, next_step=next_step(search, whole, payload))


def places_after(
    cursor: str | None, asked: Mapping[str, Json], shops: Iterable[str], order_by: SortKey
) -> dict[str, Place | None]:
    """The place behind which the page of each shop begins; None for its beginning. ToolError INVALID_ARGUMENT."""
    names = list(shops)
    if cursor is None or names == [""]:
        return dict.fromkeys(names, None if cursor is None else place_of(cursor, asked)[0])
    last, of = place_of(cursor, asked, several=True)
    behind = last.value + (1 if beyond(order_by) == ">" else -1)
    return {
        name: last if name == of else Place(last.part, behind if name < of else last.value, _NO_ORDER) for name in names
    }


def _matches(shop: str, search: BookSearch, found: SearchResult) -> list[_Match]:
    told: list[_Match] = []
    for entry in found.entries:
        alike = bool(search.wanted.reference) and found.alike(entry)
        told.append(_Match(shop, entry, place(search.order_by, entry, alike=alike), alike))
    return told


def _together(found: Mapping[str, SearchResult], shown: list[_Match], groups: list[dict[str, Json]]) -> SearchResult:
    """What several books know, as if it were one. Complete is what is so in each."""
    from kustom_mcp.book.search import Coverage, Totals

    all_of_them = list(found.values())
    oldest = [some.known.oldest_read for some in all_of_them if some.known.orders]
    sources: Counter[str] = Counter()
    for some in all_of_them:
        sources.update(some.known.sources)
    begins = [some.complete_since for some in all_of_them]
    known = Coverage(
        sum(some.known.orders for some in all_of_them),
        dict(sources),
        min(oldest, default=0),
        sum(some.known.stale for some in all_of_them),
        sum(some.known.earlier for some in all_of_them),
        sum(some.known.without_people for some in all_of_them),
    )
    missed = set(all_of_them[0].missed).intersection(*(some.missed for some in all_of_them))
    return SearchResult(
        [match.entry for match in shown],
        Totals(groups, more=any(some.totals.more for some in all_of_them)),
        known,
        None if None in begins else max(begin for begin in begins if begin is not None),
        sum(some.doubtful for some in all_of_them),
        frozenset[str]().union(*(some.exact for some in all_of_them)),
        sum(some.exact_count for some in all_of_them),
        [min(2, sum(orders)) for orders in zip(*(some.each for some in all_of_them), strict=True)],
        sorted(missed),
        any(some.cut for some in all_of_them),
        all(some.disputes_heard for some in all_of_them),
        [order_id for some in all_of_them for order_id in some.unknown],
    )
