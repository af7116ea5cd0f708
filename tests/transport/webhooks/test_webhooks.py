"""Webhooks and pushes over real HTTP, to the server's own process: what is believed, what is read, and what is not."""

from __future__ import annotations

import json
import signal
import socket
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest

from kustom_mcp.book import hints
from kustom_mcp.book.hints import MOST, Hint
from kustom_mcp.book.sqlite import SqliteBook
from kustom_mcp.book.writing import account_number
from kustom_mcp.simulator.events import SECRET
from tests.support.unhurried import PATIENCE
from tests.transport.kustom import MERCHANT, Kustom, demo, simulating
from tests.transport.serving_stdio import Served
from tests.transport.webhooks.hearing import HOOKS, PATH, free_port, hearing, reads, signed, told, until

TOWEL = demo("captured-sek")
NOBODY = "00000000-0000-4000-8000-000000000404"
CANARY = "Ingrid Canarysdotter"
NEW_SECRET = "whsec_dGhlIHNlY3JldCBhZnRlciB0aGlzIG9uZQ=="


def said(served: Served) -> str:
    """Everything that the server has said, now that it has ended well."""
    served.signal(signal.SIGTERM)
    assert served.ended() == 0
    return served.stderr


def test_from_the_event_to_the_answer(tmp_path: Path) -> None:
    port = free_port()
    with (
        simulating("--hooks", f"http://127.0.0.1:{port}{HOOKS}") as kustom,
        hearing(kustom, tmp_path, "--port", str(port)) as ear,
    ):
        assert ear.coverage == {"known": 0, "sources": {}, "stale": 0}
        order_id = kustom.add(merchant_reference1="SHOP-77", order_amount=5000)
        until(lambda: ear.complete)
        found = ear.find(reference="shop77")
        assert [row["order_id"] for row in found["orders"]] == [order_id]
        assert found["coverage"]["sources"] == {"webhook": 1}
        since = found["coverage"]["complete_since"]
        captured = demo("authorized-sek")
        kustom.change("POST", f"/orders/{captured}/captures", {"captured_amount": 5000})
        until(lambda: [row["captured_amount"] for row in ear.find(reference=captured)["orders"]] == [5000])
        tell = httpx.Client(base_url=kustom.url, trust_env=False, timeout=PATIENCE)
        assert tell.post("/sandbox/hooks/disputes", json={"order_id": TOWEL}).status_code == 202
        until(lambda: len(ear.find(ever_disputed=True)["orders"]) == 1)
        answer = ear.find(ever_disputed=True)
        assert "cannot be answered" not in answer["summary"]
        (disputed,) = answer["orders"]
        assert (disputed["order_id"], disputed["ever_disputed"]) == (TOWEL, True)
        assert tell.post("/sandbox/hooks/pushes", json={"order_id": demo("expiring-soon-sek")}).status_code == 202
        until(lambda: ear.coverage["known"] == 4)
        assert ear.coverage["sources"] == {"webhook": 3, "push": 1}
        assert ear.coverage["complete_since"] == since
        assert {(event["attempts"], event["status"]) for event in tell.get("/sandbox/hooks").json()} == {(1, 200)}
        assert [seen["method"] for seen in kustom.requests if seen["method"] != "GET"] == ["POST"]
        tell.close()


UNDERSTOOD = told("order.created", TOWEL)
WRONG_IDS = [
    f"{TOWEL}/cancel",
    f"../{TOWEL}",
    f"{TOWEL[:-7]}%2F..%2F",
    TOWEL.replace("e", "\u0435"),
    f"{TOWEL}\n",
    TOWEL * 1000,
    f"https://portal.kustom.co/orders/list/{TOWEL}",
    "",
    None,
    7,
    [TOWEL],
    {"order_id": TOWEL},
]


