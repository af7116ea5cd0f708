"""kustom_add_shipping_info in conversation."""

from __future__ import annotations

import pytest

from tests.support.conversation import MODES, Mode, demo, write
from tests.tools.steady import DHL, NOBODY, NOT_FOUND, facts, in_every_state, steady, summed_up

ORDER = demo("authorized-sek")


@pytest.mark.parametrize("mode", MODES)
async def test_the_shipment_of_the_documentation_is_added_as_it_stands(mode: Mode) -> None:
    async with steady(mode) as talk:
        answer = await talk.call("add_shipping_info", order_id=ORDER, shipping_info=[DHL])
        assert talk.sent == [write("POST", f"/orders/{ORDER}/shipping-info", {"shipping_info": [DHL]})]
        assert answer == {
            "outcome": "applied",
            "environment": "sandbox",
            "summary": f"Added 1 shipment to order c963cfe0…. {await summed_up(talk, ORDER)}",
            "order": await facts(talk, ORDER),
            "changes": [{"field": "shipping_info", "before": 0, "after": 1}],
            "next_step": "This tells the customer through Kustom; it does not book anything with the carrier.",
        }
        assert talk.stored(ORDER)["shipping_info"] == [DHL]


async def test_shipments_are_appended() -> None:
    async with steady() as talk:
        for number in ("1", "2"):
            await talk.call("add_shipping_info", order_id=ORDER, shipping_info=[{"tracking_number": number}])
        assert talk.stored(ORDER)["shipping_info"] == [{"tracking_number": "1"}, {"tracking_number": "2"}]


async def test_the_same_shipment_again_is_a_second_one() -> None:
    async with steady() as talk:
        for _ in range(2):
            answer = await talk.call("add_shipping_info", order_id=ORDER, shipping_info=[DHL])
            assert answer["outcome"] == "applied"
        assert talk.stored(ORDER)["shipping_info"] == [DHL, DHL]


async def test_kustom_takes_shipments_in_every_state() -> None:
    async with steady() as talk:
        await in_every_state(
            talk,
            "add_shipping_info",
            {
                "AUTHORIZED": "applied",
                "PART_CAPTURED": "applied",
                "CAPTURED": "applied",
                "CANCELLED": "applied",
                "EXPIRED": "applied",
                "CLOSED": "applied",
            },
            shipping_info=[DHL],
        )


async def test_an_order_that_does_not_exist_gets_no_shipment() -> None:
    async with steady() as talk:
        assert await talk.call("add_shipping_info", order_id=NOBODY, shipping_info=[DHL]) == NOT_FOUND
        assert talk.sent == []
