"""Writes of the book: orders put in, orders taken out, and the sums kept in step, in one transaction.

An older reading never replaces a newer one, even if it is written later. The way by which an order became known stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from kustom_mcp.api.models import AMOUNTS
from kustom_mcp.book import completeness
from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.entry import COLUMNS, DAY, WITH_PEOPLE, BookEntry, OrderKind, references_of
from kustom_mcp.book.references import backwards, digest, folded

_COLUMNS = ("number", "account", "order_id", "id_backwards", "kind", *COLUMNS)
_AT_ONCE = 200  # ids in one statement
_PUT = (
    f"INSERT INTO book ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)}) "
    f"ON CONFLICT (number) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[4:])}"
)
_HINT = "account = :account AND order_id = :order_id"
_SUMMED = ("orders", *AMOUNTS)
_SUM = (
    f"INSERT INTO book_sums (account, kind, day, {', '.join(_SUMMED)}) "
    f"VALUES (:account, :kind, :day, {', '.join(f':{name}' for name in _SUMMED)}) ON CONFLICT (account, kind, day) "
    f"DO UPDATE SET {', '.join(f'{name} = book_sums.{name} + excluded.{name}' for name in _SUMMED)}"
)
_KINDS = "SELECT currency, status, fraud_status, remains, unshipped, disputed, source, detail, kind FROM book_kinds"


ALL_DAYS = -1
"""In place of a day: the orders of all days."""
BLOCK = 32  # days


def block(day: int) -> int:
    """Return the number, in place of a day, for the orders of a day's block."""
    return ALL_DAYS - 1 - day // BLOCK


class _Sums:
    """The changes of the sums in a transaction."""

    def __init__(self, account: int) -> None:
        self._account = account
        self._change: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [0] * len(_SUMMED))

    def add(self, kind: int, created_at: int, amounts: Sequence[int], orders: int = 1) -> None:
        """Add orders to the sums. `orders`: -1 to take away."""
        day = created_at // DAY
        for bucket in (day, block(day), ALL_DAYS):
            change = self._change[kind, bucket]
            change[0] += orders
            for index, amount in enumerate(amounts, start=1):
                change[index] += orders * amount

    def write(self, tx: BookTransaction) -> None:
        rows = [
            {"account": self._account, "kind": kind, "day": day, **dict(zip(_SUMMED, change, strict=True))}
            for (kind, day), change in self._change.items()
            if any(change)
        ]
        tx.many(_SUM, rows)
        emptied = "DELETE FROM book_sums WHERE account = :account AND kind = :kind AND day = :day AND orders <= 0"
        tx.many(emptied, [row for row in rows if row["orders"] < 0])


def account_number(tx: BookTransaction, name: str) -> int:
    """Return the account's number, given out now if it has none."""
    found = tx.rows("SELECT account FROM book_accounts WHERE name = :name", {"name": name})
    if found:
        return found[0][0]
    number = int(tx.rows("SELECT coalesce(max(account), 0) + 1 FROM book_accounts")[0][0])
    tx.rows("INSERT INTO book_accounts (account, name) VALUES (:number, :name)", {"number": number, "name": name})
    return number


def kinds(tx: BookTransaction) -> dict[OrderKind, int]:
    """Return the number of each kind of order."""
    return {
        OrderKind(currency, status, fraud, bool(remains), bool(untracked), bool(disputed), source, int(detail)): number
        for currency, status, fraud, remains, untracked, disputed, source, detail, number in tx.rows(_KINDS)
    }


def put(tx: BookTransaction, account: int, entries: Iterable[BookEntry]) -> int:
    """Put orders in, or up to date, and return how many were new."""
    known, sums = kinds(tx), _Sums(account)
    names_of = {number: kind for kind, number in known.items()}
    free = int(tx.rows("SELECT coalesce(max(number), 0) + 1 FROM book")[0][0])
    fresh: list[BookEntry] = []
    given = iter(entries)
    while some := {one.order_id: one for one in sorted(islice(given, _AT_ONCE), key=lambda one: abs(one.read_at))}:
        there = {row[0]: row[1:] for row in _found(tx, account, list(some))}
        rows: list[dict[str, Any]] = []
        changed = _Changed(account)
        for entry in some.values():
            old, before = there.get(entry.order_id), None
            if old is None:
                number, free, kind = free, free + 1, entry.kind
                fresh.append(entry)
                changed.named(number, entry.references)
            else:
                number, old_kind, created_at, read_at, *rest = old
                if abs(read_at) > abs(entry.read_at):
                    continue
                was = names_of[old_kind]
                kind = entry.kind._replace(source=was.source, disputed=was.disputed or entry.kind.disputed)
                if entry.people is None and was.detail == WITH_PEOPLE:  # their digests stay
                    kind = kind._replace(detail=WITH_PEOPLE)
                before = old_kind, created_at, tuple(rest[:5])
                if set(references_of(*rest[5:])) != set(entry.references):
                    changed.unnamed(number, references_of(*rest[5:]))
                    changed.named(number, entry.references)
            if kind not in known:
                known[kind] = _add_kind(tx, kind)
                names_of[known[kind]] = kind
            after = known[kind], entry.created_at, entry.amounts
            if before != after:
                if before:
                    sums.add(*before, orders=-1)
                sums.add(*after)
            changed.moved(number, known[kind], entry, new=old is None)
            values = (number, account, entry.order_id, backwards(entry.order_id), known[kind], *entry[2:17])
            rows.append(dict(zip(_COLUMNS, values, strict=True)))
        tx.many(_PUT, rows)
        changed.write(tx)
    sums.write(tx)
    completeness.unannounced(tx, account, fresh)
    return len(fresh)


