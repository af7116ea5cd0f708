"""`kustom-mcp book import`: real files, a simulator on a port, and what was asked of it."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from openpyxl import Workbook

from kustom_mcp.book import completeness
from kustom_mcp.book.sqlite import SqliteBook
from kustom_mcp.simulator.demo_orders import demo_orders
from tests.book.writers import SANDBOX
from tests.cli.conftest import Command
from tests.exams.hostile.test_personal_data import PERSONAL
from tests.support.unhurried import PATIENCE
from tests.transport.kustom import API, MERCHANT, PROGRAM, Kustom

DEMO = [seed.order_id for seed in demo_orders()]
NO_SUCH = "00000000-0000-4000-8000-000000000000"
FAST = ("--rate", "20")
MISSING = "Kustom has no such order for these credentials: it does not exist, or is another merchant's"

ANOTHER_WRITER = """
import sys
from pathlib import Path
from kustom_mcp.book.entry import BookEntry, OrderKind
from kustom_mcp.book.sqlite import SqliteBook
from kustom_mcp.book.writing import account_number, put
from tests.book.writers import SANDBOX

database = SqliteBook(Path(sys.argv[1]))
kind = OrderKind("SEK", "CAPTURED", "", False, False, False, "call")
for number in range(200):
    entry = BookEntry(f"00000000-0000-4000-8000-{number:012}", kind, None, None, None, None, *[0] * 9, 1)
    database.write(lambda tx: put(tx, account_number(tx, SANDBOX), [entry]))
