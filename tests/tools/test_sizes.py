"""How large answers are at most, with the largest orders that there may be: 2,800 bytes for an order of which nothing
more was asked, 9,000 for a list as it comes, 40,000 for anything.
"""

from __future__ import annotations

from typing import Any

import pytest

from kustom_mcp.schema.result import compact
from tests.support.conversation import Talk, conversation

USUAL, LIST, MOST = 2_800, 9_000, 40_000
TEXTS = ("a", "å", "試", "👩")
"""A letter of one, two, three and four bytes."""
EVERYTHING = ["lines", "refundable", "captures", "refunds", "shipping", "customer", "merchant_data"]
REFUNDED = 5_000

Json = dict[str, Any]


def line(number: int, text: str) -> Json:
    return {
        "type": "physical",
        "reference": f"{number}-{text * 64}"[:64],
        "name": f"{number} {text * 255}"[:255],
        "quantity": 3,
        "unit_price": 19_999,
        "tax_rate": 2500,
        "total_amount": 59_997,
        "total_tax_amount": 11_999,
        "product_url": f"https://shop.example.com/{'p' * 900}",
        "merchant_data": text * 255,
    }


def parcel(number: int, text: str) -> Json:
    return {
        "shipping_company": text * 100,
        "shipping_method": "Home",
        "tracking_number": f"{number:0100}",
        "tracking_uri": f"https://carrier.example.com/{'t' * 900}",
    }


def address(text: str) -> Json:
    names = ("given_name", "family_name", "street_address", "street_address2", "city", "region", "organization_name")
    return dict.fromkeys(names, text * 99) | {"postal_code": "12345", "country": "SE", "email": "eva@example.com"}


def bought(talk: Talk, text: str, *, lines: int, captures: int = 0, taken: int = 0, parcels: int = 0) -> str:
    """An order with texts as long as they may be; each capture holds its first lines, and the first has a refund."""
    held = [line(number, text) for number in range(1, lines + 1)]
    amount = sum(one["total_amount"] for one in held[:taken])
    entry = {
        "captured_amount": amount,
        "description": text * 255,
        "reference": text * 64,
        "order_lines": held[:taken],
        "shipping_info": [parcel(number, text) for number in range(parcels)],
    }
    refund = {"refunded_amount": REFUNDED, "description": text * 255, "reference": text * 64}
    return talk.order(
        purchase_currency="SEK",
        order_lines=held,
        merchant_reference1=text * 255,
        merchant_reference2=text * 255,
        billing_address=address(text),
        shipping_address=address(text),
        captures=[entry] * captures,
        refunds=[refund] if captures else [],
        **({"captured_amount": amount * captures, "order_amount": amount * captures} if captures else {}),
    )


async def size(talk: Talk, tool: str, **arguments: Any) -> int:
    """Bytes of an answer that is no error, as compact JSON."""
    answer = await talk.call(tool, arguments)
    assert "error" not in answer, answer
    return len(compact(answer).encode())


@pytest.mark.parametrize("text", TEXTS)
async def test_an_order_keeps_to_its_bytes_however_many_lines_it_has(text: str) -> None:
    async with conversation() as talk:
        few, many = (bought(talk, text, lines=count) for count in (5, 60))
        shown = [(await talk.call("get_order", order_id=order_id)) for order_id in (few, many)]
    assert [len(compact(answer).encode()) <= USUAL for answer in shown] == [True, True]
    counts = [len(answer["third_party"]["order_lines"]) for answer in shown]
    assert (counts[0], counts[1] >= 5) == (5, True)
    assert "lines_left_out" not in shown[0]["third_party"]
    assert shown[1]["third_party"]["lines_left_out"] == 60 - counts[1]
    assert ["include" in answer.get("next_step", "") for answer in shown] == [False, True]


async def test_sixteen_lines_of_a_usual_length_are_all_shown() -> None:
    lines = [line(n, "a") | {"reference": f"SKU-{n}", "name": f"Linen towel {n}"} for n in range(1, 17)]
    async with conversation() as talk:
        answer = await talk.call("get_order", order_id=talk.order(purchase_currency="SEK", order_lines=lines))
    assert len(answer["third_party"]["order_lines"]) == 16
    assert len(compact(answer).encode()) <= USUAL


@pytest.mark.exam
@pytest.mark.parametrize("text", TEXTS)
async def test_nothing_that_is_said_of_a_large_order_is_too_large(text: str) -> None:
    async with conversation(KUSTOM_TOOLS="all", KUSTOM_CONFIRM="code") as talk:
        order_id = bought(talk, text, lines=100, captures=30, taken=15, parcels=3)
        crowd = bought(talk, text, lines=5, captures=1, taken=5, parcels=100)
        for _ in range(25):
            await talk.call("get_order", order_id=bought(talk, text, lines=1))
        one = {"order_id": crowd, "capture_id": talk.stored(crowd)["captures"][0]["capture_id"]}
        parcels = [{"tracking_number": f"{number:0100}"} for number in range(500)]
        lists = {
            "get_order": await size(talk, "get_order", order_id=order_id),
            "list_captures": await size(talk, "list_captures", order_id=order_id),
            "find_orders": await size(talk, "find_orders", created_from="2000-01-01"),
            "list_transactions": await size(talk, "list_transactions", order_id=order_id),
            "list_payouts": await size(talk, "list_payouts"),
            "list_activity": await size(talk, "list_activity"),
        }
        answers = {
            **{part: await size(talk, "get_order", order_id=order_id, include=[part]) for part in EVERYTHING},
            "everything": await size(talk, "get_order", order_id=order_id, include=EVERYTHING),
            "get_capture": await size(talk, "get_capture", **one),
            "shipments": await size(talk, "get_order", order_id=crowd, include=["captures"]),
            "refund": await size(talk, "refund_order", order_id=order_id, refunded_amount=100),
            "parcels": await size(talk, "add_capture_shipping_info", **one, shipping_info=parcels),
            "address": await size(talk, "update_customer_details", order_id=bought(talk, text, lines=100),
                                  shipping_address=address(text) | {"title": "x"}),
            "cancel": await size(talk, "cancel_order", order_id=bought(talk, text, lines=100)),
        }  # fmt: skip
    assert {name: found for name, found in lists.items() if found > (USUAL if name == "get_order" else LIST)} == {}
    assert {name: found for name, found in answers.items() if found > MOST} == {}


async def test_captures_whose_goods_do_not_fit_are_listed_with_their_amounts() -> None:
    async with conversation() as talk:
        order_id = bought(talk, "試", lines=15, captures=12, taken=15, parcels=2)
        answer = await talk.call("list_captures", order_id=order_id)
    assert len(compact(answer).encode()) <= LIST
    assert len(answer["captures"]) == 12
    assert answer["third_party"]["captures_left_out"] == 12 - len(answer["third_party"]["captures"])
    assert "kustom_get_capture" in answer["next_step"]


async def test_shipments_that_do_not_fit_are_counted() -> None:
    async with conversation() as talk:
        order_id = bought(talk, "試", lines=2, captures=1, taken=2, parcels=60)
        capture_id = talk.stored(order_id)["captures"][0]["capture_id"]
        answer = await talk.call("get_capture", order_id=order_id, capture_id=capture_id)
    shown = answer["third_party"]["capture"]
    assert len(compact(answer).encode()) <= MOST
    assert 0 < len(shown["shipping_info"]) == 60 - shown["shipping_info_left_out"]
