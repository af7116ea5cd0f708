"""kustom_release_remaining_authorization in conversation."""

from __future__ import annotations

import pytest

from kustom_mcp.calls.messages import NOBODY_TOLD
from tests.support.conversation import MODES, Mode, demo, write
from tests.tools.steady import NOBODY, NOT_FOUND, facts, in_every_state, steady, summed_up, without

ORDER = demo("part-captured-eur")


@pytest.mark.parametrize("mode", MODES)
async def test_the_remainder_is_released_after_a_preview(mode: Mode) -> None:
    async with steady(mode) as talk:
        before = await facts(talk, ORDER)
        preview = await talk.call("release_remaining_authorization", order_id=ORDER)
        assert talk.sent == []
        assert without(preview, "confirm", "next_step") == {
            "outcome": "confirmation_required",
            "environment": "sandbox",
            "summary": "Not done yet. Release the remaining 375.90 EUR of order 7972a36d…. "
            "This cannot be undone: the released amount can no longer be captured.",
            "order": before,
            "changes": [{"field": "remaining_authorized_amount", "before": 37590, "after": 0}],
            "details": [f'Order "DE-5001", id {ORDER}: release.'],
            "warnings": [NOBODY_TOLD],
        }
        code = preview["confirm"]["code"]
        assert code.startswith("release-375.90EUR-7972a36d.")
        answer = await talk.call("release_remaining_authorization", order_id=ORDER, confirm=code)
        assert talk.sent == [write("POST", f"/orders/{ORDER}/release-remaining-authorization")]
        assert answer == {
            "outcome": "applied",
            "environment": "sandbox",
            "summary": f"Released 375.90 EUR of order 7972a36d…. {await summed_up(talk, ORDER)}",
            "order": await facts(talk, ORDER),
            "changes": [
                {"field": "status", "before": "PART_CAPTURED", "after": "CAPTURED"},
                {"field": "remaining_authorized_amount", "before": 37590, "after": 0},
            ],
        }


async def test_only_a_part_captured_order_has_a_remainder() -> None:
    async with steady() as talk:
        await in_every_state(
            talk,
            "release_remaining_authorization",
            {
                "AUTHORIZED": "here",
                "PART_CAPTURED": "applied",
                "CAPTURED": "here",
                "CANCELLED": "here",
                "EXPIRED": "there",
                "CLOSED": "there",
            },
        )


async def test_an_order_without_captures_is_cancelled_instead() -> None:
    async with steady() as talk:
        answer = await talk.call("release_remaining_authorization", order_id=demo("authorized-sek"))
        assert answer["next_step"].startswith("Instead, kustom_cancel_order or kustom_update_order_amount may do.")


async def test_nothing_is_released_of_an_order_that_does_not_exist() -> None:
    async with steady() as talk:
        assert await talk.call("release_remaining_authorization", order_id=NOBODY) == NOT_FOUND
        assert talk.sent == []