def test_what_is_refused_causes_nothing_and_says_nothing(kustom: Kustom, tmp_path: Path) -> None:
    good = signed(UNDERSTOOD)
    with hearing(kustom, tmp_path) as ear:
        nowhere = ear.http.post("/nowhere", content=UNDERSTOOD)
        for path in (f"{HOOKS}x", HOOKS[:-1], "/hooks/kustom/", "/hooks/kustom", f"{HOOKS}/", "/hooks/kustom/%F0%9F"):
            for method in ("POST", "GET"):
                elsewhere = ear.http.request(method, path, content=UNDERSTOOD, headers={**good, "host": "evil.example"})
                assert (elsewhere.status_code, elsewhere.content) == (404, nowhere.content)
                assert {name for name in elsewhere.headers if name != "date"} == {
                    name for name in nowhere.headers if name != "date"
                }
        assert ear.http.get(HOOKS).status_code == 405
        assert ear.http.post(HOOKS, content=UNDERSTOOD).status_code == 401
        assert ear.event("order.created", TOWEL, secret=NEW_SECRET) == 401
        assert ear.http.post(HOOKS, content=UNDERSTOOD + b" ", headers=good).status_code == 401
        assert ear.http.post(HOOKS, content=UNDERSTOOD, headers={**good, "host": "evil.example"}).status_code == 421
        assert [ear.event("order.created", wrong) for wrong in WRONG_IDS] == [200] * len(WRONG_IDS)
        assert [ear.push(wrong) for wrong in WRONG_IDS if isinstance(wrong, str)] == [400] * 8
        assert ear.http.post(f"{HOOKS}?order_id={TOWEL}&order_id={TOWEL}").status_code == 400
        for body in (b"", b"[]", b"null", b"{" * 60_000, b'{"type": 7}', b'{"type": "order.created"}'):
            assert ear.post(body).status_code == 200, body[:20]
        for other in ("ipp.session.updated", "order.updated", "something.else"):
            assert ear.event(other, TOWEL) == 200
        assert (reads(kustom), ear.coverage["known"]) == ([], 0)
        ear.event("order.created", TOWEL)
        until(lambda: ear.coverage["known"] == 1)
        text = said(ear.served)
    assert reads(kustom) == [TOWEL]
    assert "no good signature" in text
    for secret in (PATH, SECRET, TOWEL):
        assert secret not in text


def test_a_push_has_the_order_in_the_query_or_at_the_end_of_the_path(kustom: Kustom, tmp_path: Path) -> None:
    orders = [demo(name) for name in ("captured-sek", "authorized-sek", "expired-sek", "cancelled-eur")]
    with hearing(kustom, tmp_path) as ear:
        tails = (
            f"?order_id={orders[0]}",
            f"?klarna_order_id={orders[1]}",
            f"/{orders[2]}",
            f"/kco/api/push/id/{orders[3].upper()}/",
        )
        assert [ear.http.post(f"{HOOKS}{tail}").status_code for tail in tails] == [200] * 4
        until(lambda: ear.coverage["known"] == 4)
        for wrong in (f"/{TOWEL}/cancel", "/id", f"/{TOWEL}?order_id={TOWEL}", "/%2e%2e", f"/{TOWEL}%2Fcancel"):
            assert ear.http.post(f"{HOOKS}{wrong}").status_code == 400, wrong
        assert ear.http.get(f"{HOOKS}/{TOWEL}").status_code == 405
        assert "neither an event nor does it name an order" in said(ear.served)
    assert sorted(reads(kustom)) == sorted(orders)


def test_events_of_other_merchants_and_of_payments_in_shops_are_taken_and_ignored(
    kustom: Kustom, tmp_path: Path
) -> None:
    with hearing(kustom, tmp_path) as ear:
        assert ear.event("order.created", TOWEL, merchant_id=MERCHANT.lower()) == 200
        until(lambda: ear.complete)
        assert ear.event("order.created", NOBODY, merchant_id="DM11917000") == 200
        assert ear.event("dispute.created", "SHOP-77", merchant_id="DM11917000") == 200
        for kind in ("session.created", "session.activated", "session.finalized", "payment.failed"):
            assert ear.post(json.dumps({"id": "kevt_1", "type": f"ipp.{kind}", "session_id": "x"}).encode()).is_success
        foreign = told("order.created", NOBODY, merchant_id="DM11917000")
        assert ear.post(foreign, NEW_SECRET).status_code == 401
        assert ear.complete, "whatever became of it, it was not ours"
        assert ear.event("capture.created", demo("authorized-sek"), merchant_id=7) == 200
        until(lambda: ear.coverage["known"] == 2)
        assert said(ear.served).count("no good signature") == 1
    assert sorted(reads(kustom)) == sorted([TOWEL, demo("authorized-sek")])


