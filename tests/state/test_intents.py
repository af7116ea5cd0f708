"""Intents: one row a write, sent by compare-and-set, and leases that put writes in a row; in each kind of store."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from kustom_mcp.state.account import Account
from kustom_mcp.state.audit_log import AuditUnavailable
from kustom_mcp.state.database import Store
from kustom_mcp.state.intents import LONGEST_LEASE, AlreadySent, Intent, Intents, LeaseTaken, lock_of
from kustom_mcp.state.secret import kept_secret
from tests.support.unhurried import PATIENCE

NOW = 1_767_355_200.0
ORDER = "7849fd84-0000-4000-8000-00000000000a"
ROOT = Path(__file__).parents[2]
MINE = Account("sandbox", "embedded:", "")
NEW = Intent(
    account=MINE.name,
    key="11111111-1111-4111-8111-111111111111",
    digest="ab12",
    tool="kustom_refund_order",
    order_id=ORDER,
    content={"amount": 100},
    sealed="sealed",
)


@pytest.fixture(params=["memory", "file", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Store]:
    """A store of each kind."""
    if request.param == "postgres":
        store = Store.postgres(SecretStr(request.getfixturevalue("shared_database")), patience=PATIENCE)
    else:
        store = Store.file(tmp_path / "state" / "store.sqlite3" if request.param == "file" else None, patience=PATIENCE)
    yield store
    store.close()


@contextmanager
def of_file(state: Path) -> Generator[Intents]:
    store = Store.file(state / "store.sqlite3", patience=PATIENCE)
    yield Intents(store, state=state, now=lambda: NOW)
    store.close()


def send(store: Store, intents: Intents, new: Intent = NEW, seen: int | None = None, *, harmless: bool = False) -> None:
    lock = lock_of(new.account, new.key)
    store.run(lambda connection: intents.send(connection, new, seen=seen, harmless=harmless), locks=(lock,))


def of_order(intents: Intents) -> list[Intent]:
    return intents.of_order(MINE, ORDER)


def test_a_row_is_sent_once_and_again_only_by_who_has_seen_it(store: Store) -> None:
    intents = Intents(store, now=lambda: NOW)
    assert of_order(intents) == []
    send(store, intents)
    (sent,) = of_order(intents)
    assert sent == replace(NEW, sent=pytest.approx(NOW), attempts=1, looked=pytest.approx(0.0))
    for seen in (None, 0, 2):
        with pytest.raises(AlreadySent):
            send(store, intents, seen=seen)
    send(store, intents, seen=1)
    (again,) = of_order(intents)
    assert (again.attempts, again.unresolved) == (2, True)


def test_the_time_of_a_write_is_that_of_its_first_sending_until_nothing_was_done(store: Store) -> None:
    now = NOW
    intents = Intents(store, now=lambda: now)
    send(store, intents)
    now += 60
    send(store, intents, seen=1)
    assert [row.sent for row in of_order(intents)] == [pytest.approx(NOW, abs=1)]
    intents.close(NEW.account, NEW.key, "not_sent")
    send(store, intents)
    assert [row.sent for row in of_order(intents)] == [pytest.approx(NOW + 60, abs=1)]


@pytest.mark.parametrize(("outcome", "goes"), [("not_sent", True), ("rejected", True), ("applied", False)])
def test_only_what_did_nothing_goes_back_to_approved(store: Store, outcome: str, goes: bool) -> None:
    intents = Intents(store, now=lambda: NOW)
    send(store, intents)
    intents.close(NEW.account, NEW.key, outcome, entry="e1", facts={"correlation_id": "c"})
    (closed,) = of_order(intents)
    assert (closed.outcome, closed.sealed, closed.entry) == (outcome, None, "e1")
    assert closed.content == {"amount": 100, "correlation_id": "c"}
    assert intents.unresolved() == []
    if goes:
        send(store, intents)
        assert of_order(intents)[0].attempts == 2
    else:
        with pytest.raises(AlreadySent):
            send(store, intents)


@pytest.mark.parametrize("outcome", ["not_seen", "not_done", "never_known"])
def test_what_was_given_up_never_goes_again(store: Store, outcome: str) -> None:
    intents = Intents(store, now=lambda: NOW)
    send(store, intents)
    intents.close(NEW.account, NEW.key, outcome)
    for seen in (None, 1):
        for harmless in (False, True):
            with pytest.raises(AlreadySent):
                send(store, intents, seen=seen, harmless=harmless)


@pytest.mark.parametrize("outcome", ["applied", "already_applied", "done"])
def test_what_is_harmless_goes_again_although_it_was_done(store: Store, outcome: str) -> None:
    intents = Intents(store, now=lambda: NOW)
    send(store, intents)
    intents.close(NEW.account, NEW.key, outcome)
    with pytest.raises(AlreadySent):
        send(store, intents)
    send(store, intents, harmless=True)
    assert [(row.attempts, row.outcome) for row in of_order(intents)] == [(2, None)]


def test_of_many_at_once_one_is_sent(store: Store) -> None:
    intents = Intents(store, now=lambda: NOW)

    def attempt(_: int) -> bool:
        try:
            send(store, intents)
        except AlreadySent:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(16))) == 1


def test_what_fails_in_the_same_transaction_leaves_nothing_behind(store: Store) -> None:
    intents = Intents(store, now=lambda: NOW)

    def both(connection: Any) -> None:
        intents.send(connection, NEW, seen=None)
        raise RuntimeError("an invented mistake")

    with pytest.raises(RuntimeError):
        store.run(both)
    assert of_order(intents) == []


def test_a_lease_is_one_holders_until_it_ends(store: Store) -> None:
    now = NOW
    intents = Intents(store, now=lambda: now)
    assert intents.lease("a", ORDER, "one", 60) == pytest.approx(NOW + 60)
    with pytest.raises(LeaseTaken) as taken:
        intents.lease("a", ORDER, "two", 60)
    assert taken.value.left == pytest.approx(60)
    intents.lease("b", ORDER, "two", 60)  # another account has another order of this id
    intents.release("a", ORDER, "two")  # not its holder
    with pytest.raises(LeaseTaken):
        intents.lease("a", ORDER, "two", 60)
    intents.release("a", ORDER, "one")
    intents.lease("a", ORDER, "two", 60)
    now += 61
    intents.lease("a", ORDER, "three", 60)
    now -= LONGEST_LEASE + 10  # a clock that ran ahead gave it
    intents.lease("a", ORDER, "four", 60)


def test_looks_are_counted_until_something_is_there(store: Store) -> None:
    intents = Intents(store, now=lambda: NOW)
    send(store, intents)
    for absent, looks in ((True, 1), (True, 2), (False, 0)):
        intents.looked(NEW, absent=absent)
        (row,) = of_order(intents)
        assert (row.looks, row.looked) == (looks, pytest.approx(NOW))
    intents.close(NEW.account, NEW.key, "applied")
    intents.looked(NEW, absent=True)
    assert [row.looks for row in of_order(intents)] == [0]


def test_the_journal_is_read_in_pages_over_the_names_of_an_account(store: Store) -> None:
    """Two writes a second, which only their keys tell apart; those of another account are not in it."""
    now = iter([NOW, NOW, NOW + 1, NOW + 1, NOW + 2, NOW + 2, NOW + 3, NOW + 3, NOW + 4])
    intents = Intents(store, now=lambda: next(now))
    for number, account in enumerate("aabbaabbx"):
        new = replace(
            NEW, account=account, key=f"{number}1111111-1111-4111-8111-111111111111", order_id=f"o{number % 3}"
        )
        send(store, intents, replace(new, content={"caller": f'"{account}%"'}))
    names = ["a", "b"]
    for oldest_first in (False, True):
        pages: list[Intent] = []
        place = None
        while page := intents.journal(names, after=place, most=3, oldest_first=oldest_first):
            pages += page
            place = page[-1].at, page[-1].key
        numbers = list(range(8))
        assert [int(one.key[0]) for one in pages] == (numbers if oldest_first else numbers[::-1])
    found = [
        intents.journal(names, orders={"o0"}),
        intents.journal(names, orders=set()),
        intents.journal(names, person='"A%"'),
        intents.journal(names, person="a_"),
        intents.journal(names, since=NOW + 1, before=NOW + 2),
        intents.journal(names, tools={"kustom_cancel_order"}),
    ]
    assert [[int(one.key[0]) for one in rows] for rows in found] == [[6, 3, 0], [], [5, 4, 1, 0], [], [3, 2], []]


def test_a_store_that_is_not_there_is_not_made_by_a_question(tmp_path: Path) -> None:
    with of_file(tmp_path / "state") as intents:
        assert (of_order(intents), intents.unresolved(), intents.journal(["a"])) == ([], [], [])
    assert not (tmp_path / "state").exists()


def test_the_file_is_private_and_a_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with of_file(state) as intents:
        intents.lease("a", ORDER, "one", 60)
    files = [state / "store.sqlite3", *state.glob("store.sqlite3-*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    os.chmod(state, 0o777)
    with of_file(state) as intents, pytest.raises(AuditUnavailable, match="chmod 700"):
        intents.lease("a", ORDER, "two", 60)


@pytest.mark.parametrize("broken", [b"", b"{", b"[1]", b"\xff"])
def test_a_damaged_record_of_the_version_before_stays_in_doubt(tmp_path: Path, broken: bytes) -> None:
    (tmp_path / "intents").mkdir()
    (tmp_path / "intents" / "bad.json").write_bytes(broken)
    with of_file(tmp_path) as intents:
        assert [(one.key, one.tool, one.outcome) for one in intents.unresolved()] == [("bad", "", None)]


def test_what_version_one_kept_of_an_order_is_found_whoever_its_user_name_named(store: Store) -> None:
    """An order belongs to one merchant; a name of today or of another environment holds other orders."""
    intents = Intents(store, now=lambda: NOW)
    mine = Account("playground", "https://a.example", "PM12345", shared=("",))
    names = ["playground/", "playground/PM12345_old", "playground/shop-7", mine.name]
    others = ["playground/https://b.example/PM12345", "production/PM12345", "play_round/PM12345"]
    for number, name in enumerate([*names, *others]):
        send(store, intents, replace(NEW, account=name, key=f"{number}1111111-1111-4111-8111-111111111111"))
    assert {one.account for one in intents.of_order(mine, ORDER)} == set(names)
    assert {one.account for one in intents.unresolved(mine)} == {*names} - {"playground/shop-7"}
    assert intents.own_names(mine) == [mine.name, "playground/PM12345_old"]


def test_records_of_the_version_before_are_taken_over_once(tmp_path: Path) -> None:
    (tmp_path / "intents").mkdir()
    (tmp_path / "applied").mkdir()
    content = {"digest": "ab12", "tool": "kustom_refund_order", "account": NEW.account, "amount": 7}
    content |= {"arguments": {"order_id": ORDER}, "opened_at": "2026-01-02T12:00:00+00:00", "expires": NOW}
    (tmp_path / "intents" / f"{NEW.key}.ab12.cd34.json").write_text(json.dumps(content))
    (tmp_path / "applied" / "ef56.json").write_text(json.dumps({"until": NOW + 900, "facts": {}}))
    with of_file(tmp_path) as intents:
        (found,) = of_order(intents)
        assert (found.key, found.digest, found.tool, found.content["amount"]) == (NEW.key, "ab12", NEW.tool, 7)
        assert found.sent == NOW
        used = intents.of_order(MINE, ORDER, ["ef56"])
        assert [one.outcome for one in used] == ["applied", None]
        intents.close(NEW.account, NEW.key, "done")
    assert (tmp_path / "intents").is_file()  # so that a process of that version can keep no intent, and sends nothing
    assert not (tmp_path / "intents-0.1").exists()
    with of_file(tmp_path) as intents:
        assert [one.outcome for one in of_order(intents)] == ["done"]


def test_a_store_that_an_older_process_still_uses_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "limits" / "limits.sqlite3"
    old.parent.mkdir()
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA journal_mode = WAL');"
        "c.execute('CREATE TABLE t (x)'); c.commit(); print('open', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(old)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    with of_file(tmp_path) as intents:
        with pytest.raises(AuditUnavailable, match="older version of kustom-mcp still runs"):
            intents.lease("a", ORDER, "one", 60)
        child.communicate("", timeout=PATIENCE)
        intents.lease("a", ORDER, "one", 60)
    assert (old.exists(), (tmp_path / "store.sqlite3").exists()) == (False, True)


def test_the_secret_of_a_store_is_made_once(store: Store, tmp_path: Path) -> None:
    state = tmp_path / "secret" if store.shared else None if store.path is None else store.path.parent
    secrets = {kept_secret(store, state) for _ in range(3)}
    assert {len(secret) for secret in secrets} == {32}
    assert len(secrets) == (3 if store.path is None and not store.shared else 1)
    if store.path is not None:
        path = store.path.parent / "keys" / "secret"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.write_text("no hex")
        with pytest.raises(OSError, match="damaged"):
            kept_secret(store, state)
