"""The orders that can match a search, looked up by what few orders share: references, people, amounts, moves.

Each part of a filter gives the numbers of the orders that have it. While they are few, their intersection leads the
search straight to its orders. A part that more than MOST_ADDED orders have becomes a condition instead, which is tried
on each order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.query import Query
from kustom_mcp.book.references import LEAST, ParsedReference, backwards, parse_reference

MOST_ADDED = 10_000
"""Matches that are added up one by one; of more it is only said that they are more."""
FEW = 1_000
"""The most orders that are found by one part of a reference or id."""
_BEYOND, _NO_MORE = "\U0010ffff", "\x01"
"""Suffixes of a name: the first sorts behind all names that begin with it, the second behind the name alone."""
_DAY = 86_400_000  # milliseconds


@dataclass
class Candidates:
    """Conditions for the rows of a search. `many`: some part is shared by many orders. `direct`: numbers lead to the
    few that can match."""

    conditions: list[str] = field(default_factory=list[str])
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    exact: str | None = "1 = 1"
    """The condition of exact matches; None where there are none."""
    alike: str | None = None
    """The condition of matches that only resemble a reference; None where there are none."""
    called: list[set[int] | str] = field(default_factory=list[set[int] | str])
    """Of each reference the numbers of the orders that have exactly it; where these may be many, a condition."""
    missed: list[int] = field(default_factory=list[int])
    """Places, from 1, of references without any match."""
    cut: bool = False
    """Whether more than FEW orders resemble a reference, and the rest were left out."""
    many: bool = False
    direct: bool = False
    kinds: frozenset[int] | None = None
    """The kinds of which any order can match; None is all."""
    counted: bool = False
    """Whether it is known that many orders match, unless something else is asked for."""


def candidates(
    tx: BookTransaction,
    account: int,
    query: Query,
    kinds: Sequence[int],
    scope: set[int] | None,
    most: int = MOST_ADDED,
) -> Candidates:
    """Look up the candidates among these kinds. `scope`: the numbers of the only orders that exist; None is all.
    `most`: more orders than these are many."""
    return _Lookup(tx, account, query, kinds, scope, most).result()


class _Lookup:
    def __init__(
        self,
        tx: BookTransaction,
        account: int,
        query: Query,
        kinds: Sequence[int],
        scope: set[int] | None,
        most: int,
    ) -> None:
        self._most = most
        self._tx = tx
        self._query = query
        self._values: dict[str, Any] = {"account": account}
        self._given = kinds
        self._kinds = ", ".join(map(str, kinds)) or "NULL"
        self._scope = scope
        self._numbers: set[int] | None = None
        self._found = Candidates()

    def result(self) -> Candidates:
        query, found = self._query, self._found
        if query.only is not None:
            self._of_ids(query.only)
        for index, digests in enumerate(query.people):
            self._of_person(index, digests)
        if query.amount is not None:
            self._of_amount(query.amount)
        periods = 0
        for refund, first, end in (
            (0, query.captured_from, query.captured_before),
            (1, query.refunded_from, query.refunded_before),
        ):
            if first is not None or end is not None:
                self._of_moves(refund, first, end)
                periods += 1
        if query.reference:
            self._of_references(query.reference)
        elif self._numbers is not None:
            found.conditions.append(_numbered(self._numbers))
            found.direct = True
        others = query.reference or query.people or query.amount is not None or query.only is not None
        found.counted = found.many and periods == 1 and not others
        found.values |= self._values
        return found

    def _select(self, statement: str, **values: object) -> set[int] | None:
        """Return the numbers that a statement selects; None where they are many, unless there is a scope."""
        limit = "" if self._scope is not None else f" LIMIT {self._most + 1}"
        rows = self._tx.rows(f"{statement}{limit}", self._values | values)
        numbers = {int(number) for (number,) in rows}
        if self._scope is not None:
            return numbers & self._scope
        return None if len(numbers) > self._most else numbers

    def _moved(self, mine: str, **values: object) -> set[int] | None:
        """Return the numbers of the orders with such a capture or refund; None where they are many, unless there is a
        scope. Told by the first rows if possible: for distinct numbers alone PostgreSQL reads all orders in turn."""
        enough = 2 * (self._most + 1)
        if self._scope is None:
            rows = self._tx.rows(f"SELECT number FROM book_moves WHERE {mine} LIMIT {enough}", self._values | values)
            numbers = {int(number) for (number,) in rows}
            if len(rows) < enough or len(numbers) > self._most:
                return None if len(numbers) > self._most else numbers
        return self._select(f"SELECT DISTINCT number FROM book_moves WHERE {mine}", **values)

    def _hold(self, numbers: set[int] | None, condition: str, **values: object) -> None:
        """Narrow to these numbers, or where they are too many by a condition for each order."""
        if numbers is None:
            self._found.conditions.append(condition)
            self._found.many = True
        else:
            self._numbers = numbers if self._numbers is None else self._numbers & numbers
        self._values |= values

    def _of_ids(self, order_ids: Iterable[str]) -> None:
        ids = {f"only{index}": order_id for index, order_id in enumerate(sorted(order_ids))}
        listed = ", ".join(f":{name}" for name in ids) or "NULL"
        statement = f"SELECT number FROM book WHERE account = :account AND order_id IN ({listed})"
        numbers = {int(number) for (number,) in self._tx.rows(statement, self._values | ids)}
        self._hold(numbers, "")

    def _of_person(self, index: int, digests: Iterable[int]) -> None:
        values = {f"person{index}x{place}": digest for place, digest in enumerate(digests)}
        same = f"account = :account AND digest IN ({', '.join(f':{name}' for name in values)})"
        numbers = self._select(f"SELECT DISTINCT number FROM book_people WHERE {same}", **values)
        condition = f"EXISTS (SELECT 1 FROM book_people AS person WHERE {_own('person', same)})"
        self._hold(numbers, condition, **values)

    def _of_amount(self, amount: int) -> None:
        moved = "account = :account AND amount = :amount AND amount > 0"
        statement = (
            f"SELECT number FROM book WHERE account = :account AND order_amount = :amount AND kind IN ({self._kinds}) "
            f"UNION SELECT number FROM book_moves WHERE {moved} AND kind IN ({self._kinds})"
        )
        condition = f"(order_amount = :amount OR EXISTS (SELECT 1 FROM book_moves AS move WHERE {_own('move', moved)}))"
        self._hold(self._select(statement, amount=amount), condition, amount=amount)

    def _of_moves(self, refund: int, first: int | None, end: int | None) -> None:
        name = "refunded" if refund else "captured"
        values = {f"{name}_from": max(first or 1, 1), f"{name}_before": 2**62 if end is None else end}
        when = f"at >= :{name}_from AND at < :{name}_before"
        mine = f"account = :account AND refund = {refund} AND kind IN ({self._kinds}) AND {when}"
        numbers = self._moved(mine, **values)
        condition = f"EXISTS (SELECT 1 FROM book_moves AS move WHERE {_own('move', f'refund = {refund} AND {when}')})"
        if end is not None:  # nothing is captured or refunded before its order is made; a day for clocks that differ
            values[f"{name}_made_before"] = end + _DAY
            condition += f" AND created_at < :{name}_made_before"
        self._hold(numbers, condition, **values)
        if numbers is None:
            self._hold_kinds(refund, when)

    def _hold_kinds(self, refund: int, when: str) -> None:
        """Narrow to the kinds of which any order has a move then: all of the others would be looked at in vain."""
        given = ", ".join(f"({kind})" for kind in self._given) or "(NULL)"
        any_move = f"account = :account AND refund = {refund} AND kind = given.kind AND {when}"
        rows = self._tx.rows(
            f"WITH given (kind) AS (VALUES {given}) SELECT kind FROM given "
            f"WHERE EXISTS (SELECT 1 FROM book_moves WHERE {any_move})",
            self._values,
        )
        there = frozenset(int(kind) for (kind,) in rows)
        self._found.kinds = there if self._found.kinds is None else self._found.kinds & there

    def _of_references(self, references: Sequence[str]) -> None:
        exact, alike, broad = set[int](), set[int](), list[tuple[str, str]]()
        parsed = [parse_reference(reference) for reference in references]
        together = self._together([one.name[::-1] for one in parsed])
        for index, one in enumerate(parsed):
            same, like, conditions = self._of_reference(index, one, together[index] if together else None)
            if conditions is not None:
                broad.append(conditions)
            elif not same and not like:
                self._found.missed.append(index + 1)
            self._found.called.append(same if conditions is None else conditions[0])
            exact |= same
            alike |= like
        if broad:
            self._broadly(exact, alike, broad)
            return
        if self._numbers is not None:
            exact, alike = exact & self._numbers, alike & self._numbers
        alike -= exact
        self._found.direct = True
        self._found.conditions.append(_numbered(exact | alike))
        self._found.exact = _numbered(exact) if exact else None
        self._found.alike = _numbered(alike) if alike else None

    def _broadly(self, exact: set[int], alike: set[int], broad: Iterable[tuple[str, str]]) -> None:
        """Hold the orders to references of which one belongs to many orders."""
        found = self._found
        parts = list(broad)
        same = " OR ".join([_numbered(exact), *(one for one, _ in parts)])
        like = " OR ".join([_numbered(alike), *(one for _, one in parts)])
        found.many = True
        if self._numbers is not None:
            found.conditions.append(_numbered(self._numbers))
            found.direct = True
        found.conditions.append(f"({same} OR {like})")
        found.exact, found.alike = f"({same})", f"(({like}) AND NOT ({same}))"

    def _together(self, names: Sequence[str]) -> list[list[tuple[int, int, str]]] | None:
        """Return for each name, the last character first, the references that are called so or end so: number, digest,
        name. None where these are more than FEW."""
        values: dict[str, object] = {}
        parts: list[str] = []
        for index, name in enumerate(names):
            values |= {f"first{index}": name, f"beyond{index}": f"{name}{_BEYOND if len(name) >= LEAST else _NO_MORE}"}
            called = f"account = :account AND name >= :first{index} AND name < :beyond{index}"
            parts.append(f"SELECT {index} AS place, number, written, name FROM book_references WHERE {called}")
        rows = self._tx.rows(f"{' UNION ALL '.join(parts)} LIMIT {FEW + 1}", self._values | values)
        if len(rows) > FEW:
            return None
        found: list[list[tuple[int, int, str]]] = [[] for _ in names]
        for place, number, written, name in rows:
            found[int(place)].append((int(number), int(written), str(name)))
        return found

    def _of_reference(
        self, index: int, parsed: ParsedReference, known: Sequence[tuple[int, int, str]] | None
    ) -> tuple[set[int], set[int], tuple[str, str] | None]:
        """Return the numbers of exact matches and of those that resemble it. Of a reference that many orders have:
        conditions for both. `known`: what `_together` has found of it."""
        name = parsed.name[::-1]
        values: dict[str, object] = {f"name{index}": name, f"written{index}": parsed.written}
        called = f"account = :account AND name = :name{index}"
        if known is None:
            statement = f"SELECT number, written FROM book_references WHERE {called} LIMIT {self._most + 1}"
            rows = [(int(number), int(written)) for number, written in self._tx.rows(statement, self._values | values)]
        else:
            rows = [(number, written) for number, written, whole in known if whole == name]
        exact, alike, broad = set[int](), set[int](), None
        if len(rows) > self._most:
            self._values |= values
            exists = "EXISTS (SELECT 1 FROM book_references AS other WHERE {})"
            same = _own("other", f"{called} AND written = :written{index}")
            broad = exists.format(same), exists.format(_own("other", called))
        else:
            exact = {number for number, written in rows if written == parsed.written}
            alike = {number for number, _ in rows}
        mine = "SELECT number FROM book WHERE account = :account AND "
        if parsed.whole:
            exact |= self._some(f"{mine}order_id = :whole", whole=parsed.whole)
        for start in parsed.starts:
            alike |= self._some(f"{mine}order_id >= :first AND order_id < :beyond", first=start, beyond=f"{start}~")
        if known is not None:
            alike |= {number for number, _, whole in known if whole != name}
        elif len(name) >= LEAST:
            ending = "SELECT number FROM book_references WHERE account = :account AND name > :first AND name < :beyond"
            alike |= self._some(ending, first=name, beyond=f"{name}{_BEYOND}")
        if parsed.part and not exact and not alike and not broad:
            last = backwards(parsed.part)
            statement = f"SELECT number FROM book {self._tx.by('book_by_id_backwards')} WHERE account = :account "
            statement += "AND id_backwards >= :first AND id_backwards < :beyond AND order_id LIKE :end"
            alike |= self._some(statement, first=last, beyond=f"{last}~", end=f"%{parsed.part}")
        if self._scope is not None:
            exact, alike = exact & self._scope, alike & self._scope
        return exact, alike, broad

    def _some(self, statement: str, **values: object) -> set[int]:
        """Return the numbers that a statement selects, FEW at most unless there is a scope."""
        limit = "" if self._scope is not None else f" LIMIT {FEW + 1}"
        numbers = {int(number) for (number,) in self._tx.rows(f"{statement}{limit}", self._values | values)}
        if self._scope is not None or len(numbers) <= FEW:
            return numbers
        self._found.cut = True
        return set(sorted(numbers)[-FEW:])


def _own(alias: str, condition: str) -> str:
    """Return a condition of another table for its rows of this order."""
    return f"{alias}.number = book.number AND {condition}"


def _numbered(numbers: Iterable[int]) -> str:
    listed = ", ".join(map(str, sorted(numbers)))
    return f"number IN ({listed})" if listed else "1 = 0"