def test_where_the_merchant_is_not_known_the_signature_decides_alone(kustom: Kustom, tmp_path: Path) -> None:
    with hearing(kustom, tmp_path, KUSTOM_USERNAME="demo") as ear:
        assert ear.event("order.created", TOWEL, merchant_id="DM11917000") == 200
        until(lambda: ear.coverage["known"] == 1)


def test_an_order_that_kustom_no_longer_knows_is_doubted(kustom: Kustom, tmp_path: Path) -> None:
    with hearing(kustom, tmp_path) as ear:
        assert ear.event("order.created", TOWEL) == 200
        until(lambda: ear.coverage["known"] == 1)
        kustom.fault("GET", "/orders/{order_id}", "status", status=404, times=9)
        assert ear.event("capture.created", TOWEL) == 200
        until(lambda: ear.coverage["stale"] == 1)
        assert [row["order_id"] for row in ear.find()["orders"]] == [TOWEL]


def test_ten_megabytes_are_refused_before_they_are_read(kustom: Kustom, tmp_path: Path) -> None:
    big = told("order.created", TOWEL, text="x" * 10_000_000)
    with hearing(kustom, tmp_path) as ear:
        assert ear.post(big).status_code == 413
        parts = ear.http.post(HOOKS, content=iter([big[:65_000], big[65_000:130_000]]), headers=signed(big))
        assert parts.status_code == 413
        assert ear.event("order.created", TOWEL) == 200
        until(lambda: ear.coverage["known"] == 1)


def test_while_the_secret_changes_here_both_are_good(kustom: Kustom, tmp_path: Path) -> None:
    with hearing(kustom, tmp_path, KUSTOM_HOOKS_SECRET=f"{NEW_SECRET}, {SECRET}") as ear:
        assert ear.event("order.created", TOWEL, NEW_SECRET) == 200
        assert ear.event("order.created", demo("authorized-sek"), SECRET) == 200
        until(lambda: ear.coverage["known"] == 2)
        assert ear.event("order.created", TOWEL, f"whsec_{'A' * 32}") == 401
        assert "no good signature" in said(ear.served)


def test_a_secret_that_changes_in_its_file_is_used_without_a_restart(kustom: Kustom, tmp_path: Path) -> None:
    file = tmp_path / "whsec"
    file.write_text(SECRET + "\n")
    with hearing(kustom, tmp_path, KUSTOM_HOOKS_SECRET="", KUSTOM_HOOKS_SECRET_FILE=str(file)) as ear:
        assert ear.event("order.created", TOWEL, SECRET) == 200
        file.write_text("whsec_short")
        assert ear.event("order.created", TOWEL, SECRET) == 200, "what may not be used changes nothing"
        file.write_text(f"{NEW_SECRET}, {SECRET}")
        assert [ear.event("order.created", TOWEL, secret) for secret in (SECRET, NEW_SECRET)] == [200, 200]
        file.write_text(NEW_SECRET)
        assert [ear.event("order.created", TOWEL, secret) for secret in (SECRET, NEW_SECRET)] == [401, 200]
        text = said(ear.served)
    assert "KUSTOM_HOOKS_SECRET_FILE: Entry 1 of the list is not a signing secret" in text
    assert "The signing secret from before is used on." in text
    assert "whsec_s" not in text


def test_while_the_secret_changes_at_kustom_one_of_its_signatures_is_enough(kustom: Kustom, tmp_path: Path) -> None:
    with hearing(kustom, tmp_path) as ear:
        for both in ((NEW_SECRET, SECRET), (SECRET, NEW_SECRET)):
            assert ear.http.post(HOOKS, content=UNDERSTOOD, headers=signed(UNDERSTOOD, *both)).status_code == 200
        until(lambda: ear.coverage["known"] == 1 and ear.complete)


MALFORMED = [
    {"webhook-id": "kevt_\u00e9"},
    {"webhook-id": ""},
    *({"webhook-timestamp": text} for text in ("", "nan", "inf", "-1", "1e9", "9" * 5000, "2026-11-28", "\u00b2")),
    *({"webhook-signature": text} for text in ("", "v1", "v1,", "v1,=", "v1,\u00e9", "v1," + "A" * 41, ",,", "v1,A,B")),
]


