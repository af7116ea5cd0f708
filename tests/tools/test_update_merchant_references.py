"""kustom_update_merchant_references in conversation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.conversation import MODES, Mode, demo, write
from tests.tools.steady import NOBODY, NOT_FOUND, facts, in_every_state, steady, summed_up, without

ORDER = demo("authorized-sek")
DOCUMENTED = {"merchant_reference1": "15632423", "merchant_reference2": "special order"}


@pytest.mark.parametrize("mode", MODES)
async def test_both_references_are_set_as_in_the_documentation(mode: Mode) -> None:
    async with steady(mode) as talk:
        answer = await talk.call("update_merchant_references", DOCUMENTED, order_id=ORDER)
        assert talk.sent == [write("PATCH", f"/orders/{ORDER}/merchant-references", DOCUMENTED)]
        assert answer == {
            "outcome": "applied",
            "environment": "sandbox",
            "summary": f"Set the references of order c963cfe0…. {await summed_up(talk, ORDER)}",
            "order": await facts(talk, ORDER),
            "changes": [
                {"field": "merchant_reference1", "before": "SE-20451", "after": "15632423"},
                {"field": "merchant_reference2", "before": "web-9931", "after": "special order"},
            ],
        }


async def test_the_one_left_out_stays_and_the_one_named_in_clear_is_emptied() -> None:
    async with steady() as talk:
        cleared = await talk.call("update_merchant_references", order_id=ORDER, clear=["merchant_reference2"])
        assert talk.sent == [write("PATCH", f"/orders/{ORDER}/merchant-references", {"merchant_reference2": ""})]
        assert cleared["changes"] == [{"field": "merchant_reference2", "before": "web-9931", "after": ""}]
        answer = await talk.call("get_order", order_id=ORDER)
        assert answer["third_party"]["merchant_reference1"] == "SE-20451"
        assert answer["third_party"]["merchant_reference2"] == ""


async def test_one_is_set_and_the_other_cleared_in_one_write() -> None:
    async with steady() as talk:
        given = {"merchant_reference1": "A-1", "clear": ["merchant_reference2"]}
        await talk.call("update_merchant_references", given, order_id=ORDER)
        body = {"merchant_reference1": "A-1", "merchant_reference2": ""}
        assert talk.sent == [write("PATCH", f"/orders/{ORDER}/merchant-references", body)]
        again = await talk.call("update_merchant_references", given, order_id=ORDER)
        assert (again["outcome"], len(talk.sent)) == ("already_applied", 1)


@pytest.mark.parametrize("nothing", [None, "", [], {}])
async def test_nothing_is_ever_cleared_by_a_value_that_is_empty(nothing: Any) -> None:
    async with steady() as talk:
        given = {"merchant_reference1": "A-1", "merchant_reference2": nothing, "clear": nothing}
        await talk.call("update_merchant_references", given, order_id=ORDER)
        assert talk.sent == [write("PATCH", f"/orders/{ORDER}/merchant-references", {"merchant_reference1": "A-1"})]
        refused = await talk.call(
            "update_merchant_references", order_id=ORDER, merchant_reference1=nothing, clear=nothing
        )
        assert (refused["outcome"], refused["error"]["field"]) == ("not_sent", "merchant_reference1")
        assert talk.stored(ORDER)["merchant_reference2"] == "web-9931"


async def test_what_is_so_already_is_not_sent() -> None:
    async with steady() as talk:
        answer = await talk.call("update_merchant_references", order_id=ORDER, merchant_reference1="SE-20451")
        assert without(answer, "order") == {
            "outcome": "already_applied",
            "environment": "sandbox",
            "summary": "Order c963cfe0… has these references already. Nothing was sent by this call.",
            "next_step": "There is nothing left to do.",
        }
        assert talk.sent == []


async def test_references_set_there_and_back_twice_are_four_writes() -> None:
    async with steady() as talk:
        for value in ("A", "B", "A", "B"):
            answer = await talk.call("update_merchant_references", order_id=ORDER, merchant_reference1=value)
            assert answer["outcome"] == "applied"
        assert len({seen.key for seen in talk.writes}) == 4
        assert talk.stored(ORDER)["merchant_reference1"] == "B"


async def test_a_cancelled_order_keeps_its_references() -> None:
    async with steady() as talk:
        await in_every_state(
            talk,
            "update_merchant_references",
            {
                "AUTHORIZED": "applied",
                "PART_CAPTURED": "applied",
                "CAPTURED": "applied",
                "CANCELLED": "here",
                "EXPIRED": "applied",
                "CLOSED": "applied",
            },
            merchant_reference1="NEW-1",
        )


async def test_an_order_that_does_not_exist_gets_no_reference() -> None:
    async with steady() as talk:
        assert await talk.call("update_merchant_references", DOCUMENTED, order_id=NOBODY) == NOT_FOUND
        assert talk.sent == []


@pytest.mark.parametrize("blank", [" ", "\u200b", "\t \u00a0"], ids=["blank", "zero width", "other blanks"])
async def test_a_reference_without_a_visible_character_overwrites_nothing(blank: str) -> None:
    async with steady() as talk:
        answer = await talk.call("update_merchant_references", order_id=ORDER, merchant_reference1=blank)
        assert (answer["outcome"], answer["error"]["code"], talk.sent) == ("not_sent", "INVALID_ARGUMENT", [])
