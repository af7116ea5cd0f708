"""The store that replicas share: its tables, who may make them, what its failures do, and what it never says."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx2 as httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, create_engine, inspect

from kustom_mcp.api.client import KustomClient
from kustom_mcp.api.retry import CoolDown
from kustom_mcp.app.app import SANDBOX_URL, App
from kustom_mcp.app.sandbox import SandboxTransport
from kustom_mcp.book import Book
from kustom_mcp.cli.audit import name_at_start, run
from kustom_mcp.settings.environment import load
from kustom_mcp.settings.settings import SANDBOX_KEY, ConfigError
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.state.audit_log import AuditUnavailable
from kustom_mcp.state.database import Store, StoreUnavailable, StoreUnfit, migrations
from kustom_mcp.state.database.tables import LEASES, PROBE, TABLES
from kustom_mcp.state.shared_cooldown import sharing
from kustom_mcp.state.spending_limits import LimitReached, LimitsBusy, LimitsUnavailable, Reservation, SpendingLimits
from tests.calls.faults_of_a_write import in_doubt, line_mended
from tests.calls.gated_operations import REFUND
from tests.calls.quick import quickly
from tests.support import postgres
from tests.support.conversation import Talk, conversation
from tests.support.oracles import excuse
from tests.support.unhurried import PATIENCE

T = TypeVar("T")
NOW = 1_767_355_200.0
SANDBOX: dict[str, Any] = {"KUSTOM_CONFIRM": "flag", "KUSTOM_MAX_DAILY": "SEK:1000000"}

IN_MIGRATIONS_ONLY = {"intents_by_account", "intents_by_order", "intents_unresolved"}
"""Indices that no statement names."""
BOOK = ", ".join(
    f"kustom_mcp.book{name}"
    for name in (
        *("", "_accounts", "_kinds", "_references", "_moves", "_people", "_unnamed", "_sums", "_imports"),
        *("_hints", "_feeds", "_silences", "_listeners", "_events"),
    )
)


@pytest.fixture(scope="module")
def server() -> Generator[postgres.Postgres]:
    """A server that may be stopped, killed and frozen."""
    if postgres.binaries() is None:
        pytest.skip("no PostgreSQL binaries here that a test could start and stop")
    with postgres.own_server() as own:
        yield own


@contextmanager
def opened(url: str, patience: float = PATIENCE) -> Generator[Store]:
    store = Store.postgres(SecretStr(url), patience=patience)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def built(**settings: str) -> Generator[App]:
    """An app that is not served."""
    app = App.of(load(settings).settings)
    assert app.store is not None
    try:
        yield app
    finally:
        app.store.close()


def impatient(app: App) -> None:
    """Failures are seen after half a second."""
    assert app.settings.store is not None
    app.store = Store.postgres(app.settings.store, patience=0.5)
    app.use(app.store)
    app.book = Book.of(None, app.store, app.account, 400, app.wall)


def test_the_migrations_make_the_tables_that_the_statements_use(shared_database: str) -> None:
    with opened(shared_database) as store:
        store.writable()
    engine = create_engine(shared_database.replace("postgresql:", "postgresql+psycopg:"))
    found = inspect(engine)
    for table in TABLES.tables.values():
        columns = {column["name"]: column["nullable"] for column in found.get_columns(table.name, "kustom_mcp")}
        assert columns == {column.name: bool(column.nullable) for column in table.columns}
        indices = {index["name"] for index in found.get_indexes(table.name, "kustom_mcp")}
        indices -= IN_MIGRATIONS_ONLY
        assert indices == {index.name for index in table.indexes}
    engine.dispose()


def test_replicas_that_start_together_make_the_tables_once(shared_database: str) -> None:
    stores = [Store.postgres(SecretStr(shared_database), patience=PATIENCE) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(Store.writable, stores)) == [None] * 6
    for store in stores:
        store.close()
    versions = postgres.query(shared_database, "SELECT version FROM kustom_mcp.schema_version ORDER BY version")
    assert versions == [(number,) for number in range(1, migrations.LATEST + 1)]


def test_an_older_schema_is_brought_up_to_date(shared_database: str) -> None:
    with opened(shared_database) as store:
        store.writable()
    postgres.query(
        shared_database,
        f"DROP TABLE kustom_mcp.tries, kustom_mcp.pauses, kustom_mcp.leases, kustom_mcp.secrets, {BOOK}; "
        "DROP TABLE kustom_mcp.people_keys, kustom_mcp.intents; "
        "ALTER TABLE kustom_mcp.former_intents RENAME TO intents; "
        "ALTER TABLE kustom_mcp.former_applied RENAME TO applied; "
        "CREATE INDEX intents_by_digest ON kustom_mcp.intents (digest); "
        "CREATE INDEX intents_by_key ON kustom_mcp.intents (key); "
        "CREATE INDEX applied_by_until ON kustom_mcp.applied (until); "
        "DELETE FROM kustom_mcp.schema_version WHERE version >= 3",
    )
    with opened(shared_database) as store:
        store.writable()
    assert postgres.query(shared_database, "SELECT count(*) FROM kustom_mcp.pauses") == [(0,)]


def test_a_newer_schema_is_refused_at_start_and_later(shared_database: str) -> None:
    with opened(shared_database) as store:
        store.writable()
    postgres.query(shared_database, "INSERT INTO kustom_mcp.schema_version VALUES (99)")
    with (
        built(KUSTOM_STORE=shared_database) as app,
        pytest.raises(ConfigError, match=r"KUSTOM_STORE: The store has schema 99, .* Update this one"),
    ):
        name_at_start(app)
    with built(KUSTOM_STORE=shared_database) as app, pytest.raises(LimitsUnavailable, match="schema 99"):
        app.limits.take("me", 9, None, NOW)


def test_an_account_that_may_not_make_tables_is_told_what_to_do(shared_database: str) -> None:
    account, password = f"poor_{shared_database[-6:]}", "canary-poor-5b1d"
    postgres.query(shared_database, f"CREATE ROLE {account} LOGIN PASSWORD '{password}'")
    rest = shared_database.partition("@")[2]
    poor = f"postgresql://{account}:{password}@{rest}"
    try:
        with opened(poor) as store, pytest.raises(StoreUnfit, match="CREATE SCHEMA kustom_mcp AUTHORIZATION"):
            store.writable()
        with opened(shared_database) as store:
            store.writable()
        with opened(poor) as store, pytest.raises(StoreUnfit, match="grant it USAGE"):
            store.writable()
        postgres.query(
            shared_database,
            f"GRANT USAGE ON SCHEMA kustom_mcp TO {account}; GRANT ALL ON ALL TABLES IN SCHEMA kustom_mcp TO {account}",
        )
        with opened(poor) as store:
            store.writable()
        postgres.query(shared_database, "DELETE FROM kustom_mcp.schema_version WHERE version >= 3")
        with opened(poor) as store, pytest.raises(StoreUnfit, match="older than this version"):
            store.writable()
    finally:
        postgres.query(shared_database, f"DROP OWNED BY {account}; DROP ROLE {account}")


def test_a_clock_that_differs_counts_by_that_of_the_database(shared_database: str) -> None:
    """A replica that is two days ahead neither forgets what others reserved nor is told of a time that is over."""

    class Ahead(Store):
        @property
        def skew(self) -> float:
            return -2 * 86_400.0

    with opened(shared_database) as right, opened(shared_database) as wrong:
        wrong.__class__ = Ahead
        here, ahead = SpendingLimits(right), SpendingLimits(wrong)
        here.take("me", 9, Reservation("a", "x", "refund", "SEK", 600, 1000), NOW)
        move = Reservation("b", "x", "refund", "SEK", 600, 1000)
        with pytest.raises(LimitReached) as full:
            ahead.take("me", 9, move, NOW + 2 * 86_400)
        assert (full.value.left, full.value.at) == (400, NOW + 3 * 86_400)
        with pytest.raises(LimitReached):
            here.look(move, NOW)


def test_closing_waits_for_a_thread_that_uses_the_store(tmp_path: Path) -> None:
    store, began, end = Store.file(tmp_path / "store.sqlite3", patience=PATIENCE), threading.Event(), threading.Event()

    def work(connection: Connection) -> object:
        began.set()
        assert end.wait(PATIENCE)
        return connection.execute(PROBE).rowcount

    with ThreadPoolExecutor(2) as pool:
        using = pool.submit(store.run, work)
        assert began.wait(PATIENCE)
        closing = pool.submit(store.close)
        wait([closing], timeout=0.2)
        end.set()
        assert using.result(PATIENCE) is not None
        closing.result(PATIENCE)
    assert store.run(lambda _: "open again") == "open again"
    store.close()


def test_waiting_for_ones_turn_is_busy_after_a_while(shared_database: str) -> None:
    move = Reservation("a", "x", "refund", "SEK", 1, 9)

    def busy() -> None:
        with pytest.raises(LimitsBusy):
            SpendingLimits(hasty).look(move, NOW)

    with opened(shared_database) as patient, opened(shared_database, 1.0) as hasty:
        at_last(lambda: SpendingLimits(hasty).look(move, NOW))  # it has its connection then
        patient.run(lambda _: at_last(busy), locks=["moved x/refund/SEK"])
        at_last(lambda: SpendingLimits(hasty).look(move, NOW))


def at_last(look: Callable[[], T]) -> T:
    """The result of a hasty store: on a busy machine it may not be fast enough each time."""
    for _ in range(1000):
        with suppress(LimitsBusy, LimitsUnavailable, AuditUnavailable):
            return look()
    raise AssertionError


def test_nothing_that_is_said_about_a_store_names_its_host_its_user_or_its_password(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = ("canary-pass", "canary_user", "canary-host", "canary_base")
    url = "postgresql://canary_user:canary-pass@canary-host.invalid:5/canary_base"
    settings = load({"KUSTOM_STORE": url}).settings
    app = App.of(settings)
    name_at_start(app)
    told = [repr(app), repr(settings), str(app.store.__dict__)]
    for attempt in (partial(app.limits.give_back, "a"), app.intents.unresolved):
        try:
            attempt()
        except Exception as error:
            told += [repr(error), "".join(traceback.format_exception(error))]
    assert run(None, settings) == 1
    told += [*capsys.readouterr(), caplog.text]
    assert "no writes will be sent" in told[-2]
    assert [secret for secret in secrets if secret in "\n".join(told)] == []


def test_without_the_extra_the_server_says_which_one_it_needs() -> None:
    program = (
        "import sys; sys.modules['psycopg'] = None\nfrom kustom_mcp.cli.parser import run; sys.exit(run(['serve']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"KUSTOM_STORE": "postgresql://canary_user:canary-pass@127.0.0.1/x"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "kustom-mcp: KUSTOM_STORE: It needs the extra `postgres`: install kustom-mcp[postgres].\n"


def test_a_url_that_cannot_be_read_is_an_error_without_the_url() -> None:
    settings = load({"KUSTOM_STORE": "postgresql://u:canary-pass@h/x?no_such_option=canary"}).settings
    with pytest.raises(ConfigError) as refused:
        App.of(settings)
    assert str(refused.value) == "KUSTOM_STORE: It cannot be read as the URL of a PostgreSQL database."


@contextmanager
def stopped(server: postgres.Postgres) -> Generator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def killed(server: postgres.Postgres) -> Generator[None]:
    server.stop("immediate")
    try:
        yield
    finally:
        server.start()


@contextmanager
def read_only(server: postgres.Postgres) -> Generator[None]:
    postgres.query(server.url, "ALTER SYSTEM SET default_transaction_read_only = on")
    postgres.query(server.url, "SELECT pg_reload_conf()")
    try:
        yield
    finally:
        writing = f"{server.url}?options=-cdefault_transaction_read_only%3Doff"
        postgres.query(writing, "ALTER SYSTEM RESET default_transaction_read_only")
        postgres.query(writing, "SELECT pg_reload_conf()")


FAILURES: dict[str, Callable[[postgres.Postgres], Any]] = {
    "stopped": stopped,
    "killed": killed,
    "frozen": postgres.Postgres.frozen,
    "read-only": read_only,
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_a_store_that_fails_stops_writes_and_not_reads_and_is_used_again_when_it_is_back(
    server: postgres.Postgres, failure: Callable[[postgres.Postgres], Any]
) -> None:
    with postgres.database(server.url) as url:
        async with conversation(host=impatient, KUSTOM_STORE=url, **SANDBOX) as talk:
            order_id, given = REFUND.begin(talk)
            while not await talk.app.store_writable():
                pass
            with failure(server):
                answer = await talk.call(REFUND.tool, given, confirm=True)
                assert (answer["outcome"], talk.sent) == ("not_sent", [])
                assert answer["error"]["code"] in ("AUDIT_UNAVAILABLE", "BUSY")
                assert (await talk.call("get_order", order_id=order_id))["outcome"] == "ok"
                assert not await talk.app.store_writable()
            assert (await when_it_is_back(talk, given))["outcome"] == "applied"


async def when_it_is_back(talk: Talk, given: dict[str, Any]) -> dict[str, Any]:
    """The first answer that the store does not keep from being given, before or after a doubt."""
    while True:
        answer = await talk.call(REFUND.tool, given, confirm=True)
        stopped = answer.get("error", {}).get("code") in ("AUDIT_UNAVAILABLE", "BUSY")
        if not stopped and "its own records" not in answer["summary"]:
            return answer


class CrashesTheStore(SandboxTransport):
    """Kustom, but when it has carried out the first write, the store goes."""

    def __init__(self, sandbox: Simulator, store: postgres.Postgres) -> None:
        super().__init__(sandbox)
        self.store: postgres.Postgres | None = store

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if request.method == "POST" and self.store is not None:
            self.store.stop("immediate")
            self.store = None
        return response


async def test_a_write_that_was_sent_is_told_although_the_store_went_and_is_settled_when_it_is_back(
    server: postgres.Postgres,
) -> None:
    sandbox = Simulator()

    def host(app: App) -> None:
        impatient(app)
        crashing = CrashesTheStore(sandbox, server)
        app.client = KustomClient(SANDBOX_URL, "sandbox", SecretStr(SANDBOX_KEY), transport=crashing)

    with postgres.database(server.url) as url:
        async with conversation(host=host, simulator=sandbox, KUSTOM_STORE=url, **SANDBOX) as talk:
            order_id, given = REFUND.begin(talk)
            answer = await when_it_is_back(talk, given)
            assert (answer["outcome"], answer.get("error")) == ("applied", None)
            server.start()
            # The call that was cut off holds its lease until it ends by itself.
            at_last(lambda: talk.app.records.run(lambda connection: connection.execute(LEASES.delete())))
            assert [one.key for one in at_last(talk.app.intents.unresolved)] == [talk.writes[0].key]
            assert (await when_it_is_back(talk, given))["outcome"] == "applied"
            excuse(sandbox, "the outcome of the same wish was told before, and could not be recorded")
            assert (at_last(talk.app.intents.unresolved), talk.stored(order_id)["refunded_amount"]) == ([], 5000)


async def test_what_is_open_in_the_store_is_listed_and_named_to_its_own_server(
    shared_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    here: dict[str, Any] = {"KUSTOM_STORE": shared_database, "KUSTOM_CONFIRM": "flag"}
    async with conversation(host=quickly, **here) as talk:
        _, given = REFUND.begin(talk)
        in_doubt(talk, "lose_response")
        assert (await talk.call(REFUND.tool, given, confirm=True))["outcome"] == "unknown"
        line_mended(talk)
        name_at_start(talk.app)
        assert "no outcome yet: kustom_refund_order refund-50.00SEK" in capsys.readouterr().err
        assert run(None, talk.app.settings) == 1
        assert "server     sandbox" in capsys.readouterr().out
    elsewhere = {"KUSTOM_ENVIRONMENT": "playground", "KUSTOM_API_KEY": "kco_test_x", "KUSTOM_USERNAME": "M200"}
    with built(KUSTOM_STORE=shared_database, **elsewhere) as app:
        name_at_start(app)
    assert capsys.readouterr().err == ""


async def test_a_pause_that_one_replica_was_asked_for_is_kept_by_the_other(shared_database: str) -> None:
    def wall() -> float:
        return NOW

    with opened(shared_database) as one, opened(shared_database) as other:
        mine, strangers = CoolDown(lambda: 0.0), CoolDown(lambda: 0.0)
        heard = anyio.Event()

        class Listening(CoolDown):
            def join(self, seconds: float) -> None:
                super().join(seconds)
                if self.remaining:
                    heard.set()

        theirs = Listening(lambda: 0.0)
        async with sharing(mine, one, "a", wall), sharing(strangers, other, "b", wall):
            mine.start(40.0)
            with anyio.fail_after(PATIENCE):
                async with sharing(theirs, other, "a", wall):
                    await heard.wait()
        assert (theirs.remaining, strangers.remaining) == (40.0, 0.0)


async def test_pauses_are_kept_here_while_the_store_is_down() -> None:
    with opened("postgresql://u:p@127.0.0.1:1/x") as store:
        cool_down = CoolDown(lambda: 0.0)
        async with sharing(cool_down, store, "a", lambda: NOW):
            for _ in range(40):
                cool_down.start(7.0)
            assert cool_down.remaining == 7.0
        with pytest.raises(StoreUnavailable):
            store.writable()
