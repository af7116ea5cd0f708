"""kustom_capture_order in conversation."""

from __future__ import annotations

import pytest

from kustom_mcp.calls.messages import NOBODY_TOLD
from tests.support.conversation import MODES, OURS, Mode, demo, write
from tests.support.worked_examples import line
from tests.tools.steady import DHL, NOBODY, NOT_FOUND, facts, in_every_state, steady, summed_up, without

ORDER = demo("part-captured-eur")
PATH = f"/orders/{ORDER}/captures"
CHAIR = {
    "reference": "CHAIR-02",
    "type": "physical",
    "name": "Oak chair",
    "quantity": 1,
    "quantity_unit": "pcs",
    "unit_price": 18500,
    "tax_rate": 1900,
    "total_amount": 18500,
    "total_discount_amount": 0,
    "total_tax_amount": 2954,
}
CHANGES = [
    {"field": "captured_amount", "before": 24900, "after": 43400},
    {"field": "remaining_authorized_amount", "before": 37590, "after": 19090},
]
REPORTED = "A shipment of this order is reported already: is this another one?"


async def test_a_gift_card_is_captured_along_and_given_back_by_a_refund_alone() -> None:
    lines = [line("Lamp", 30000), line("Gift card", -10000, 0, type="gift_card")]
    async with steady() as talk:
        order_id = talk.order(order_lines=lines)
        alone = await talk.call("capture_order", order_id=order_id, order_lines=lines[:1])
        assert (alone["error"]["code"], alone["error"]["field"]) == ("ACTION_NOT_ALLOWED", "order_lines")
        assert alone["next_step"].startswith("Line 2 (gift card) of -100.00 SEK is not in this capture")
        both = await talk.call("capture_order", order_id=order_id, order_lines=lines)
        assert both["details"][1:3] == [
            'Line 1: 1 of 1, total 300.00 SEK, "Lamp".',
            'Line 2: 1 of 1, total -100.00 SEK, "Gift card".',
        ]
        assert (await talk.confirmed("capture_order", order_id=order_id, order_lines=lines))["outcome"] == "applied"
        back = await talk.call("refund_order", order_id=order_id, lines=[{"line": 1, "quantity": 1}])
        share = 'Share of line 2: -100.00 SEK of -100.00 SEK, "Gift card", to be given back in the shop.'
        assert back["details"][2] == share


@pytest.mark.parametrize("mode", MODES)
async def test_goods_are_captured_by_line_with_their_shipment(mode: Mode) -> None:
    async with steady(mode) as talk:
        before = await facts(talk, ORDER)
        given = {
            "order_id": ORDER,
            "lines": [{"line": 2, "quantity": 1}],
            "captured_amount": 18500,
            "currency": "eur",
            "description": "Chair sent",
            "reference": "DE-5001-2",
            "shipping_info": [DHL],
            "shipping_delay": 0,
        }
        preview = await talk.call("capture_order", given)
        assert talk.sent == []
        assert without(preview, "confirm", "next_step") == {
            "outcome": "confirmation_required",
            "environment": "sandbox",
            "summary": "Not done yet. Capture 185.00 EUR of order 7972a36d…. "
            "A capture cannot be undone, only refunded, and the order can no longer be cancelled.",
            "order": before,
            "changes": CHANGES,
            "details": [
                f'Order "DE-5001", id {ORDER}: capture 185.00 EUR.',
                'Line 2: 1 of 2, total 185.00 EUR, "Oak chair".',
                'The customer reads: "Chair sent".',
                'Reference: "DE-5001-2".',
                'Shipment: carrier "DHL US", method "Home", number "63456415674545679874", link to shipping.example, '
                'return carrier "DHL US", return number "93456415674545679888", return link to shipping.example.',
                "Shipping delay: 0 days.",
                "check 2B5B-3C27",
            ],
            "warnings": [
                REPORTED,
                NOBODY_TOLD,
            ],
        }
        code = preview["confirm"]["code"]
        assert code.startswith("capture-185.00EUR-7972a36d.")
        answer = await talk.call("capture_order", given, confirm=code)
        body = {
            "captured_amount": 18500,
            "description": "Chair sent",
            "reference": "DE-5001-2",
            "order_lines": [CHAIR],
            "shipping_info": [DHL],
            "shipping_delay": 0,
        }
        assert talk.sent == [write("POST", PATH, body)]
        made = talk.stored(ORDER)["captures"][-1]
        assert answer == {
            "outcome": "applied",
            "environment": "sandbox",
            "summary": f"Captured 185.00 EUR of order 7972a36d…. {await summed_up(talk, ORDER)}",
            "capture": {
                "capture_id": made["capture_id"],
                "captured_at": "2026-03-02T09:00:00.000Z",
                "captured_amount": 18500,
                "refunded_amount": 0,
            },
            "order": await facts(talk, ORDER),
            "changes": CHANGES,
            "warnings": [REPORTED],
        }


