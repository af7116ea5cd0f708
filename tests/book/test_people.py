"""Orders are found by people, and nothing readable of them is kept anywhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kustom_mcp.app.app import App
from kustom_mcp.book.database import BookTransaction
from kustom_mcp.book.entry import entry_of
from kustom_mcp.book.people import KeyLost, PeopleDigests, Sought, emails, phones
from kustom_mcp.book.sqlite import SqliteBook
from kustom_mcp.book.writing import account_number, forget, forget_all, forget_before, put
from kustom_mcp.settings.settings import Settings
from kustom_mcp.simulator.app import Simulator
from tests.app.test_telemetry import Watcher
from tests.book.writers import order
from tests.support.conversation import Talk, conversation

CANARY = {
    "given_name": "Kanariina",
    "family_name": "Gulfjäder",
    "email": "kanariina.4711@example.com",
    "phone": "070-174 06 05",
    "postal_code": "98765",
    "street_address": "Kanariestigen 4711",
    "city": "Kanarieby",
    "country": "SE",
}
READABLE = ("kanarii", "gulfj", "4711", "1740605", "174 06 05", "46701740605", "98765")
OTHER = CANARY | {"given_name": "Nobody", "email": "nobody@example.com", "phone": "+4790123456", "postal_code": "0150"}


def shop(talk: Talk) -> tuple[str, str]:
    """Two orders, of two people."""
    return (
        talk.order(billing_address=OTHER, shipping_address=CANARY, merchant_reference1="SE-1"),
        talk.order(billing_address=OTHER, shipping_address=OTHER, merchant_reference1="SE-2"),
    )


def ids(answer: dict[str, Any]) -> set[str]:
    return {row["order_id"] for row in answer["orders"]}


@pytest.mark.parametrize(
    "asked",
    [
        {"email": " Kanariina.4711@EXAMPLE.com"},
        {"email": "Kanariina G <mailto:kanariina.4711@example.com>"},
        {"email": "\u200bkanariina.4711@example.com."},
        {"phone": "+46 70 174 06 05"},
        {"phone": "0046701740605"},
        {"phone": "0701740605"},
        {"name": "gulfjader KANARIINA", "postal_code": "987 65"},
        {"name": "Kanariina Gulfjäder", "postal_code": "SE-98765"},
        {"email": "kanariina.4711@example.com", "phone": "0701740605"},
    ],
    ids=str,
)
async def test_a_person_is_found_however_it_is_written(asked: dict[str, str]) -> None:
    async with conversation(simulator=Simulator(seeds=())) as talk:
        mine, _ = shop(talk)
        found = await talk.call("find_orders", asked)
        assert [(row["order_id"], row["match"]) for row in found["orders"]] == [(mine, "person")]
        assert "ask the person which one is meant" in found["next_step"]


@pytest.mark.parametrize(
    "asked",
    [
        {"email": "kanariina.4712@example.com"},
        {"phone": "+47 70 174 06 05"},
        {"name": "Kanariina", "postal_code": "98765"},
        {"name": "Kanariina Gulfjäder", "postal_code": "98766"},
        {"email": "kanariina.4711@example.com", "phone": "+4790123457"},
    ],
    ids=str,
)
async def test_another_person_is_not(asked: dict[str, str]) -> None:
    async with conversation(simulator=Simulator(seeds=())) as talk:
        shop(talk)
        found = await talk.call("find_orders", asked)
        assert (found["orders"], found["totals"]) == ([], [])
        assert "not that there is none" in found["next_step"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"email": "kanariina"}, "email"),
        ({"phone": "kanariina"}, "phone"),
        ({"name": "kanariina"}, "postal_code"),
        ({"postal_code": "98765"}, "name"),
        ({"name": "-", "postal_code": "98765"}, "name"),
    ],
)
async def test_what_is_no_person_is_refused_without_an_echo(asked: dict[str, str], field: str) -> None:
    async with conversation() as talk:
        refused = await talk.call("find_orders", asked)
        assert (refused["error"]["code"], refused["error"]["field"]) == ("INVALID_ARGUMENT", field)
        assert "kanariina" not in str(refused)


async def test_a_book_without_people_says_so_and_never_none() -> None:
    async with conversation(KUSTOM_BOOK_PEOPLE="off") as talk:
        refused = await talk.call("find_orders", email="kanariina.4711@example.com")
        assert (refused["outcome"], refused["error"]["code"]) == ("not_sent", "NOT_PERMITTED")
        assert "KUSTOM_BOOK_PEOPLE" in refused["summary"]
        assert "not that there are none" in refused["next_step"]


async def test_who_is_not_found_is_told_what_is_compared() -> None:
    async with conversation() as talk:
        none = await talk.call("find_orders", name="Erika", postal_code="10140")
        assert (none["outcome"], none["orders"]) == ("ok", [])
        assert "not that there is none. People are found by a whole e-mail address" in none["next_step"]


async def test_twenty_people_a_minute_are_looked_for_and_no_more() -> None:
    async with conversation() as talk:
        answers = [await talk.call("find_orders", email=f"a{turn}@example.com", max_age=10**8) for turn in range(21)]
        assert {answer["outcome"] for answer in answers[:20]} == {"ok"}
        last = answers[20]["error"]
        assert (last["code"], last["retry_after_seconds"] > 0) == ("RATE_LIMITED", True)
        assert (await talk.call("find_orders", reference="SE-1"))["outcome"] == "ok"


async def test_nothing_readable_reaches_a_file_a_log_or_a_span(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    state, watcher = tmp_path / "state", Watcher()
    asked = {name: CANARY[name] for name in ("email", "phone", "postal_code")}
    asked["name"] = f"{CANARY['given_name']} {CANARY['family_name']}"
    wrong = [
        {"email": "kanariina 4711"},
        {"phone": "kanariina"},
        {"name": asked["name"]},
        {"reference": asked["email"]},
    ]
    async with conversation(
        simulator=Simulator(seeds=()), telemetry=watcher.telemetry, KUSTOM_STATE_DIR=str(state)
    ) as talk:
        mine, _ = shop(talk)
        for person in ({"email": asked["email"]}, {"phone": asked["phone"]}, asked):
            found = await talk.call("find_orders", person)
            assert ids(found) == {mine}
            assert not [one for one in READABLE if one in str(found).casefold()]
        for person in wrong:
            answer = await talk.call("find_orders", person)
            assert not [one for one in READABLE if one in str(answer).casefold()]
        await talk.confirmed("capture_order", order_id=mine, captured_amount=100)
    exported = str([span.to_json() for span in watcher.seen]) + str(watcher.metrics())
    assert exported.count("tools/call kustom_find_orders") >= 7
    assert not [one for one in READABLE if one in exported.casefold()]
    files = [path for path in state.rglob("*") if path.is_file()]
    assert {"book.sqlite3"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes().decode("utf-8", "ignore").casefold()
        assert not [one for one in READABLE if one in content], path.name
    assert not [one for one in READABLE if one in caplog.text.casefold()]
    (key,) = (state / "people").iterdir()
    assert (key.stat().st_mode & 0o077, (state / "people").stat().st_mode & 0o077) == (0, 0)


async def test_another_key_is_told_and_finds_nobody(tmp_path: Path) -> None:
    state = tmp_path / "state"
    simulator = Simulator(seeds=())
    async with conversation(simulator=simulator, KUSTOM_STATE_DIR=str(state)) as talk:
        mine, _ = shop(talk)
        assert ids(await talk.call("find_orders", email=CANARY["email"])) == {mine}
    for key in (state / "people").iterdir():
        key.unlink()
    async with conversation(simulator=simulator, KUSTOM_STATE_DIR=str(state)) as talk:
        refused = await talk.call("find_orders", email=CANARY["email"])
        assert refused["error"]["code"] == "AUDIT_UNAVAILABLE"
        assert "the key with which they were kept is missing" in refused["summary"]
        await talk.call("get_order", order_id=mine)
        assert ids(await talk.call("find_orders", reference="SE-1")) == {mine}


async def test_what_was_kept_without_people_is_told(tmp_path: Path) -> None:
    simulator = Simulator(seeds=())
    async with conversation(simulator=simulator, KUSTOM_STATE_DIR=str(tmp_path), KUSTOM_BOOK_PEOPLE="off") as talk:
        mine, _ = shop(talk)
        assert (await talk.call("find_orders", min_remaining=0))["coverage"]["known"] == 2

    def strangers(app: App) -> None:
        app.simulator = None

    async with conversation(simulator=simulator, host=strangers, KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        found = await talk.call("find_orders", email=CANARY["email"], max_age=10**8)
        assert (found["orders"], found["summary"][:37]) == ([], "Of 2 orders I do not know whose they ")
        await talk.call("get_order", order_id=mine)
        found = await talk.call("find_orders", email=CANARY["email"], max_age=10**8)
        assert (ids(found), found["summary"][:36]) == ({mine}, "Of 1 order I do not know whose they ")


def test_a_phone_without_its_country_may_be_of_several() -> None:
    assert phones("+46 70-174 06 05") == ["+46701740605"]
    assert "+46701740605" in phones("0701740605")
    assert "+4790123456" in phones("90 12 34 56")
    assert phones("no number") == []


@pytest.mark.parametrize(
    "written",
    [
        "+46 70-174 06 05 (mobil)",
        "Mobil: +46 70-174 06 05",
        "tel:+46701740605",
        "+46 (0)70 174 06 05 ext 4",
        "0046701740605",
    ],
)
async def test_words_beside_a_phone_are_none_of_its_digits(written: str) -> None:
    assert phones(written) == ["+46701740605"]
    async with conversation(simulator=Simulator(seeds=())) as talk:
        order_id = talk.order(purchase_country="SE", billing_address=CANARY | {"phone": written})
        assert ids(await talk.call("find_orders", phone="+46701740605")) == {order_id}


@pytest.mark.parametrize("how", ["by id", "by age", "all"])
def test_digests_go_with_their_order(how: str) -> None:
    database = SqliteBook(None)
    people = PeopleDigests(on=True, account="a", directory=None, shared=False)
    people.load(database.write)
    account = database.write(lambda tx: account_number(tx, "a"))
    made = [
        entry_of(one, "call", 1.0, people=people.of(one))
        for one in (order(n, billing_address=CANARY, created_at=f"2026-03-0{n}T00:00:00Z") for n in (1, 2))
    ]
    database.write(lambda tx: put(tx, account, [one for one in made if one]))
    digests = "SELECT count(*) FROM book_people"
    assert database.read(lambda tx: tx.rows(digests)) == [(6,)]
    ways: dict[str, Callable[[BookTransaction], Any]] = {
        "by id": lambda tx: forget(tx, account, [order(1).order_id]),
        "by age": lambda tx: forget_before(tx, account, 1_772_409_600_000),
        "all": lambda tx: forget_all(tx, account),
    }
    database.write(ways[how])
    assert database.read(lambda tx: tx.rows(digests)) == [(0 if how == "all" else 3,)]
    database.close()


def test_without_a_key_nobody_is_looked_for() -> None:
    people = PeopleDigests(on=True, account="a", directory=None, shared=False)
    with pytest.raises(KeyLost):
        people.sought(Sought(email="a@example.com"))


def test_people_are_kept_in_the_sandbox_and_elsewhere_when_they_are_asked_for() -> None:
    assert Settings().keeps_people
    assert not Settings(book_people="off").keeps_people


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("mailto:A@example.com", ["a@example.com"]),
        ('"Anna, B" <a@example.com>;', ["a@example.com"]),
        ("\u202aa@example.com\u202c", ["a@example.com"]),
        ("ø@Børsen.dk", ["ø@børsen.dk", "ø@xn--brsen-vua.dk"]),
        ("ø@xn--brsen-vua.dk", ["ø@xn--brsen-vua.dk", "ø@børsen.dk"]),
        ("a@", []),
        ("@example.com", []),
        ("a b@example.com", []),
        ("a@b@example.com", []),
        ("<>", []),
    ],
)
def test_an_email_address_is_taken_out_of_what_is_pasted(written: str, meant: list[str]) -> None:
    assert emails(written) == meant


def test_a_link_to_write_a_mail_may_have_a_subject() -> None:
    assert emails("MAILTO:Kund@example.com?subject=My%20order") == ["kund@example.com"]
    assert emails("what?@example.com") == ["what?@example.com"]


async def test_what_is_no_email_address_is_not_answered_with_none() -> None:
    async with conversation(simulator=Simulator(seeds=())) as talk:
        shop(talk)
        refused = await talk.call("find_orders", email="kanariina@")
        assert (refused["outcome"], refused["error"]["field"]) == ("not_sent", "email")
        assert "it is no e-mail address" in refused["summary"]


@pytest.mark.parametrize("country", ["Sweden", "NO", "", "se"])
async def test_a_phone_is_also_one_of_the_country_of_its_order(country: str) -> None:
    async with conversation(simulator=Simulator(seeds=())) as talk:
        order_id = talk.order(purchase_country="SE", billing_address=CANARY | {"country": country})
        assert ids(await talk.call("find_orders", phone="+46701740605")) == {order_id}
