"""`kustom-mcp book sync`, `status` and `forget`, and what all of them say where there is no book."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from kustom_mcp.book import Book, hints
from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.hints import Hint
from kustom_mcp.book.sqlite import LATEST, SqliteBook
from kustom_mcp.book.writing import account_number
from kustom_mcp.cli.program import shown
from kustom_mcp.simulator.demo_orders import demo_orders
from tests.cli.conftest import Command
from tests.cli.test_book_import import DEMO, FAST, asked, book_of, csv_of, shop, status
from tests.support.conversation import conversation, demo
from tests.support.unhurried import PATIENCE
from tests.transport.kustom import API, MERCHANT, PROGRAM, Kustom

__all__ = ["shop"]

LOOK = "look at book.sqlite3 in the state directory"
EVERY = [
    ("import", "x.csv"),
    ("sync",),
    ("status",),
    ("forget", "--all", "--yes"),
]


def filled(command: Command, shop: dict[str, str], tmp_path: Path, *ids: str) -> None:
    assert command("book", "import", csv_of(tmp_path / "fill.csv", *ids), *FAST, **shop).code == 0


def everything(shop: dict[str, str]) -> bytes:
    return b"".join(path.read_bytes() for path in book_of(shop).parent.iterdir())


def test_sync_reads_again_what_is_open_and_old(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    gone = kustom.add(status="AUTHORIZED", order_amount=500)
    opened, ended = demo("authorized-sek"), demo("captured-sek")
    filled(command, shop, tmp_path, opened, ended, gone)
    kustom.reset()
    kustom.change("POST", f"/orders/{opened}/cancel")
    assert command("book", "sync", *FAST, **shop).told == "Done. 0 read.\n"
    ran = command("book", "sync", "--max-age", "0", *FAST, **shop)
    assert (ran.code, ran.err) == (1, "")
    assert ran.told == (
        f"order {gone}: Kustom has no such order for these credentials: it does not exist, or is another merchant's\n"
        "Done. 1 read, 1 could not be read.\n"
    )
    reads = Counter(seen["path"].rpartition("/")[2] for seen in kustom.requests if seen["method"] == "GET")
    assert reads == {opened: 1, gone: 1}
    assert status(command, shop)["by_status"] == {"AUTHORIZED": 1, "CANCELLED": 1, "CAPTURED": 1}
    assert command("book", "forget", gone, **shop).code == 0
    assert command("book", "sync", "--max-age", "0", **shop).told == "Done. 0 read.\n"


def test_sync_keeps_to_the_scope(command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path) -> None:
    ids = [demo("authorized-sek"), demo("part-captured-eur")]
    filled(command, shop, tmp_path, *ids)
    kustom.reset()
    ran = command("book", "sync", "--max-age", "0", *FAST, **shop, KUSTOM_ORDER_SCOPE=ids[1])
    assert (ran.told, asked(kustom)) == ("Done. 1 read.\n", Counter([ids[1]]))
    assert (
        "1 order within KUSTOM_ORDER_SCOPE, 1 open" in command("book", "status", KUSTOM_ORDER_SCOPE=ids[1], **shop).out
    )


def test_status_counts_what_there_is(command: Command, shop: dict[str, str], tmp_path: Path) -> None:
    empty = command("book", "status", **shop)
    assert (empty.code, empty.err) == (0, "")
    assert empty.told.splitlines() == [
        f"The order book of playground, merchant {MERCHANT}: 0 orders, 0 open",
        f"  place     {book_of(shop)}",
        "  kept      400 days after its creation (KUSTOM_BOOK_DAYS)",
    ]
    assert not book_of(shop).parent.exists()
    filled(command, shop, tmp_path, *DEMO)
    with closing(sqlite3.connect(book_of(shop))) as book, book:
        book.execute("UPDATE book SET read_at = -read_at WHERE order_id = ?", (demo("captured-sek"),))
    found = status(command, shop)
    seeds = Counter(seed.order["status"] for seed in demo_orders())
    assert found["by_status"] == dict(seeds)
    assert sum(found["by_currency"].values()) == found["orders"] == len(DEMO)
    assert (found["by_source"], found["in_doubt"], found["stale"]) == ({"import": len(DEMO)}, 1, 1)
    assert found["bytes"] >= book_of(shop).stat().st_size
    assert found["oldest_read"] <= found["newest_read"]
    text = command("book", "status", **shop).out
    assert f"  stale     1 order that may have changed: {shown('book', 'sync')}\n" in text
    assert "CAPTURED 7" in text
    old = len([seed for seed in demo_orders() if seed.order["status"] in ("AUTHORIZED", "PART_CAPTURED")])
    text = command("book", "status", "--max-age", "0", **shop).out
    assert f"  stale     {old} open orders read more than 0 seconds ago, 1 order that may have changed: " in text
    assert command("book", "sync", *FAST, **shop).told == "Done. 1 read.\n"
    assert status(command, shop)["stale"] == 0


def test_what_is_forgotten_is_gone_from_the_files_too(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    ids = [kustom.add(status="CAPTURED", merchant_reference1=f"CANARY-{number}") for number in range(6)]
    filled(command, shop, tmp_path, *ids)
    assert b"CANARY-0" in everything(shop)
    with closing(sqlite3.connect(book_of(shop))) as beside:  # as a server has it open
        assert beside.execute("SELECT count(*) FROM book").fetchone() == (6,)
        link = f"https://portal.playground.kustom.co/orders/list/{ids[1]}"
        ran = command("book", "forget", ids[0].upper(), link, **shop)
        assert (ran.code, ran.told, ran.err) == (0, "Forgot 2 orders.\n", "")
        left = everything(shop)
        for one, words in zip(ids, (f"CANARY-{number}".encode() for number in range(6)), strict=True):
            assert (one.encode() in left, words in left) == ((one not in ids[:2]),) * 2
        again = command("book", "forget", ids[0], ids[2], **shop)
        assert (again.code, again.told) == (1, "Forgot 1 order; 1 was not in the book.\n")
        assert command("book", "forget", "--all", "--yes", **shop).told == "Forgot 3 orders.\n"
    left = everything(shop)
    assert [one for one in ids if one.encode() in left] == []
    assert b"CANARY" not in left.upper()
    assert command("book", "forget", "--all", "--yes", **shop).told == "Forgot 0 orders.\n"


def test_an_announced_order_that_is_forgotten_before_it_was_read_does_not_come_back(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    filled(command, shop, tmp_path, DEMO[0])
    kustom.reset()
    database = SqliteBook(book_of(shop))
    given = [Hint(order_id, "webhook", verified=True) for order_id in DEMO[:4]]
    database.write(lambda tx: hints.add(tx, account_number(tx, kustom.account), given, 1))
    database.close()
    ran = command("book", "forget", DEMO[0], DEMO[1], **shop)
    assert (ran.code, ran.told) == (0, "Forgot 1 order and 1 that was announced and not read yet.\n")
    ran = command("book", "forget", DEMO[1], DEMO[2], **shop)
    assert ran.told == "Forgot 0 orders and 1 that was announced and not read yet; 1 was not in the book.\n"
    assert ran.code == 1
    assert command("book", "sync", *FAST, **shop).told == "Done. 1 read.\n"
    assert asked(kustom) == Counter([DEMO[3]])


def test_the_orders_of_a_person_are_forgotten_with_their_digests_and_nobody_elses(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    anna = {"email": "anna@example.com", "phone": "070-174 06 11", "country": "SE"}
    people = [anna, anna | {"phone": "070-174 06 12"}, {"email": "olof@example.com", "country": "SE"}]
    shop["KUSTOM_BOOK_PEOPLE"] = "on"
    ids = [kustom.add(status="CAPTURED", billing_address=one, shipping_address=one) for one in people]
    filled(command, shop, tmp_path, *ids)

    def forgotten(*argv: str, **more: str) -> tuple[int | str | None, str]:
        ran = command("book", "forget", *argv, **shop | more)
        assert not [one for one in ("anna", "olof", "0174") if one in (ran.told + ran.err).casefold()]
        return ran.code, ran.told + ran.err

    def digests() -> int:
        with closing(sqlite3.connect(book_of(shop))) as kept:
            return kept.execute("SELECT count(DISTINCT digest) FROM book_people").fetchone()[0]

    assert digests() == 4
    assert forgotten("--email", "anna") == (2, "kustom-mcp: --email: It is no e-mail address.\n")
    assert forgotten("--phone", "anna") == (2, "kustom-mcp: --phone: It is no phone number.\n")
    code, told = forgotten("--email", "anna@example.com", KUSTOM_BOOK_PEOPLE="off")
    assert (code, told.startswith("kustom-mcp: KUSTOM_BOOK_PEOPLE: It is off")) == (2, True)
    again = "kustom-mcp: Kustom still has what was forgotten: an order that is read or announced again is kept again\n"
    assert forgotten("--email", "ANNA@example.com", "--phone", "+46701740612") == (0, f"Forgot 1 order.\n{again}")
    assert digests() == 3
    assert forgotten("--email", "mailto:ANNA@example.com") == (0, f"Forgot 1 order.\n{again}")
    assert forgotten("--email", "anna@example.com") == (0, "Forgot 0 orders.\n")
    assert (status(command, shop)["orders"], digests()) == (1, 1)
    filled(command, shop | {"KUSTOM_BOOK_PEOPLE": "off"}, tmp_path, DEMO[0])
    whose = "1 was kept without people, so it is not known whose: give their ids"
    assert forgotten("--email", "nobody@example.com") == (1, f"Forgot 0 orders; {whose}.\n")
    (key,) = (Path(shop["KUSTOM_STATE_DIR"]) / "people").iterdir()
    key.unlink()
    code, told = forgotten("--email", "olof@example.com")
    assert (code, "The key with which people were kept is missing" in told, digests()) == (2, True, 1)
    assert forgotten("--all", "--yes") == (0, "Forgot 2 orders.\n")
    assert digests() == 0


def test_forgetting_by_date_takes_what_was_created_before(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    created = ["2026-03-01T10:00:00Z", "2026-03-02T00:00:00Z"]
    ids = [kustom.add(status="CAPTURED", created_at=moment) for moment in created]
    shop["KUSTOM_BOOK_DAYS"] = "3650"
    filled(command, shop, tmp_path, *ids)
    assert command("book", "forget", "--before", "2026-03-02", **shop).told == "Forgot 1 order.\n"
    assert command("book", "forget", "--before", "2026-03-02T00:00:01Z", **shop).told == "Forgot 1 order.\n"


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        ((), "book forget: Give either order ids, --before DATE, --email and --phone, or --all."),
        (
            ("--all", "--before", "2026-01-01"),
            "book forget: Give either order ids, --before DATE, --email and --phone, or --all.",
        ),
        (("--all", DEMO[0]), "book forget: Give either order ids, --before DATE, --email and --phone, or --all."),
        (("--before", "2099-01-01"), "--before: It is in the future, and would take out every order: --all does that."),
        (("--before", "0001-01-01T00:00:00+14:00"), "argument --before: a date is like 2026-01-31"),
        (("--before", "soon"), "argument --before: a date is like 2026-01-31, a time like 2026-01-31T12:00:00Z"),
        ((DEMO[0][:-1],), "ORDER_ID: The last group has 11 characters, 12 expected."),
        (("--all",), "--all: Nobody can be asked here: add --yes."),
    ],
)
def test_forgetting_says_what_is_missing(
    argv: tuple[str, ...], why: str, command: Command, shop: dict[str, str], tmp_path: Path
) -> None:
    filled(command, shop, tmp_path, DEMO[0])
    ran = command("book", "forget", *argv, **shop)
    assert (ran.code, ran.told, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith(f"kustom-mcp: {why}")
    assert status(command, shop)["orders"] == 1


@pytest.mark.parametrize(("answer", "left"), [("y", 0), ("", 1)])
def test_forgetting_everything_asks_on_a_terminal(
    answer: str, left: int, command: Command, shop: dict[str, str], tmp_path: Path
) -> None:
    filled(command, shop, tmp_path, DEMO[0])
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    done = subprocess.run(
        [*PROGRAM, "book", "forget", "--all"],
        stdin=theirs, env=shop, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    for end in (ours, theirs):
        os.close(end)
    asked = f"Forget all orders of playground, merchant {MERCHANT} in book.sqlite3 in the state directory? [y/N]"
    assert asked in done.stdout
    assert done.returncode == left
    assert status(command, shop)["orders"] == left


def _broken(path: Path) -> None:
    path.write_bytes(b"this is no database " * 1000)


def _emptied(path: Path) -> None:
    with closing(sqlite3.connect(path)) as book:
        book.execute(f"PRAGMA user_version = {LATEST}")


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as book:
        book.execute(f"PRAGMA user_version = {LATEST + 1}")


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (
            _broken,
            f"(the file is damaged: SQLITE_NOTADB): {LOOK}, or delete the folder `book` there to begin a new one",
        ),
        (_newer, f"(a newer version of kustom-mcp has written it; update this one): {LOOK}"),
        (
            _emptied,
            f"(the file is damaged: SQLITE_ERROR): {LOOK}, or delete the folder `book` there to begin a new one",
        ),
        (Path.mkdir, f"(SQLITE_CANTOPEN): {LOOK}"),
    ],
)
@pytest.mark.parametrize("argv", EVERY, ids=lambda argv: argv[0])
def test_a_book_that_cannot_be_used_is_one_line(
    argv: tuple[str, ...], harm: Callable[[Path], None], why: str, command: Command, kustom: Kustom,
    shop: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    csv_of(tmp_path / "x.csv", *DEMO)
    book_of(shop).parent.mkdir(parents=True)
    harm(book_of(shop))
    ran = command("book", *argv, **shop)
    assert (ran.code, ran.told, ran.err) == (3, "", f"kustom-mcp: the order book cannot be used {why}\n")
    assert kustom.requests == []


def test_a_book_that_another_process_holds_is_waited_for_and_that_is_said(
    command: Command, shop: dict[str, str], tmp_path: Path
) -> None:
    filled(command, shop, tmp_path, DEMO[0])
    with closing(sqlite3.connect(book_of(shop), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ran = command("book", "forget", DEMO[0], **shop)
    assert (ran.code, ran.told) == (3, "")
    assert ran.err.splitlines() == [
        "kustom-mcp: another process holds the order book (busy): waiting for it",
        "kustom-mcp: the order book cannot be used (busy): another process holds it; run the same command again",
    ]


@pytest.mark.parametrize("argv", EVERY, ids=lambda argv: argv[0])
def test_without_a_book_that_is_said(argv: tuple[str, ...], command: Command, shop: dict[str, str]) -> None:
    ran = command("book", *argv, **shop, KUSTOM_BOOK_DAYS="0")
    assert (ran.code, ran.told, ran.err) == (
        2,
        "",
        "kustom-mcp: KUSTOM_BOOK_DAYS: It is 0, so there is no order book.\n",
    )


@pytest.mark.parametrize(
    "argv",
    [("book",), ("book", "burn"), ("book", "import"), ("book", "import", "x", "--rate", "21"),
     ("book", "import", "x", "--rate", "0"), ("book", "sync", "--max-age", "-1"), ("book", "import", "x", "y"),
     ("book", "sync", "--settlements-from", "0001-01-01T00:00:00+14:00")],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line_that_says_where_help_is(argv: tuple[str, ...], command: Command) -> None:
    ran = command(*argv)
    assert (ran.code, ran.told, ran.err.count("\n")) == (2, "", 1)
    where = argv[:2] if len(argv) > 2 or "import" in argv else argv[:1]
    assert ran.err.endswith(f"(see {shown(*where, '--help')})\n")


async def test_a_server_that_runs_beside_finds_what_was_imported(tmp_path: Path) -> None:
    file = csv_of(tmp_path / "x.csv", *DEMO)

    def strangers(app: object) -> None:
        setattr(app, "simulator", None)  # noqa: B010 - no new orders are announced

    async with conversation(host=strangers, KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        await talk.call("get_order", order_id=DEMO[0])
        assert (await talk.call("find_orders", min_remaining=0))["coverage"]["sources"] == {"call": 1}
        done = subprocess.run(  # noqa: ASYNC221 - the server shall wait
            [*PROGRAM, "book", "import", file, "--max-age", "0"],
            env={"KUSTOM_STATE_DIR": str(tmp_path), "KUSTOM_ENVIRONMENT": "sandbox"}, capture_output=True,
            text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout.removeprefix("Environment: sandbox\n")) == (
            0,
            f"Done. {len(DEMO)} rows: {len(DEMO)} read, 0 already fresh, 0 rejected.\n",
        )
        found = await talk.call("find_orders", min_remaining=0, max_age=10**8)
        assert found["coverage"]["sources"] == {"call": 1, "import": len(DEMO) - 1}
        assert json.dumps(found["orders"]).count("order_id") == 20


PAID_OUT = ("sync", "--settlements-from", f"{datetime.now(UTC) - timedelta(days=7):%Y-%m-%d}")


def test_sync_reads_what_was_paid_out_and_the_book_does_not_know(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    known, unknown = demo("captured-sek"), demo("two-captures-nok")
    filled(command, shop, tmp_path, known)
    kustom.reset()
    ran = command("book", *PAID_OUT, *FAST, **shop)
    read = {seen["path"].removeprefix(f"{API}/orders/") for seen in kustom.requests if seen["path"].startswith(API)}
    assert (ran.code, ran.told) == (0, f"Done. {len(read)} read.\n")
    assert unknown in read
    assert known not in read
    assert demo("authorized-sek") not in read
    assert {seen["method"] for seen in kustom.requests} == {"GET"}
    assert status(command, shop)["by_source"] == {"import": 1, "settlement": len(read)}
    assert command("book", *PAID_OUT, *FAST, **shop).told == "Done. 0 read.\n"


def test_sync_reads_nothing_that_was_paid_out_before_or_is_out_of_scope(
    command: Command, kustom: Kustom, shop: dict[str, str]
) -> None:
    assert command("book", "sync", "--settlements-from", "2100-01-01", *FAST, **shop).told == "Done. 0 read.\n"
    ran = command("book", *PAID_OUT, *FAST, **shop, KUSTOM_ORDER_SCOPE=demo("captured-sek"))
    assert (ran.code, ran.told) == (0, "Done. 1 read.\n")


def test_sync_without_the_permission_for_settlements_says_so(
    command: Command, kustom: Kustom, shop: dict[str, str]
) -> None:
    kustom.fault("GET", "/settlements/v1/payouts", "status", status=403)
    ran = command("book", *PAID_OUT, *FAST, **shop)
    assert ran.code == 1
    assert ran.told.startswith("Stopped (Kustom does not let these credentials read settlements (HTTP 403).")
    assert "needs its own permission" in ran.told


def test_sync_follows_what_was_hinted_and_settles_the_hints(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    known, signed, paid, hidden = DEMO[:4]
    missing = "00000000-0000-4000-8000-000000000000"
    filled(command, shop, tmp_path, known)
    kustom.reset()
    database = SqliteBook(book_of(shop))
    mine = database.write(lambda tx: account_number(tx, kustom.account))
    given = [Hint(signed, "webhook", verified=True, disputed=True), Hint(missing, "push"), Hint(hidden, "push")]
    database.write(lambda tx: hints.add(tx, mine, given, 1))
    database.close()
    book = Book(SqliteBook(book_of(shop)), kustom.account, 400, time.time)
    for named in (paid, known):
        book.hint(named.upper(), "settlement")

    def nothing(tx: BookTransaction, account: int) -> None:
        """Orders that were named are written before anything is asked."""

    anyio.run(book.ask, nothing)
    scope = {"KUSTOM_ORDER_SCOPE": ",".join([known, signed, paid, missing])}
    ran = command("book", "sync", *FAST, **shop, **scope)
    assert ran.told.splitlines()[-1] == "Done. 2 read, 1 could not be read."
    assert asked(kustom) == Counter([signed, paid, missing])
    assert status(command, shop)["by_source"] == {"import": 1, "webhook": 1, "settlement": 1}
    with closing(sqlite3.connect(book_of(shop))) as stored:
        assert stored.execute("SELECT order_id FROM book_hints WHERE state > 0").fetchall() == [(hidden,)]
        assert stored.execute("SELECT order_id FROM book JOIN book_kinds USING (kind) WHERE disputed").fetchall() == [
            (signed,)
        ]
    assert command("book", "sync", *FAST, **shop, **scope).told == "Done. 0 read.\n"
