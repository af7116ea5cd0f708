"""kustom_get_orders in conversation."""

from __future__ import annotations

import json

import pytest

from kustom_mcp.orders.facts import ROW_BYTES
from kustom_mcp.simulator.demo_orders import demo_orders
from tests.support.conversation import MODES, Mode, demo
from tests.tools.steady import NOBODY, steady

SEK, EUR = demo("authorized-sek"), demo("part-captured-eur")
AMOUNTS = ("order_amount", "original_order_amount", "captured_amount", "refunded_amount", "remaining_authorized_amount")


@pytest.mark.parametrize("mode", MODES)
async def test_each_order_gets_a_row_and_each_currency_and_status_a_total(mode: Mode) -> None:
    async with steady(mode) as talk:
        answer = await talk.call("get_orders", order_ids=[EUR, NOBODY, SEK])
        rows = answer.pop("orders")
        assert [(row["outcome"], row["order_id"]) for row in rows] == [("ok", EUR), ("rejected", NOBODY), ("ok", SEK)]
        assert rows[1] == {"outcome": "rejected", "order_id": NOBODY, "error": "NOT_FOUND"}
        assert {name: rows[2][name] for name in ("status", "purchase_currency", "order_amount", "days_left")} == {
            "status": "AUTHORIZED",
            "purchase_currency": "SEK",
            "order_amount": 159200,
            "days_left": 25,
        }
        assert answer == {
            "outcome": "ok",
            "environment": "sandbox",
            "summary": "Read 2 of 3 orders. 1 could not be read: see `error` in their rows.",
            "totals": [
                {
                    "purchase_currency": "EUR",
                    "status": "PART_CAPTURED",
                    "orders": 1,
                    "order_amount": 62490,
                    "original_order_amount": 62490,
                    "captured_amount": 24900,
                    "remaining_authorized_amount": 37590,
                },
                {
                    "purchase_currency": "SEK",
                    "status": "AUTHORIZED",
                    "orders": 1,
                    "order_amount": 159200,
                    "original_order_amount": 159200,
                    "remaining_authorized_amount": 159200,
                },
            ],
            "now": "2026-03-02T09:00:00+00:00",
        }


async def test_an_id_given_twice_is_read_once() -> None:
    async with steady() as talk:
        link = f"https://portal.kustom.co/orders/list/{SEK}"
        answer = await talk.call("get_orders", order_ids=[SEK, EUR, SEK.upper(), link])
        assert [row["order_id"] for row in answer["orders"]] == [SEK, EUR]
        assert len(talk.requests) == 2


async def test_a_hundred_orders_are_read_in_their_order_and_added_up() -> None:
    async with steady() as talk:
        ids = [talk.order(order_amount=100 + number, purchase_currency="SEK") for number in range(100)][::-1]
        answer = await talk.call("get_orders", order_ids=ids)
        assert [row["order_id"] for row in answer["orders"]] == ids
        (total,) = answer["totals"]
        assert (total["orders"], total["order_amount"]) == (100, sum(range(100, 200)))
        assert len(talk.requests) == 100
        refused = await talk.call("get_orders", order_ids=[*ids, NOBODY])
        assert refused["error"]["code"] == "INVALID_ARGUMENT"


async def test_no_row_is_longer_than_it_may_be() -> None:
    async with steady() as talk:
        ids = [seed.order_id for seed in demo_orders()]
        ids.append(talk.order(order_amount=200_000_000, merchant_reference1="🎁" * 255, fraud_status="PENDING"))
        answer = await talk.call("get_orders", order_ids=ids)
        for row in answer["orders"]:
            assert len(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()) <= ROW_BYTES
            stored = talk.stored(row["order_id"])
            assert all(row.get(name, 0) == stored[name] for name in AMOUNTS if name != "original_order_amount")


@pytest.mark.parametrize("mode", MODES)
async def test_progress_is_reported_where_it_is_asked_for(mode: Mode) -> None:
    seen: list[tuple[float, float | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total))

    async with steady(mode) as talk:
        given = {"order_ids": [SEK, EUR, NOBODY]}
        answer = await talk.client.call_tool("kustom_get_orders", given, progress_callback=note)
        assert talk.checked("kustom_get_orders", answer)["outcome"] == "ok"
    assert sorted(seen) == [(1, 3), (2, 3), (3, 3)]


async def test_orders_that_are_all_missing_are_still_an_answer() -> None:
    async with steady() as talk:
        answer = await talk.call("get_orders", order_ids=[NOBODY])
        assert answer == {
            "outcome": "ok",
            "environment": "sandbox",
            "summary": "Read 0 of 1 orders. 1 could not be read: see `error` in their rows.",
            "orders": [{"outcome": "rejected", "order_id": NOBODY, "error": "NOT_FOUND"}],
            "totals": [],
            "now": "2026-03-02T09:00:00+00:00",
        }


async def test_a_bad_id_among_good_ones_is_named_by_its_place() -> None:
    async with steady() as talk:
        answer = await talk.call("get_orders", order_ids=[SEK, "SE-20451"])
        assert (answer["error"]["code"], answer["error"]["field"]) == ("INVALID_IDENTIFIER", "order_ids[1]")
        assert talk.requests == []