def test_a_malformed_header_or_body_is_an_unsigned_webhook_and_no_fault_of_the_server(
    kustom: Kustom, tmp_path: Path
) -> None:
    with hearing(kustom, tmp_path) as ear:

        def status(body: bytes, headers: dict[str, str]) -> int:
            sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
            return ear.http.post(HOOKS, content=body, headers=sent).status_code

        good = signed(UNDERSTOOD)
        for wrong in MALFORMED:
            assert status(UNDERSTOOD, good | wrong) == 401, wrong
        for missing in good:
            assert status(UNDERSTOOD, {name: value for name, value in good.items() if name != missing}) == 401
        assert status(b"\xff\xfe", signed(b"\xff\xfe")) == 401
        for late in (-400, 400):
            assert status(UNDERSTOOD, signed(UNDERSTOOD, late=late)) == 401
        assert status(UNDERSTOOD, signed(UNDERSTOOD, late=200)) == 200
        text = said(ear.served)
    assert "five minutes from this machine's clock" in text
    assert "Traceback" not in text


@pytest.mark.exam
def test_ten_thousand_replays_are_one_read(kustom: Kustom, tmp_path: Path) -> None:
    with hearing(kustom, tmp_path) as ear:
        address = urlsplit(ear.served.base)
        answered = 0
        with socket.create_connection((address.hostname or "", address.port or 0)) as line:
            for _ in range(100):
                fields = {"Host": address.netloc, "Content-Length": str(len(UNDERSTOOD))}
                fields |= signed(UNDERSTOOD)
                head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
                line.sendall((f"POST {HOOKS} HTTP/1.1\r\n{head}\r\n".encode() + UNDERSTOOD) * 100)
                got = b""
                while got.count(b"\r\n\r\nok\n") < 100:
                    got += line.recv(65536)
                answered += got.count(b"HTTP/1.1 200 OK")
        assert answered == 10_000
        assert ear.event("capture.created", TOWEL) == 200
        until(lambda: len(reads(kustom)) == 2)
        assert ear.complete
    assert reads(kustom) == [TOWEL, TOWEL], "one for the replays, one for what was new"


def test_an_order_of_somebody_else_is_answered_like_any_other_and_never_known(kustom: Kustom, tmp_path: Path) -> None:
    hidden = demo("authorized-sek")
    with hearing(kustom, tmp_path, KUSTOM_ORDER_SCOPE=f"{TOWEL},{NOBODY}") as ear:
        answers = [ear.http.post(f"{HOOKS}?order_id={order_id}") for order_id in (NOBODY, hidden, TOWEL)]
        assert {(answer.status_code, answer.content) for answer in answers} == {(200, b"ok\n")}
        assert [ear.event("order.created", order_id) for order_id in (NOBODY, hidden)] == [200, 200]
        until(lambda: ear.coverage["known"] == 1)
        until(lambda: ear.complete)
        assert [row["order_id"] for row in ear.find()["orders"]] == [TOWEL]
    assert set(reads(kustom)) == {NOBODY, TOWEL}


def test_a_flood_of_forged_pushes_is_a_trickle_of_reads_and_signed_events_go_first(
    kustom: Kustom, tmp_path: Path
) -> None:
    with hearing(kustom, tmp_path) as ear:
        began = time.monotonic()
        answers = {ear.push(str(uuid.uuid4())) for _ in range(300)}
        assert answers == {200}
        assert ear.event("order.created", TOWEL) == 200
        until(lambda: TOWEL in reads(kustom))
        behind = len(reads(kustom))
        until(lambda: len(reads(kustom)) >= behind + 5)
        read = reads(kustom)
        took = time.monotonic() - began
        assert len(read) <= 1 + took / 0.2
        assert ear.complete


def test_what_an_event_says_besides_reaches_neither_book_nor_log(kustom: Kustom, tmp_path: Path) -> None:
    told_too = {"customer": CANARY, "merchant_id": CANARY, CANARY: {"status": CANARY, "order_amount": 1}}
    with hearing(kustom, tmp_path, KUSTOM_LOG_LEVEL="debug") as ear:
        body = json.dumps({"type": "dispute.created", "data": {"order_id": TOWEL, **told_too}, **told_too}).encode()
        assert ear.post(body).status_code == 200
        assert ear.http.post(HOOKS, params={"order_id": TOWEL, "email": CANARY}, content=CANARY).status_code == 200
        assert ear.post(json.dumps({"type": CANARY, "data": CANARY}).encode()).status_code == 200
        assert ear.post(json.dumps({"type": 1, "data": CANARY}).encode()).status_code == 200
        assert ear.post(json.dumps({"type": f"dispute.{CANARY}", "data": CANARY}).encode()).status_code == 200
        assert ear.http.post(HOOKS, content=body.replace(b"{", b"[")).status_code == 401
        until(lambda: ear.coverage["known"] == 1)
        text = said(ear.served)
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert TOWEL.encode() in files
    assert CANARY.encode() not in files
    for hidden in (CANARY, PATH, SECRET):
        assert hidden not in text


