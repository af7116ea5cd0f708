"""kustom_get_capture in conversation."""

from __future__ import annotations

import pytest

from tests.support.conversation import MODES, Mode, demo
from tests.tools.steady import NOBODY, NOT_FOUND, facts, first_capture, steady, without

ORDER = demo("part-captured-eur")


@pytest.mark.parametrize("mode", MODES)
async def test_a_capture_is_read_with_its_items_and_shipments(mode: Mode) -> None:
    async with steady(mode) as talk:
        capture_id = first_capture(talk, ORDER)
        answer = await talk.call("get_capture", order_id=ORDER, capture_id=capture_id)
        assert without(answer, "third_party") == {
            "outcome": "ok",
            "environment": "sandbox",
            "summary": "This capture of order 7972a36d… took 249.00 EUR, of which 0.00 EUR was refunded.",
            "capture": {
                "capture_id": capture_id,
                "captured_at": "2026-02-26T17:48:00.000Z",
                "captured_amount": 24900,
                "refunded_amount": 0,
            },
            "order": await facts(talk, ORDER),
        }
        shown = answer["third_party"]["capture"]
        assert shown["description"] == "Desk lamp sent"
        assert shown["order_lines"][0]["name"] == "Desk lamp"
        assert shown["shipping_info"][0]["tracking_number"] == "00340000000000000001"
        assert "billing_address" not in shown
        assert talk.sent == []


async def test_a_capture_that_the_order_does_not_have_is_not_found() -> None:
    async with steady() as talk:
        answer = await talk.call("get_capture", order_id=ORDER, capture_id="nothing-here")
        assert (answer["outcome"], answer["error"]["code"], answer["error"]["field"]) == (
            "rejected",
            "NOT_FOUND",
            "capture_id",
        )
        assert answer["error"]["upstream"]["error_code"] == "NO_SUCH_CAPTURE"


async def test_a_capture_of_an_order_that_does_not_exist_is_the_order_not_found() -> None:
    async with steady() as talk:
        assert await talk.call("get_capture", order_id=NOBODY, capture_id="c") == NOT_FOUND
