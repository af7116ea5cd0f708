"""kustom_update_order_amount in conversation."""

from __future__ import annotations

from typing import Any

import pytest

from kustom_mcp.calls.messages import NOBODY_TOLD
from tests.support import documentation_lines
from tests.support.conversation import MODES, Mode, demo, write
from tests.support.worked_examples import line
from tests.tools.steady import NOBODY, NOT_FOUND, TEN_CUPS, facts, in_every_state, steady, summed_up, without

ORDER = demo("authorized-sek")
TOMATOES = demo("documentation-tomatoes")
TOMATO_LINE = documentation_lines.TOMATOES | {"total_tax_amount": 1200}
"""The line in Kustom's documentation: without prices."""

BLANKET = {
    "reference": "BLANKET-01",
    "type": "physical",
    "name": "Wool blanket",
    "quantity": 2,
    "quantity_unit": "pcs",
    "unit_price": 49900,
    "tax_rate": 2500,
    "total_amount": 99800,
    "total_discount_amount": 0,
    "total_tax_amount": 19960,
}

CAMPAIGN = line("Campaign", -1000, type="discount")
STAYS = (
    "Line 4 (discount) stays at -50.00 SEK; in proportion to the goods it would be -31.86 SEK: change that line as "
    "well if it should follow."
)
CHANGES = [
    {"field": "order_amount", "before": 159200, "after": 101400},
    {"field": "remaining_authorized_amount", "before": 159200, "after": 101400},
    {"field": "order_lines", "before": 5, "after": 4},
    {"field": "line 1 quantity", "before": 2, "after": 1},
    {"field": "line 3 quantity", "before": 1, "after": 0},
]


@pytest.mark.parametrize("mode", MODES)
async def test_quantities_change_by_line_number_and_the_server_builds_the_list(mode: Mode) -> None:
    async with steady(mode) as talk:
        before = await facts(talk, ORDER)
        stored = talk.stored(ORDER)["order_lines"]
        given = {"order_id": ORDER, "line_changes": [{"line": 1, "quantity": 1}, {"line": 3, "quantity": 0}]}
        preview = await talk.call("update_order_amount", given)
        assert talk.sent == []
        assert without(preview, "confirm", "next_step") == {
            "outcome": "confirmation_required",
            "environment": "sandbox",
            "summary": "Not done yet. Change the amount of order c963cfe0… from 1,592.00 SEK to 1,014.00 SEK. "
            "The old lines are replaced; Kustom keeps no copy of them.",
            "order": before,
            "changes": CHANGES,
            "details": [
                f'Order "SE-20451", id {ORDER}: amount 1,592.00 SEK -> 1,014.00 SEK.',
                'Line 1 changes: quantity 2 -> 1, total 998.00 SEK -> 499.00 SEK, "Wool blanket".',
                'Line 3 is removed: quantity 1, total 79.00 SEK, "Beeswax candle".',
                "check 2B2E-0F06",
            ],
            "warnings": [STAYS, NOBODY_TOLD],
        }
        code = preview["confirm"]["code"]
        assert "1014.00SEK-c963cfe0." in code
        answer = await talk.call("update_order_amount", given, confirm=code)
        blanket = BLANKET | {"quantity": 1, "total_amount": 49900, "total_tax_amount": 9980}
        body = {"order_amount": 101400, "order_lines": [blanket, stored[1], stored[3], stored[4]]}
        assert talk.sent == [write("PATCH", f"/orders/{ORDER}/authorization", body)]
        assert answer == {
            "outcome": "applied",
            "environment": "sandbox",
            "summary": f"Changed the amount of order c963cfe0… to 1,014.00 SEK. {await summed_up(talk, ORDER)}",
            "order": await facts(talk, ORDER),
            "changes": CHANGES,
            "warnings": [STAYS],
        }


@pytest.mark.parametrize("mode", MODES)
async def test_the_body_of_the_documentation_is_accepted_as_it_stands(mode: Mode) -> None:
    async with steady(mode) as talk:
        given = {
            "order_id": TOMATOES,
            "order_amount": 6000,
            "description": "Removed bad tomatoes",
            "order_lines": [TOMATO_LINE],
        }
        preview = await talk.call("update_order_amount", given)
        assert preview["outcome"] == "confirmation_required"
        assert preview["warnings"][0] == "Order line 1 without complete prices could not be checked."
        answer = await talk.call("update_order_amount", given, confirm=preview["confirm"]["code"])
        assert answer["outcome"] == "applied"
        assert talk.sent == [write("PATCH", f"/orders/{TOMATOES}/authorization", without(given, "order_id"))]