def test_a_dispute_that_nobody_signed_disputes_nothing(kustom: Kustom, tmp_path: Path) -> None:
    with hearing(kustom, tmp_path, KUSTOM_HOOKS_SECRET="") as ear:
        assert "KUSTOM_HOOKS_SECRET is not set, so webhooks are hints only" in "".join(ear.served.before)
        assert ear.http.post(HOOKS, content=told("dispute.created", TOWEL)).status_code == 200
        until(lambda: ear.coverage["known"] == 1)
        assert ear.http.post(HOOKS, content=told("order.created", NOBODY)).status_code == 200
        (row,) = ear.find()["orders"]
        assert ("ever_disputed" in row, ear.complete) == (False, False)


def test_a_kept_hint_and_completeness_outlive_a_crash(kustom: Kustom, tmp_path: Path) -> None:
    with hearing(kustom, tmp_path) as ear:
        assert ear.event("order.created", TOWEL) == 200
        until(lambda: ear.complete)
        since = ear.coverage["complete_since"]
        kustom.fault("GET", "/orders/{order_id}", "delay", seconds=30)
        assert ear.event("dispute.created", NOBODY) == 200
        until(lambda: kustom.met)
        assert ear.event("order.created", demo("authorized-sek")) == 200
        ear.served.signal(signal.SIGKILL)
        ear.served.ended()
    database = SqliteBook(tmp_path / "book" / "book.sqlite3")
    later = "UPDATE book_hints SET due = due - :claim RETURNING due"
    assert database.write(lambda tx: tx.rows(later, {"claim": hints.CLAIM}))  # as if the dead reader's claim had ended
    database.close()
    with hearing(kustom, tmp_path) as ear:
        until(lambda: ear.coverage["known"] == 2 and ear.complete)
        assert ear.coverage["complete_since"] == since


def test_completeness_begins_with_a_new_order_and_outlives_a_restart(kustom: Kustom, tmp_path: Path) -> None:
    with hearing(kustom, tmp_path) as ear:
        assert ear.event("capture.created", TOWEL) == 200
        until(lambda: ear.coverage["known"] == 1)
        assert not ear.complete
        assert ear.event("order.created", TOWEL) == 200
        until(lambda: ear.complete)
        first = ear.coverage["complete_since"]
    with hearing(kustom, tmp_path) as ear:
        until(lambda: ear.complete)
        assert ear.coverage["complete_since"] == first


def test_a_signed_event_that_nothing_can_come_of_is_taken_and_a_gap(kustom: Kustom, tmp_path: Path) -> None:
    with hearing(kustom, tmp_path) as ear:
        for lost in (told("order.created", "SHOP-77"), b"{"):
            assert ear.event("order.created", TOWEL, at=lost.decode()) == 200
            until(lambda: ear.complete)
            assert ear.push("SHOP-77") == 400
            assert ear.complete
            assert ear.post(lost).status_code == 200
            until(lambda: not ear.complete)
        text = said(ear.served)
    assert "webhook (order.created) names no order" in text
    assert "no event that can be read" in text


def test_a_dispute_without_an_order_is_taken_told_and_no_gap(kustom: Kustom, tmp_path: Path) -> None:
    with hearing(kustom, tmp_path) as ear:
        assert ear.event("order.created", TOWEL) == 200
        until(lambda: ear.complete)
        for data in ({}, {"dispute_id": "d-1"}, None, [TOWEL]):
            body = json.dumps({"id": "kevt_2", "type": "dispute.created", "data": data}).encode()
            assert ear.post(body).status_code == 200
        assert ear.event("dispute.updated", demo("authorized-sek")) == 200
        until(lambda: ear.coverage["known"] == 2)
        assert ear.complete
        assert [row["order_id"] for row in ear.find(ever_disputed=True)["orders"]] == [demo("authorized-sek")]
        text = said(ear.served)
    assert "webhook (dispute) names no order, so nothing came of it: look in the Kustom portal" in text


