"""kustom_find_orders where it can say little: no book, an empty one, arguments without sense, orders that cannot be
read. It never answers with a 0 that sounds sure and is not."""

from __future__ import annotations

from typing import Any

import pytest

from kustom_mcp.app.app import App
from kustom_mcp.cli.simulate import crowded
from kustom_mcp.orders.facts import ROW_BYTES
from kustom_mcp.schema.result import compact
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.faults import Fault
from tests.support.conversation import conversation, demo

ORDER = "/orders/{order_id}"


def ids(answer: dict[str, Any]) -> list[str]:
    return [row["order_id"] for row in answer["orders"]]


def strangers(app: App) -> None:
    """As outside the sandbox: nobody announces orders."""
    app.simulator = None


async def test_a_book_that_is_switched_off_is_refused_by_the_name_of_its_setting() -> None:
    async with conversation(KUSTOM_BOOK_DAYS="0") as talk:
        await talk.call("get_order", order_id=demo("captured-sek"))
        refused = await talk.call("find_orders", min_remaining=0)
        assert (refused["outcome"], refused["error"]["code"]) == ("not_sent", "NOT_PERMITTED")
        assert "KUSTOM_BOOK_DAYS is 0" in refused["summary"]
        assert "KUSTOM_BOOK_DAYS" in refused["next_step"]


@pytest.mark.parametrize("asked", [{}, {"limit": 5, "order_by": "expires_at"}, {"reference": [], "status": None}])
async def test_a_search_for_nothing_in_particular_is_refused_and_told_what_selects(asked: dict[str, Any]) -> None:
    async with conversation() as talk:
        refused = await talk.call("find_orders", asked)
        assert (refused["outcome"], refused["error"]["code"]) == ("not_sent", "INVALID_ARGUMENT")
        assert "send at least one of reference, email, phone" in refused["summary"]
        assert talk.requests == []


async def test_an_empty_book_says_so_and_how_it_fills() -> None:
    async with conversation(host=strangers) as talk:
        empty = await talk.call("find_orders", reference="15632423")
        assert "knows no orders yet" in empty["next_step"]
        assert "the operator's command `book import` of kustom-mcp" in empty["next_step"]


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("20452", "References are found whole or by their end, of at least 4 characters."),
        ("8c6", "So are order ids, by their beginning."),
        ("849…", "So are order ids, by their beginning."),
    ],
)
async def test_what_may_be_wrong_with_a_reference_is_said(reference: str, hint: str) -> None:
    async with conversation() as talk:
        none = await talk.call("find_orders", reference=reference)
        assert none["orders"] == []
        assert hint in none["next_step"]
        assert "not that there is none" in none["next_step"]


@pytest.mark.parametrize(
    ("arguments", "field", "says"),
    [
        ({"created_from": "2026-11-24", "created_before": "2026-11-23"}, "created_from", "not before created_before"),
        (
            {"created_from": "2026-11-24T10:00", "created_before": "2026-11-24T10:00"},
            "created_from",
            "not before created_before",
        ),
        ({"reference": " # "}, "reference", "no letter or digit"),
        ({"status": "CAPTURED", "expires_before": "2026-11-24"}, "expires_before", "does not expire"),
        ({"created_before": "20261110"}, "created_before", "a date like 2026-01-31"),
        ({"created_before": "2026-W46"}, "created_before", "a date like 2026-01-31"),
        ({"created_before": "2026-W46-2"}, "created_before", "a date like 2026-01-31"),
    ],
)
async def test_what_nothing_can_match_is_an_error(arguments: dict[str, Any], field: str, says: str) -> None:
    async with conversation() as talk:
        refused = await talk.call("find_orders", arguments)
        assert (refused["error"]["code"], refused["error"]["field"]) == ("INVALID_ARGUMENT", field)
        assert says in refused["summary"]
        assert talk.requests == []


async def test_a_day_alone_is_not_contradictory() -> None:
    async with conversation(simulator=Simulator(seeds=())) as talk:
        one = talk.order(created_at="2026-11-10T22:59:59Z")
        assert ids(await talk.call("find_orders", created_from="2026-11-10", created_before="2026-11-11")) == [one]
        assert ids(await talk.call("find_orders", created_before="2026-11-10T22:59:59Z")) == []


async def test_the_default_order_spelled_out_is_the_same_search() -> None:
    async with conversation() as talk:
        first = await talk.call("find_orders", min_remaining=0, limit=1)
        second = await talk.call(
            "find_orders", min_remaining=0, limit=1, order_by="created_at", cursor=first["next_cursor"]
        )
        assert (second["outcome"], ids(first) == ids(second)) == ("ok", False)


@pytest.mark.parametrize("kept", ["on", "off"])
@pytest.mark.parametrize("asked", ["kund@example.com", " Åsa.Ö@exämple.se "])
async def test_an_email_address_as_a_reference_is_told_so_first(asked: str, kept: str) -> None:
    async with conversation(KUSTOM_BOOK_PEOPLE=kept) as talk:
        none = await talk.call("find_orders", reference=asked)
        assert none["summary"].startswith("An e-mail address is no reference")
        assert none["summary"].endswith("0 of the 21 orders I know match.")
        next_step = "Call again with `email`" if kept == "on" else "cannot be found by e-mail address here"
        assert next_step in none["next_step"]
        assert asked.strip() not in str(none)
        order_id = talk.order(merchant_reference1=asked)
        await talk.call("get_order", order_id=order_id)
        found = await talk.call("find_orders", reference=asked.upper())
        assert (ids(found), found["orders"][0]["match"]) == ([order_id], "exact")
        assert found["summary"].startswith("1 of the 22 orders")