async def test_lines_with_a_known_reference_inherit_what_was_left_out_but_no_figures() -> None:
    async with steady() as talk:
        line = {"reference": "BLANKET-01", "quantity": 1, "unit_price": 49900, "total_amount": 49900}
        given = {"order_id": ORDER, "order_amount": 49900, "order_lines": [line]}
        answer = await talk.confirmed("update_order_amount", given)
        assert answer["outcome"] == "applied"
        (sent,) = talk.sent[0][2]["order_lines"]
        assert sent.items() >= (line | {"name": "Wool blanket", "type": "physical", "quantity_unit": "pcs"}).items()
        assert "total_tax_amount" not in sent


async def test_lines_that_are_left_out_are_named_in_the_preview() -> None:
    async with steady() as talk:
        given = {"order_id": ORDER, "order_amount": 99800, "order_lines": [BLANKET]}
        preview = await talk.call("update_order_amount", given)
        assert preview["outcome"] == "confirmation_required"
        assert any("Lines 2, 3, 4, 5 of the order are removed" in warning for warning in preview["warnings"])


async def test_raising_the_amount_is_warned_of_and_kustom_may_refuse() -> None:
    async with steady() as talk:
        given = {"order_id": demo("digital-sek"), "line_changes": [{"line": 1, "quantity": 2}]}
        preview = await talk.call("update_order_amount", given)
        assert "Raising an amount makes Kustom assess the risk again; it may refuse." in preview["warnings"]
        answer = await talk.call("update_order_amount", given, confirm=preview["confirm"]["code"])
        assert (answer["outcome"], answer["error"]["code"], len(talk.sent)) == ("rejected", "ACTION_NOT_ALLOWED", 1)


async def test_an_amount_that_is_so_already_is_not_sent() -> None:
    async with steady() as talk:
        answer = await talk.call("update_order_amount", order_id=ORDER, line_changes=[{"line": 2, "quantity": 4}])
        assert (answer["outcome"], talk.sent) == ("already_applied", [])


async def test_an_amount_below_what_is_captured_is_refused_here_with_the_figure() -> None:
    async with steady() as talk:
        order_id = talk.order(order_lines=[TEN_CUPS], captured_amount=5000, purchase_currency="SEK")
        answer = await talk.call("update_order_amount", order_id=order_id, line_changes=[{"line": 1, "quantity": 4}])
        assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "ACTION_NOT_ALLOWED")
        assert answer["next_step"].startswith("Instead, kustom_refund_order may do.")
        assert talk.sent == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"line_changes": [{"line": 1, "quantity": 0}]}, "line_changes[0].quantity"),
        ({"line_changes": [{"line": 2, "quantity": 1}, {"line": 1, "quantity": 0}]}, "line_changes[1].quantity"),
        ({"order_amount": 37590, "order_lines": "without the lamp"}, "order_lines"),
    ],
)
async def test_goods_that_captures_hold_stay_in_the_order(given: dict[str, Any], field: str) -> None:
    async with steady() as talk:
        order_id = demo("part-captured-eur")
        if "order_lines" in given:
            given = given | {"order_lines": talk.stored(order_id)["order_lines"][1:]}
        answer = await talk.call("update_order_amount", given, order_id=order_id)
        assert answer["outcome"] == "not_sent"
        assert answer["error"] == {
            "code": "ACTION_NOT_ALLOWED",
            "message": "Captures hold 1 of line 1, so at least 1 must stay in the order. Nothing was sent.",
            "field": field,
            "retry": "never",
        }
        assert answer["next_step"].startswith("Captured goods are not taken off but refunded")
        assert talk.sent == []


async def test_fewer_may_stay_but_not_fewer_than_captures_hold() -> None:
    async with steady() as talk:
        order_id = demo("two-captures-nok")
        five = await talk.call("update_order_amount", order_id=order_id, line_changes=[{"line": 1, "quantity": 5}])
        assert five["error"]["message"].startswith("Captures hold 6 of line 1")
        six = await talk.confirmed("update_order_amount", order_id=order_id, line_changes=[{"line": 1, "quantity": 6}])
        assert (six["outcome"], six["order"]["status"]) == ("applied", "CAPTURED")


