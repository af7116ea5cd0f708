"""How the book is searched: a filter, a page of orders in an order of one's choice, totals, and what is known at all.

Scope comes before everything: of orders out of scope nothing is counted. A page is put together from the first orders
of each kind that fits, so that it takes the same time among a thousand orders as among a million; totals come from
the sums where the filter allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from kustom_mcp.book.entry import DAY, Entry, folded
from kustom_mcp.book.shelf import Page
from kustom_mcp.book.wanted import By, Wanted
from kustom_mcp.book.writing import ALL_DAYS, BLOCK, block, kinds
from kustom_mcp.oms.models import AMOUNTS

_INDEXES = {
    "created_at": "book_by_created",
    "expires_at": "book_by_expires",
    "remaining_authorized_amount": "book_by_remaining",
}
_RISING = frozenset({"expires_at"})
_COLUMNS = ", ".join(("number", "order_id", "kind", *Entry._fields[2:]))
_SUMS = ", ".join(f"sum({name})" for name in AMOUNTS)
_ID_START = re.compile(r"[0-9a-f][0-9a-f-]{3,35}")
_FEW = 20_000
"""Orders that are rather fetched and sorted than looked for in another order."""


class Known(NamedTuple):
    """What the book knows at all, in scope."""

    orders: int
    sources: dict[str, int]
    oldest_read: int
    """Unix milliseconds; 0 when nothing is known, or something is in doubt."""
    stale: int
    """Open orders, matches or not, that were read before the time that was asked for."""


class Search:
    """One transaction's questions. `scope`: the only order ids that exist for who asks; None is all."""

    def __init__(self, page: Page, account: int, wanted: Wanted, scope: Iterable[str] | None) -> None:
        self._page = page
        self._wanted = wanted
        self._kinds = {number: kind for kind, number in kinds(page).items()}
        self._matching = [number for number, kind in self._kinds.items() if wanted.fits(kind)]
        self._values: dict[str, Any] = {"account": account}
        self._scope = self._scoped(scope)
        self._which = self._conditions()

    def page(
        self, order_by: By, limit: int, after: tuple[int, int] | None = None, read_before: int | None = None
    ) -> list[tuple[int, Entry]]:
        """The first orders, or the first after this one (by its value and number): each with its number.

        `read_before`: only open ones that were read before this time.
        """
        beyond = ">" if order_by in _RISING else "<"
        conditions, values = list(self._which), {**self._values, "limit": limit}
        matching = self._matching
        if after is not None:
            conditions.append(f"({order_by}, number) {beyond} (:after, :number)")
            values |= {"after": after[0], "number": after[1]}
        if read_before is not None:
            conditions.append("read_at < :read_before")
            values["read_before"] = read_before
            matching = [number for number in matching if self._kinds[number].open]
        if not matching:
            return []
        leading = [number for number in matching if self._kinds[number].remains]
        if order_by == "remaining_authorized_amount" and 0 < len(leading) < len(matching):
            found = self._first(order_by, leading, conditions, values)
            if len(found) >= limit:  # those with nothing left come after
                return found
        return self._first(order_by, matching, conditions, values)

    def _first(
        self, order_by: By, matching: list[int], conditions: list[str], values: dict[str, Any]
    ) -> list[tuple[int, Entry]]:
        """The first orders of these kinds."""
        direction = "ASC" if order_by in _RISING else "DESC"
        sorted_by = f"ORDER BY {order_by} {direction}, number {direction} LIMIT :limit"
        if self._direct or self._few(order_by):
            where = " AND ".join([self._of(matching), *conditions])
            index = "" if self._direct else self._page.by("book_by_created")
            statement = f"SELECT {_COLUMNS} FROM book {index} WHERE {where} {sorted_by}"
        else:
            index, rest = self._page.by(_INDEXES[order_by]), "".join(f" AND {one}" for one in conditions)
            parts = [
                f"SELECT * FROM (SELECT number, {order_by} FROM book {index} "
                f"WHERE account = :account AND kind = {number}{rest} {sorted_by}) AS part{number}"
                for number in matching
            ]
            first = f"SELECT number FROM (SELECT * FROM ({' UNION ALL '.join(parts)}) AS parts {sorted_by}) AS first"
            statement = f"SELECT {_COLUMNS} FROM book WHERE number IN ({first}) {sorted_by}"
        return [
            (number, Entry(order_id, self._kinds[kind], *rest))
            for number, order_id, kind, *rest in self._page.rows(statement, values)
        ]

    def totals(self) -> list[dict[str, Any]]:
        """Per currency and status, as `view.Totals`: how many orders match, and the sums of their amounts."""
        if not self._matching:
            return []
        groups: dict[tuple[str, str], list[int]] = {}
        counted = self._by_sums() if self._wanted.of_kinds and self._scope is None else self._by_rows(self._which)
        for kind, orders, *sums in counted:
            key = (self._kinds[kind].currency, self._kinds[kind].status)
            group = groups.setdefault(key, [0] * (1 + len(AMOUNTS)))
            for index, value in enumerate((orders, *sums)):
                group[index] += int(value or 0)
        return [
            ({"purchase_currency": currency} if currency else {})
            | {"status": status, "orders": sums[0], **dict(zip(AMOUNTS, sums[1:], strict=True))}
            for (currency, status), sums in sorted(groups.items())
            if sums[0]
        ]

    def known(self, read_before: int) -> Known:
        """What there is, whatever is looked for. `read_before`: what counts as stale."""
        if self._scope is None:
            counted = self._page.rows(
                f"SELECT kind, orders FROM book_sums WHERE account = :account AND day = {ALL_DAYS}", self._values
            )
        else:
            counted = self._page.rows(
                f"SELECT kind, count(*) FROM book WHERE account = :account AND {self._scope} GROUP BY kind",
                self._values,
            )
        sources: dict[str, int] = {}
        for kind, orders in counted:
            source = self._kinds[kind].source
            sources[source] = sources.get(source, 0) + int(orders)
        there = [kind for kind, _ in counted]
        opened = [kind for kind in there if self._kinds[kind].open]
        oldest = [self._over_read("min(read_at)", kind, 0) for kind in there]
        stale = [self._over_read("count(*)", kind, read_before) for kind in opened]
        return Known(sum(sources.values()), dict(sorted(sources.items())), min(oldest, default=0), sum(stale))

    @property
    def _direct(self) -> bool:
        """Whether ids or names lead to the few orders that can match."""
        return self._scope is not None or self._wanted.reference is not None

    def _of(self, matching: Iterable[int]) -> str:
        """Of the account and these kinds. The plus keeps SQLite from starting there when ids or names lead further."""
        plus = "+" if self._direct else ""
        return f"{plus}account = :account AND {plus}kind IN ({_list(matching)})"

    def _few(self, order_by: By) -> bool:
        """Whether a time of creation narrows it down so far that sorting is quicker than walking in order."""
        wanted = self._wanted
        if order_by == "created_at" or (wanted.created_from is None and wanted.created_to is None):
            return False
        of_kinds = f"account = :account AND kind IN ({_list(self._matching)})"
        first, last = (wanted.created_from or 0) // DAY, (wanted.created_to or 2**53) // DAY
        days = {"first": first, "last": last}
        found = self._page.rows(
            f"SELECT coalesce(sum(orders), 0) FROM book_sums WHERE {of_kinds} AND day >= :first AND day <= :last",
            self._values | days,
        )
        return int(found[0][0]) <= _FEW

    def _over_read(self, what: str, kind: int, before: int) -> int:
        where = f"account = :account AND kind = {kind}"
        if before:
            where += " AND read_at < :read_before"
        if self._scope is not None:
            where += f" AND {self._scope}"
        index = "" if self._scope is not None else self._page.by("book_by_read")
        found = self._page.rows(
            f"SELECT {what} FROM book {index} WHERE {where}", self._values | {"read_before": before}
        )
        return int(found[0][0] or 0)

    def _by_rows(self, conditions: Iterable[str]) -> list[tuple[Any, ...]]:
        where = " AND ".join([self._of(self._matching), *conditions])
        index = "" if self._direct else self._page.by(self._narrow)
        return self._page.rows(
            f"SELECT kind, count(*), {_SUMS} FROM book {index} WHERE {where} GROUP BY kind", self._values
        )

    @property
    def _narrow(self) -> str:
        """The index that leaves the fewest orders to look at."""
        if self._wanted.expires_before is not None:
            return "book_by_expires"
        return "book_by_remaining" if self._wanted.min_remaining else "book_by_created"

    def _by_sums(self) -> list[tuple[Any, ...]]:
        """Whole days from the sums, and the orders of the days of which only a part is asked for."""
        first, last = self._wanted.created_from, self._wanted.created_to
        if first is None and last is None:
            return self._summed(f"day = {ALL_DAYS}")
        first, last = max(first or 1, 1), 2**53 if last is None else last
        if last <= first:
            return []
        begins, ends = -(-first // DAY), min(last // DAY, 2**31 - 1)
        if begins >= ends:
            return self._part(first, last)
        found = self._whole_days(begins, ends)
        if first < begins * DAY:
            found += self._part(first, begins * DAY)
        if last > ends * DAY:
            found += self._part(ends * DAY, last)
        return found

    def _whole_days(self, begins: int, ends: int) -> list[tuple[Any, ...]]:
        """Blocks of days where they are whole, days before and after."""
        first, last = -(-begins // BLOCK), ends // BLOCK
        if first >= last:
            return self._summed(f"day >= {begins} AND day < {ends}")
        return [
            *self._summed(f"day >= {begins} AND day < {first * BLOCK}"),
            *self._summed(f"day > {block(last * BLOCK)} AND day <= {block(first * BLOCK)}"),
            *self._summed(f"day >= {last * BLOCK} AND day < {ends}"),
        ]

    def _summed(self, days: str) -> list[tuple[Any, ...]]:
        kinds_that_fit = f"account = :account AND kind IN ({_list(self._matching)})"
        return self._page.rows(
            f"SELECT kind, sum(orders), {_SUMS} FROM book_sums WHERE {kinds_that_fit} AND {days} GROUP BY kind",
            self._values,
        )

    def _part(self, first: int, last: int) -> list[tuple[Any, ...]]:
        self._values |= {"first": first, "last": last}
        return self._by_rows(["created_at >= :first", "created_at < :last"])

    def _conditions(self) -> list[str]:
        """What a row has to fulfil besides being of a kind that fits."""
        wanted, found = self._wanted, list[str]()

        def hold(condition: str, **values: object) -> None:
            found.append(condition)
            self._values |= values

        if self._scope is not None:
            hold(self._scope)
        if wanted.reference is not None:
            self._named(wanted.reference, hold)
        if wanted.expires_before is not None:
            hold("expires_at > 0 AND expires_at < :expires_before", expires_before=wanted.expires_before)
        if wanted.created_from is not None or wanted.created_to is not None:
            hold("created_at >= :created_from", created_from=max(wanted.created_from or 1, 1))
        if wanted.created_to is not None:
            hold("created_at < :created_to", created_to=wanted.created_to)
        if wanted.min_remaining and wanted.min_remaining > 1:  # 1 is what kinds say already
            hold("remaining_authorized_amount >= :least", least=wanted.min_remaining)
        return found

    def _named(self, reference: str, hold: Any) -> None:
        """By a whole reference, or by the beginning of an id."""
        named, binary, start = (
            "number IN (SELECT number FROM book_names WHERE name = :name)",
            self._page.binary,
            reference.lower(),
        )
        if not _ID_START.fullmatch(start):
            hold(named, name=folded(reference))
            return
        beyond = start[:-1] + chr(ord(start[-1]) + 1)
        by_id = f"account = :account AND order_id{binary} >= :start AND order_id{binary} < :beyond"
        either = f"SELECT number FROM book_names WHERE name = :name UNION SELECT number FROM book WHERE {by_id}"
        hold(f"number IN ({either})", name=folded(reference), start=start, beyond=beyond)

    def _scoped(self, scope: Iterable[str] | None) -> str | None:
        if scope is None:
            return None
        ids: Mapping[str, str] = {f"scope{index}": order_id for index, order_id in enumerate(sorted(scope))}
        self._values |= ids
        return f"order_id IN ({', '.join(f':{name}' for name in ids)})" if ids else "1 = 0"


def _list(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