def test_what_nobody_signed_and_is_no_event_is_refused(kustom: Kustom, tmp_path: Path) -> None:
    with hearing(kustom, tmp_path, KUSTOM_HOOKS_SECRET="") as ear:
        for body in (b"", b"[]", b'{"type": 7}'):
            assert ear.http.post(HOOKS, content=body).status_code == 400
        assert ear.http.post(HOOKS, content=told("dispute.created", None)).status_code == 200
        assert "neither an event nor does it name an order" in said(ear.served)


def test_an_event_without_a_good_signature_ends_completeness_and_the_next_new_order_brings_it_back(
    kustom: Kustom, tmp_path: Path
) -> None:
    database = SqliteBook(tmp_path / "book" / "book.sqlite3")

    def since() -> int:
        """As the store has it, for all who share it."""
        return database.read(lambda tx: tx.rows("SELECT since FROM book_feeds"))[0][0]

    with hearing(kustom, tmp_path) as ear:
        for number in range(2):
            assert ear.event("order.created", TOWEL, at=number) == 200
            until(lambda: ear.complete)
            assert ear.http.post("/hooks/kustom/another-path-0123456789-abc", content=b"{}").status_code == 404
            assert ear.push(TOWEL) == 200
            assert ear.complete
            assert ear.event("order.created", NOBODY, secret=NEW_SECRET) == 401
            assert not ear.complete
            assert ear.event("capture.created", TOWEL, at=number) == 200
            assert since() == 0
        assert "no good signature" in said(ear.served)
    database.close()


def test_where_events_cannot_be_kept_nothing_is_claimed_from_that_moment_on(kustom: Kustom, tmp_path: Path) -> None:
    database = SqliteBook(tmp_path / "book" / "book.sqlite3")
    with hearing(kustom, tmp_path) as ear:
        assert ear.event("order.created", TOWEL) == 200
        until(lambda: ear.complete)
        refuse = "BEGIN SELECT RAISE(ABORT, 'as if the disk were full'); END"
        database.write(lambda tx: tx.rows(f"CREATE TRIGGER full BEFORE INSERT ON book_hints {refuse}"))
        assert ear.push(NOBODY) == 503
        assert ear.complete
        assert ear.event("order.created", NOBODY) == 503
        assert not ear.complete
        database.write(lambda tx: tx.rows("DROP TRIGGER full"))
        assert ear.event("capture.created", TOWEL) == 200
        assert not ear.complete
        assert ear.event("order.created", TOWEL, at="later") == 200
        until(lambda: ear.complete)
        assert "cannot be kept now" in said(ear.served)
    database.close()


def test_too_many_hints_are_refused_and_end_completeness(kustom: Kustom, tmp_path: Path) -> None:
    database = SqliteBook(tmp_path / "book" / "book.sqlite3")
    waiting = [Hint(str(uuid.uuid4()), "webhook", verified=True) for _ in range(MOST[True])]
    later = 10_000_000_000_000
    with hearing(kustom, tmp_path) as ear:
        assert ear.event("order.created", TOWEL) == 200
        until(lambda: ear.complete)
        database.write(lambda tx: hints.add(tx, account_number(tx, kustom.account), waiting, later))
        assert ear.event("order.created", demo("authorized-sek")) == 503
        database.write(lambda tx: tx.rows("DELETE FROM book_hints"))
        assert not ear.complete
        assert ear.event("order.created", demo("authorized-sek")) == 200
        until(lambda: ear.complete)
        text = said(ear.served)
    assert text.count("could not be kept") == 1
    database.close()


def test_an_announced_order_that_cannot_be_read_is_a_gap(kustom: Kustom, tmp_path: Path) -> None:
    with hearing(kustom, tmp_path) as ear:
        assert ear.event("order.created", TOWEL) == 200
        until(lambda: ear.complete)
        kustom.fault("GET", "/orders/{order_id}", "status", status=503, times=3)
        other = demo("authorized-sek")
        assert ear.event("order.created", other) == 200
        until(lambda: kustom.met)
        assert not ear.complete
