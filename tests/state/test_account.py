"""Accounts: environment, API origin and merchant tell them apart, an API key does not, and what earlier versions kept
under other names is found again - but for what several merchants may have shared."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from kustom_mcp.api.client import KustomClient
from kustom_mcp.app.app import App
from kustom_mcp.app.sandbox import SandboxTransport
from kustom_mcp.book import Book, completeness, hints, imports
from kustom_mcp.book.database import BookDatabase, BookTransaction
from kustom_mcp.book.entry import BookEntry, OrderKind
from kustom_mcp.book.hints import Hint
from kustom_mcp.book.postgres import PostgresBook
from kustom_mcp.book.sqlite import SqliteBook
from kustom_mcp.book.writing import account_number, put
from kustom_mcp.cli.audit import ceilings_at_start, name_at_start, shared_at_start
from kustom_mcp.cli.book.runner import patiently
from kustom_mcp.settings.environment import load
from kustom_mcp.settings.settings import ConfigError
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.state.account import Account, account_of
from kustom_mcp.state.database import Store
from kustom_mcp.state.spending_limits import LimitReached, Reservation, SpendingLimits
from tests.calls.faults_of_a_write import in_doubt, line_mended
from tests.calls.gated_operations import DUE_DATE, REFUND
from tests.calls.quick import quickly
from tests.support import before, postgres
from tests.support.conversation import Talk, conversation, demo
from tests.support.unhurried import PATIENCE

OWN = "https://api.playground.kustom.co"
KEY = "kco_test_api_sandbox"
TOWEL = demo("captured-sek")
MINE = "ONLY-HERE-1"
NOW = 1_767_355_200.0
FLAG: dict[str, Any] = {"KUSTOM_API_KEY": KEY, "KUSTOM_CONFIRM": "flag", "KUSTOM_TOOLS": "all"}


def settings(**given: str) -> Any:
    return load({f"KUSTOM_{name.upper()}": value for name, value in given.items()}).settings


@pytest.mark.parametrize(
    ("username", "merchant", "expected"),
    [
        ("PM12345-abc", "", ("PM12345", ("PM12345",), ("",))),
        ("pm12345_abc", "", ("PM12345", ("pm12345_abc",), ("",))),
        ("M123", "", ("M123", ("M123",), ("",))),
        ("K501664_9c5-x", "", ("K501664", ("K501664_9c5-x",), ("",))),
        ("DM11917000-a", "", ("DM11917000", ("DM11917000-a",), ("",))),
        ("shop-1", "dm11917000", ("DM11917000", ("shop-1",), ("",))),
        ("M1-a", "M1", ("M1", ("M1",), ("",))),
        ("M1-a", "PM777", ("PM777", (), ("M1", ""))),
        ("Main", "PM777", ("PM777", (), ("Main", ""))),
        ("PM12345-abc", "PM777", ("PM777", (), ("PM12345", ""))),
        ("", "PM777", ("PM777", (), ("",))),
    ],
)
def test_an_account_has_the_merchant_and_knows_what_was_the_merchants_before(
    username: str, merchant: str, expected: tuple[str, tuple[str, ...], tuple[str, ...]]
) -> None:
    for environment, key, origin in (("production", "kco_live_x", "https://api.kustom.co"), ("playground", KEY, OWN)):
        found = account_of(settings(username=username, merchant=merchant, api_key=key))
        assert found == Account(environment, origin, *expected)
        assert found.name == f"{environment}/{origin}/{expected[0]}"


def test_the_sandbox_needs_no_merchant_and_keeps_what_it_had() -> None:
    found = account_of(settings())
    assert (found.name, found.title, found.former, found.shared) == ("sandbox/embedded:/", "sandbox", ("",), ())
    assert found.was_named("sandbox/")
    assert not found.was_named(found.name)
    assert account_of(settings(environment="sandbox", username="x", merchant="M1")).name == "sandbox/embedded:/M1"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("HTTPS://Proxy.Example:443/kustom/", "https://proxy.example"),
        ("https://proxy.example.", "https://proxy.example"),
        ("http://127.0.0.1:80/a", "http://127.0.0.1"),
        ("http://[::1]:8090", "http://[::1]:8090"),
        ("https://proxy.example:8443", "https://proxy.example:8443"),
    ],
)
def test_an_address_has_one_origin_however_it_is_written(url: str, origin: str) -> None:
    assert account_of(settings(username="M123", api_key="x", environment="playground", api_url=url)).origin == origin


@pytest.mark.parametrize(
    "given",
    [
        {"api_key": "kco_live_x", "username": "shop-1"},
        {"api_key": "kco_live_x", "username": "M12-shop"},
        {"api_key": "kco_live_x"},
        {"api_key": "x", "environment": "production", "api_url": "https://proxy.example"},
        {"api_key": "kco_test_x", "username": "demo", "store": "postgresql://u:p@db.example/x"},
    ],
)
def test_production_and_a_shared_store_need_a_merchant(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"^KUSTOM_MERCHANT: It must be given for (production|a shared store)"):
        settings(**given)
    assert settings(**given, merchant="PM777").merchant == "PM777"


@pytest.mark.parametrize("merchant", ["PM12345-abc", "PM 1", "x" * 33, "PM1,PM2", "ÅM1"])
def test_a_merchant_that_is_none_is_refused(merchant: str) -> None:
    with pytest.raises(ConfigError, match=r"^KUSTOM_MERCHANT: It is the merchant id \(MID\) alone"):
        settings(api_key="kco_test_x", merchant=merchant)


def test_a_merchant_that_the_user_name_contradicts_counts_and_is_said() -> None:
    found = load({"KUSTOM_API_KEY": KEY, "KUSTOM_USERNAME": "PM12345-a", "KUSTOM_MERCHANT": "pm777"})
    assert found.settings.merchant == "PM777"
    assert found.warnings == (
        "KUSTOM_MERCHANT is not the merchant that KUSTOM_USERNAME begins with; KUSTOM_MERCHANT counts.",
    )
    assert load({"KUSTOM_API_KEY": KEY, "KUSTOM_USERNAME": "pm777-a", "KUSTOM_MERCHANT": "PM777"}).warnings == ()


def test_in_the_playground_a_merchant_that_nothing_tells_gets_a_name_for_each_address(tmp_path: Path) -> None:
    def name(**more: str) -> str:
        return account_of(settings(api_key=KEY, state_dir=str(tmp_path / "s"), **more)).merchant

    here, there = name(), name(api_url="http://127.0.0.1:1")
    assert here.startswith("UNNAMED")
    assert here != there
    assert (name(), name(username="demo"), name(api_url="http://127.0.0.1:1/x")) == (here, here, there)
    assert name(merchant="PM777") == "PM777"
    assert settings(api_key=KEY, username="demo").portal_url("x").endswith("/orders/list/x")
    kept = list((tmp_path / "s" / "accounts").iterdir())
    assert sorted(json.loads(path.read_text())["merchant"] for path in kept) == sorted([here, there])
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}


def test_servers_that_start_together_agree_on_the_name(tmp_path: Path) -> None:
    program = (
        "import sys; from kustom_mcp.state.account import account_of; "
        "from kustom_mcp.settings.environment import load; "
        f"print(account_of(load({{'KUSTOM_API_KEY': {KEY!r}, 'KUSTOM_STATE_DIR': sys.argv[1]}}).settings).merchant)"
    )

    def started(_: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
        ).stdout

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(started, range(6)))) == 1
    assert [path.suffix for path in (tmp_path / "accounts").iterdir()] == [".json"]


@pytest.mark.parametrize("what", ["no directory", "damaged"])
def test_a_server_whose_name_cannot_be_kept_starts_and_says_so(
    what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state"
    account_of(settings(api_key=KEY, state_dir=str(state)))
    if what == "damaged":
        (path,) = (state / "accounts").iterdir()
        path.write_text("{")
    else:
        state = tmp_path / "file"
        state.write_text("")
    found = {account_of(settings(api_key=KEY, state_dir=str(state))).merchant for _ in range(2)}
    assert len(found) == 2
    assert "no name can be kept in the state directory" in caplog.text


async def _refunded(talk: Talk, amount: int, order_id: str = TOWEL) -> str:
    answer = await talk.call("refund_order", order_id=order_id, refunded_amount=amount, confirm=True)
    return str(answer.get("error", {}).get("code", answer["outcome"]))


async def _knows(talk: Talk, reference: str = MINE) -> bool:
    """True if the order book does; what is not in the sandbox any more is not read again."""
    return bool((await talk.call("find_orders", reference=reference, max_age=10**8))["orders"])


async def _met(talk: Talk, reference: str = MINE) -> None:
    """Let it meet an order with this reference."""
    await talk.call("get_order", order_id=talk.order(merchant_reference1=reference))
    assert await _knows(talk, reference)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({}, {"KUSTOM_API_URL": "http://127.0.0.1:1"}, id="no user name, two addresses"),
        pytest.param(
            {"KUSTOM_USERNAME": "M100"}, {"KUSTOM_USERNAME": "M100", "KUSTOM_API_URL": "http://[::1]:1"}, id="address"
        ),
        pytest.param({"KUSTOM_MERCHANT": "M1"}, {"KUSTOM_MERCHANT": "M2"}, id="merchant"),
    ],
)
async def test_two_accounts_in_one_place_share_neither_book_nor_ceilings_nor_keys(
    one: dict[str, Any], other: dict[str, Any], tmp_path: Path
) -> None:
    shared: dict[str, Any] = {**FLAG, "KUSTOM_STATE_DIR": str(tmp_path), "KUSTOM_MAX_DAILY": "SEK:5000"}
    keys: list[str | None] = []
    for mine in (one, other):
        async with conversation(**shared, **mine) as talk:
            assert not await _knows(talk)
            await _met(talk)
            assert [await _refunded(talk, 5000), await _refunded(talk, 1)] == ["applied", "LIMIT_EXCEEDED"]
            keys += [seen.key for seen in talk.writes]
    assert len(set(keys)) == 2


async def test_a_new_api_key_or_user_name_of_the_merchant_changes_nothing(tmp_path: Path) -> None:
    sandbox = Simulator()

    def whose_key_is_the_sandboxes(app: App) -> None:
        app.client = KustomClient(OWN, "", SecretStr(KEY), transport=SandboxTransport(sandbox))

    shared: dict[str, Any] = {"KUSTOM_ENVIRONMENT": "playground", "KUSTOM_STATE_DIR": str(tmp_path)}
    shared |= {"KUSTOM_CONFIRM": "code", "KUSTOM_KEYS": "k" * 32, "KUSTOM_MAX_DAILY": "SEK:5000"}
    given = {"order_id": TOWEL, "refunded_amount": 1000}
    first: dict[str, Any] = {"KUSTOM_API_KEY": KEY, "KUSTOM_USERNAME": "PM12345-a"}
    async with conversation(simulator=sandbox, **shared, **first) as talk:
        await _met(talk)
        assert (await talk.confirmed("refund_order", {**given, "refunded_amount": 3000}))["outcome"] == "applied"
        code = (await talk.call("refund_order", given))["confirm"]["code"]
    second: dict[str, Any] = {"KUSTOM_API_KEY": "another", "KUSTOM_USERNAME": "pm12345_b"}
    async with conversation(simulator=sandbox, host=whose_key_is_the_sandboxes, **shared, **second) as talk:
        assert await _knows(talk)
        assert (await talk.call("refund_order", given, confirm=code))["outcome"] == "applied"
        refused = await talk.call("refund_order", order_id=TOWEL, refunded_amount=1001)
        assert refused["error"]["code"] == "LIMIT_EXCEEDED"


UPGRADED: list[tuple[str, dict[str, Any]]] = [
    ("PM12345", {"KUSTOM_USERNAME": "PM12345-abc"}),
    ("PM12345", {"KUSTOM_USERNAME": "PM12345-abc", "KUSTOM_API_URL": "http://127.0.0.1:1"}),
    ("PK777_x", {"KUSTOM_USERNAME": "PK777_x"}),
    ("shop-7", {"KUSTOM_USERNAME": "shop-7", "KUSTOM_MERCHANT": "ACME1"}),
    ("demo", {"KUSTOM_USERNAME": "demo"}),
]
RENAMED: list[tuple[str, dict[str, Any]]] = [
    ("PM12345", {"KUSTOM_USERNAME": "PM12345_other"}),
    ("PM12345_old", {"KUSTOM_USERNAME": "PM12345-abc"}),
]
"""Another user name of the same merchant since then."""


@pytest.mark.parametrize(("merchant", "mine"), [*UPGRADED, *RENAMED])
async def test_what_an_earlier_version_kept_is_read_and_counted_under_the_new_name(
    merchant: str, mine: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before.left(tmp_path, merchant)
    shared: dict[str, Any] = {**FLAG, **mine, "KUSTOM_STATE_DIR": str(tmp_path), "KUSTOM_MAX_DAILY": "SEK:6000"}
    for again in (False, True):
        async with conversation(**shared) as talk:
            assert (before.ORDER, await _knows(talk, "SE-19977")) == (TOWEL, True)
            assert await _refunded(talk, 1) == "WRITE_IN_DOUBT"
            other, _ = REFUND.begin(talk)
            assert await _refunded(talk, 301 if not again else 201, other) == "LIMIT_EXCEEDED"
            assert again or await _refunded(talk, 100, other) == "applied"
            assert [one.key for one in talk.app.intents.unresolved()] == [before.DOUBTED]
            name_at_start(talk.app)
            shared_at_start(talk.app)
            assert "no outcome yet: kustom_refund_order refund-7.00SEK" in capsys.readouterr().err
    with closing(sqlite3.connect(tmp_path / "store.sqlite3")) as limits:
        sums = limits.execute("SELECT account, sum(amount) FROM moved GROUP BY account").fetchall()
    assert sums == [(talk.app.account.name, 5800)]


def test_the_records_of_before_are_as_this_file_says() -> None:
    refund = {"order_id": before.ORDER, "refunded_amount": 700}
    assert before.digest("playground", "PM12345", "kustom_refund_order", refund) == before.DIGEST
    assert (
        before.digest("playground", "PM12345", "kustom_refund_order", refund | {"refunded_amount": 5000})
        == before.APPLIED[1]
    )


@pytest.mark.parametrize(
    ("merchant", "mine"),
    [*UPGRADED, ("", {}), ("Main", {"KUSTOM_USERNAME": "Main-1"}), ("", {"KUSTOM_MERCHANT": "M1"})],
)
@pytest.mark.parametrize("fault", ["lose_response", "reset"])
async def test_a_write_that_an_earlier_version_left_in_doubt_is_settled_with_its_own_key(
    fault: str, merchant: str, mine: dict[str, Any], tmp_path: Path
) -> None:
    sandbox = Simulator()
    shared: dict[str, Any] = {**FLAG, **mine, "KUSTOM_STATE_DIR": str(tmp_path)}
    async with conversation(simulator=sandbox, host=quickly, **shared) as talk:
        order_id, given = REFUND.begin(talk)
        in_doubt(talk, fault)
        assert (await talk.call(REFUND.tool, given, confirm=True))["outcome"] == "unknown"
        line_mended(talk)
    before.as_before(talk.app, merchant, [("kustom_refund_order", given)])
    async with conversation(simulator=sandbox, host=quickly, **shared) as again:
        answer = await again.call(REFUND.tool, given, confirm=True)
        assert answer["outcome"] == "applied"
        assert {seen.key for seen in [*talk.writes, *again.writes]} == {talk.writes[0].key}
        assert (again.stored(order_id)["refunded_amount"], again.app.intents.unresolved()) == (5000, [])


async def test_a_call_that_an_earlier_version_carried_out_is_not_repeated(tmp_path: Path) -> None:
    """One whose effect no order shows, so that only the record of it tells."""
    sandbox = Simulator()
    shared: dict[str, Any] = {**FLAG, "KUSTOM_USERNAME": "PK777_x", "KUSTOM_STATE_DIR": str(tmp_path)}
    async with conversation(simulator=sandbox, **shared) as talk:
        _, given = DUE_DATE.begin(talk)
        assert (await talk.call(DUE_DATE.tool, given, confirm=True))["outcome"] == "applied"
    before.as_before(talk.app, "PK777_x", [(f"kustom_{DUE_DATE.tool}", given)])
    async with conversation(simulator=sandbox, **shared) as again:
        again.mark()
        answer = await again.call(DUE_DATE.tool, given, confirm=True)
        assert (answer["outcome"], again.sent) == ("already_applied", [])


@pytest.mark.parametrize(
    ("merchant", "mine"),
    [
        ("", {}),
        ("", {"KUSTOM_MERCHANT": "PM777"}),
        ("", {"KUSTOM_USERNAME": "PM777-abc"}),
        ("", {"KUSTOM_USERNAME": "shop-7", "KUSTOM_MERCHANT": "PM777"}),
        ("Main", {"KUSTOM_USERNAME": "Main-1", "KUSTOM_MERCHANT": "PM777"}),
        ("M1", {"KUSTOM_USERNAME": "M1-abc"}),
        ("PM12345", {"KUSTOM_USERNAME": "PM12345-abc", "KUSTOM_MERCHANT": "PM777"}),
    ],
)
async def test_what_several_merchants_may_have_shared_is_left_and_said(
    merchant: str, mine: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before.left(tmp_path, merchant)
    shared: dict[str, Any] = {**FLAG, **mine, "KUSTOM_STATE_DIR": str(tmp_path), "KUSTOM_MAX_DAILY": "SEK:6000"}
    for amount in (3000, 2900):
        async with conversation(**shared) as talk:
            name_at_start(talk.app)
            shared_at_start(talk.app)
            said = capsys.readouterr().err
            assert said.startswith(
                "kustom-mcp: an earlier version kept this where KUSTOM_USERNAME did not tell merchants"
            )
            assert (
                "writes without an outcome: 1, reservations of daily ceilings: 2, orders in the order book: 1" in said
            )
            assert said.count("\n") == 1
            assert await _refunded(talk, 1) == "WRITE_IN_DOUBT"
            assert await _refunded(talk, amount, REFUND.begin(talk)[0]) == "applied"
    old = f"playground/{merchant}"
    with closing(sqlite3.connect(tmp_path / "store.sqlite3")) as limits:
        assert limits.execute("SELECT sum(amount) FROM moved WHERE account = ?", (old,)).fetchall() == [(5700,)]
    with closing(sqlite3.connect(tmp_path / "book" / "book.sqlite3")) as book:
        found = "SELECT name, order_id FROM book JOIN book_accounts USING (account) ORDER BY account"
        assert book.execute(found).fetchone() == (old, TOWEL)


def test_a_server_says_at_its_start_what_was_left(tmp_path: Path) -> None:
    before.left(tmp_path, "")
    env = {"KUSTOM_API_KEY": KEY, "KUSTOM_STATE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "kustom_mcp"],
        env=env,
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.startswith("kustom-mcp: an earlier version kept this where KUSTOM_USERNAME did not")
    assert "writes without an outcome: 1" in done.stderr


async def test_nothing_is_said_where_nothing_was_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with conversation(**FLAG, KUSTOM_STATE_DIR=str(tmp_path / "state")) as talk:
        shared_at_start(talk.app)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("ceilings", "unnamed"),
    [
        ({"KUSTOM_MAX_AMOUNT": "SEK:500000,EUR:50000"}, {"KUSTOM_MAX_AMOUNT": "NOK"}),
        (
            {"KUSTOM_MAX_AMOUNT": "NOK:1", "KUSTOM_MAX_DAILY": "EUR:1"},
            {"KUSTOM_MAX_AMOUNT": "EUR", "KUSTOM_MAX_DAILY": "NOK"},
        ),
        ({"KUSTOM_MAX_AMOUNT": "SEK:1,*:0"}, {}),
        ({"KUSTOM_MAX_AMOUNT": "SEK:1", "KUSTOM_WRITES": "deny"}, {}),
        ({}, {}),
    ],
)
async def test_currencies_of_the_book_that_a_ceiling_does_not_name_are_told_at_the_start(
    ceilings: dict[str, Any], unnamed: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator = Simulator(seeds=())
    async with conversation(simulator=simulator, KUSTOM_STATE_DIR=str(tmp_path), **ceilings) as talk:
        ceilings_at_start(talk.app)
        for currency in ("EUR", "NOK"):
            order = simulator.add_order({"purchase_currency": currency}).order["order_id"]
            await talk.call("get_order", {"order_id": order})
        await talk.call("find_orders", {"status": "AUTHORIZED"})
        ceilings_at_start(talk.app)
    assert capsys.readouterr().err == "".join(
        f"kustom-mcp: {name} does not name {currency}, a currency of orders in the order book: its ceiling there is 0. "
        f"Add {currency}:AMOUNT in minor units, or *:AMOUNT for every other currency\n"
        for name, currency in unnamed.items()
    )


def _entry(number: int, read_at: int, *, disputed: bool = False, amount: int = 100) -> BookEntry:
    kind = OrderKind("SEK", "AUTHORIZED", "", True, True, disputed, "call")
    order_id = f"00000000-0000-4000-8000-{number:012}"
    return BookEntry(
        order_id, kind, f"R-{number}", None, None, None, amount, amount, 0, 0, amount, 10**12, 0, 0, 0, read_at
    )


def _two_books(tx: BookTransaction, new: str) -> None:
    """Files that two user names of one merchant, and the merchant since, have kept."""
    one, other, mine = (account_number(tx, name) for name in ("production/PK777_x", "production/PK777_y", new))
    stranger = account_number(tx, "production/PK778_x")
    put(tx, one, [_entry(number, 1000 + number) for number in range(1200)])
    put(tx, other, [_entry(5, 9000, amount=77), _entry(6, 5, disputed=True), _entry(5000, 1)])
    put(tx, mine, [_entry(7, 9000, amount=55)])
    put(tx, stranger, [_entry(1, 1)])
    hints.add(tx, one, [Hint("a", "webhook", verified=True, disputed=True), Hint("b", "push")], 1)
    hints.add(tx, mine, [Hint("a", "push")], 1)
    imports.keep(tx, other, "file", 7, 1, 1.0)
    for account in (one, mine):
        completeness.begin(tx, account, "x", 10, 1)


@pytest.mark.parametrize("shared", [False, True])
async def test_the_books_of_one_merchant_are_put_together(
    shared: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = Store.postgres(SecretStr(request.getfixturevalue("shared_database")), patience=PATIENCE) if shared else None
    database: BookDatabase = PostgresBook(store) if store else SqliteBook(tmp_path / "book" / "book.sqlite3")
    account = account_of(settings(username="pk777-z", api_key="kco_live_x"))
    database.write(lambda tx: _two_books(tx, account.name))
    books = [Book.of(tmp_path, store, account, 36_500, lambda: 2e9) for _ in range(3)]

    def looked(tx: BookTransaction, number: int) -> tuple[Any, ...]:
        mine = {"account": number}
        return (
            tx.rows("SELECT count(*), sum(order_amount) FROM book WHERE account = :account", mine),
            tx.rows("SELECT sum(orders), sum(order_amount) FROM book_sums WHERE account = :account AND day = -1", mine),
            tx.rows("SELECT count(*) FROM book_references WHERE account = :account", mine),
            tx.rows(
                "SELECT count(*) FROM book JOIN book_kinds USING (kind) WHERE account = :account AND disputed = 1", mine
            ),
            sorted(claimed.hint for claimed in hints.waiting(tx, number)),
            imports.done(tx, number, "file"),
            tx.rows("SELECT since FROM book_feeds WHERE account = :account", mine),
            tx.rows("SELECT name FROM book_accounts ORDER BY account"),
        )

    found: list[Any] = []
    async with anyio.create_task_group() as together:
        for book in books:

            async def ask(book: Book = book) -> None:
                found.append(await patiently(lambda: book.ask(looked)))

            together.start_soon(ask)
    orders, amounts = 1201, 1199 * 100 + 77 + 55
    assert (
        found
        == [
            (
                [(orders, amounts)],
                [(orders, amounts)],
                [(orders,)],
                [(1,)],
                [Hint("a", "webhook", True, True), Hint("b", "push")],
                (7, 1),
                [(0,)],
                [(account.name,), ("production/PK778_x",)],
            )
        ]
        * 3
    )
    database.close()
    if store:
        store.close()


async def test_a_single_book_is_renamed_as_it_stands(tmp_path: Path) -> None:
    database = SqliteBook(tmp_path / "book" / "book.sqlite3")

    def kept(tx: BookTransaction) -> None:
        number = account_number(tx, "production/PM777")
        put(tx, number, [_entry(1, 10)])
        completeness.begin(tx, number, "x", 10, 1)

    database.write(kept)
    book = Book.of(tmp_path, None, account_of(settings(username="PM777-x", api_key="kco_live_x")), 36_500, lambda: 2e9)
    since = await book.ask(lambda tx, number: tx.rows("SELECT since FROM book_feeds WHERE account = :n", {"n": number}))
    assert since == [(10,)]
    database.close()


def test_ceilings_of_a_shared_store_are_taken_over_by_servers_that_start_together(shared_database: str) -> None:
    account = account_of(settings(username="pk777-z", api_key="kco_live_x"))
    first = Store.postgres(SecretStr(shared_database), patience=PATIENCE)
    first.writable()
    rows = [("a", "production/PK777_x", 300), ("b", "production/PK777_y", 400), ("c", "production/PK778_x", 900)]
    rows += [("d", account.name, 100), ("e", "playground/PK777_x", 900), ("f", "production/", 900)]
    for key, name, amount in rows:
        postgres.query(
            shared_database,
            f"INSERT INTO kustom_mcp.moved VALUES ('{key}', '{name}', 'refund', 'SEK', {amount}, {NOW}, 1)",
        )

    def counted(_: int) -> int:
        store = Store.postgres(SecretStr(shared_database), patience=PATIENCE)
        with pytest.raises(LimitReached) as full:
            SpendingLimits(store, account=account).look(Reservation("x", account.name, "refund", "SEK", 201, 1000), NOW)
        store.close()
        return full.value.left

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(counted, range(4))) == [200] * 4
    first.close()


async def test_a_search_says_what_a_book_of_an_earlier_version_does_not_tell(tmp_path: Path) -> None:
    before.left(tmp_path, "PM12345")
    with closing(sqlite3.connect(tmp_path / "book" / "book.sqlite3")) as book, book:
        book.execute("UPDATE book SET order_id = ?, merchant_reference1 = 'OLD-1'", ("0" + before.ORDER[1:],))
    async with conversation(**FLAG, KUSTOM_USERNAME="PM12345-abc", KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        answer = await talk.call("find_orders", reference="OLD-1", max_age=10**8)
    assert answer["summary"] == (
        "Of 1 order kept by version 0.1 I do not know single captures and refunds, nor their references, until they "
        "are read again. 1 of the 22 orders I know matches."
    )