class _Changed:
    """The changes of a transaction in the tables beside `book`."""

    def __init__(self, account: int) -> None:
        self._account = account
        self._rows: dict[str, list[dict[str, Any]]] = {
            statement: [] for statement in (_UNNAME, NAME, *_TAKE_OUT[:2], _MOVE, _PERSON)
        }

    def named(self, number: int, references: Iterable[str]) -> None:
        self._rows[NAME] += names(self._account, number, references)

    def unnamed(self, number: int, references: Iterable[str]) -> None:
        self._rows[_UNNAME] += names(self._account, number, references)

    def moved(self, number: int, kind: int, entry: BookEntry, *, new: bool) -> None:
        """Note the captures, refunds and people of an entry. `new`: nothing has to be taken out before."""
        which = {"account": self._account, "number": number}
        if not new:
            self._rows[_TAKE_OUT[0]].append(which)
        for refund, at, amount in entry.moves:
            other = 0 if amount == entry.order_amount else amount or -1
            self._rows[_MOVE].append(which | {"kind": kind, "refund": int(refund), "at": at, "amount": other})
        if entry.people is not None:
            if not new:
                self._rows[_TAKE_OUT[1]].append(which)
            self._rows[_PERSON] += [which | {"digest": digest} for digest in sorted(entry.people)]

    def write(self, tx: BookTransaction) -> None:
        for statement, rows in self._rows.items():
            tx.many(statement, rows)


NAME = (
    "INSERT INTO book_references (account, name, number, written) VALUES (:account, :name, :number, :written) "
    "ON CONFLICT (account, name, number, written) DO NOTHING"
)
_UNNAME = (
    "DELETE FROM book_references WHERE account = :account AND name = :name AND number = :number AND written = :written"
)
_MOVE = (
    "INSERT INTO book_moves (account, refund, kind, at, number, amount) "
    "VALUES (:account, :refund, :kind, :at, :number, :amount) "
    "ON CONFLICT (account, refund, kind, at, number, amount) DO NOTHING"
)
_PERSON = (
    "INSERT INTO book_people (account, digest, number) VALUES (:account, :digest, :number) "
    "ON CONFLICT (account, digest, number) DO NOTHING"
)
_TAKE_OUT = tuple(f"DELETE FROM {of} WHERE number = :number" for of in ("book_moves", "book_people", "book_unnamed"))


def names(account: int, number: int, references: Iterable[str]) -> list[dict[str, Any]]:
    """Return the rows by which an order is found by its references."""
    return [
        {"account": account, "number": number, "name": name[::-1], "written": digest(reference)}
        for reference in references
        if (name := folded(reference))
    ]


def doubt(tx: BookTransaction, account: int, since: Mapping[str, int]) -> None:
    """Doubt these orders, each since its time; only later readings count."""
    doubted = [{"account": account, "order_id": name, "since": moment} for name, moment in since.items()]
    which = "account = :account AND order_id = :order_id AND abs(read_at) <= :since"
    tx.many(f"UPDATE book SET read_at = -:since WHERE {which}", doubted)


def doubt_after(tx: BookTransaction, account: int, moment: int) -> None:
    """Doubt readings from after this time, which has not come yet: that clock was wrong, and nothing would win."""
    mine = {"account": account, "moment": moment}
    tx.rows("UPDATE book SET read_at = -1 WHERE account = :account AND abs(read_at) > :moment", mine)


class Forgotten(NamedTuple):
    """The number of orders that were taken out, and of hints that were removed with them before they were read."""

    orders: int
    hints: int = 0


def forget(tx: BookTransaction, account: int, order_ids: Iterable[str]) -> Forgotten:
    """Take orders out, and their hints."""
    gone: dict[str, int] = {}
    waited: list[bool] = []
    given = iter(order_ids)
    while some := list(islice(given, _AT_ONCE)):
        gone |= take_out(tx, account, some)
        for hint in ({"account": account, "order_id": order_id} for order_id in some):
            waits = tx.rows(f"SELECT verified FROM book_hints WHERE {_HINT} AND state > 0", hint)
            waited += [bool(verified) for (verified,) in waits if hint["order_id"] not in gone]
            tx.rows(f"DELETE FROM book_hints WHERE {_HINT}", hint)
    completeness.forgotten(tx, account, [*gone.values(), *(0 for verified in waited if verified)])
    return Forgotten(len(gone), len(waited))


