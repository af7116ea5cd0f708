"""The order book with a million orders: seconds to put them in, bytes for each, and how long each find takes.

    uv run python -m benchmarks.book [--orders 1000000] [--people] [--postgres URL]

The orders are made up as three years of a shop: most have been captured long ago, those of the last four weeks are
open. No order is read: this is the bookkeeping alone. A find is what kustom_find_orders asks the book: a page, totals,
coverage. Processor time is ours and that of PostgreSQL's process where it runs on this machine; it suffers less from
neighbours than the clock.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

from pydantic import SecretStr

from kustom_mcp.book.database import BookDatabase, BookTransaction
from kustom_mcp.book.entry import DAY, WITH_PEOPLE, WITHOUT_PEOPLE, BookEntry, Move, OrderKind
from kustom_mcp.book.postgres import PostgresBook
from kustom_mcp.book.query import Query, SortKey
from kustom_mcp.book.search import Search
from kustom_mcp.book.sqlite import SqliteBook
from kustom_mcp.book.writing import account_number, put
from kustom_mcp.state.database import Store

NOW = 1_770_000_000_000
DAYS = 1095
REPEATS = 15
BATCH = 5_000


def orders(count: int, *, people: bool) -> Iterator[BookEntry]:
    """Invented orders, the oldest first."""
    chance = random.Random(7)
    for number in range(count):
        created = NOW - DAYS * DAY + number * DAYS * DAY // count
        expires = created + 28 * DAY
        amount = chance.randrange(1_00, 5000_00)
        young = expires > NOW
        status = chance.choices(
            ["AUTHORIZED", "CAPTURED", "PART_CAPTURED", "CLOSED", "CANCELLED"] if young else
            ["EXPIRED", "CAPTURED", "PART_CAPTURED", "CLOSED", "CANCELLED"],
            [40, 45, 5, 5, 5] if young else [3, 80, 1, 10, 6],
        )[0]  # fmt: skip
        captured = {"CAPTURED": amount, "CLOSED": amount, "PART_CAPTURED": amount // 2}.get(status, 0)
        left = amount - captured if status in ("AUTHORIZED", "PART_CAPTURED") else 0
        refunded, refunded_at = (amount, created + 9 * DAY) if status == "CLOSED" else (0, 0)
        currency = chance.choices(["SEK", "EUR", "NOK", "DKK", "PLN", "JPY"], [60, 20, 10, 5, 4, 0.01])[0]
        fraud = chance.choices(["ACCEPTED", "PENDING", "REJECTED"], [98, 1.9, 0.1])[0]
        untracked, disputed = captured > 0 and chance.random() < 0.05, chance.random() < 0.001
        detail = WITH_PEOPLE if people else WITHOUT_PEOPLE
        kind = OrderKind(currency, status, fraud, left > 0, untracked, disputed, "import", detail)
        references = (f"SE-{10_000_000 + number}", None if number % 3 else f"web{number}", f"K{number:09}")
        moves = [Move(False, created + DAY, captured)] * (captured > 0)
        moves += [Move(True, refunded_at, refunded)] * (refunded > 0)
        digests = frozenset(chance.getrandbits(62) for _ in range(3)) if people else None
        yield BookEntry(
            str(UUID(int=chance.getrandbits(128))), kind, *references, chance.choice(["CARD", "INVOICE", "SWISH"]),
            *(amount, amount, captured, refunded, left),
            *(created, expires, (created + DAY) * (captured > 0), refunded_at, NOW - number % DAY),
            f"K{number:09}-1" if captured else None, tuple(moves), digests,
        )  # fmt: skip


def finds(some: BookEntry) -> dict[str, tuple[Query, SortKey]]:
    """What people ask."""
    whole = some.merchant_reference1 or ""
    week, recent = NOW + 7 * DAY, NOW - 7 * DAY - 1234
    return {
        "everything": (Query(), "created_at"),
        "everything, largest left": (Query(), "remaining_authorized_amount"),
        "everything, soonest": (Query(), "expires_at"),
        "a reference": (Query(reference=(whole,)), "created_at"),
        "the end of a reference": (Query(reference=(whole[-6:],)), "created_at"),
        "a few digits of one": (Query(reference=(whole[-4:],)), "created_at"),
        "an invoice number": (Query(reference=(f"{some.klarna_reference}-1",)), "created_at"),
        "fifty references": (Query(reference=tuple(f"SE-{10_000_000 + 97 * n}" for n in range(50))), "created_at"),
        "the start of an id": (Query(reference=(some.order_id[:8],)), "created_at"),
        "the end of an id": (Query(reference=(some.order_id[-8:],)), "created_at"),
        "an unknown number": (Query(reference=("15632423",)), "created_at"),
        "a person": (Query(people=(tuple(sorted(some.people or {1}))[:1],)), "created_at"),
        "an amount": (Query(amount=some.order_amount), "created_at"),
        "refunded since last week, in euro": (Query(refunded_from=recent, currency=("EUR",)), "created_at"),
        "refunded this quarter": (Query(refunded_from=NOW - 90 * DAY), "created_at"),
        "captured this quarter": (Query(captured_from=NOW - 90 * DAY), "created_at"),
        "captured in a month a year ago": (
            Query(captured_from=NOW - 365 * DAY, captured_before=NOW - 335 * DAY),
            "created_at",
        ),
        "captured a year, a rare currency": (Query(captured_from=NOW - 365 * DAY, currency=("JPY",)), "created_at"),
        "a status": (Query(status=("CAPTURED",)), "created_at"),
        "two states, soonest": (Query(status=("CANCELLED", "CLOSED")), "expires_at"),
        "a rare currency": (Query(currency=("JPY",)), "created_at"),
        "rare facts, largest left": (
            Query(fraud_status=("REJECTED",), ever_disputed=True),
            "remaining_authorized_amount",
        ),
        "to capture, soonest": (Query(to_capture=NOW), "expires_at"),
        "captured, no tracking": (Query(no_tracking=True), "created_at"),
        "expires this week": (Query(expires_before=week), "expires_at"),
        "expires this week, in euro": (Query(expires_before=week, currency=("EUR",)), "expires_at"),
        "all that is open": (Query(min_remaining=1), "created_at"),
        "left above 4,000.00": (Query(min_remaining=400_000), "remaining_authorized_amount"),
        "no tracking since last week": (Query(no_tracking=True, created_from=recent), "created_at"),
        "since last week, soonest": (Query(created_from=recent), "expires_at"),
        "a year ago, a month": (Query(created_from=NOW - 365 * DAY + 1, created_before=NOW - 335 * DAY), "created_at"),
        "since two years, largest left": (Query(created_from=NOW - 730 * DAY + 1), "remaining_authorized_amount"),
    }


def busy(tx: BookTransaction, work: Callable[[BookTransaction], int]) -> tuple[int, float]:
    """Return what some work returns, and its milliseconds of processor time."""
    process = tx.rows("SELECT pg_backend_pid()")[0][0] if tx.lateral else 0
    path = Path(f"/proc/{process}/schedstat")

    def other() -> float:
        return int(path.read_text("ascii").split()[0]) / 1e6 if path.exists() else 0.0

    before, ours = other(), time.thread_time()
    result = work(tx)
    return result, other() - before + (time.thread_time() - ours) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--people", action="store_true", help="with digests of people")
    parser.add_argument("--postgres", metavar="URL", help="an empty PostgreSQL database in place of a file")
    given = parser.parse_args()
    count: int = given.orders
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "state" / "book" / "book.sqlite3"
        store = Store.postgres(SecretStr(given.postgres), patience=60) if given.postgres else None
        database: BookDatabase = PostgresBook(store) if store else SqliteBook(path)
        account = database.write(lambda tx: account_number(tx, "production/M1"))
        spent, busy_in, some, entries = 0.0, 0.0, None, orders(count, people=given.people)
        while batch := [entry for _, entry in zip(range(BATCH), entries, strict=False)]:
            some = batch[len(batch) // 2]
            before = time.perf_counter()
            busy_in += database.write(lambda tx, batch=batch: busy(tx, lambda tx: put(tx, account, batch)))[1]
            spent += time.perf_counter() - before
        database.close()
        print(
            f"put in: {count / spent:,.0f} orders a second, {1000 * busy_in / count:.0f} us of processor an order; "
            f"{database.size() / count:.0f} bytes an order"
        )
        if store:
            store.run(lambda connection: connection.exec_driver_sql("ANALYZE"))
        assert some is not None
        for name, (wanted, by) in finds(some).items():
            matching, times, worked = 0, list[float](), list[float]()

            def find(tx: BookTransaction, wanted: Query = wanted, by: SortKey = by) -> int:
                search = Search(tx, account, wanted, None)
                search.stale(by, 100, NOW - 3600_000)
                search.exact(search.page(by, 21))
                search.exact_counts()
                search.doubtful(search.known(NOW - 3600_000), NOW - 3600_000)
                totals = search.totals()
                return -1 if totals.more else totals.orders

            for _ in range(REPEATS):
                before = time.perf_counter()
                matching, spent_on_it = database.read(lambda tx, find=find: busy(tx, find))
                times.append((time.perf_counter() - before) * 1000)
                worked.append(spent_on_it)
            found = f"{matching:,}" if matching >= 0 else "> 10,000"
            took = f"median {statistics.median(times):7.1f} ms, least {min(times):7.1f}"
            print(f"{name:34} {found:>9} match  {took}, processor {statistics.median(worked):6.1f}")
        database.close()


if __name__ == "__main__":
    main()