"""


@pytest.fixture
def shop(kustom: Kustom, tmp_path: Path) -> dict[str, str]:
    """Settings of a server with a book of its own, at a Kustom where nothing has happened yet."""
    kustom.reset()
    return {**kustom.settings, "KUSTOM_STATE_DIR": str(tmp_path / "state")}


def book_of(shop: dict[str, str]) -> Path:
    return Path(shop["KUSTOM_STATE_DIR"]) / "book" / "book.sqlite3"


def status(command: Command, shop: dict[str, str]) -> dict[str, Any]:
    return json.loads(command("book", "status", "--json", **shop).out)


def asked(kustom: Kustom) -> Counter[str]:
    """Number of reads of each order."""
    return Counter(seen["path"].removeprefix(f"{API}/orders/") for seen in kustom.requests)


def csv_of(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_each_order_of_a_file_is_read_once_and_kept(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    file = csv_of(tmp_path / "orders.csv", "name,order_id", *(f"x,{one}" for one in [*DEMO[:6], DEMO[0]]))
    ran = command("book", "import", file, *FAST, **shop)
    assert (ran.code, ran.told) == (0, "Done. 7 rows: 6 read, 0 already fresh, 1 repeated, 0 rejected.\n")
    assert ran.err == "kustom-mcp: order ids are in column 2, headers in line 1\n"
    assert asked(kustom) == Counter(DEMO[:6])
    assert {seen["method"] for seen in kustom.requests} == {"GET"}
    standing = status(command, shop)
    assert (standing["orders"], standing["by_source"], standing["unfinished_imports"]) == (6, {"import": 6}, [])
    again = command("book", "import", file, *FAST, **shop)
    assert (again.code, again.told) == (0, "Done. 7 rows: 0 read, 6 already fresh, 1 repeated, 0 rejected.\n")
    assert command("book", "import", file, "--max-age", "0", *FAST, **shop).told.startswith("Done. 7 rows: 6 read, 0")
    assert asked(kustom) == Counter(DEMO[:6] * 2)


def test_a_complete_export_lets_the_book_be_complete_from_its_date_on(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    days = ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04"]
    older, first, second, announced = (kustom.add(status="CAPTURED", created_at=f"{day}T10:00:00Z") for day in days)
    short = csv_of(tmp_path / "short.csv", "order_id", first, second)
    whole = csv_of(tmp_path / "whole.csv", "order_id", first, second, announced)
    lost = csv_of(tmp_path / "lost.csv", "order_id", first, second, announced, NO_SUCH)
    mixed = "order_id,Payment method", *(f"{one},Kustom" for one in (first, second, announced)), "2X1,PayPal", ",Vipps"
    mixed_ways = csv_of(tmp_path / "mixed.csv", *mixed)

    def claimed(file: str, *more: str, since: str = days[1]) -> tuple[int | str | None, str]:
        ran = command("book", "import", file, "--complete-from", since, *more, *FAST, **shop)
        return ran.code, ran.told.splitlines()[-1]

    def at(day: str) -> int:
        return int(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp() * 1000)

    def feed(work: Callable[[Any, int], Any]) -> Any:
        with closing(SqliteBook(book_of(shop))) as database:
            return database.write(lambda tx: work(tx, 1))

    code, said = claimed(short)
    assert (code, said.startswith("`complete_since` stays as it was: no signed webhook has told")) == (1, True)
    feed(lambda tx, account: completeness.begin(tx, account, "one", at(days[3]), 10**9))
    assert command("book", "import", csv_of(tmp_path / "2.csv", "order_id", older, announced), *FAST, **shop).code == 0
    code, said = claimed(short)
    assert code == 1
    assert (
        f"does not name 1 order from before 2026-11-04T12:00:00.000Z, when webhooks began, such as {announced}" in said
    )
    rejected = (
        "`complete_since` stays as it was: not every row of the file led to an order. If rows are of payment methods "
        "that are not Kustom's, name these with --not-kustom."
    )
    assert claimed(lost) == claimed(mixed_ways) == (1, rejected)
    assert feed(completeness.begun) == at(days[3])
    of_the_shop = "2026-11-01T23:00:00.000Z"  # midnight in Stockholm
    told = f"Every order since {of_the_shop} is known, so `complete_since` begins there."
    assert claimed(mixed_ways, "--not-kustom", "vipps") == (0, told)
    assert feed(completeness.begun) == at(days[1]) - 13 * 3_600_000
    feed(lambda tx, account: completeness.begin_earlier(tx, account, at(days[3]), completeness.begun(tx, account)))
    assert claimed(whole) == (0, told)
    again = f"`complete_since` stays as it was: it has begun at {of_the_shop} already."
    assert claimed(whole, since=days[2]) == (1, again)
    assert command("book", "import", whole, "--complete-from", "2100-01-01", **shop).code == 2


def test_an_order_that_kustom_no_longer_knows_is_doubted(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    file = csv_of(tmp_path / "orders.csv", "order_id", *DEMO[:2])
    assert command("book", "import", file, *FAST, **shop).code == 0
    kustom.fault("GET", f"/orders/{DEMO[0]}", "status", status=404)
    assert command("book", "import", file, "--max-age", "0", *FAST, **shop).told.startswith(f"line 2: {MISSING}\n")
    with closing(sqlite3.connect(book_of(shop))) as stored:
        assert stored.execute("SELECT order_id FROM book WHERE read_at < 0").fetchall() == [(DEMO[0],)]


def test_rejected_rows_are_reported_in_order_with_lines_and_reasons(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    old = kustom.add(status="CAPTURED", created_at="2020-01-01T00:00:00Z")
    lines = ["order_id", DEMO[0], NO_SUCH, "", "15632423", DEMO[1][:-1], old, DEMO[2], NO_SUCH, DEMO[3], " , "]
    file = csv_of(tmp_path / "orders.csv", *(f"{line},." for line in lines))
    shop["KUSTOM_ORDER_SCOPE"] = ",".join([DEMO[0], DEMO[1], DEMO[3], NO_SUCH, old])
    ran = command("book", "import", file, *FAST, **shop)
    assert ran.code == 1
    assert ran.told.splitlines() == [
        f"line 3: {MISSING}",
        "line 4: there is no order id in this row",
        "line 5: this is not an order id: this looks like a merchant reference or an order number of the shop",
        "line 6: this is not an order id: the last group has 11 characters, 12 expected",
        "line 7: it was created before the days that KUSTOM_BOOK_DAYS keeps",
        "line 8: it is out of KUSTOM_ORDER_SCOPE; nothing was sent",
        f"line 9: {MISSING}",
        "line 11: there is no order id in this row",
        "Done. 10 rows: 2 read, 0 already fresh, 8 rejected.",
    ]
    assert asked(kustom) == Counter([DEMO[0], NO_SUCH, old, DEMO[3]])
    del shop["KUSTOM_ORDER_SCOPE"]
    assert status(command, shop)["orders"] == 2


def test_ten_thousand_lines_with_bad_ones_among_them(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    bad = {4711: "no id", 9_998: "7849fd84-6b25-41fd-b3a4-36e0b8c3a7e", 10_000: ""}
    lines = [bad.get(number, DEMO[number % len(DEMO)]) for number in range(2, 10_001)]
    file = csv_of(tmp_path / "big.csv", "Order ID;Name", *(f"{one};Å;" for one in lines))
    ran = command("book", "import", file, *FAST, **shop)
    assert [line.partition(":")[0] for line in ran.told.splitlines()] == [
        "line 4711",
        "line 9998",
        "line 10000",
        "Done. 9,999 rows",
    ]
    assert ran.told.endswith(f": {len(DEMO)} read, 0 already fresh, {9_996 - len(DEMO):,} repeated, 3 rejected.\n")
    assert asked(kustom) == Counter(DEMO)


def test_an_excel_file_is_imported_from_the_sheet_with_order_ids(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    workbook = Workbook()
    about = workbook.active
    assert about is not None
    about.append(["Export of the shop"])
    sheet = workbook.create_sheet("Orders")
    for row in (["Amount", "Kustom order"], [1, DEMO[0]], [2, "x"], [3, DEMO[1]]):
        sheet.append(row)
    workbook.save(tmp_path / "orders.xlsx")
    ran = command("book", "import", str(tmp_path / "orders.xlsx"), *FAST, **shop)
    assert ran.code == 1
    assert ran.told.startswith("line 3: this is not an order id")
    assert ran.told.endswith("Done. 3 rows: 2 read, 0 already fresh, 1 rejected.\n")
    assert asked(kustom) == Counter(DEMO[:2])


@pytest.mark.parametrize(
    ("content", "options", "why"),
    [
        (b"name;number\nx;15632423\n", (), "None of its columns holds order ids"),
        (b"name;number\nx;15632423\n", ("--column", "order"), "No column has the header that --column names"),
        (b"\x00\x01\x02" * 1000, (), "This is neither a text file (CSV) nor an Excel file (.xlsx)"),
        (None, (), "There is no such file"),
        (b"id,ID\na,b\n", ("--column", "id"), "Columns 1, 2 all have the header that --column names"),
        (b"\n \n", (), "The file has no rows"),
    ],
)
def test_a_file_that_is_no_use_is_one_line_and_nothing_is_read(
    content: bytes | None, options: tuple[str, ...], why: str, command: Command, shop: dict[str, str],
    kustom: Kustom, tmp_path: Path,
) -> None:  # fmt: skip
    if content is not None:
        (tmp_path / "x.csv").write_bytes(content)
    ran = command("book", "import", str(tmp_path / "x.csv"), *options, **shop)
    assert (ran.code, ran.told, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith(f"kustom-mcp: FILE: {why}")
    assert kustom.requests == []
    assert not book_of(shop).exists()


def test_nothing_but_ids_is_taken_from_the_file(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    order = kustom.add(**PERSONAL)
    lines = ["Pii header,order_id,Pii header", f"Pii Anna,{order},pii@example.com", f'"Pii\nstreet",{NO_SUCH},Pii']
    lines += ["Pii,Pii Ångström,Pii", "Pii,,Pii", f'Pii,"Pii {order}",Pii', f'Pii,"Pii,{order}']
    file = csv_of(tmp_path / "Pii.csv", *lines)
    for options in ((), ("--column", "Pii header"), ("--column", "Pii other")):
        more = {"KUSTOM_LOG_LEVEL": "debug", "KUSTOM_BOOK_PEOPLE": "on"}
        ran = command("book", "import", file, *FAST, *options, **shop, **more)
        assert ran.code in (1, 2)
        assert "pii" not in (ran.told + ran.err).casefold()
    assert "pii" not in json.dumps(kustom.requests).casefold()
    with closing(sqlite3.connect(book_of(shop))) as kept:
        assert kept.execute("SELECT count(*) FROM book_people").fetchall() == [(6,)], "e-mail and names"
    files = [path for path in Path(shop["KUSTOM_STATE_DIR"]).rglob("*") if path.is_file()]
    stored = b"".join(path.read_bytes() for path in files)
    assert order.encode() in stored
    assert b"pii" not in stored.lower()


@pytest.mark.parametrize(("times", "seconds"), [(5, "1"), (26, "0")], ids=["a pause", "more often than a read tries"])
def test_a_pause_that_kustom_asks_for_is_kept_and_no_order_is_lost(
    times: int, seconds: str, command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    kustom.fault("GET", "/orders/{order_id}", "status", status=429, times=times, headers={"Retry-After": seconds})
    ran = command("book", "import", csv_of(tmp_path / "x.csv", *DEMO[:8]), *FAST, **shop)
    assert (ran.code, ran.told) == (0, "Done. 8 rows: 8 read, 0 already fresh, 0 rejected.\n")
    seen = Counter(seen["status"] for seen in kustom.requests)
    assert seen == {200: 8, 429: times}


def test_an_order_that_cannot_be_read_now_is_asked_for_by_the_next_run(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    lost = kustom.add(status="CAPTURED")
    file = csv_of(tmp_path / "x.csv", "id", *DEMO[:3], lost, *DEMO[3:6], "x")
    kustom.fault("GET", f"/orders/{lost}", "status", status=503, times=3)
    ran = command("book", "import", file, *FAST, **shop)
    assert ran.code == 1
    assert ran.told.splitlines() == [
        "line 5: not read: Kustom did not give an answer to the read (HTTP 503).",
        "line 9: this is not an order id: this looks like a merchant reference or an order number of the shop",
        "8 rows: 6 read, 0 already fresh, 1 rejected, 1 not read. The same command goes on after line 4.",
    ]
    assert [one["done_to_line"] for one in status(command, shop)["unfinished_imports"]] == [4]
    again = command("book", "import", file, *FAST, **shop)
    assert again.err.endswith("going on after line 4\n")
    assert again.out.endswith("Done. 5 rows after line 4: 1 read, 3 already fresh, 1 rejected.\n")
    assert asked(kustom) == Counter({**dict.fromkeys(DEMO[:6], 1), lost: 4})
    assert status(command, shop)["unfinished_imports"] == []


def test_what_was_rejected_before_a_stop_counts_in_the_end_and_once(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    lost = kustom.add(status="CAPTURED")
    file = csv_of(tmp_path / "x.csv", "id", "x", DEMO[0], NO_SUCH, lost, "y", DEMO[1])
    kustom.fault("GET", f"/orders/{lost}", "status", status=503, times=6)
    ran = [command("book", "import", file, *FAST, **shop) for _ in range(2)]
    assert [one["rejected"] for one in status(command, shop)["unfinished_imports"]] == [2]
    assert ran[1].out.endswith(
        "3 rows after line 4: 0 read, 1 already fresh, 1 rejected, 1 not read; 2 rejected before that. "
        "The same command goes on after line 4.\n"
    )
    ended = command("book", "import", file, *FAST, **shop)
    assert ended.out.endswith(
        "Done. 3 rows after line 4: 1 read, 1 already fresh, 1 rejected; 2 rejected before that.\n"
    )
    kustom.fault("GET", f"/orders/{DEMO[3]}", "status", status=503, times=3)
    bad_first = csv_of(tmp_path / "y.csv", "id", "x", DEMO[3])
    assert command("book", "import", bad_first, *FAST, **shop).code == 1
    last = command("book", "import", bad_first, *FAST, **shop)
    assert last.told == "Done. 1 row after line 2: 1 read, 0 already fresh, 0 rejected; 1 rejected before that.\n"
    assert (ended.code, last.code) == (1, 1)


def test_a_reader_who_leaves_early_ends_it_quietly_and_nothing_that_was_read_is_lost(
    running: Callable[..., subprocess.Popen[str]], command: Command, kustom: Kustom, shop: dict[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    ids = [*DEMO[:8], NO_SUCH, DEMO[8], NO_SUCH[:-1] + "1", *(kustom.add(status="CAPTURED") for _ in range(60))]
    process = running(csv_of(tmp_path / "x.csv", "id", *ids), *FAST)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(PATIENCE) == 1
    assert err.splitlines()[1].startswith("kustom-mcp: Stopped (nobody reads the results any more). ")
    assert len(err.splitlines()) == 2
    (unfinished,) = status(command, shop)["unfinished_imports"]
    assert f"The same command goes on after line {unfinished['done_to_line']}.\n" in err
    before = asked(kustom)
    assert status(command, shop)["orders"] == len(before) - 2
    assert len(before) < len(ids)
    again = command("book", "import", str(tmp_path / "x.csv"), "--rate", "20", **shop)
    assert again.out.endswith("; 2 rejected before that.\n")
    assert asked(kustom) == Counter(ids)


def test_where_kustom_cannot_be_reached_it_stops_soon_and_goes_on_later(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    file = csv_of(tmp_path / "x.csv", "id", *(str(UUID(int=number)) for number in range(1, 5000)))
    wrong = command("book", "import", file, *FAST, **{**shop, "KUSTOM_API_KEY": "kco_test_api_no_such_key"})
    assert wrong.code == 1
    assert wrong.out.splitlines()[-1].startswith("Stopped (Kustom did not accept the credentials (HTTP 401)). ")
    assert wrong.out.endswith("The same command goes on after line 1.\n")
    assert len(kustom.requests) <= 8
    away = command("book", "import", file, *FAST, **{**shop, "KUSTOM_API_URL": "http://127.0.0.1:9"})
    assert away.code == 1
    assert away.out.splitlines()[-1].startswith("Stopped (Kustom could not be reached; nothing was sent). ")
    assert away.out.endswith("The same command goes on after line 1.\n")
    assert away.out.count("\n") < 20


@pytest.fixture
def running(shop: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start an import as a process of its own."""
    processes = list[subprocess.Popen[str]]()

    def start(*argv: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*PROGRAM, "book", "import", *argv], env=shop, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate(timeout=PATIENCE)


