"""kustom_extend_authorization in conversation."""

from __future__ import annotations

import pytest

from tests.support.conversation import MODES, Mode, demo, write
from tests.tools.steady import NOBODY, NOT_FOUND, facts, in_every_state, steady, summed_up

ORDER = demo("expiring-soon-sek")


@pytest.mark.parametrize("mode", MODES)
async def test_an_order_that_is_about_to_expire_gets_more_time(mode: Mode) -> None:
    async with steady(mode) as talk:
        before = await facts(talk, ORDER)
        answer = await talk.call("extend_authorization", order_id=ORDER)
        assert talk.sent == [write("POST", f"/orders/{ORDER}/extend-authorization-time")]
        assert answer == {
            "outcome": "applied",
            "environment": "sandbox",
            "summary": f"Extended the authorization of order e7ca430e…. {await summed_up(talk, ORDER)}",
            "order": await facts(talk, ORDER),
            "changes": [{"field": "expires_at", "before": before["expires_at"], "after": "2026-03-30T00:00:00.000Z"}],
        }
        assert ("days_left" in before, before["hours_left"] < 24, answer["order"]["days_left"]) == (False, True, 27)


async def test_a_second_time_on_one_day_says_that_the_date_did_not_move() -> None:
    async with steady() as talk:
        await talk.call("extend_authorization", order_id=ORDER)
        answer = await talk.call("extend_authorization", order_id=ORDER)
        assert answer["outcome"] == "applied"
        assert answer["warnings"] == ["The date did not move: it had been extended today already."]
        assert len(talk.sent) == 2


async def test_what_has_ended_is_not_extended() -> None:
    async with steady() as talk:
        await in_every_state(
            talk,
            "extend_authorization",
            {
                "AUTHORIZED": "applied",
                "PART_CAPTURED": "applied",
                "CAPTURED": "there",
                "CANCELLED": "here",
                "EXPIRED": "here",
                "CLOSED": "there",
            },
        )


async def test_a_payment_that_cannot_be_extended_is_refused_by_kustom() -> None:
    async with steady() as talk:
        answer = await talk.call("extend_authorization", order_id=demo("authorized-jpy"))
        assert (answer["outcome"], answer["error"]["code"], len(talk.sent)) == ("rejected", "ACTION_NOT_ALLOWED", 1)


async def test_an_order_that_does_not_exist_is_not_extended() -> None:
    async with steady() as talk:
        assert await talk.call("extend_authorization", order_id=NOBODY) == NOT_FOUND
        assert talk.sent == []
