"""With all orders known, a search of the book equals the same filter over the simulator's own orders, on every
database, for any filter and any history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from kustom_mcp.api.models import Order
from kustom_mcp.book.database import BookDatabase
from kustom_mcp.book.entry import entry_of
from kustom_mcp.book.postgres import PostgresBook
from kustom_mcp.book.query import Query, SortKey, place
from kustom_mcp.book.search import Search
from kustom_mcp.book.sqlite import SqliteBook
from kustom_mcp.book.writing import account_number, forget, put
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.drafts import stamp
from kustom_mcp.state.database import Store
from tests.support.unhurried import PATIENCE

AMOUNTS = (
    *("order_amount", "original_order_amount", "captured_amount", "refunded_amount"),
    "remaining_authorized_amount",
)
NOW = datetime.fromisoformat("2026-03-15T12:00:00+00:00")
DAY = 86_400_000
MOMENTS = st.integers(-7, 7).map(lambda half: int(NOW.timestamp() * 1000) + half * DAY // 2)
REFERENCES = st.sampled_from(
    ["A-1", " a-1 ", "a1", "Ａ－１", "B 2", "\u00e9-3", "\u00c9-3", "e\u0301-3", "\u00df-3", "SS-3", "#"]
)
Json = dict[str, Any]

DRAFTS = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["AUTHORIZED", "PART_CAPTURED", "CAPTURED", "CANCELLED", "EXPIRED", "CLOSED"]),
        "purchase_currency": st.sampled_from(["SEK", "EUR", "jpy"]),
        "order_amount": st.sampled_from([1000, 2500, 10000]),
        "created_at": MOMENTS.map(lambda at: stamp(datetime.fromtimestamp(at / 1000, NOW.tzinfo))),
        "expires_at": MOMENTS.map(lambda at: stamp(datetime.fromtimestamp(at / 1000, NOW.tzinfo))),
    },
    optional={
        "merchant_reference1": REFERENCES,
        "merchant_reference2": REFERENCES,
        "klarna_reference": REFERENCES,
        "fraud_status": st.sampled_from(["ACCEPTED", "PENDING", "REJECTED"]),
        "shipping_info": st.just([{"tracking_number": "1"}]),
        "refunded_amount": st.just(500),
    },
)
MAYBE = st.none()
ANY = st.builds(
    Query,
    reference=MAYBE | MAYBE | REFERENCES,
    status=MAYBE | MAYBE | st.sampled_from(["AUTHORIZED", "CAPTURED", "EXPIRED", "CLOSED"]),
    fraud_status=MAYBE | MAYBE | st.sampled_from(["ACCEPTED", "PENDING"]),
    currency=MAYBE | MAYBE | st.sampled_from(["SEK", "JPY", "NOK"]),
    expires_before=MAYBE | MOMENTS,
    created_from=MAYBE | MOMENTS,
    created_to=MAYBE | MOMENTS,
    refunded_from=MAYBE | MAYBE | MOMENTS,
    min_remaining=MAYBE | st.sampled_from([0, 1, 2500]),
    unshipped=MAYBE | MAYBE | st.booleans(),
    disputed=MAYBE | MAYBE | MAYBE | st.booleans(),
)
WANTED = ANY | st.builds(Query, created_from=MAYBE | MOMENTS, created_to=MAYBE | MOMENTS)
BY = st.sampled_from(["created_at", "expires_at", "remaining_authorized_amount"])


def instant(order: Json, name: str) -> int:
    return int(datetime.fromisoformat(order[name]).timestamp() * 1000)


def same(name: str) -> str:
    return "".join(filter(str.isalnum, normalize("NFKC", name).casefold()))


NAMES = ("merchant_reference1", "merchant_reference2", "klarna_reference")


def exact(order: Json, reference: str) -> bool:
    """Return whether it is called so as it is written, but for case and blanks around it."""
    return any(as_written(order.get(name) or "") == as_written(reference) for name in NAMES)


def as_written(name: str) -> str:
    return normalize("NFC", name).strip().lower()


def matches(order: Json, wanted: Query) -> bool:
    """The filter over an order as the simulator holds it, written by itself."""
    ended = order["status"] in ("CANCELLED", "EXPIRED", "CLOSED")
    shipments = order.get("shipping_info", []) + [one for entry in order["captures"] for one in entry["shipping_info"]]
    names = {same(order.get(name) or "") for name in NAMES}
    asked: dict[str, Callable[[Any], bool]] = {
        "reference": lambda value: bool(same(value)) and same(value) in names,  # parts of an id: see test_bounds
        "status": lambda value: order["status"] == value,
        "fraud_status": lambda value: order.get("fraud_status") == value,
        "currency": lambda value: order["purchase_currency"].upper() == value,
        "expires_before": lambda value: (
            instant(order, "expires_at") < value
            and ((ended and wanted.status is not None) or (not ended and order["remaining_authorized_amount"] > 0))
        ),
        "created_from": lambda value: instant(order, "created_at") >= value,
        "created_to": lambda value: instant(order, "created_at") < value,
        "refunded_from": lambda value: any(instant(refund, "refunded_at") >= value for refund in order["refunds"]),
        "min_remaining": lambda value: order["remaining_authorized_amount"] >= value,
        "unshipped": lambda value: (not shipments and not ended) is value,
        "disputed": lambda value: value is False,
    }
    return all(fits(getattr(wanted, name)) for name, fits in asked.items() if getattr(wanted, name) is not None)


def rank(order: Json, by: SortKey) -> tuple[bool, int]:
    """The order of a search, written by itself: what it concerns comes first, and of the rest the newest."""
    left, ended = order["remaining_authorized_amount"], order["status"] in ("CANCELLED", "EXPIRED", "CLOSED")
    if by == "expires_at" and left > 0 and not ended:
        return False, instant(order, "expires_at")
    if by == "remaining_authorized_amount" and left > 0:
        return False, -left
    return True, -instant(order, "created_at")


def hold(
    database: BookDatabase,
    drafts: list[Json],
    changes: list[tuple[int, Json]],
    gone: list[int],
    scoped: set[int],
    wanted: Query,
    by: SortKey,
) -> None:
    simulator = Simulator(clock=lambda: NOW, seeds=())
    ids = [str(simulator.add_order(draft).order["order_id"]) for draft in drafts]

    def read(order_id: str, at: float) -> Any:
        record = simulator.store.find(order_id)
        assert record is not None
        return entry_of(Order.model_validate(record.order), "call", at)

    def history(tx: Any) -> int:
        account = account_number(tx, "playground/M1")
        other = account_number(tx, "playground/M2")
        forget(tx, account, [row[0] for row in tx.rows("SELECT order_id FROM book WHERE account = :a", {"a": account})])
        put(tx, account, [read(order_id, 1.0) for order_id in ids])
        put(tx, other, [read(order_id, 1.0) for order_id in ids[:2]])
        before = [read(order_id, 0.5) for order_id in ids]
        for index, draft in changes:
            simulator.add_order(draft | {"order_id": ids[index % len(ids)]})
        put(tx, account, [read(order_id, 2.0) for order_id in ids])
        put(tx, account, before)  # what comes late must not win
        forget(tx, account, [ids[index % len(ids)] for index in gone])
        return account

    account = database.write(history)
    left = {order_id for order_id in ids if order_id not in {ids[index % len(ids)] for index in gone}}
    scope = {ids[index % len(ids)] for index in scoped} if scoped else None
    visible = left if scope is None else left & scope
    records = [simulator.store.find(order_id) for order_id in visible]
    expected = {str(r.order["order_id"]): r.order for r in records if r is not None and matches(r.order, wanted)}

    def ask(tx: Any) -> None:
        search = Search(tx, account, wanted, scope)
        asked = wanted.reference
        called_so = {name for name, order in expected.items() if asked is not None and exact(order, asked)}

        def at(entry: Any) -> Any:
            return place(by, entry, alike=asked is not None and entry.order_id not in called_so)

        pages: list[Any] = []
        while part := search.page(by, 2, at(pages[-1]) if pages else None):
            pages += part
        found = [entry.order_id for entry in pages]
        assert sorted(found) == sorted(expected)
        assert (search.exact(pages), search.exactly(len(found))) == (called_so, len(called_so))
        ranks = [(order_id not in called_so, rank(expected[order_id], by)) for order_id in found]
        assert ranks == sorted(ranks)
        groups: dict[tuple[str, str], list[int]] = {}
        for order in expected.values():
            group = groups.setdefault((order["purchase_currency"].upper(), order["status"]), [0] * 6)
            for index, value in enumerate((1, *(order[name] for name in AMOUNTS))):
                group[index] += value
        totals = {
            (t["purchase_currency"], t["status"]): [t["orders"], *(t[n] for n in AMOUNTS)] for t in search.totals()
        }
        assert totals == groups
        opened = {
            order_id
            for order_id, order in expected.items()
            if order["status"] not in ("CANCELLED", "EXPIRED", "CLOSED") and order["remaining_authorized_amount"] > 0
        }
        stale = search.stale(by, 100, 2001)
        assert (set(stale), search.stale(by, 100, 2000)) == (opened, [])
        assert stale == [order_id for order_id in found if order_id in opened]
        for number, entry in enumerate(pages, start=1):  # from a cursor on, what follows is read again
            rest = [order_id for order_id in found[number:] if order_id in opened]
            assert search.stale(by, 100, 2001, at(entry)) == rest
        assert [search.doubtful(search.known(time), time) for time in (2001, 2000)] == [len(opened), 0]
        known = search.known(3000)
        assert (known.orders, known.sources) == (len(visible), {"call": len(visible)} if visible else {})

    database.read(ask)


NOON = int(NOW.timestamp() * 1000)
HALF_DAYS: list[Json] = [
    {
        "status": "CAPTURED",
        "purchase_currency": "SEK",
        "order_amount": 1000,
        "created_at": stamp(datetime.fromtimestamp((NOON + half * DAY // 2) / 1000, NOW.tzinfo)),
        "expires_at": "2026-04-20T00:00:00Z",
    }
    for half in range(-80, 80)
]
"""Orders of many days, so that whole blocks, whole days and parts of a day are added up."""

HISTORY = given(
    drafts=st.lists(DRAFTS, min_size=1, max_size=8),
    changes=st.lists(st.tuples(st.integers(0, 9), DRAFTS), max_size=3),
    gone=st.lists(st.integers(0, 9), max_size=2),
    scoped=st.sets(st.integers(0, 9), max_size=3),
    wanted=WANTED,
    by=BY,
)


@HISTORY
@example(drafts=HALF_DAYS, changes=[], gone=[], scoped=set(), wanted=Query(created_from=NOON), by="created_at")
@example(drafts=HALF_DAYS, changes=[], gone=[], scoped=set(), wanted=Query(created_to=NOON), by="expires_at")
@settings(max_examples=70, deadline=None)
def test_a_search_equals_the_filter_over_the_orders_themselves(**story: Any) -> None:
    database = SqliteBook(None)
    hold(database, **story)
    database.close()


@pytest.fixture
def shared(shared_database: str) -> Any:
    store = Store.postgres(SecretStr(shared_database), patience=PATIENCE)
    yield PostgresBook(store)
    store.close()


@HISTORY
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_search_in_postgresql_equals_it_as_well(shared: BookDatabase, **story: Any) -> None:
    hold(shared, **story)
