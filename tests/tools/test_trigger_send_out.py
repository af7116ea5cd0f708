"""kustom_trigger_send_out in conversation."""

from __future__ import annotations

import pytest

from tests.support.conversation import MODES, Mode, demo, write
from tests.tools.steady import NOBODY, NOT_FOUND, OF_A_CAPTURE, facts, first_capture, in_every_state, steady, summed_up

ORDER = demo("captured-sek")


@pytest.mark.parametrize("mode", MODES)
async def test_the_message_about_a_capture_is_sent_again(mode: Mode) -> None:
    async with steady(mode) as talk:
        capture_id = first_capture(talk, ORDER)
        answer = await talk.call("trigger_send_out", order_id=ORDER, capture_id=capture_id)
        assert talk.sent == [write("POST", f"/orders/{ORDER}/captures/{capture_id}/trigger-send-out")]
        assert answer == {
            "outcome": "applied",
            "environment": "sandbox",
            "summary": "Kustom sends the message about this capture of order 55e7d67e… again. "
            f"{await summed_up(talk, ORDER)}",
            "order": await facts(talk, ORDER),
        }


async def test_each_call_sends_one_message() -> None:
    async with steady() as talk:
        for _ in range(2):
            await talk.call("trigger_send_out", order_id=ORDER, capture_id=first_capture(talk, ORDER))
        first, second = talk.writes
        assert first.key != second.key
        assert not second.replayed


async def test_a_capture_that_the_order_does_not_have_is_said_so() -> None:
    async with steady() as talk:
        answer = await talk.call("trigger_send_out", order_id=ORDER, capture_id="nothing-here")
        assert (answer["outcome"], answer["error"]["code"], answer["error"]["field"]) == (
            "rejected",
            "NOT_FOUND",
            "capture_id",
        )


async def test_an_order_without_captures_has_no_message() -> None:
    async with steady() as talk:
        await in_every_state(
            talk,
            "trigger_send_out",
            OF_A_CAPTURE,
            capture=True,
        )


async def test_an_order_that_does_not_exist_has_no_message() -> None:
    async with steady() as talk:
        assert await talk.call("trigger_send_out", order_id=NOBODY, capture_id="c") == NOT_FOUND
        assert talk.sent == []
