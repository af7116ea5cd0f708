"""kustom_get_refund in conversation."""

from __future__ import annotations

import pytest

from tests.support.conversation import MODES, Mode, demo
from tests.tools.steady import NOBODY, NOT_FOUND, facts, steady

ORDER = demo("partly-refunded-pln")


@pytest.mark.parametrize("mode", MODES)
async def test_a_refund_is_read_with_its_items(mode: Mode) -> None:
    async with steady(mode) as talk:
        (refund,) = talk.stored(ORDER)["refunds"]
        answer = await talk.call("get_refund", order_id=ORDER, refund_id=refund["refund_id"])
        known = {"refund_id": refund["refund_id"], "refunded_at": refund["refunded_at"], "refunded_amount": 15900}
        line = {"reference": "KETTLE-1", "name": "Kettle", "quantity": 1, "total_amount": 15900}
        shown = answer["third_party"]["refund"]
        assert shown["order_lines"][0].items() >= line.items()
        shown["order_lines"] = [line]
        assert answer == {
            "outcome": "ok",
            "environment": "sandbox",
            "summary": "This refund of order 92bde31c… gave back 159.00 PLN.",
            "refund": known,
            "order": await facts(talk, ORDER),
            "third_party": {
                "refund": known | {"description": "Returned kettle", "reference": "RET-118", "order_lines": [line]},
            },
        }
        assert talk.sent == []


async def test_a_refund_that_the_order_does_not_have_is_not_found() -> None:
    async with steady() as talk:
        answer = await talk.call("get_refund", order_id=ORDER, refund_id="nothing-here")
        assert (answer["outcome"], answer["error"]["code"], answer["error"]["field"]) == (
            "rejected",
            "NOT_FOUND",
            "refund_id",
        )


async def test_a_refund_of_an_order_that_does_not_exist_is_the_order_not_found() -> None:
    async with steady() as talk:
        assert await talk.call("get_refund", order_id=NOBODY, refund_id="r") == NOT_FOUND