def test_after_ctrl_c_the_next_run_reads_no_order_twice(
    running: Callable[..., subprocess.Popen[str]], command: Command, kustom: Kustom, shop: dict[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    ids = [*DEMO[:8], NO_SUCH, *DEMO[8:], *(kustom.add(status="CAPTURED") for _ in range(10))]
    process = running(csv_of(tmp_path / "x.csv", "id", *ids), *FAST)
    assert process.stdout is not None
    assert process.stdout.readline() == f"Environment: playground, merchant {MERCHANT}\n"
    assert process.stdout.readline() == f"line 10: {MISSING}\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert out.startswith("Stopped (interrupted). ")
    assert "Traceback" not in err
    before = asked(kustom)
    assert 8 < len(before) < len(ids)
    (tmp_path / "moved").mkdir()
    moved = (tmp_path / "x.csv").rename(tmp_path / "moved" / "y.csv")
    again = command("book", "import", str(moved), *FAST, **shop)
    assert (again.code, again.out.count("\n")) == (1, 2), "a row before was rejected"
    assert f"going on after line {len(before) + 1}\n" in again.err
    assert f"{len(ids) - len(before)} read, 0 already fresh" in again.out
    assert asked(kustom) == Counter(ids)
    assert status(command, shop)["orders"] == len(ids) - 1


def test_after_a_crash_the_next_run_goes_on_where_the_book_stands(
    running: Callable[..., subprocess.Popen[str]], command: Command, kustom: Kustom, shop: dict[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    ids = [*DEMO, *(kustom.add(status="CAPTURED") for _ in range(30))]
    file = csv_of(tmp_path / "x.csv", *ids)
    process = running(file, *FAST)
    done = 0
    while not done and process.poll() is None:
        if book_of(shop).exists():
            with closing(sqlite3.connect(f"file:{book_of(shop)}?mode=ro", uri=True)) as book:
                tables = {name for (name,) in book.execute("SELECT name FROM sqlite_master")}
                found = book.execute("SELECT done FROM book_imports").fetchone() if "book_imports" in tables else None
            done = found[0] if found else 0
    process.kill()
    process.communicate(timeout=PATIENCE)
    before = asked(kustom)
    again = command("book", "import", file, *FAST, **shop)
    assert again.code == 0
    assert f"going on after line {done}\n" in again.err
    twice = {one for one, times in asked(kustom).items() if times > 1}
    assert twice <= set(before) - set(ids[:done])
    assert set(asked(kustom)) == set(ids)
    assert status(command, shop)["orders"] == len(ids)


def test_restart_begins_at_the_first_line(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    file = csv_of(tmp_path / "x.csv", "id", "x", DEMO[0], DEMO[1])
    kustom.fault("GET", f"/orders/{DEMO[1]}", "status", status=503, times=6)
    assert command("book", "import", file, *FAST, **shop).told.startswith("line 2: ")
    assert command("book", "import", file, *FAST, **shop).told.startswith("line 4: not read")
    ran = command("book", "import", file, *FAST, "--restart", **shop)
    assert ran.told.endswith("Done. 3 rows: 1 read, 1 already fresh, 1 rejected.\n")


def test_others_write_to_the_book_meanwhile(
    command: Command, kustom: Kustom, shop: dict[str, str], tmp_path: Path
) -> None:
    other = subprocess.Popen([sys.executable, "-c", ANOTHER_WRITER, str(book_of(shop))])
    ran = command("book", "import", csv_of(tmp_path / "x.csv", *DEMO), *FAST, **shop)
    assert ran.told == f"Done. {len(DEMO)} rows: {len(DEMO)} read, 0 already fresh, 0 rejected.\n"
    assert other.wait(PATIENCE) == 0
    counts = {kustom.account: len(DEMO), SANDBOX: 200}
    with closing(sqlite3.connect(book_of(shop))) as book:
        for what in ("count(*) FROM book", "sum(orders) FROM book_sums"):
            days = "WHERE day = -1" if "sums" in what else ""
            found = book.execute(f"SELECT name, {what} JOIN book_accounts USING (account) {days} GROUP BY name")
            assert dict(found) == counts


def test_on_a_terminal_a_bar_shows_progress_and_results_stay_on_stdout(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    file = csv_of(tmp_path / "x.csv", "id", *DEMO, "x")
    process = subprocess.Popen(
        [*PROGRAM, "book", "import", file],
        env={"TERM": "xterm", "COLUMNS": "100", "KUSTOM_ENVIRONMENT": "sandbox"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with open(ours, "rb", buffering=0) as terminal:
        try:
            while piece := terminal.read(4096):
                shown += piece
        except OSError:  # the other side has closed it
            pass
    out, _ = process.communicate(timeout=PATIENCE)
    assert out.decode().splitlines() == [
        "Environment: sandbox",
        f"line {len(DEMO) + 2}: this is not an order id: this looks like a merchant reference or an order number of "
        "the shop",
        f"Done. {len(DEMO) + 1} rows: {len(DEMO)} read, 0 already fresh, 1 rejected.",
    ]
    assert f"{len(DEMO) + 2}/".encode() in shown
    assert f"lines: {len(DEMO)} read".encode() in shown
    assert b"the sandbox keeps its order book in memory" in shown


def test_the_book_may_be_shared_in_postgresql(
    command: Command, kustom: Kustom, shop: dict[str, str], shared_database: str, tmp_path: Path
) -> None:
    shop["KUSTOM_STORE"] = shared_database
    kustom.fault("GET", f"/orders/{DEMO[2]}", "status", status=503, times=3)
    file = csv_of(tmp_path / "x.csv", *DEMO[:5])
    assert "goes on after line 2" in command("book", "import", file, *FAST, **shop).told
    standing = status(command, shop)
    assert (standing["orders"], standing["place"]) == (4, "the database of KUSTOM_STORE")
    assert standing["bytes"] > 0
    assert [one["done_to_line"] for one in standing["unfinished_imports"]] == [2]
    assert command("book", "import", file, *FAST, **shop).told == (
        "Done. 3 rows after line 2: 1 read, 2 already fresh, 0 rejected.\n"
    )
    assert command("book", "sync", "--max-age", "0", *FAST, **shop).told.startswith("Done. ")
    gone = command("book", "forget", DEMO[0], **shop)
    assert (gone.code, gone.told) == (0, "Forgot 1 order.\n")
    assert "next VACUUM" in gone.err
    assert command("book", "forget", "--all", "--yes", **shop).told == "Forgot 4 orders.\n"
    assert not book_of(shop).exists()
