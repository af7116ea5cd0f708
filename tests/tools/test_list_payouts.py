"""kustom_list_payouts in conversation: what reached the bank account."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.crowd import invented_orders
from kustom_mcp.simulator.faults import Fault
from tests.support.conversation import MODES, Mode, conversation
from tests.tools.steady import NOW, steady

PATH = "/settlements/v1/payouts"


@pytest.mark.parametrize("mode", MODES)
async def test_the_payouts_of_thirty_days_are_listed_newest_first_with_totals(mode: Mode) -> None:
    async with steady(mode) as talk:
        answer = await talk.call("list_payouts", currency="sek")
        days = [row["payout_date"] for row in answer["payouts"]]
        assert days == sorted(days, reverse=True)
        paid = sum(row["settlement_amount"] for row in answer["payouts"])
        fees = sum(row["fees"] for row in answer["payouts"])
        assert answer["totals"] == [
            {
                "currency_code": "SEK",
                "payouts": len(days),
                "sales": sum(row["sales"] for row in answer["payouts"]),
                "returns": 0,
                "fees": fees,
                "settlement_amount": paid,
            }
        ]
        assert answer["summary"] == f"{len(days)} payouts: {paid / 100:,.2f} SEK (from 2026-01-31 on)."
        (seen,) = talk.requests
        assert seen.path == PATH


async def test_every_payout_is_on_exactly_one_page() -> None:
    simulator = Simulator(clock=lambda: NOW, seeds=invented_orders(300))
    async with conversation(
        simulator=simulator, host=lambda app: setattr(app, "wall", NOW.timestamp), KUSTOM_TOOLS="settlements"
    ) as talk:
        seen: list[str] = []
        page: dict[str, Any] = {"next_cursor": None}
        while "next_cursor" in page:
            more = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
            page = await talk.call("list_payouts", start_date="2026-01-01", end_date="2026-02-15", limit=30, **more)
            seen += [row["payment_reference"] for row in page["payouts"]]
        assert len(seen) == len(set(seen)) == sum(total["payouts"] for total in page["totals"]) > 60


async def test_the_last_day_is_included() -> None:
    async with steady() as talk:
        day = (await talk.call("list_payouts"))["payouts"][0]["payout_date"][:10]
        found = await talk.call("list_payouts", start_date=day, end_date=day)
        assert {row["payout_date"][:10] for row in found["payouts"]} == {day}
        until = await talk.call("list_payouts", end_date="2026-02-24")
        assert until["summary"].endswith(" (from 2026-01-26 to 2026-02-24).")
        before = await talk.call("list_payouts", end_date=f"{day}T00:00:00Z")
        assert before["payouts"]
        assert all(row["payout_date"][:10] < day for row in before["payouts"])


async def test_one_payout_is_told_by_its_reference() -> None:
    async with steady() as talk:
        first = (await talk.call("list_payouts"))["payouts"][0]
        one = await talk.call("list_payouts", payment_reference=first["payment_reference"])
        assert one["payouts"] == [first]
        assert one["totals"][0]["settlement_amount"] == first["settlement_amount"]
        assert one["summary"].startswith(f"Payout {first['payment_reference']} of {first['payout_date'][:10]}: ")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"start_date": "monday"}, "start_date"),
        ({"end_date": "2026-02-30"}, "end_date"),
        ({"end_date": "9999-12-31"}, "end_date"),
        ({"end_date": "0001-01-01"}, "end_date"),
        ({"start_date": "0999-01-01"}, "start_date"),
        ({"start_date": "9999-12-31T23:59:59-12:00"}, "start_date"),
        ({"end_date": "20261110"}, "end_date"),
        ({"end_date": "2026-W46"}, "end_date"),
        ({"end_date": "2026-W46-2"}, "end_date"),
        ({"currency": "kronor"}, "currency"),
        ({"payment_reference": "a b"}, "payment_reference"),
        ({"payment_reference": "XISA93DJ", "currency": "SEK"}, "currency"),
        ({"limit": 0}, "limit"),
        ({"cursor": "made up"}, "cursor"),
    ],
)
async def test_what_cannot_be_asked_is_refused_and_nothing_is_sent(arguments: dict[str, Any], field: str) -> None:
    async with steady() as talk:
        refused = await talk.call("list_payouts", arguments)
        assert (refused["error"]["code"], refused["error"]["field"]) == ("INVALID_ARGUMENT", field)
        assert talk.requests == []


async def test_the_first_and_the_last_year_that_may_be_asked_about_are_searched() -> None:
    async with steady() as talk:
        every = await talk.call("list_payouts", start_date="2000-01-01T00:00:00+14:00", end_date="2099-12-31")
        assert len(every["payouts"]) == 12
        none = await talk.call("list_payouts", end_date="2000-01-01")
        assert none["summary"] == "0 payouts (from 1999-12-03 to 2000-01-01)."


@pytest.mark.parametrize(
    ("start", "end"), [("2026-02-25", "2026-02-24"), ("2026-02-24T12:00:01Z", "2026-02-24T12:00:00Z")]
)
async def test_a_period_that_ends_before_it_begins_is_refused_with_both_named(start: str, end: str) -> None:
    async with steady() as talk:
        refused = await talk.call("list_payouts", start_date=start, end_date=end)
        assert (refused["error"]["code"], refused["error"]["field"]) == ("INVALID_ARGUMENT", "start_date")
        assert refused["summary"] == "start_date lies after end_date. Nothing was sent."
        assert talk.requests == []


@pytest.mark.parametrize("place", ["12", "999999999", "9999999999", "-1", " 5", "1_0", "５", "", "5.5"])
async def test_a_cursor_that_was_changed_is_refused_instead_of_showing_an_empty_page(place: str) -> None:
    async with steady() as talk:
        first = await talk.call("list_payouts", limit=5)
        digest = first["next_cursor"].partition(".")[0]
        refused = await talk.call("list_payouts", limit=5, cursor=f"{digest}.{place}")
        assert (refused["error"]["code"], refused["error"]["field"]) == ("INVALID_ARGUMENT", "cursor")
        assert "start again without a cursor" in refused["next_step"]
        last = await talk.call("list_payouts", limit=5, cursor=f"{digest}.11")
        assert len(last["payouts"]) == 1


async def test_a_period_without_payouts_says_so() -> None:
    async with steady() as talk:
        answer = await talk.call("list_payouts", start_date="2030-01-01")
        assert (answer["summary"], answer["payouts"], answer["totals"]) == ("0 payouts.", [], [])


async def test_more_payouts_than_a_call_reads_are_not_added_up() -> None:
    body = json.dumps({"payouts": [{"payment_reference": "A"}] * 500, "pagination": {"next": "http://x"}})
    async with steady() as talk:
        headers = {"Content-Type": "application/json"}
        talk.simulator.faults.add(Fault("GET", PATH, "status", 200, body=body, headers=headers, times=9))
        answer = await talk.call("list_payouts", start_date="2026-01-01")
        assert len(talk.requests) == 4
        assert answer["totals"] == []
        assert answer["summary"] == "More than 2,000 payouts, too many to add up: ask for a shorter period."


async def test_the_tools_are_off_unless_they_are_named() -> None:
    async with conversation() as talk:
        refused = await talk.call("list_payouts")
        assert refused["error"]["code"] == "NOT_PERMITTED"
        assert "add settlements or kustom_list_payouts to KUSTOM_TOOLS" in refused["summary"]
        assert talk.requests == []
