"""kustom_list_payouts in conversation: what reached the bank account."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.crowd import invented_orders
from kustom_mcp.simulator.faults import Fault
from tests.support.conversation import MODES, Mode, conversation
from tests.tools.steady import NOW, steady, without

PATH = "/settlements/v1/payouts"


@pytest.mark.parametrize("mode", MODES)
async def test_the_payouts_of_thirty_days_are_listed_newest_first_with_totals(mode: Mode) -> None:
    async with steady(mode) as talk:
        answer = await talk.call("list_payouts", currency="sek")
        days = [row["payout_date"] for row in answer["payouts"]]
        assert days == sorted(days, reverse=True)
        paid = sum(row["settlement_amount"] for row in answer["payouts"])
        fees = sum(row["fees"] for row in answer["payouts"])
        sales, vat = (sum(row[name] for row in answer["payouts"]) for name in ("sales", "vat_on_fees"))
        assert answer["totals"] == [
            {
                "currency_code": "SEK",
                "payouts": len(days),
                "sales": sales,
                "returns": 0,
                "fees": fees,
                "vat_on_fees": vat,
                "settlement_amount": paid,
            }
        ]
        assert answer["summary"] == (
            f"{len(days)} payouts: {paid / 100:,.2f} SEK (from 2026-01-31 on). {sales / 100:,.2f} SEK of sales, less "
            f"{fees / 100:,.2f} SEK of fees ({vat / 100:,.2f} SEK of it VAT)."
        )
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
            page = await talk.call("list_payouts", {"from": "2026-01-01", "before": "2026-02-16", "limit": 30, **more})
            seen += [row["payment_reference"] for row in page["payouts"]]
        assert len(seen) == len(set(seen)) == sum(total["payouts"] for total in page["totals"]) > 60


async def test_the_day_before_which_is_asked_is_not_included() -> None:
    async with steady() as talk:
        day = (await talk.call("list_payouts"))["payouts"][0]["payout_date"][:10]
        next_day = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
        found = await talk.call("list_payouts", {"from": day, "before": next_day})
        assert {row["payout_date"][:10] for row in found["payouts"]} == {day}
        until = await talk.call("list_payouts", before="2026-02-24")
        assert " (from 2026-01-25 until 2026-02-24)." in until["summary"]
        for moment in (day, f"{day}T00:00:00Z"):
            earlier = await talk.call("list_payouts", before=moment)
            assert earlier["payouts"]
            assert all(row["payout_date"][:10] < day for row in earlier["payouts"])


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
        ({"from": "monday"}, "from"),
        ({"before": "2026-02-30"}, "before"),
        ({"before": "9999-12-31"}, "before"),
        ({"before": "0001-01-01"}, "before"),
        ({"from": "0999-01-01"}, "from"),
        ({"from": "9999-12-31T23:59:59-12:00"}, "from"),
        ({"before": "20261110"}, "before"),
        ({"before": "2026-W46"}, "before"),
        ({"before": "2026-W46-2"}, "before"),
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
        every = await talk.call("list_payouts", {"from": "2000-01-01T00:00:00+14:00", "before": "2099-12-31"})
        assert len(every["payouts"]) == 13
        none = await talk.call("list_payouts", before="2000-01-01")
        assert none["summary"] == "0 payouts (from 1999-12-02 until 2000-01-01)."


@pytest.mark.parametrize(
    ("start", "end"), [("2026-02-24", "2026-02-24"), ("2026-02-24T12:00:01Z", "2026-02-24T12:00:00Z")]
)
async def test_a_period_that_ends_before_it_begins_is_refused_with_both_named(start: str, end: str) -> None:
    async with steady() as talk:
        refused = await talk.call("list_payouts", {"from": start, "before": end})
        assert (refused["error"]["code"], refused["error"]["field"]) == ("INVALID_ARGUMENT", "from")
        assert refused["summary"] == (
            "from is not earlier than before, which is not included: the period is empty. Nothing was sent."
        )
        assert talk.requests == []


@pytest.mark.parametrize("place", ["13", "999999999", "9999999999", "-1", " 5", "1_0", "５", "", "5.5"])
async def test_a_cursor_that_was_changed_is_refused_instead_of_showing_an_empty_page(place: str) -> None:
    async with steady() as talk:
        first = await talk.call("list_payouts", limit=5)
        digest = first["next_cursor"].partition(".")[0]
        refused = await talk.call("list_payouts", limit=5, cursor=f"{digest}.{place}")
        assert (refused["error"]["code"], refused["error"]["field"]) == ("INVALID_ARGUMENT", "cursor")
        assert "start again without a cursor" in refused["next_step"]
        last = await talk.call("list_payouts", limit=5, cursor=f"{digest}.12")
        assert len(last["payouts"]) == 1


async def test_a_period_without_payouts_says_so() -> None:
    async with steady() as talk:
        answer = await talk.call("list_payouts", {"from": "2030-01-01"})
        assert (answer["summary"], answer["payouts"], answer["totals"]) == ("0 payouts.", [], [])


async def test_more_payouts_than_a_call_reads_are_summed_up_by_kustom() -> None:
    body = json.dumps({"payouts": [{"payment_reference": "A"}] * 500, "pagination": {"next": "http://x"}})
    headers = {"Content-Type": "application/json"}
    async with steady() as talk:
        whole = (await talk.call("list_payouts", {"from": "2026-01-01"}))["totals"]
        talk.mark()
        talk.simulator.faults.add(Fault("GET", PATH, "status", 200, body=body, headers=headers, times=9))
        answer = await talk.call("list_payouts", {"from": "2026-01-01"})
        assert [seen.path for seen in talk.requests] == [PATH] * 4 + [f"{PATH}/summary"]
        assert answer["totals"] == [without(total, "payouts") for total in whole]
        assert answer["summary"].startswith("More than 2,000 payouts, by the sums of Kustom: ")
        talk.simulator.faults.add(Fault("GET", f"{PATH}/summary", "status", 404))
        unsummed = await talk.call("list_payouts", {"from": "2026-01-01"})
        assert unsummed["totals"] == []
        assert unsummed["summary"] == "More than 2,000 payouts, too many to add up: ask for a shorter period."


async def test_the_word_for_the_sums_is_no_reference_of_a_payout() -> None:
    async with steady() as talk:
        refused = await talk.call("list_payouts", payment_reference="summary")
        assert (refused["error"]["code"], refused["error"]["field"]) == ("INVALID_ARGUMENT", "payment_reference")
        assert talk.requests == []


async def test_the_tools_are_off_unless_they_are_named() -> None:
    async with conversation() as talk:
        refused = await talk.call("list_payouts")
        assert refused["error"]["code"] == "NOT_PERMITTED"
        assert "add settlements or kustom_list_payouts to KUSTOM_TOOLS" in refused["summary"]
        assert talk.requests == []
