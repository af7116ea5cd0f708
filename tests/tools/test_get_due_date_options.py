"""kustom_get_due_date_options in conversation."""

from __future__ import annotations

import pytest

from tests.support.conversation import MODES, Mode, demo
from tests.tools.steady import NOBODY, NOT_FOUND, facts, first_capture, steady

ORDER = demo("two-captures-nok")


@pytest.mark.parametrize("mode", MODES)
async def test_the_possible_extensions_are_listed_with_their_fees(mode: Mode) -> None:
    async with steady(mode) as talk:
        answer = await talk.call("get_due_date_options", order_id=ORDER, capture_id=first_capture(talk, ORDER))
        assert answer == {
            "outcome": "ok",
            "environment": "sandbox",
            "summary": "3 extensions are possible for this capture of order 332726d0….",
            "options": [
                {"number_of_days": 14, "amount": 500, "currency": "NOK"},
                {"number_of_days": 30, "amount": 1000, "currency": "NOK"},
                {"number_of_days": 60, "amount": 2000, "currency": "NOK"},
            ],
            "order": await facts(talk, ORDER),
        }
        assert talk.sent == []


async def test_a_capture_that_the_order_does_not_have_is_not_found() -> None:
    async with steady() as talk:
        answer = await talk.call("get_due_date_options", order_id=ORDER, capture_id="nothing-here")
        assert (answer["outcome"], answer["error"]["code"], answer["error"]["field"]) == (
            "rejected",
            "NOT_FOUND",
            "capture_id",
        )


async def test_an_order_that_does_not_exist_is_not_found() -> None:
    async with steady() as talk:
        assert await talk.call("get_due_date_options", order_id=NOBODY, capture_id="c") == NOT_FOUND
