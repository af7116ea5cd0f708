"""kustom_add_capture_shipping_info in conversation."""

from __future__ import annotations

import pytest

from tests.support.conversation import MODES, Mode, demo, write
from tests.tools.steady import DHL, OF_A_CAPTURE, facts, first_capture, in_every_state, steady, summed_up, without

ORDER = demo("captured-sek")


@pytest.mark.parametrize("mode", MODES)
async def test_a_shipment_is_added_to_a_capture(mode: Mode) -> None:
    async with steady(mode) as talk:
        capture = first_capture(talk, ORDER)
        given = {"order_id": ORDER, "capture_id": capture, "shipping_info": [DHL]}
        answer = await talk.call("add_capture_shipping_info", given)
        path = f"/orders/{ORDER}/captures/{capture}/shipping-info"
        assert talk.sent == [write("POST", path, {"shipping_info": [DHL]})]
        assert without(answer, "changes") == {
            "outcome": "applied",
            "environment": "sandbox",
            "summary": f"Added 1 shipment to order 55e7d67e…. {await summed_up(talk, ORDER)}",
            "order": await facts(talk, ORDER),
            "next_step": "This tells the customer through Kustom; it does not book anything with the carrier.",
        }
        assert talk.stored(ORDER)["captures"][0]["shipping_info"] == [DHL]


async def test_a_capture_that_the_order_does_not_have_is_said_so() -> None:
    async with steady() as talk:
        given = {"order_id": ORDER, "capture_id": "nothing-here", "shipping_info": [DHL]}
        answer = await talk.call("add_capture_shipping_info", given)
        assert (answer["outcome"], answer["error"]["code"], answer["error"]["field"]) == (
            "rejected",
            "NOT_FOUND",
            "capture_id",
        )
        assert answer["error"]["upstream"]["error_code"] == "NO_SUCH_CAPTURE"
        assert talk.stored(ORDER)["captures"][0]["shipping_info"] == []


async def test_an_order_without_captures_has_no_place_for_it() -> None:
    async with steady() as talk:
        await in_every_state(
            talk,
            "add_capture_shipping_info",
            OF_A_CAPTURE,
            capture=True,
            shipping_info=[DHL],
        )


async def test_the_refusal_names_the_tool_that_does_it() -> None:
    async with steady() as talk:
        given = {"order_id": demo("authorized-sek"), "capture_id": "c", "shipping_info": [DHL]}
        answer = await talk.call("add_capture_shipping_info", given)
        assert answer["next_step"] == "Instead, kustom_add_shipping_info may do. Ask the person first."
