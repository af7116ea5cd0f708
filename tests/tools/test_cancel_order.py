"""kustom_cancel_order in conversation."""

from __future__ import annotations

import pytest

from kustom_mcp.calls.messages import NOBODY_TOLD
from tests.support.conversation import MODES, Mode, demo, no, write, yes
from tests.tools.steady import NOBODY, NOT_FOUND, facts, in_every_state, steady, summed_up, without

ORDER = demo("authorized-sek")
CANCEL = write("POST", f"/orders/{ORDER}/cancel")
CHANGES = [
    {"field": "status", "before": "AUTHORIZED", "after": "CANCELLED"},
    {"field": "remaining_authorized_amount", "before": 159200, "after": 0},
]


@pytest.mark.parametrize("mode", MODES)
async def test_a_preview_comes_first_and_the_code_cancels(mode: Mode) -> None:
    async with steady(mode) as talk:
        before = await facts(talk, ORDER)
        preview = await talk.call("cancel_order", order_id=ORDER)
        assert talk.sent == []
        assert without(preview, "confirm") == {
            "outcome": "confirmation_required",
            "environment": "sandbox",
            "summary": "Not done yet. Cancel order c963cfe0… and release 1,592.00 SEK to the customer. "
            "This cannot be undone: nothing can be captured on this order afterwards.",
            "order": before,
            "changes": CHANGES,
            "details": [f'Order "SE-20451", id {ORDER}: cancel.'],
            "warnings": [NOBODY_TOLD],
            "next_step": "Show the person this preview and ask. If they agree, repeat exactly this call with confirm "
            "set to confirm.code; if not, do nothing.",
        }
        code = preview["confirm"]["code"]
        assert code.startswith("cancel-1592.00SEK-c963cfe0.")
        assert len(code) <= 240
        assert preview["confirm"]["expires_at"] == "2026-03-02T09:15:00+00:00"

        answer = await talk.call("cancel_order", order_id=ORDER, confirm=code)
        assert talk.sent == [CANCEL]
        assert answer == {
            "outcome": "applied",
            "environment": "sandbox",
            "summary": f"Cancelled order c963cfe0…. {await summed_up(talk, ORDER)}",
            "order": await facts(talk, ORDER),
            "changes": CHANGES,
        }


@pytest.mark.parametrize("mode", MODES)
async def test_a_host_with_forms_asks_and_cancels_in_one_call(mode: Mode) -> None:
    async with steady(mode, yes) as talk:
        answer = await talk.call("cancel_order", order_id=ORDER)
        assert (answer["outcome"], talk.sent) == ("applied", [CANCEL])
        (question,) = talk.questions
        assert question.startswith("Cancel order c963cfe0… and release 1,592.00 SEK to the customer.")
        assert "status: AUTHORIZED -> CANCELLED" in question
    async with steady(mode, no) as talk:
        answer = await talk.call("cancel_order", order_id=ORDER)
        assert (answer["outcome"], talk.sent, "confirm" in answer) == ("declined", [], False)


async def test_a_cancelled_order_is_cancelled_already() -> None:
    async with steady() as talk:
        cancelled = demo("cancelled-eur")
        assert await talk.call("cancel_order", order_id=cancelled) == {
            "outcome": "already_applied",
            "environment": "sandbox",
            "summary": "Order 1570bc62… is cancelled already. Nothing was sent by this call.",
            "order": await facts(talk, cancelled),
            "next_step": "There is nothing left to do.",
        }
        assert talk.sent == []


async def test_an_order_with_captures_is_not_cancelled() -> None:
    async with steady() as talk:
        await in_every_state(
            talk,
            "cancel_order",
            {
                "AUTHORIZED": "applied",
                "PART_CAPTURED": "here",
                "CAPTURED": "here",
                "CANCELLED": "already",
                "EXPIRED": "there",
                "CLOSED": "here",
            },
        )


async def test_the_refusal_names_what_can_be_done_instead() -> None:
    async with steady() as talk:
        part = demo("part-captured-eur")
        answer = await talk.call("cancel_order", order_id=part)
        assert answer == {
            "outcome": "not_sent",
            "environment": "sandbox",
            "summary": answer["error"]["message"],
            "order": await facts(talk, part),
            "next_step": "Instead, kustom_refund_order or kustom_release_remaining_authorization may do. "
            "Ask the person first.",
            "error": {
                "code": "ACTION_NOT_ALLOWED",
                "message": "The order has captures. Nothing was sent.",
                "retry": "never",
            },
        }


async def test_an_order_that_does_not_exist_is_not_cancelled() -> None:
    async with steady() as talk:
        assert await talk.call("cancel_order", order_id=NOBODY) == NOT_FOUND
        assert talk.sent == []
