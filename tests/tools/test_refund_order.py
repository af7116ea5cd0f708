"""kustom_refund_order in conversation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kustom_mcp.calls.messages import NOBODY_TOLD
from tests.support.conversation import MODES, OURS, Mode, demo, write
from tests.support.worked_examples import line
from tests.tools.steady import NOBODY, NOT_FOUND, TEN_CUPS, facts, in_every_state, steady, summed_up, without

ORDER = demo("captured-sek")
PATH = f"/orders/{ORDER}/refunds"
SOAP = {
    "reference": "SOAP-3",
    "type": "physical",
    "name": "Olive soap",
    "quantity": 2,
    "quantity_unit": "pcs",
    "unit_price": 4900,
    "tax_rate": 2500,
    "total_amount": 9800,
    "total_discount_amount": 0,
    "total_tax_amount": 1960,
}
CHANGES = [{"field": "refunded_amount", "before": 0, "after": 9800}]


@pytest.mark.parametrize("mode", MODES)
async def test_goods_are_refunded_by_line(mode: Mode) -> None:
    async with steady(mode) as talk:
        before = await facts(talk, ORDER)
        given = {
            "order_id": ORDER,
            "lines": [{"line": 2, "quantity": 2}],
            "currency": "SEK",
            "description": "Two soaps came back",
            "reference": "RET-1",
        }
        preview = await talk.call("refund_order", given)
        assert talk.sent == []
        assert without(preview, "confirm", "next_step") == {
            "outcome": "confirmation_required",
            "environment": "sandbox",
            "summary": "Not done yet. Refund 98.00 SEK of order 55e7d67e… to the customer. "
            "A refund cannot be taken back.",
            "order": before,
            "changes": CHANGES,
            "details": [
                f'Order "SE-19977", id {ORDER}: refund 98.00 SEK.',
                'Line 2: 2 of 3, total 98.00 SEK, "Olive soap".',
                'The customer reads: "Two soaps came back".',
                'Reference: "RET-1".',
                "check 73F0-B740",
            ],
            "warnings": [NOBODY_TOLD],
        }
        code = preview["confirm"]["code"]
        assert code.startswith("refund-98.00SEK-55e7d67e.")
        answer = await talk.call("refund_order", given, confirm=code)
        body = {
            "refunded_amount": 9800,
            "description": "Two soaps came back",
            "reference": "RET-1",
            "order_lines": [SOAP],
        }
        assert talk.sent == [write("POST", PATH, body)]
        (made,) = talk.stored(ORDER)["refunds"]
        assert answer == {
            "outcome": "applied",
            "environment": "sandbox",
            "summary": f"Refunded 98.00 SEK of order 55e7d67e…. {await summed_up(talk, ORDER)}",
            "refund": {
                "refund_id": made["refund_id"],
                "refunded_at": "2026-03-02T09:00:00.000Z",
                "refunded_amount": 9800,
            },
            "order": await facts(talk, ORDER),
            "changes": CHANGES,
        }


@pytest.mark.parametrize("mode", MODES)
async def test_the_code_used_twice_moves_money_once(mode: Mode) -> None:
    async with steady(mode) as talk:
        given = {"order_id": ORDER, "refunded_amount": 1000}
        code = (await talk.call("refund_order", given))["confirm"]["code"]
        first = await talk.call("refund_order", given, confirm=code)
        second = await talk.call("refund_order", given, confirm=code)
        assert (first["outcome"], second["outcome"]) == ("applied", "already_applied")
        assert talk.sent == [write("POST", PATH, {"refunded_amount": 1000, "reference": OURS})]


async def test_earlier_refunds_and_missing_lines_are_warned_of() -> None:
    async with steady() as talk:
        preview = await talk.call("refund_order", order_id=demo("partly-refunded-pln"), refunded_amount=1500)
        assert preview["warnings"] == [
            "Refunded on this order already: 159.00 PLN on 2026-02-19.",
            "Without lines this refund is not allocated to items.",
            NOBODY_TOLD,
        ]


@pytest.mark.parametrize("mode", MODES)
async def test_one_towel_is_refunded_once(mode: Mode) -> None:
    async with steady(mode) as talk:
        towel = {"order_id": ORDER, "lines": [{"line": 1, "quantity": 1}]}
        assert (await talk.confirmed("refund_order", towel))["outcome"] == "applied"
        for _ in range(2):
            again = await talk.call("refund_order", towel)
            assert again["outcome"] == "not_sent"
            assert again["error"] == {
                "code": "ACTION_NOT_ALLOWED",
                "message": "0 of line 1 are left to refund: 1 captured, 1 of them refunded already. Nothing was sent.",
                "field": "lines[0].quantity",
                "retry": "never",
            }
            assert "refunded_amount" in again["next_step"]
        assert len(talk.sent) == 1
        assert talk.stored(ORDER)["refunded_amount"] == 19900
        by_amount = await talk.confirmed("refund_order", order_id=ORDER, refunded_amount=19900)
        assert by_amount["outcome"] == "applied"


async def test_goods_that_a_colleague_refunded_meanwhile_are_a_changed_order() -> None:
    async with steady() as talk:
        towel: dict[str, Any] = {"order_id": ORDER, "lines": [{"line": 1, "quantity": 1}]}
        code = (await talk.call("refund_order", towel))["confirm"]["code"]
        more = [*towel["lines"], {"line": 2, "quantity": 1}]
        await talk.confirmed("refund_order", order_id=ORDER, lines=more)
        answer = await talk.call("refund_order", towel, confirm=code)
        assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "STATE_CHANGED")
        assert talk.stored(ORDER)["refunded_amount"] == 24800


async def test_goods_that_no_capture_holds_are_not_refunded() -> None:
    async with steady() as talk:
        lines = [{"line": 2, "quantity": 1}]
        answer = await talk.call("refund_order", order_id=demo("part-captured-eur"), lines=lines)
        assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "ACTION_NOT_ALLOWED")
        assert answer["summary"] == "No capture holds line 2: 0 of it are left to refund. Nothing was sent."
        assert talk.sent == []


async def test_of_two_captures_as_much_is_refunded_as_they_hold() -> None:
    async with steady() as talk:
        order_id = demo("two-captures-nok")
        over = await talk.call("refund_order", order_id=order_id, lines=[{"line": 1, "quantity": 7}])
        assert over["error"]["message"].startswith("6 of line 1 are left to refund: 6 captured")
        answer = await talk.confirmed("refund_order", order_id=order_id, lines=[{"line": 1, "quantity": 6}])
        assert answer["order"]["refunded_amount"] == 89400


async def test_goods_are_refunded_at_the_price_they_were_captured_at() -> None:
    async with steady() as talk:
        cup = TEN_CUPS | {"total_amount": 10000, "total_tax_amount": 2000}
        half = cup | {"quantity": 5, "total_amount": 5000, "total_tax_amount": 1000}
        dear = cup | {"unit_price": 1500, "total_amount": 15000, "total_tax_amount": 3000}
        captures = [{"captured_amount": 5000, "order_lines": [half]}]
        order_id = talk.order(order_lines=[dear], captures=captures, status="PART_CAPTURED")
        answer = await talk.confirmed("refund_order", order_id=order_id, lines=[{"line": 1, "quantity": 1}])
        assert answer["order"]["refunded_amount"] == 1000


async def test_a_whole_order_that_was_captured_without_lines_is_refunded_by_its_lines() -> None:
    async with steady() as talk:
        order_id = talk.order(order_lines=[TEN_CUPS], purchase_currency="SEK")
        await talk.confirmed("capture_order", order_id=order_id, captured_amount=10000)
        cups = {"order_id": order_id, "lines": [{"line": 1, "quantity": 4}]}
        preview = await talk.call("refund_order", cups)
        assert preview["warnings"][0] == (
            "The captures name no lines, but together they are the whole order: its lines count as captured, at the "
            "order's prices."
        )
        answer = await talk.call("refund_order", cups, confirm=preview["confirm"]["code"])
        assert answer["order"]["refunded_amount"] == 4000


async def test_what_other_captures_without_lines_hold_is_refunded_by_amount() -> None:
    async with steady() as talk:
        order_id = talk.order(order_lines=[TEN_CUPS], purchase_currency="SEK")
        await talk.confirmed("capture_order", order_id=order_id, captured_amount=5000)
        answer = await talk.call("refund_order", order_id=order_id, lines=[{"line": 1, "quantity": 1}])
        assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "ACTION_NOT_ALLOWED")
        assert "send refunded_amount without lines" in answer["next_step"]
        assert (await talk.confirmed("refund_order", order_id=order_id, refunded_amount=1000))["outcome"] == "applied"


async def test_lines_that_would_pay_more_than_is_left_of_the_order_are_refused_and_never_cut() -> None:
    async with steady() as talk:
        await talk.confirmed("refund_order", order_id=ORDER, refunded_amount=70000)
        answer = await talk.call("refund_order", order_id=ORDER, lines=[{"line": 1, "quantity": 1}])
        assert answer["error"] == {
            "code": "ACTION_NOT_ALLOWED",
            "message": "The order has less left to refund, at most 94.00 SEK. Nothing was sent.",
            "field": "lines",
            "retry": "never",
        }
        assert len(talk.sent) == 1


@pytest.mark.parametrize("mode", MODES)
async def test_goods_in_kustoms_own_format_are_refunded_once(mode: Mode) -> None:
    async with steady(mode) as talk:
        soaps = {"order_id": ORDER, "refunded_amount": 9800, "order_lines": [SOAP]}
        assert (await talk.confirmed("refund_order", soaps))["outcome"] == "applied"
        again = await talk.call("refund_order", soaps | {"reference": "RET-2"})
        assert again["error"] == {
            "code": "ACTION_NOT_ALLOWED",
            "message": "1 of line 2 is left to refund: 3 captured, 2 of them refunded already. Nothing was sent.",
            "field": "order_lines[0].quantity",
            "retry": "never",
        }
        one = SOAP | {"quantity": 1, "total_amount": 4900, "total_tax_amount": 980}
        twice = await talk.call("refund_order", order_id=ORDER, order_lines=[one, one])
        assert (twice["outcome"], twice["error"]["field"]) == ("not_sent", "order_lines[1].quantity")
        dear = one | {"unit_price": 80000, "total_amount": 80000, "total_tax_amount": 16000}
        above = await talk.call("refund_order", order_id=ORDER, order_lines=[dear])
        assert (above["outcome"], above["error"]["field"]) == ("not_sent", "refunded_amount")
        assert len(talk.sent) == 1
        assert talk.stored(ORDER)["refunded_amount"] == 9800


async def test_an_amount_that_times_a_hundred_is_one_of_the_orders_is_asked_about() -> None:
    async with steady() as talk:
        preview = await talk.call("refund_order", order_id=ORDER, refunded_amount=199)
        assert preview["warnings"][0] == (
            "refunded_amount 199 is 1.99 SEK. Did you mean 199.00 SEK? That would be 19900."
        )


COAT, SHIRT = line("Coat", 50000), line("Shirt", 30000, quantity=2)
CARD = line("Gift card", -16000, 0, type="gift_card")
FEE = line("Return fee", -4900, type="return_fee")
HALF_CARD = CARD | {"unit_price": -10000, "total_amount": -10000, "total_discount_amount": 0}


@pytest.mark.parametrize("mode", MODES)
async def test_goods_go_back_with_their_share_less_a_fee_and_with_a_reason(mode: Mode, tmp_path: Path) -> None:
    audit = tmp_path / "audit"
    async with steady(mode, KUSTOM_REFUND_REASONS="required", KUSTOM_AUDIT_LOG=str(audit)) as talk:
        captured = [{"captured_amount": 64000, "order_lines": [COAT, SHIRT, CARD]}]
        order_id = talk.order(order_lines=[COAT, SHIRT, CARD], captures=captured, status="CAPTURED")
        given: dict[str, Any] = {"order_id": order_id, "lines": [{"line": 1, "quantity": 1}], "return_fee": 4900}
        unasked = await talk.call("refund_order", given)
        assert (unasked["error"]["code"], unasked["error"]["field"]) == ("INVALID_ARGUMENT", "reason")
        given |= {"reason": "Wrong size, says 199 kronor are missing", "reference": "RET-1"}
        preview = await talk.call("refund_order", given | {"refunded_amount": 35100})
        number = talk.stored(order_id)["merchant_reference1"]
        assert preview["details"][:-1] == [
            f'Order "{number}", id {order_id}: refund 351.00 SEK.',
            'Reason: "Wrong size, says 199 kronor are missing".',
            'Line 1: 1 of 1, total 500.00 SEK, "Coat".',
            'Share of line 3: -100.00 SEK of -160.00 SEK, "Gift card", to be given back in the shop.',
            'Return fee kept back: 49.00 SEK, "Return fee".',
            'Reference: "RET-1".',
        ]
        answer = await talk.confirmed("refund_order", given)
        assert (answer["outcome"], answer["order"]["refunded_amount"]) == ("applied", 35100)
        fee = {"type": "return_fee", "reference": "return-fee", "name": "Return fee", "quantity": 1, "tax_rate": 2500}
        fee |= {"unit_price": -4900, "total_amount": -4900, "total_discount_amount": 0, "total_tax_amount": -980}
        body = {
            "refunded_amount": 35100,
            "reference": "RET-1",
            "order_lines": [COAT | {"total_discount_amount": 0}, HALF_CARD, fee],
        }
        assert talk.sent == [write("POST", f"/orders/{order_id}/refunds", body)]
        (can,) = [one for one in answer["order"]["can"] if one["tool"] == "kustom_refund_order"]
        assert can["max_amount"] == 64000 - 35100 - 4900
        seen = await talk.call("get_order", order_id=order_id, include=["refundable"])
        assert seen["refundable"] == [
            {"line": 1, "captured": 1, "refunded": 1, "left": 0},
            {
                "line": 2,
                "captured": 2,
                "refunded": 0,
                "left": 2,
                "unit_price": 15000,
                "share": -6000,
                "amount": 24000,
            },
            {
                "line": 3,
                "by_share": True,
                "captured_amount": -16000,
                "refunded_amount": -10000,
                "left_amount": -6000,
            },
        ]
        again = await talk.call("refund_order", given | {"reason": "Said again", "reference": "RET-2"})
        assert (again["outcome"], again["error"]["code"]) == ("not_sent", "ACTION_NOT_ALLOWED")
        records = [json.loads(record) for record in audit.read_text().splitlines()]
        assert {record["arguments"].get("reason") for record in records} == {
            "Wrong size, says 199 kronor are missing",
            "Said again",
        }


@pytest.mark.parametrize(
    ("fields", "given", "field", "message", "hint"),
    [
        ({}, {"return_fee": 50000}, "return_fee", "The fee must be less than the 500.00 SEK", "return_fee below 50000"),
        ({}, {"return_fee": 4900, "refunded_amount": 50000}, "refunded_amount", "The lines come to 451.00", "45100"),
        (
            {"purchase_country": "US"},
            {"return_fee": 4900},
            "return_fee",
            "none in the country",
            "refunded_amount 45100",
        ),
        ({"order_amount": 90000}, {"return_fee": 4900}, "return_fee", "captured in part", "amount 45100"),
        ({"captures": 2}, {"return_fee": 4900}, "return_fee", "several captures", "amount 45100"),
        ({}, {"lines": None, "refunded_amount": 900, "return_fee": 9}, "return_fee", "needs lines", "Name the goods"),
        (
            {"captures": 2},
            {"lines": None, "order_lines": [COAT, FEE]},
            "order_lines",
            "several captures",
            "amount 45100",
        ),
        ({}, {"lines": [{"line": 1, "quantity": 2}]}, "lines[0].quantity", "1 of line 1 is left", "Send quantity 1"),
        (
            {},
            {"lines": [{"line": 1, "quantity": 1, "total_amount": 50001}]},
            "lines[0].total_amount",
            "500.00",
            "50000",
        ),
        ({}, {"return_fee": 0}, "return_fee", "at least 1", ""),
        ({}, {"lines": [{"line": 1, "quantity": 0.5}]}, "lines[0].quantity", "a whole number", ""),
    ],
)
async def test_what_cannot_be_kept_back_or_paid_is_refused_with_what_can(
    fields: dict[str, Any], given: dict[str, Any], field: str, message: str, hint: str
) -> None:
    async with steady() as talk:
        captures: list[dict[str, Any]] = [{"captured_amount": 50000, "order_lines": [COAT]}]
        if fields.pop("captures", 0):
            captures = [{"captured_amount": 20000, "order_lines": [COAT]}, {"captured_amount": 30000}]
        ordered = {"order_lines": [COAT], "captures": captures, "status": "CAPTURED", "order_amount": 50000}
        order_id = talk.order(**{**ordered, **fields})
        coat = {"order_id": order_id, "lines": [{"line": 1, "quantity": 1}]}
        answer = await talk.call("refund_order", coat | given)
        assert (answer["outcome"], answer["error"]["field"]) == ("not_sent", field)
        assert message in answer["error"]["message"]
        assert hint in answer["next_step"]
        assert talk.sent == []


@pytest.mark.parametrize(
    ("given", "field", "hint"),
    [
        (
            {"order_lines": [COAT]},
            "order_lines",
            "Line 2 (gift card) belongs to the whole order and is not in order_lines: the share of these goods is "
            '-100.00 SEK. With lines the server adds it. Call again with lines [{"line": 1, "quantity": 1}] instead of '
            "order_lines and amount.",
        ),
        (
            {"order_lines": [COAT], "refunded_amount": 50000},
            "order_lines",
            "Line 2 (gift card) belongs to the whole order and is not in order_lines: the share of these goods is "
            '-100.00 SEK. With lines the server adds it. Call again with lines [{"line": 1, "quantity": 1}] instead of '
            "order_lines and amount.",
        ),
        (
            {"refunded_amount": 50000},
            "refunded_amount",
            "500.00 SEK is what 1 of line 1 cost without the share of lines of the whole order: with lines 400.00 SEK "
            "goes back. Call again with those lines, and without refunded_amount.",
        ),
    ],
)
async def test_more_than_is_left_of_goods_names_the_missing_share_and_the_call_that_would_do(
    given: dict[str, Any], field: str, hint: str
) -> None:
    async with steady() as talk:
        lines = [COAT, {**CARD, "unit_price": -10000, "total_amount": -10000}]
        captured = [{"captured_amount": 40000, "order_lines": lines}]
        order_id = talk.order(order_lines=lines, captures=captured, status="CAPTURED")
        answer = await talk.call("refund_order", order_id=order_id, **given)
        assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "ACTION_NOT_ALLOWED")
        assert (answer["error"]["field"], answer["error"]["message"], answer["next_step"]) == (
            field,
            "500.00 SEK is asked for, and 400.00 SEK are left to refund. Nothing was sent.",
            hint,
        )
        by_lines = {"order_id": order_id, "lines": [{"line": 1, "quantity": 1}]}
        assert (await talk.confirmed("refund_order", by_lines))["outcome"] == "applied"
        assert talk.stored(order_id)["refunded_amount"] == 40000


@pytest.mark.parametrize(
    ("given", "warning"),
    [
        (
            {"lines": [{"line": 1, "quantity": 1, "total_amount": 50}]},
            "Line 1: total_amount 50 is 0.50 SEK, of 500.00 SEK. Did you mean 50.00 SEK? That would be 5000.",
        ),
        (
            {"lines": [{"line": 1, "quantity": 1}], "return_fee": 49},
            "return_fee 49 is 0.49 SEK, of 400.00 SEK. Did you mean 49.00 SEK? That would be 4900.",
        ),
        (
            {"refunded_amount": 15000},
            "150.00 SEK is what 1 of line 2 cost without the share of lines of the whole order: with lines 120.00 SEK "
            "goes back.",
        ),
        (
            {"order_lines": [without(COAT, "total_tax_amount"), HALF_CARD]},
            "Order line 1 leaves its tax out (total_tax_amount): Kustom may book none.",
        ),
    ],
)
async def test_what_is_probably_a_slip_is_asked_about(given: dict[str, Any], warning: str) -> None:
    async with steady() as talk:
        lines = [COAT, SHIRT, CARD]
        captured = [{"captured_amount": 64000, "order_lines": lines}]
        order_id = talk.order(order_lines=lines, captures=captured, status="CAPTURED")
        answer = await talk.call("refund_order", order_id=order_id, **given)
        assert (answer["outcome"], answer["warnings"].count(warning)) == ("confirmation_required", 1)


async def test_a_fee_that_was_kept_back_is_not_paid_unwarned() -> None:
    async with steady() as talk:
        captured = [{"captured_amount": 50000, "order_lines": [COAT]}]
        refunds = [{"refunded_amount": 5100, "order_lines": [COAT | {"total_amount": 10000}, FEE]}]
        order_id = talk.order(order_lines=[COAT], captures=captured, refunds=refunds, status="CAPTURED")
        answer = await talk.call("refund_order", order_id=order_id, refunded_amount=40001)
        assert "400.00 SEK is owed at most: 49.00 SEK was kept back as a return fee." in answer["warnings"]


async def test_half_a_kilo_does_not_hide_an_order_and_is_refunded_by_amount() -> None:
    async with steady() as talk:
        cheese = line("Cheese", 6250) | {"quantity": 0.5, "unit_price": 12500}
        captured = [{"captured_amount": 56250, "order_lines": [COAT, cheese]}]
        order_id = talk.order(order_lines=[COAT, cheese], captures=captured, status="CAPTURED")
        seen = await talk.call("get_order", order_id=order_id, include=["refundable"])
        assert seen["third_party"]["order_lines"][1]["quantity"] == 0.5
        assert seen["refundable"][1] == {"line": 2, "captured": 0.5, "refunded": 0, "by_lines": False}
        answer = await talk.call("refund_order", order_id=order_id, lines=[{"line": 2, "quantity": 1}])
        assert answer["error"]["code"] == "ACTION_NOT_ALLOWED"
        assert answer["next_step"].startswith("Up to 62.50 SEK of it are left.")
        assert (await talk.confirmed("refund_order", order_id=order_id, refunded_amount=6250))["outcome"] == "applied"


async def test_another_currency_in_words_is_pointed_out() -> None:
    async with steady() as talk:
        given = {"order_id": demo("part-captured-eur"), "refunded_amount": 199, "reason": "wants 199 kronor back"}
        preview = await talk.call("refund_order", given)
        assert preview["warnings"][0].startswith("A text speaks of SEK, and this order is in EUR")


async def test_a_return_fee_is_taken_off_in_kustoms_own_format() -> None:
    async with steady() as talk:
        fee = {"type": "return_fee", "name": "Return fee", "quantity": 1, "unit_price": -4900, "total_amount": -4900}
        given = {"order_id": ORDER, "refunded_amount": 4900, "order_lines": [SOAP, fee]}
        preview = await talk.call("refund_order", given)
        assert preview["warnings"] == [NOBODY_TOLD]
        answer = await talk.call("refund_order", given, confirm=preview["confirm"]["code"])
        assert answer["outcome"] == "applied"
        assert talk.sent == [
            write("POST", PATH, {"refunded_amount": 4900, "order_lines": [SOAP, fee], "reference": OURS})
        ]


async def test_more_than_was_captured_is_refused_here_with_the_limit() -> None:
    async with steady() as talk:
        answer = await talk.call("refund_order", order_id=demo("partly-refunded-pln"), refunded_amount=17401)
        assert answer["error"] == {
            "code": "ACTION_NOT_ALLOWED",
            "message": "The order has less left to refund, at most 174.00 PLN. Nothing was sent.",
            "field": "refunded_amount",
            "retry": "never",
        }
        assert talk.sent == []


async def test_only_what_was_captured_is_refunded() -> None:
    async with steady() as talk:
        await in_every_state(
            talk,
            "refund_order",
            {
                "AUTHORIZED": "here",
                "PART_CAPTURED": "applied",
                "CAPTURED": "applied",
                "CANCELLED": "here",
                "EXPIRED": "here",
                "CLOSED": "here",
            },
            refunded_amount=1000,
        )


async def test_a_closed_order_that_was_refunded_in_part_can_be_refunded_further() -> None:
    async with steady() as talk:
        order_id = talk.order(status="CLOSED", order_amount=10000, refunded_amount=4000)
        answer = await talk.confirmed("refund_order", order_id=order_id, refunded_amount=6000)
        assert (answer["outcome"], answer["order"]["refunded_amount"]) == ("applied", 10000)


async def test_nothing_is_refunded_on_an_order_that_does_not_exist() -> None:
    async with steady() as talk:
        answer = await talk.call("refund_order", order_id=NOBODY, refunded_amount=1000)
        assert (answer, talk.sent) == (NOT_FOUND, [])