def of_person(tx: BookTransaction, account: int, digests: Iterable[Iterable[int]]) -> list[str]:
    """Return the ids of the orders with a digest of each list."""
    values: dict[str, Any] = {"account": account}
    conditions: list[str] = []
    for index, same in enumerate(digests):
        names = {f"person{index}x{place}": digest for place, digest in enumerate(same)}
        listed = ", ".join(f":{name}" for name in names)
        conditions.append(
            f"number IN (SELECT number FROM book_people WHERE account = :account AND digest IN ({listed}))"
        )
        values |= names
    where = " AND ".join(["account = :account", *conditions])
    return [str(order_id) for (order_id,) in tx.rows(f"SELECT order_id FROM book WHERE {where}", values)]


def forget_all(tx: BookTransaction, account: int) -> Forgotten:
    """Take every order of the account out."""
    mine = {"account": account}
    orders, waiting = (
        int(tx.rows(f"SELECT count(*) FROM {of}", mine)[0][0])
        for of in (
            "book WHERE account = :account",
            "book_hints WHERE account = :account AND state > 0 AND NOT EXISTS "
            "(SELECT 1 FROM book WHERE book.account = :account AND book.order_id = book_hints.order_id)",
        )
    )
    tx.rows("DELETE FROM book_unnamed WHERE number IN (SELECT number FROM book WHERE account = :account)", mine)
    for table in ("book", "book_references", "book_moves", "book_people", "book_sums", "book_imports", "book_hints"):
        tx.rows(f"DELETE FROM {table} WHERE account = :account", mine)
    tx.rows("UPDATE book_accounts SET people = NULL WHERE account = :account", mine)
    completeness.interrupt(tx, account)
    return Forgotten(orders, waiting)


def forget_before(tx: BookTransaction, account: int, moment: int) -> Forgotten:
    """Take out orders that were created before this time, or read last where their creation is not known."""
    old = tx.rows(
        "SELECT order_id FROM book WHERE account = :account AND "
        "(created_at < :moment AND created_at > 0 OR created_at = 0 AND abs(read_at) < :moment)",
        {"account": account, "moment": moment},
    )
    given, gone = iter([str(order_id) for (order_id,) in old]), 0
    while some := list(islice(given, _AT_ONCE)):
        gone += len(take_out(tx, account, some))
        hinted = [{"account": account, "order_id": order_id} for order_id in some]
        tx.many(f"DELETE FROM book_hints WHERE {_HINT}", hinted)
    completeness.forgotten_before(tx, account, moment)
    return Forgotten(gone)


def take_out(tx: BookTransaction, account: int, order_ids: Sequence[str]) -> dict[str, int]:
    """Take orders out, and return those that were there, with the time of their creation."""
    sums, rows = _Sums(account), _found(tx, account, order_ids)
    for _, _, kind, created_at, _, *rest in rows:
        sums.add(kind, created_at, rest[:5], -1)
    numbers = [{"number": row[1]} for row in rows]
    for _, number, _, _, _, *rest in rows:
        tx.many(_UNNAME, names(account, number, references_of(*rest[5:])))
    for statement in (*_TAKE_OUT, "DELETE FROM book WHERE number = :number"):
        tx.many(statement, numbers)
    sums.write(tx)
    return {str(order_id): int(created_at) for order_id, _, _, created_at, *_ in rows}


def _found(tx: BookTransaction, account: int, order_ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """Select order_id, number, kind, created_at, read_at, the amounts, the references."""
    marks = ", ".join(f":id{index}" for index in range(len(order_ids)))
    return tx.rows(
        f"SELECT order_id, number, kind, created_at, read_at, {', '.join(AMOUNTS)}, "
        "merchant_reference1, merchant_reference2, klarna_reference, other_references "
        f"FROM book WHERE account = :account AND order_id IN ({marks})",
        {"account": account, **{f"id{index}": order_id for index, order_id in enumerate(order_ids)}},
    )


def _add_kind(tx: BookTransaction, kind: OrderKind) -> int:
    number = int(tx.rows("SELECT coalesce(max(kind), 0) + 1 FROM book_kinds")[0][0])
    values: dict[str, Any] = {**kind._asdict(), "kind": number}
    values |= {name: int(values[name]) for name in ("remains", "untracked", "disputed")}
    tx.rows(
        "INSERT INTO book_kinds (kind, currency, status, fraud_status, remains, unshipped, disputed, source, detail) "
        "VALUES (:kind, :currency, :status, :fraud_status, :remains, :untracked, :disputed, :source, :detail)",
        values,
    )
    return number
