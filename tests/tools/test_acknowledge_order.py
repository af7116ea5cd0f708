"""kustom_acknowledge_order in conversation."""

from __future__ import annotations

import pytest

from tests.support.conversation import MODES, Mode, demo, write
from tests.tools.steady import NOBODY, NOT_FOUND, facts, in_every_state, steady, summed_up

ORDER = demo("authorized-sek")


@pytest.mark.parametrize("mode", MODES)
async def test_an_order_is_acknowledged_without_a_question(mode: Mode) -> None:
    async with steady(mode) as talk:
        answer = await talk.call("acknowledge_order", order_id=ORDER)
        assert talk.sent == [write("POST", f"/orders/{ORDER}/acknowledge")]
        assert answer == {
            "outcome": "applied",
            "environment": "sandbox",
            "summary": f"Acknowledged order c963cfe0…. {await summed_up(talk, ORDER)}",
            "order": await facts(talk, ORDER),
        }


async def test_an_acknowledgement_can_be_repeated_and_goes_out_with_the_same_key() -> None:
    async with steady() as talk:
        for _ in range(2):
            assert (await talk.call("acknowledge_order", order_id=ORDER))["outcome"] == "applied"
        first, second = talk.writes
        assert first.key == second.key
        assert second.replayed


async def test_only_kustom_decides_in_which_state_it_is_too_late() -> None:
    async with steady() as talk:
        await in_every_state(
            talk,
            "acknowledge_order",
            {
                "AUTHORIZED": "applied",
                "PART_CAPTURED": "applied",
                "CAPTURED": "applied",
                "CANCELLED": "there",
                "EXPIRED": "there",
                "CLOSED": "there",
            },
        )


async def test_an_order_that_does_not_exist_is_not_acknowledged() -> None:
    async with steady() as talk:
        assert await talk.call("acknowledge_order", order_id=NOBODY) == NOT_FOUND
        assert talk.sent == []