async def test_without_webhooks_a_question_about_disputes_is_told_first_to_have_no_answer() -> None:
    async with conversation() as talk:
        answer = await talk.call("find_orders", ever_disputed=True)
        assert answer["summary"].startswith("Which orders are disputed cannot be answered here: only signed webhooks")
        assert "the Kustom portal shows it" in answer["next_step"]
        assert "KUSTOM_HOOKS_SECRET" in answer["next_step"]


async def test_a_period_of_which_orders_may_be_unknown_is_told_first() -> None:
    async with conversation() as talk:
        for asked in (
            {"created_from": "2026-11-24"},
            {"refunded_before": "2026-11-24"},
            {"captured_from": "2026-11-24"},
        ):
            answer = await talk.call("find_orders", asked)
            assert answer["summary"].startswith("The period may be incomplete")


async def test_a_row_shows_the_reference_that_it_was_found_by() -> None:
    long = {"order_amount": 9_999_999_999, "merchant_reference1": "FIRST-1" * 9, "fraud_status": "PENDING"}
    async with conversation(simulator=Simulator(seeds=())) as talk:
        talk.order(**long, merchant_reference2="SECOND-2")
        names = {"SECOND 2": "merchant_reference2", "first1" * 9: "merchant_reference1"}
        for reference, name in names.items():
            (row,) = (await talk.call("find_orders", reference=reference))["orders"]
            assert list(row["third_party"]) == [name]
            assert len(compact(row).encode()) <= ROW_BYTES
        (row,) = (await talk.call("find_orders", reference="SECOND-2"))["orders"]
        assert row["third_party"] == {"merchant_reference2": "SECOND-2"}


async def test_minor_units_of_several_currencies_are_not_taken_for_the_same() -> None:
    async with conversation(simulator=Simulator(seeds=())) as talk:
        for currency in ("SEK", "JPY"):
            talk.order(purchase_currency=currency, order_amount=5000)
        assert "of 2 currencies" in (await talk.call("find_orders", min_remaining=4000))["summary"].replace("each ", "")
        for alone in ({"min_remaining": 4000, "currency": "JPY"}, {"currency": ["SEK", "JPY"]}, {"min_remaining": 0}):
            assert "currencies" not in (await talk.call("find_orders", alone))["summary"]


async def test_many_orders_are_learned_and_what_there_was_no_time_for_is_learned_the_next_time() -> None:
    async with conversation(simulator=crowded(600)) as talk:
        everything = len(talk.simulator.store.records())
        now, slow = talk.app.clock(), 0.0

        def clock() -> float:
            nonlocal slow
            slow += 0.04
            return now + slow

        talk.app.clock = clock
        known = [0]
        while known[-1] < everything:
            known.append((await talk.call("find_orders", min_remaining=0, limit=1, max_age=10**8))["coverage"]["known"])
            assert known[-1] > known[-2]
        assert len(known) > 2


async def test_an_order_that_kustom_no_longer_has_is_in_doubt() -> None:
    async with conversation(host=strangers) as talk:
        order_id = demo("captured-sek")
        await talk.call("get_order", order_id=order_id)
        assert (await talk.call("find_orders", min_remaining=0))["coverage"]["stale"] == 0
        talk.simulator.faults.add(Fault("GET", ORDER, "status", status=404, times=9))
        await talk.call("get_order", order_id=order_id)
        found = await talk.call("find_orders", min_remaining=0)
        assert [(row["order_id"], row["stale"]) for row in found["orders"]] == [(order_id, True)]
        assert "1 of those shown could not be read again and may have changed" in found["summary"]
        talk.simulator.faults.clear()
        assert (await talk.call("find_orders", min_remaining=0))["coverage"]["stale"] == 0


async def test_a_reference_of_several_orders_is_told_so_and_which_one_is_asked() -> None:
    """An exact match may be used without asking, but not the first of two."""
    async with conversation(simulator=Simulator(seeds=())) as talk:
        pair = [talk.order(merchant_reference1="1001", purchase_currency=money) for money in ("SEK", "EUR")]
        other = talk.order(merchant_reference1="1002")
        both = await talk.call("find_orders", reference="1001")
        assert (sorted(ids(both)), {row["match"] for row in both["orders"]}) == (sorted(pair), {"exact"})
        assert both["next_step"].startswith("Several orders have exactly the same reference: show the person")
        listed = await talk.call("find_orders", reference=["1002", "1001"])
        assert "These references belong to several orders each: number 2 of the list." in listed["summary"]
        assert listed["next_step"] == both["next_step"]
        assert "next_step" not in await talk.call("find_orders", reference="1001", currency="EUR")
        assert ids(one := await talk.call("find_orders", reference=["1002", other])) == [other]
        assert "next_step" not in one