async def test_a_discount_that_a_new_list_leaves_as_it_is_is_named() -> None:
    async with steady() as talk:
        order_id = talk.order(order_lines=[TEN_CUPS, TEN_CUPS | {"reference": "POT"}, CAMPAIGN])
        cups, _, campaign = talk.stored(order_id)["order_lines"]
        given = {"order_id": order_id, "order_lines": [cups, campaign]}
        answer = await talk.call("update_order_amount", given, order_amount=9000)
        assert (
            "Line 3 (discount) stays at -10.00 SEK; in proportion to the goods it would be -5.00 SEK: change that line "
            "as well if it should follow."
        ) in answer["warnings"]


async def test_a_line_is_not_removed_and_repriced_at_once() -> None:
    async with steady() as talk:
        order_id = talk.order(order_lines=[TEN_CUPS, CAMPAIGN])
        change = {"line": 1, "quantity": 0, "unit_price": 500}
        answer = await talk.call("update_order_amount", order_id=order_id, line_changes=[change])
        assert (answer["error"]["code"], answer["error"]["field"]) == ("INVALID_ARGUMENT", "line_changes[0].unit_price")


async def test_a_captured_order_is_told_that_it_is_captured() -> None:
    async with steady() as talk:
        given = {"order_id": demo("captured-sek"), "line_changes": [{"line": 1, "quantity": 0}]}
        answer = await talk.call("update_order_amount", given)
        assert answer["summary"] == "The order is fully captured. Nothing was sent."


async def test_a_line_list_that_would_empty_the_order_is_refused() -> None:
    async with steady() as talk:
        order_id = talk.order(order_lines=[TEN_CUPS])
        answer = await talk.call("update_order_amount", order_id=order_id, line_changes=[{"line": 1, "quantity": 0}])
        assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "INVALID_ARGUMENT")
        assert "kustom_cancel_order" in answer["next_step"]


async def test_fields_of_a_line_that_nobody_knows_are_kept() -> None:
    async with steady() as talk:
        order_id = talk.order(order_lines=[TEN_CUPS | {"subscription": {"name": "Cups", "interval": "MONTH"}}])
        await talk.confirmed("update_order_amount", order_id=order_id, line_changes=[{"line": 1, "quantity": 9}])
        (line,) = talk.sent[0][2]["order_lines"]
        assert line["subscription"] == {"name": "Cups", "interval": "MONTH"}


async def test_a_line_that_is_repeated_without_its_discount_of_nothing_does_not_change() -> None:
    async with steady() as talk:
        order_id = talk.order(order_lines=[BLANKET, TEN_CUPS])
        blanket, cups = talk.stored(order_id)["order_lines"]
        bare = without(blanket, "total_discount_amount")
        given = {"order_id": order_id, "order_amount": 109800}
        answer = await talk.call("update_order_amount", given, order_lines=[bare, cups])
        assert (answer["outcome"], talk.sent) == ("already_applied", [])
        fewer = without(cups, "total_tax_amount", "total_discount_amount") | {"quantity": 9, "total_amount": 9000}
        given |= {"order_amount": 108800, "order_lines": [bare, fewer]}
        preview = await talk.call("update_order_amount", given)
        assert preview["details"][1:-1] == [
            'Line 2 changes: quantity 10 -> 9, total 100.00 SEK -> 90.00 SEK, also total_tax_amount, "Cup".'
        ]
        await talk.call("update_order_amount", given, confirm=preview["confirm"]["code"])
        assert talk.sent[0][2]["order_lines"][0] == blanket


async def test_a_finished_order_keeps_its_amount() -> None:
    async with steady() as talk:
        await in_every_state(
            talk,
            "update_order_amount",
            {
                "AUTHORIZED": "applied",
                "PART_CAPTURED": "applied",
                "CAPTURED": "here",
                "CANCELLED": "here",
                "EXPIRED": "here",
                "CLOSED": "there",
            },
            line_changes=[{"line": 1, "quantity": 11}],
        )


async def test_an_order_that_does_not_exist_has_no_amount() -> None:
    async with steady() as talk:
        answer = await talk.call("update_order_amount", order_id=NOBODY, line_changes=[{"line": 1, "quantity": 1}])
        assert (answer, talk.sent) == (NOT_FOUND, [])