async def test_an_amount_alone_is_warned_of_and_sent() -> None:
    async with steady() as talk:
        preview = await talk.call("capture_order", order_id=ORDER, captured_amount=18500)
        assert preview["warnings"] == [
            "Without lines the customer's invoice shows no items for this capture.",
            "No shipment is given: a shipment is reported already.",
            NOBODY_TOLD,
        ]
        code = preview["confirm"]["code"]
        answer = await talk.call("capture_order", order_id=ORDER, captured_amount=18500, confirm=code)
        assert (answer["outcome"], talk.sent) == (
            "applied",
            [write("POST", PATH, {"captured_amount": 18500, "reference": OURS})],
        )


async def test_lines_in_kustoms_own_format_are_passed_on() -> None:
    async with steady() as talk:
        given = {"order_id": ORDER, "order_lines": [CHAIR], "shipping_info": [DHL]}
        answer = await talk.confirmed("capture_order", given)
        assert answer["outcome"] == "applied"
        body = {"captured_amount": 18500, "order_lines": [CHAIR], "shipping_info": [DHL], "reference": OURS}
        assert talk.sent == [write("POST", PATH, body)]


async def test_lines_that_differ_from_the_amount_are_a_warning_with_the_figures() -> None:
    async with steady() as talk:
        given = {"order_id": ORDER, "captured_amount": 18000, "order_lines": [CHAIR], "shipping_info": [DHL]}
        preview = await talk.call("capture_order", given)
        assert preview["warnings"] == [
            REPORTED,
            "The order lines add up to 185.00 EUR, but the amount is 180.00 EUR.",
            NOBODY_TOLD,
        ]


async def test_an_amount_that_times_a_hundred_is_one_of_the_orders_is_asked_about() -> None:
    async with steady() as talk:
        order_id = demo("authorized-sek")
        preview = await talk.call("capture_order", order_id=order_id, captured_amount=1592)
        assert preview["warnings"][0] == (
            "captured_amount 1592 is 15.92 SEK. Did you mean 1,592.00 SEK? That would be 159200."
        )


async def test_an_unfinished_risk_check_is_warned_of() -> None:
    async with steady() as talk:
        given = {"order_id": demo("pending-fraud-gbp"), "lines": [{"line": 1, "quantity": 1}], "shipping_info": [DHL]}
        preview = await talk.call("capture_order", given)
        assert preview["warnings"] == ["The fraud status is PENDING, not ACCEPTED: do not ship yet.", NOBODY_TOLD]


async def test_more_than_is_left_is_refused_here_with_the_limit() -> None:
    async with steady() as talk:
        answer = await talk.call("capture_order", order_id=ORDER, captured_amount=37591)
        assert answer["error"] == {
            "code": "ACTION_NOT_ALLOWED",
            "message": "The order has less left to capture, at most 375.90 EUR. Nothing was sent.",
            "field": "captured_amount",
            "retry": "never",
        }
        assert answer["next_step"] == (
            "Call again with 375.90 EUR or less in all. `can` has the limit, in minor units, as max_amount. Ask the "
            "person first."
        )
        assert talk.sent == []


async def test_a_currency_without_decimals_is_shown_as_it_is_counted() -> None:
    async with steady() as talk:
        given = {"order_id": demo("authorized-jpy"), "lines": [{"line": 1, "quantity": 2}]}
        preview = await talk.call("capture_order", given)
        assert preview["confirm"]["code"].startswith("capture-2560JPY-d96e5adf.")
        assert preview["changes"][0] == {"field": "captured_amount", "before": 0, "after": 2560}


async def test_only_an_open_order_is_captured() -> None:
    async with steady() as talk:
        await in_every_state(
            talk,
            "capture_order",
            {
                "AUTHORIZED": "applied",
                "PART_CAPTURED": "applied",
                "CAPTURED": "here",
                "CANCELLED": "here",
                "EXPIRED": "here",
                "CLOSED": "here",
            },
            captured_amount=1000,
        )


async def test_nothing_is_captured_on_an_order_that_does_not_exist() -> None:
    async with steady() as talk:
        answer = await talk.call("capture_order", order_id=NOBODY, captured_amount=1000)
        assert (answer, talk.sent) == (NOT_FOUND, [])
