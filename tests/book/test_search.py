"""With all orders known, a search of the book equals the same filter over the simulator's own orders, on every
database, for any filter and any history: every argument, and every pair of arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import combinations
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from kustom_mcp.api.models import Order
from kustom_mcp.book.candidates import MOST_ADDED
from kustom_mcp.book.database import BookDatabase
from kustom_mcp.book.entry import entry_of
from kustom_mcp.book.people import PeopleDigests, Sought
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
NOON = int(NOW.timestamp() * 1000)
DAY = 86_400_000
ENDED = ("CANCELLED", "EXPIRED", "CLOSED")
MOMENTS = st.integers(-7, 7).map(lambda half: NOON + half * DAY // 2)
REFERENCES: Any = st.sampled_from(
    [
        *("A-1", " a-1 ", "a1", "Ａ－１", "B 2", "\u00e9-3", "\u00c9-3", "e\u0301-3", "\u00df-3", "SS-3", "#"),
        *("WEB-20451", "se/204-51", "451", "0451", "W-20451"),
    ]
)
Json = dict[str, Any]


class Person:
    """An address as somebody wrote it, and who that is."""

    def __init__(self, address: Json, email: str, phone: str, name: str) -> None:
        self.address, self.email, self.phone, self.name = address, email, phone, name


def written_as(given: str, family: str, email: str, phone: str, postal_code: str, country: str) -> Json:
    return {"given_name": given, "family_name": family, "email": email, "phone": phone, "postal_code": postal_code,
            "country": country}  # fmt: skip


PEOPLE = [
    Person(written_as("Åsa", "Öst", "Asa@Example.com", "070-123 45 67", "123 45", "SE"), "a", "a", "a"),
    Person(written_as("öst", "ASA", "asa@example.com ", "+46701234567", "SE-12345", "se"), "a", "a", "a"),
    Person(written_as("Ola", "Nordmann", "ola@example.no", "90 12 34 56", "0150", "NO"), "o", "o", "o"),
    Person(written_as("Ola", "Nordmann", "ola@example.no", "0046 70 123 45 67", "0151", "NO"), "o", "a", "x"),
]
SOUGHT = [
    *((Sought(email="ASA@example.com"), "a"), (Sought(email="ola@example.no"), "o"), (Sought(email="no@x.se"), "")),
    *((Sought(phone="0701234567"), "a"), (Sought(phone="+46 70-123 45 67"), "a"), (Sought(phone="90123456"), "o")),
    (Sought(name="ost  Asa", postal_code="123 45"), "a"),
    (Sought(name="Ola Nordmann", postal_code="0150"), "o"),
    (Sought(name="Ola", postal_code="0150"), ""),
]
"""A part of a person that is looked for, and who has it."""


def at(moment: int) -> str:
    return stamp(datetime.fromtimestamp(moment / 1000, NOW.tzinfo))


TIMES: Any = MOMENTS.map(at)
PARCELS: Any = st.just([{"tracking_number": "1"}])


def entries(optional: dict[str, Any], **fields: Any) -> Any:
    """One or two captures or refunds, or none."""
    one: Any = st.fixed_dictionaries(fields, optional=optional)
    return st.lists(one, max_size=2)


CAPTURES = entries(
    {"reference": REFERENCES, "shipping_info": PARCELS},
    captured_amount=st.sampled_from([400, 500]),
    captured_at=TIMES,
)
REFUNDS = entries({"reference": REFERENCES}, refunded_amount=st.sampled_from([100, 400]), refunded_at=TIMES)


def possible(draft: Json) -> Json:
    """Nothing is captured or refunded before its order is made."""
    times = [entry["captured_at"] for entry in draft.get("captures", [])]
    times += [entry["refunded_at"] for entry in draft.get("refunds", [])]
    return draft | {"created_at": min(draft["created_at"], at(NOON - DAY // 2), *times)}


DRAFTS: Any = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["AUTHORIZED", "PART_CAPTURED", "CAPTURED", *ENDED]),
        "purchase_currency": st.sampled_from(["SEK", "EUR", "jpy"]),
        "order_amount": st.sampled_from([1000, 2500, 10000]),
        "created_at": TIMES,
        "expires_at": TIMES,
        "billing_address": st.sampled_from(PEOPLE).map(lambda person: person.address),
        "shipping_address": st.sampled_from(PEOPLE).map(lambda person: person.address),
    },
    optional={
        "merchant_reference1": REFERENCES,
        "merchant_reference2": REFERENCES,
        "klarna_reference": REFERENCES,
        "fraud_status": st.sampled_from(["ACCEPTED", "PENDING", "REJECTED"]),
        "shipping_info": st.just([{"tracking_number": "1"}]),
        "refunded_amount": st.just(500),
        "captures": CAPTURES,
        "refunds": REFUNDS,
    },
).map(possible)
SAMPLES: dict[str, list[Any]] = {
    "reference": [("A-1",), ("é-3",), ("20451",), ("0451", "ß-3"), ("451",), ("K-1",)],
    "status": [("AUTHORIZED",), ("CAPTURED", "EXPIRED"), ("CLOSED", "PART_CAPTURED")],
    "fraud_status": [("ACCEPTED",), ("PENDING", "REJECTED")],
    "currency": [("SEK",), ("JPY", "NOK")],
    "amount": [400, 500, 1000, 2500, 7],
    **{f"{what}_from": [NOON - DAY, NOON] for what in ("created", "captured", "refunded", "expires")},
    **{f"{what}_before": [NOON + 1, NOON + 2 * DAY] for what in ("created", "captured", "refunded", "expires")},
    "min_remaining": [0, 1, 2500],
    "to_capture": [NOON, NOON + 2 * DAY],
    "no_tracking": [True],
    "ever_disputed": [True],
    "only": [frozenset[int](), frozenset({0, 2, 3})],
    "person": SOUGHT,
}
"""Values of each argument. `only`: the numbers of orders; `person`: a part of one, and who has it."""
WANTED = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in SAMPLES.items()}).filter(
    lambda wanted: len(wanted) <= 5
)
BY = st.sampled_from(["created_at", "expires_at", "remaining_authorized_amount"])
DISPUTED_AT = 1.0
"""When webhooks told of disputes; readings from then on keep that."""


def instant(order: Mapping[str, Any], name: str) -> int:
    return int(datetime.fromisoformat(order[name]).timestamp() * 1000)


def letters(name: str) -> str:
    return "".join(filter(str.isalnum, normalize("NFKC", name).casefold()))


def as_written(name: str) -> str:
    return normalize("NFC", name).strip().lower()


def called(order: Json) -> set[str]:
    """Everything by which an order is called, besides its id."""
    names = [order.get(name) for name in ("merchant_reference1", "merchant_reference2", "klarna_reference")]
    names += [entry.get("klarna_reference") for entry in order["captures"]]
    names += [entry.get("reference") for entry in (*order["captures"], *order["refunds"])]
    return {name for name in names if name}


def exact(order: Json, references: tuple[str, ...]) -> bool:
    """Whether it is called so as it is written, but for case and blanks around it."""
    return {as_written(name) for name in called(order)} & {as_written(one) for one in references} != set()


def resembles(order: Json, reference: str) -> bool:
    """Whether letters and digits are the same, or the end of a name; or it is the beginning of the id."""
    part = letters(reference)
    names = {letters(name) for name in called(order)}
    ending = len(part) >= 4 and any(name.endswith(part) for name in names)
    return part in names or ending or (len(reference) >= 4 and order["order_id"].startswith(reference))


def has(order: Json, sought: Sought, who: str) -> bool:
    there = [one for one in PEOPLE if one.address in (order["billing_address"], order["shipping_address"])]
    part = "email" if sought.email else "phone" if sought.phone else "name"
    return any(getattr(one, part) == who for one in there)


def between(times: list[int], first: int | None, end: int | None) -> bool:
    return any((first is None or time >= first) and (end is None or time < end) for time in times)


def matches(order: Json, wanted: Json, ids: list[str], disputed: set[str]) -> bool:
    """The filter over an order as the simulator holds it, written by itself."""
    ended, left = order["status"] in ENDED, order["remaining_authorized_amount"]
    shipments = order.get("shipping_info", []) + [one for entry in order["captures"] for one in entry["shipping_info"]]
    captured = [instant(entry, "captured_at") for entry in order["captures"]]
    refunded = [instant(entry, "refunded_at") for entry in order["refunds"]]
    moved = [entry["captured_amount"] for entry in order["captures"]]
    moved += [entry["refunded_amount"] for entry in order["refunds"]]
    expires = instant(order, "expires_at")
    can_expire = (not ended and left > 0) or (ended and order["status"] in wanted.get("status", ()))
    asked: dict[str, Callable[[Any], bool]] = {
        "reference": lambda value: exact(order, value) or any(resembles(order, one) for one in value),
        "status": lambda value: order["status"] in value,
        "fraud_status": lambda value: order.get("fraud_status") in value,
        "currency": lambda value: order["purchase_currency"].upper() in value,
        "amount": lambda value: value in (order["order_amount"], *moved),
        "created_from": lambda value: instant(order, "created_at") >= value,
        "created_before": lambda value: instant(order, "created_at") < value,
        "captured_from": lambda value: between(captured, value, wanted.get("captured_before")),
        "captured_before": lambda value: between(captured, wanted.get("captured_from"), value),
        "refunded_from": lambda value: between(refunded, value, wanted.get("refunded_before")),
        "refunded_before": lambda value: between(refunded, wanted.get("refunded_from"), value),
        "expires_from": lambda value: can_expire and expires >= value,
        "expires_before": lambda value: can_expire and expires < value,
        "min_remaining": lambda value: left >= value,
        "to_capture": lambda now: left > 0 and order["status"] in ("AUTHORIZED", "PART_CAPTURED") and expires > now,
        "no_tracking": lambda _: order["captured_amount"] > 0 and not shipments,
        "ever_disputed": lambda _: order["order_id"] in disputed,
        "only": lambda numbers: order["order_id"] in {ids[number % len(ids)] for number in numbers},
        "person": lambda one: has(order, *one),
    }
    return all(asked[name](value) for name, value in wanted.items())


def rank(order: Json, by: SortKey) -> tuple[bool, int]:
    """The order of a search, written by itself: what it concerns comes first, and of the rest the newest."""
    left, ended = order["remaining_authorized_amount"], order["status"] in ENDED
    if by == "expires_at" and left > 0 and not ended:
        return False, instant(order, "expires_at")
    if by == "remaining_authorized_amount" and left > 0:
        return False, -left
    return True, -instant(order, "created_at")


class History:
    """Orders in the simulator and in the book, some of them changed or forgotten."""

    def __init__(
        self,
        database: BookDatabase,
        drafts: list[Json],
        changes: list[tuple[int, Json]],
        gone: list[int],
        disputes: set[int],
    ):
        self.database = database
        self.simulator = Simulator(clock=lambda: NOW, seeds=())
        self.people = PeopleDigests(on=True, account="a", directory=None, shared=False)
        self.people.load(database.write)
        self.ids = [str(self.simulator.add_order(draft).order["order_id"]) for draft in drafts]
        self.disputed = set(map(self._id, disputes))
        self.account = database.write(lambda tx: self._written(tx, changes, gone))
        self.left = {order_id for order_id in self.ids if order_id not in {self._id(index) for index in gone}}

    def _id(self, number: int) -> str:
        return self.ids[number % len(self.ids)]

    def _read(self, order_id: str, at: float) -> Any:
        record = self.simulator.store.find(order_id)
        assert record is not None
        order = Order.model_validate(record.order)
        disputed = at == DISPUTED_AT and order_id in self.disputed
        return entry_of(order, "call", at, disputed=disputed, people=self.people.of(order))

    def _written(self, tx: Any, changes: list[tuple[int, Json]], gone: list[int]) -> int:
        account = account_number(tx, "playground/M1")
        other = account_number(tx, "playground/M2")
        forget(tx, account, [row[0] for row in tx.rows("SELECT order_id FROM book WHERE account = :a", {"a": account})])
        put(tx, account, [self._read(order_id, DISPUTED_AT) for order_id in self.ids])
        put(tx, other, [self._read(order_id, 1.0) for order_id in self.ids[:2]])
        before = [self._read(order_id, 0.5) for order_id in self.ids]
        for index, draft in changes:
            self.simulator.add_order(draft | {"order_id": self._id(index)})
        put(tx, account, [self._read(order_id, 2.0) for order_id in self.ids])
        put(tx, account, before)  # what comes late must not win
        forget(tx, account, [self._id(index) for index in gone])
        return account

    def query(self, wanted: Json) -> Query:
        given = {name: value for name, value in wanted.items() if name not in ("person", "only")}
        query = Query(**given)
        if "only" in wanted:
            query = replace(query, only=frozenset(map(self._id, wanted["only"])))
        if "person" in wanted:
            query = replace(query, people=tuple(map(tuple, self.people.sought(wanted["person"][0]))))
        return query

    def hold(self, wanted: Json, by: SortKey, scoped: set[int], most: int = MOST_ADDED) -> None:
        """Compare a search with the filter over the orders themselves."""
        scope = {self._id(index) for index in scoped} if scoped else None
        visible = self.left if scope is None else self.left & scope
        records = [self.simulator.store.find(order_id) for order_id in visible]
        orders = [record.order for record in records if record is not None]
        expected = {
            str(order["order_id"]): order for order in orders if matches(order, wanted, self.ids, self.disputed)
        }
        query, asked = self.query(wanted), wanted.get("reference")
        called_so = {name for name, order in expected.items() if asked and exact(order, asked)}

        def ask(tx: Any) -> None:
            search = Search(tx, self.account, query, scope, most)

            def at(entry: Any) -> Any:
                return place(by, entry, alike=asked is not None and entry.order_id not in called_so)

            pages: list[Any] = []
            while part := search.page(by, 2, at(pages[-1]) if pages else None):
                pages += part
            found = [entry.order_id for entry in pages]
            assert sorted(found) == sorted(expected)
            names: tuple[str, ...] = asked or ()
            of_each = [sum(exact(order, (one,)) for order in expected.values()) for one in names]
            assert search.exact(pages) == called_so
            if len(called_so) <= most:
                assert search.exact_counts() == (len(called_so), [min(2, orders) for orders in of_each])
            ranks = [
                (asked is not None and order_id not in called_so, rank(expected[order_id], by)) for order_id in found
            ]
            assert ranks == sorted(ranks)
            self._hold_totals(search, expected, most)
            opened = {
                order_id
                for order_id, order in expected.items()
                if order["status"] not in ENDED and order["remaining_authorized_amount"] > 0
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
            assert (known.earlier, known.without_people) == (0, 0)

        self.database.read(ask)

    def _hold_totals(self, search: Search, expected: dict[str, Json], most: int) -> None:
        totals = search.totals()
        if totals.more:
            assert (totals.groups, len(expected) > most) == ([], True)
            return
        groups: dict[tuple[str, str], list[int]] = {}
        for order in expected.values():
            group = groups.setdefault((order["purchase_currency"].upper(), order["status"]), [0] * 6)
            for index, value in enumerate((1, *(order[name] for name in AMOUNTS))):
                group[index] += value
        counted = {
            (group["purchase_currency"], group["status"]): [group["orders"], *(group[name] for name in AMOUNTS)]
            for group in totals.groups
        }
        assert counted == groups


HALF_DAYS: list[Json] = [
    {
        "status": "CAPTURED",
        "purchase_currency": "SEK",
        "order_amount": 1000,
        "created_at": at(NOON + half * DAY // 2),
        "expires_at": "2026-04-20T00:00:00Z",
        "billing_address": PEOPLE[0].address,
        "shipping_address": PEOPLE[0].address,
    }
    for half in range(-80, 80)
]
"""Orders of many days, so that whole blocks, whole days and parts of a day are added up."""

HISTORY = given(
    drafts=st.lists(DRAFTS, min_size=1, max_size=8),
    changes=st.lists(st.tuples(st.integers(0, 9), DRAFTS), max_size=3),
    gone=st.lists(st.integers(0, 9), max_size=2),
    disputes=st.sets(st.integers(0, 9), max_size=3),
    scoped=st.sets(st.integers(0, 9), max_size=3),
    wanted=WANTED,
    by=BY,
    most=st.sampled_from([0, 1, 2, MOST_ADDED]),
)


def tell(
    database: BookDatabase,
    drafts: list[Json],
    changes: list[tuple[int, Json]],
    gone: list[int],
    disputes: set[int],
    scoped: set[int],
    wanted: Json,
    by: SortKey,
    most: int,
) -> None:
    History(database, drafts, changes, gone, disputes).hold(wanted, by, scoped, most)


def nothing_else(wanted: Json, by: str) -> Any:
    return example(
        drafts=HALF_DAYS, changes=[], gone=[], disputes=set(), scoped=set(), wanted=wanted, by=by, most=MOST_ADDED
    )


@HISTORY
@nothing_else({"created_from": NOON}, "created_at")
@nothing_else({"created_before": NOON}, "expires_at")
@settings(max_examples=25, deadline=None)
def test_a_search_equals_the_filter_over_the_orders_themselves(**story: Any) -> None:
    database = SqliteBook(None)
    tell(database, **story)
    database.close()


@pytest.mark.exam
@HISTORY
@settings(max_examples=1500, deadline=None)
def test_a_search_equals_the_filter_for_very_many_histories(**story: Any) -> None:
    database = SqliteBook(None)
    tell(database, **story)
    database.close()


@pytest.fixture
def shared(shared_database: str) -> Any:
    store = Store.postgres(SecretStr(shared_database), patience=PATIENCE)
    yield PostgresBook(store)
    store.close()


@HISTORY
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_search_in_postgresql_equals_it_as_well(shared: BookDatabase, **story: Any) -> None:
    tell(shared, **story)


def every_pair() -> Iterator[Json]:
    """Every argument with every value, and every pair of arguments."""
    for name, values in SAMPLES.items():
        yield from ({name: value} for value in values)
    for turn, (one, other) in enumerate(combinations(SAMPLES, 2)):
        yield {one: SAMPLES[one][turn % len(SAMPLES[one])], other: SAMPLES[other][turn % len(SAMPLES[other])]}
        yield {one: SAMPLES[one][0], other: SAMPLES[other][-1]}


def a_shop() -> list[Json]:
    """Orders of every status, each with another mixture of what is asked for."""
    names = ["A-1", "é-3", "WEB-20451", "SS-3", "K-1", None, " a-1"]
    captures = [[], [{"captured_amount": 500, "captured_at": at(NOON - DAY), "reference": "K-1"}]]
    captures.append([{"captured_amount": 400, "captured_at": at(NOON + day * DAY)} for day in (-2, 1)])
    return [
        {
            "status": ("AUTHORIZED", "PART_CAPTURED", "CAPTURED", "EXPIRED", "CLOSED", "CANCELLED")[number % 6],
            "purchase_currency": ("SEK", "jpy", "EUR")[number % 3],
            "order_amount": (1000, 2500)[number // 3 % 2],
            "created_at": at(NOON + (number % 5 - 3) * DAY),
            "expires_at": at(NOON + (number % 4 - 1) * DAY),
            "merchant_reference1": names[number % 7],
            "fraud_status": ("ACCEPTED", "PENDING")[number // 2 % 2],
            "captures": captures[number % 3],
            "refunds": [{"refunded_amount": 100, "refunded_at": at(NOON - DAY)}] * (number % 4 == 0),
            "shipping_info": [{"tracking_number": "1"}] * (number % 5 == 0),
            "billing_address": PEOPLE[number % 4].address,
            "shipping_address": PEOPLE[number // 4 % 4].address,
        }
        for number in range(30)
    ]


def hold_every_pair(database: BookDatabase, sample: int = 1) -> None:
    history = History(database, a_shop(), [], [7], {2, 3, 13})
    for turn, wanted in enumerate(every_pair()):
        if turn % sample == 0:
            for most in (3, MOST_ADDED):
                history.hold(wanted, "created_at", set(), most)


def test_some_pairs_of_arguments_equal_the_filter() -> None:
    database = SqliteBook(None)
    hold_every_pair(database, sample=17)
    database.close()


@pytest.mark.exam
def test_every_argument_and_every_pair_of_them_equals_the_filter() -> None:
    database = SqliteBook(None)
    hold_every_pair(database)
    database.close()


@pytest.mark.exam
def test_every_argument_and_every_pair_equals_it_in_postgresql_as_well(shared: BookDatabase) -> None:
    hold_every_pair(shared)


@pytest.mark.exam
@HISTORY
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_search_in_postgresql_equals_it_for_many_histories(shared: BookDatabase, **story: Any) -> None:
    tell(shared, **story)
