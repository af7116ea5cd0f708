"""kustom_list_captures in conversation."""

from __future__ import annotations

import pytest

from tests.support.conversation import MODES, Mode, demo
from tests.tools.steady import NOBODY, NOT_FOUND, facts, steady, without

ORDER = demo("two-captures-nok")


@pytest.mark.parametrize("mode", MODES)
async def test_the_captures_are_listed_with_their_ids(mode: Mode) -> None:
    async with steady(mode) as talk:
        answer = await talk.call("list_captures", order_id=ORDER)
        first, second = talk.stored(ORDER)["captures"]
        assert without(answer, "third_party") == {
            "outcome": "ok",
            "environment": "sandbox",
            "summary": "Order 332726d0… has 2 captures, 894.00 NOK in all.",
            "captures": [
                {name: capture[name] for name in ("capture_id", "captured_at", "captured_amount", "refunded_amount")}
                for capture in (first, second)
            ],
            "order": await facts(talk, ORDER),
        }
        shown = answer["third_party"]["captures"]
        assert [capture["capture_id"] for capture in shown] == [first["capture_id"], second["capture_id"]]
        assert "billing_address" not in shown[0]
        assert talk.sent == []


async def test_an_order_without_captures_has_none() -> None:
    async with steady() as talk:
        answer = await talk.call("list_captures", order_id=demo("authorized-sek"))
        assert (answer["outcome"], answer["captures"]) == ("ok", [])


async def test_an_order_that_does_not_exist_is_not_found() -> None:
    async with steady() as talk:
        assert await talk.call("list_captures", order_id=NOBODY) == NOT_FOUND
