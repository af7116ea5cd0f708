"""kustom_extend_due_date in conversation."""

from __future__ import annotations

import pytest

from kustom_mcp.calls.messages import NOBODY_TOLD
from tests.support.conversation import MODES, Mode, demo, write
from tests.tools.steady import NOBODY, NOT_FOUND, facts, first_capture, in_state, steady, summed_up, without

ORDER = demo("two-captures-nok")


@pytest.mark.parametrize("mode", MODES)
async def test_the_due_date_moves_after_a_preview_that_names_the_fee(mode: Mode) -> None:
    async with steady(mode) as talk:
        before = await facts(talk, ORDER)
        capture_id = first_capture(talk, ORDER)
        given = {"order_id": ORDER, "capture_id": capture_id, "number_of_days": 30}
        preview = await talk.call("extend_due_date", given)
        assert talk.sent == []
        assert without(preview, "confirm", "next_step") == {
            "outcome": "confirmation_required",
            "environment": "sandbox",
            "summary": "Not done yet. Extend the due date of a capture of order 332726d0… by 30 days. "
            "This cannot be undone.",
            "order": before,
            "details": [f'Order "NO-8830", id {ORDER}: due date of capture {capture_id} + 30 days.'],
            "warnings": ["The merchant pays a fee of 10.00 NOK.", NOBODY_TOLD],
        }
        code = preview["confirm"]["code"]
        assert "30days-332726d0." in code
        answer = await talk.call("extend_due_date", given, confirm=code)
        path = f"/orders/{ORDER}/captures/{capture_id}/extend-due-date"
        assert talk.sent == [write("PATCH", path, {"number_of_days": 30})]
        assert answer == {
            "outcome": "applied",
            "environment": "sandbox",
            "summary": "Extended the due date of a capture of order 332726d0… by 30 days. "
            f"{await summed_up(talk, ORDER)}",
            "order": await facts(talk, ORDER),
        }


async def test_an_extension_that_is_not_offered_is_warned_of_and_kustom_decides() -> None:
    async with steady() as talk:
        given = {"order_id": ORDER, "capture_id": first_capture(talk, ORDER), "number_of_days": 15}
        preview = await talk.call("extend_due_date", given)
        assert preview["warnings"] == [
            "Kustom does not list an extension by 15 days for this capture, so it may refuse.",
            NOBODY_TOLD,
        ]
        answer = await talk.call("extend_due_date", given, confirm=preview["confirm"]["code"])
        assert (answer["outcome"], len(talk.sent)) == ("rejected", 1)


async def test_a_capture_that_the_order_does_not_have_is_said_before_anybody_is_asked() -> None:
    async with steady() as talk:
        for order_id in (ORDER, in_state(talk, "AUTHORIZED")):
            given = {"order_id": order_id, "capture_id": "nothing-here", "number_of_days": 14}
            answer = await talk.call("extend_due_date", given)
            assert (answer["outcome"], answer["error"]["code"], answer["error"]["field"]) == (
                "rejected",
                "NOT_FOUND",
                "capture_id",
            )
        assert talk.sent == []


async def test_an_order_that_does_not_exist_has_no_due_date() -> None:
    async with steady() as talk:
        assert await talk.call("extend_due_date", order_id=NOBODY, capture_id="c", number_of_days=14) == NOT_FOUND
        assert talk.sent == []
