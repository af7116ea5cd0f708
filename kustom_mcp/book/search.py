"""The search of the book: a filter, a page of sorted orders, totals, and the coverage of the book.

Scope comes before everything: of orders out of scope nothing is counted. A page is put together from the first orders
of each kind that fits, so that it takes the same time among a thousand orders as among a million; totals come from
the sums where the filter allows. What few orders share - a reference, a person, an amount, a week's refunds - is looked
up first (`candidates`); where many share it, it is a condition for each order, and above MOST_ADDED matches are no
longer counted. The sort orders are in `query`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kustom_mcp.api.models import AMOUNTS
from kustom_mcp.book.candidates import FEW, MOST_ADDED, Candidates, candidates
from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.entry import COLUMNS, DAY, EARLIER, WITH_PEOPLE, BookEntry
from kustom_mcp.book.query import INDEXES, LEADS, MOST_COUNTED, PARTS, Place, Query, SortKey, beyond
from kustom_mcp.book.references import parse_reference, written
from kustom_mcp.book.writing import ALL_DAYS, BLOCK, block, kinds

EXACT, ALIKE = 0, 1
"""Ranks of matches: the reference or id is exactly that of the search, or only resembles it."""
_LEFT = "remaining_authorized_amount > 0"
"""The condition of the indexes of orders with something left to capture; they hold every field of such a search."""
_MOST_MERGED = 400
_COLUMNS = ", ".join(("order_id", "kind", *COLUMNS))
_SUMS = ", ".join(f"sum({name})" for name in AMOUNTS)


class Coverage(NamedTuple):
    """The orders that the book knows at all, in scope."""

    orders: int
    sources: dict[str, int]
    oldest_read: int
    """Unix milliseconds; 0 when nothing is known, or something is in doubt."""
    stale: int
    """Orders, matches or not, that are in doubt, or open and read before the time that was asked for."""
    earlier: int = 0
    """Orders that version 0.1 kept, without single captures and refunds."""
    without_people: int = 0
    """Orders whose people are not known."""


class Totals(NamedTuple):
    """Per currency and status, the number of matches and the sums of their amounts, as `facts.OrderTotals`. `more`:
    there are more matches than these, which were not counted."""

    groups: list[dict[str, Any]]
    more: bool = False

    @property
    def orders(self) -> int:
        """The number of matches that were counted."""
        return sum(group["orders"] for group in self.groups)


class Search:
    """The questions of one transaction. `scope`: the only order ids that exist for the caller; None is all. `most`:
    matches that are added up one by one."""

    def __init__(
        self,
        tx: BookTransaction,
        account: int,
        query: Query,
        scope: Iterable[str] | None,
        most: int = MOST_ADDED,
    ) -> None:
        self._most = most
        self._tx = tx
        self._query = query
        self._kinds = {number: kind for kind, number in kinds(tx).items()}
        self._matching = [number for number, kind in self._kinds.items() if query.fits(kind)]
        self._values: dict[str, Any] = {"account": account}
        self._scope = self._scoped(scope)
        self._found: Candidates = candidates(tx, account, query, self._matching, self._in_scope(), most)
        if self._found.kinds is not None:
            self._matching = [kind for kind in self._matching if kind in self._found.kinds]
        self._values |= self._found.values
        self._which = self._conditions()
        self._ranks = self._ranked()

    def page(self, order_by: SortKey, limit: int, after: Place | None = None) -> list[BookEntry]:
        """Return the first orders, or the first after this place; exact matches come before all others."""
        found: list[BookEntry] = []
        for rank, which in self._ranks.items():
            for part, by in enumerate((order_by, "created_at"), start=rank * PARTS):
                leads = part == rank * PARTS
                leading = [kind for kind in self._matching if LEADS[order_by](self._kinds[kind]) == leads]
                if len(found) < limit:
                    found += self._first(by, leading, which, {"limit": limit - len(found)}, part, after)
        return found

    def exact(self, entries: Sequence[BookEntry]) -> frozenset[str]:
        """Return the ids of the exact matches among these."""
        if not entries or not self._query.reference or EXACT not in self._ranks:
            return frozenset()
        ids = {f"shown{index}": entry.order_id for index, entry in enumerate(entries)}
        listed = f"order_id IN ({', '.join(f':{name}' for name in ids)})"
        where = " AND ".join(["account = :account", listed, *self._ranks[EXACT]])
        rows = self._tx.rows(f"SELECT order_id FROM book WHERE {where}", self._values | ids)
        return frozenset(str(order_id) for (order_id,) in rows)

    def exact_counts(self) -> tuple[int, list[int]]:
        """Count the exact matches, `most` and one at most, and those of each reference, two at most."""
        if not self._query.reference or EXACT not in self._ranks:
            return 0, [0] * len(self._query.reference)
        where = " AND ".join([self._of(self._matching), *self._ranks[EXACT]])

        def numbers(condition: str, most: int) -> set[int]:
            rows = self._tx.rows(f"SELECT number FROM book WHERE {condition} LIMIT {most}", self._values)
            return {int(number) for (number,) in rows}

        found = numbers(where, self._most + 1)
        each = [numbers(f"{where} AND {one}", 2) if isinstance(one, str) else found & one for one in self._found.called]
        return len(found), [min(2, len(some)) for some in each]

    def missed(self) -> list[int]:
        """Return the places, from 1, of the references without any match, whatever else is asked for."""
        return self._found.missed

    @property
    def cut(self) -> bool:
        """Return whether more orders resemble a reference than were looked at."""
        return self._found.cut

    def stale(self, order_by: SortKey, limit: int, read_before: int, after: Place | None = None) -> list[str]:
        """Return the ids of orders to read again: entries in doubt, matches or not, and the first open matches that
        were read before this time, or the first after this place. Where there are many of both, half of each; of
        entries in doubt the longest in doubt, so that one that can never be read does not stand before the others."""
        values = {"limit": limit, "read_before": read_before}
        index = self._tx.by("book_by_read") if self._scope is None else ""
        which = self._scope or f"kind IN ({_list(self._kinds)})"
        where = f"account = :account AND {which} AND read_at < 0 ORDER BY read_at DESC"
        rows = self._tx.rows(f"SELECT order_id FROM book {index} WHERE {where} LIMIT :limit", self._values | values)
        doubted, half = [order_id for (order_id,) in rows], -(-limit // 2)
        opened = [kind for kind in self._matching if self._kinds[kind].open]
        part = 0 if opened and LEADS[order_by](self._kinds[opened[0]]) else 1
        first: list[str] = []
        for rank, which in self._ranks.items():
            conditions = [*which, _LEFT, "read_at < :read_before"]
            ranked = self._first(order_by, opened, conditions, values, rank * PARTS + part, after)
            first += [entry.order_id for entry in ranked]
        return list(dict.fromkeys((*doubted[:half], *first[: limit - half], *doubted, *first)))[:limit]

    def _first(
        self,
        by: SortKey,
        matching: Iterable[int],
        which: list[str],
        more: Mapping[str, Any],
        part: int,
        after: Place | None,
    ) -> list[BookEntry]:
        """Return the first orders of these kinds, all in this part of the sort order, or the first after this place."""
        numbers, conditions, values = list(matching), list(which), {**self._values, **more}
        if not numbers or (after is not None and after.part > part):
            return []
        if after is not None and after.part == part:
            conditions.append(f"({by}, number) {beyond(by)} (:after, :number)")
            values |= {"after": after.value, "number": self._number(after.order_id, by)}
        direction = "ASC" if beyond(by) == ">" else "DESC"
        sorted_by = f"ORDER BY {by} {direction}, number {direction} LIMIT :limit"
        if self._direct or (by == "created_at" and _LEFT in conditions):
            index = "" if self._direct else self._tx.by("book_by_expires")
            where = " AND ".join([self._of(numbers), *conditions])
            first = f"SELECT number FROM book {index} WHERE {where} {sorted_by}"
        else:
            kept = [*conditions, *([] if by == "created_at" else [_LEFT])]
            first = self._first_of_kinds(by, numbers, kept, sorted_by)
        statement = f"SELECT {_COLUMNS} FROM book WHERE number IN ({first}) {sorted_by}"
        return [
            BookEntry(order_id, self._kinds[kind], *rest) for order_id, kind, *rest in self._tx.rows(statement, values)
        ]

    def _first_of_kinds(self, by: SortKey, numbers: Sequence[int], conditions: Iterable[str], sorted_by: str) -> str:
        """Return a selection of the first orders by the indexes of the kinds: few rows are looked at that do not come
        to be first. SQLite merges them; PostgreSQL would read all, and so takes the first ones of each."""
        rest = "".join(f" AND {one}" for one in conditions)
        if self._tx.lateral:
            given = ", ".join(f"({number})" for number in numbers)
            of_kind = f"account = :account AND book.kind = given.kind{rest}"
            return (
                f"SELECT number FROM (VALUES {given}) AS given (kind) CROSS JOIN LATERAL "
                f"(SELECT number, {by} FROM book WHERE {of_kind} {sorted_by}) AS first {sorted_by}"
            )
        index = self._tx.by(INDEXES[by])
        parts = [
            f"SELECT number, {by} FROM book {index} WHERE account = :account AND kind = {number}{rest}"
            for number in numbers
        ]
        while len(parts) > _MOST_MERGED:  # more than SQLite takes at once
            some, parts = parts[:_MOST_MERGED], parts[_MOST_MERGED:]
            parts.append(f"SELECT number, {by} FROM ({' UNION ALL '.join(some)} {sorted_by}) AS some")
        return f"SELECT number FROM ({' UNION ALL '.join(parts)} {sorted_by}) AS first"

    def _number(self, order_id: str, by: SortKey) -> int:
        """Return the number of the last order that was shown. Where it is gone, its equals may be shown twice."""
        scope = f" AND {self._scope}" if self._scope is not None else ""
        which = f"account = :account AND order_id = :order_id{scope}"
        found = self._tx.rows(f"SELECT number FROM book WHERE {which}", self._values | {"order_id": order_id})
        return int(found[0][0]) if found else 0 if beyond(by) == ">" else 2**31 - 1

    def totals(self) -> Totals:
        """Add up the matches; of many by rows `most` at most."""
        if not self._matching:
            return Totals([])
        if self._query.of_kinds and self._scope is None:
            return self._grouped(self._by_sums())
        if not self._found.many:
            return self._grouped(self._by_rows(self._which))
        if self._found.counted and self._which == self._found.conditions:
            return Totals([], more=True)
        fields = ", ".join(AMOUNTS)
        where = " AND ".join([self._of(self._matching), *self._which])
        some = f"SELECT kind, {fields} FROM book WHERE {where} LIMIT {self._most + 1}"
        added = self._tx.rows(f"SELECT kind, count(*), {_SUMS} FROM ({some}) AS chosen GROUP BY kind", self._values)
        more = sum(row[1] for row in added) > self._most
        return Totals([], more=True) if more else self._grouped(added)

    def _grouped(self, counted: Iterable[tuple[Any, ...]]) -> Totals:
        groups: dict[tuple[str, str], list[int]] = {}
        for kind, orders, *sums in counted:
            key = (self._kinds[kind].currency, self._kinds[kind].status)
            group = groups.setdefault(key, [0] * (1 + len(AMOUNTS)))
            for index, value in enumerate((orders, *sums)):
                group[index] += int(value or 0)
        return Totals(
            [
                ({"purchase_currency": currency} if currency else {})
                | {"status": status, "orders": sums[0], **dict(zip(AMOUNTS, sums[1:], strict=True))}
                for (currency, status), sums in sorted(groups.items())
            ]
        )

    def doubtful(self, known: Coverage, read_before: int) -> int:
        """Count the matches that are in doubt, or open and were read before this time. Of many at least
        MOST_COUNTED. `known`: the coverage at this time."""
        opened = [kind for kind in self._matching if self._kinds[kind].open]
        others = [kind for kind in self._matching if not (self._kinds[kind].open or known.oldest_read)]
        values, found = self._values | {"read_before": read_before, "most": MOST_COUNTED}, 0
        for of, index, conditions in (
            (opened, "book_by_expires", [_LEFT, "read_at < :read_before"]),
            (others, "book_by_read", ["read_at < 0"]),
        ):
            if of and known.stale:
                where = " AND ".join([self._of(of), *self._which, *conditions])
                first = f"SELECT 1 FROM book {'' if self._direct else self._tx.by(index)} WHERE {where}"
                rows = self._tx.rows(f"SELECT count(*) FROM ({first} LIMIT :most) AS first", values)
                found += int(rows[0][0])
        return found

    def known(self, read_before: int) -> Coverage:
        """Return the coverage, without regard to the filter. Entries that were read before `read_before` are stale."""
        if self._scope is None:
            counted = self._tx.rows(
                f"SELECT kind, orders FROM book_sums WHERE account = :account AND day = {ALL_DAYS}", self._values
            )
        else:
            counted = self._tx.rows(
                f"SELECT kind, count(*) FROM book WHERE account = :account AND {self._scope} GROUP BY kind",
                self._values,
            )
        sources: dict[str, int] = {}
        for kind, orders in counted:
            source = self._kinds[kind].source
            sources[source] = sources.get(source, 0) + int(orders)
        counts = {self._kinds[kind]: int(orders) for kind, orders in counted}
        earlier = sum(orders for kind, orders in counts.items() if kind.detail == EARLIER)
        without = sum(orders for kind, orders in counts.items() if kind.detail != WITH_PEOPLE)
        there = [kind for kind, _ in counted]
        oldest = self._over_read("min", "min(read_at)", there)
        stale = self._over_read("sum", "count(*)", [kind for kind in there if self._kinds[kind].open], read_before)
        if oldest < 0:
            stale += self._over_read("sum", "count(*)", [kind for kind in there if not self._kinds[kind].open], 0)
        known = sum(sources.values())
        return Coverage(known, dict(sorted(sources.items())), max(0, oldest), stale, earlier, without)

    def _ranked(self) -> dict[int, list[str]]:
        """Return the conditions of the matches by rank, without ranks that nothing can have."""
        found = self._found
        both = {EXACT: found.exact, ALIKE: found.alike}
        return {rank: [*self._which, condition] for rank, condition in both.items() if condition is not None}

    @property
    def _direct(self) -> bool:
        """Return whether ids or numbers lead to the few orders that can match."""
        return self._scope is not None or self._found.direct

    def _of(self, matching: Iterable[int]) -> str:
        """Return the condition for the account and these kinds. The plus keeps SQLite from starting there when ids
        or names lead further."""
        plus = "+" if self._direct else ""
        return f"{plus}account = :account AND {plus}kind IN ({_list(matching)})"

    def _over_read(self, over: str, what: str, of: Sequence[int], before: int | None = None) -> int:
        """Return `what` of the orders of each of these kinds that were read before this time, put together by `over`:
        one statement, because a shared database takes its time for each."""
        if not of:
            return 0
        index = "" if self._scope is not None else self._tx.by("book_by_read")
        where = "account = :account AND book.kind = given.kind"
        if before is not None:
            where += " AND read_at < :read_before"
        if self._scope is not None:
            where += f" AND {self._scope}"
        given = ", ".join(f"({kind})" for kind in of)
        found = self._tx.rows(
            f"WITH given (kind) AS (VALUES {given}) SELECT {over}(one) FROM "
            f"(SELECT (SELECT {what} FROM book {index} WHERE {where}) AS one FROM given) AS each",
            self._values | {"read_before": before},
        )
        return int(found[0][0] or 0)

    def _by_rows(self, conditions: list[str]) -> list[tuple[Any, ...]]:
        where = " AND ".join([self._of(self._matching), *conditions])
        otherwise = self._tx.by("book_by_expires" if _LEFT in conditions else "book_by_created")
        index = "" if self._direct else otherwise
        return self._tx.rows(
            f"SELECT kind, count(*), {_SUMS} FROM book {index} WHERE {where} GROUP BY kind", self._values
        )

    def _by_sums(self) -> list[tuple[Any, ...]]:
        """Add up whole days from the sums, and the orders of the days of which only a part is asked for."""
        first, last = self._query.created_from, self._query.created_before
        if first is None and last is None:
            return self._summed(f"day = {ALL_DAYS}")
        first, last = max(first or 1, 1), 2**53 if last is None else last
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
        """Add up blocks of days where they are whole, and the days before and after."""
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
        return self._tx.rows(
            f"SELECT kind, sum(orders), {_SUMS} FROM book_sums WHERE {kinds_that_fit} AND {days} GROUP BY kind",
            self._values,
        )

    def _part(self, first: int, last: int) -> list[tuple[Any, ...]]:
        self._values |= {"first": first, "last": last}
        return self._by_rows(["created_at >= :first", "created_at < :last"])

    def _conditions(self) -> list[str]:
        """Return the conditions of a row besides a kind that fits."""
        query, least = self._query, self._query.min_remaining or 0
        of_creation = query.created_from is not None or query.created_before is not None
        values = {
            "created_from": max(query.created_from or 1, 1),
            "created_before": query.created_before,
            "expires_from": query.expires_from,
            "expires_before": query.expires_before,
            "now": query.to_capture,
            "least": least,
        }
        holds = {
            "expires_at > 0": query.expiring,
            "expires_at >= :expires_from": query.expires_from is not None,
            "expires_at < :expires_before": query.expires_before is not None,
            "(expires_at = 0 OR expires_at > :now)": query.to_capture is not None,
            "created_at >= :created_from": of_creation,
            "created_at < :created_before": query.created_before is not None,
            _LEFT: query.left and not self._direct,
            "remaining_authorized_amount >= :least": least > 1,  # 1 is what kinds say already
        }
        self._values |= values
        scoped = [] if self._scope is None else [self._scope]
        return [*scoped, *self._found.conditions, *(condition for condition, held in holds.items() if held)]

    def _scoped(self, scope: Iterable[str] | None) -> str | None:
        if scope is None:
            return None
        ids: Mapping[str, str] = {f"scope{index}": order_id for index, order_id in enumerate(sorted(scope))}
        self._values |= ids
        return f"order_id IN ({', '.join(f':{name}' for name in ids)})" if ids else "1 = 0"

    def _in_scope(self) -> set[int] | None:
        """Return the numbers of the orders in scope; None when that is all."""
        if self._scope is None:
            return None
        found = self._tx.rows(f"SELECT number FROM book WHERE account = :account AND {self._scope}", self._values)
        return {int(number) for (number,) in found}


def called(tx: BookTransaction, account: int, reference: str, scope: Iterable[str] | None) -> list[str]:
    """Return the ids of the orders, newest first, one of whose own references is exactly this. By an index alone, so
    that it takes the same time whether there is such an order or not."""
    parsed = parse_reference(reference)
    if not parsed.name:
        return []
    which = "account = :account AND name = :name AND written = :written"
    rows = tx.rows(
        "SELECT order_id, merchant_reference1, merchant_reference2, klarna_reference FROM book WHERE number IN "
        f"(SELECT number FROM book_references WHERE {which}) ORDER BY created_at DESC, number DESC LIMIT {FEW}",
        {"account": account, "name": parsed.name[::-1], "written": parsed.written},
    )
    found = [str(order_id) for order_id, *names in rows if written(reference) in map(written, names)]
    visible = {*found} if scope is None else {*scope}
    return [order_id for order_id in found if order_id in visible]


def _list(numbers: Iterable[int]) -> str:
    """Return a list for IN, of which PostgreSQL wants at least one entry; nothing is equal to NULL."""
    return ", ".join(map(str, numbers)) or "NULL"
