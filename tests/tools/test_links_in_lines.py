"""Links in lines that a caller sends: none that a customer would read, and none that hides where it leads."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.conversation import conversation

CANARY = "canary"
CHAIR: dict[str, Any] = {
    "reference": "CHAIR.SE",
    "name": "Chair of chairs.se",
    "quantity_unit": "chair.se",
    "quantity": 1,
    "unit_price": 30000,
    "total_amount": 30000,
    "product_url": "javascript:old",
    "image_url": "https://img.example.com/1.png",
}
HALF = {"captures": [{"captured_amount": 100}]}
CALLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "capture_order": ({}, {"captured_amount": 30000}),
    "refund_order": (HALF, {"refunded_amount": 100}),
    "update_order_amount": ({}, {"order_amount": 60000}),
}
EVERY = pytest.mark.parametrize("tool", CALLS)


@EVERY
@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("name", f"Chair, see {CANARY}.com"),
        ("name", f"Chair https://{CANARY}.example"),
        ("reference", f"https://{CANARY}.example/x"),
        ("reference", f"{CANARY}.com"),
        ("reference", f"WWW.{CANARY.upper()}.SE"),
        ("quantity_unit", "canary.se"),
        ("quantity_unit", "a.se/canary"),
        ("product_url", f"javascript:{CANARY}"),
        ("product_url", f"https://shop.example.com@{CANARY}.example/"),
        ("image_url", f"data:image/png;{CANARY}"),
    ],
)
async def test_a_new_line_brings_no_link(tool: str, field: str, text: str) -> None:
    order, given = CALLS[tool]
    new = {"name": "Sofa", "quantity": 1, "unit_price": 30000, "total_amount": 30000, field: text}
    async with conversation(KUSTOM_TOOLS="all") as talk:
        order_id = talk.order(order_lines=[CHAIR], purchase_currency="SEK", **order)
        answer = await talk.call(tool, order_id=order_id, order_lines=[CHAIR, new], **given)
        assert (answer["outcome"], talk.sent) == ("not_sent", [])
        assert (answer["error"]["code"], answer["error"]["field"]) == ("INVALID_ARGUMENT", f"order_lines[1].{field}")
        assert CANARY not in str(answer)


@EVERY
async def test_what_the_order_has_already_is_sent_as_it_stands(tool: str) -> None:
    order, given = CALLS[tool]
    new = {
        "reference": "AB12-SE.5",
        "quantity_unit": "1.5 kg",
        "name": "Sofa No.5",
        "quantity": 1,
        "unit_price": 30000,
        "total_amount": 30000,
        "product_url": "https://evil.example.com/x",
    }
    async with conversation(KUSTOM_TOOLS="all") as talk:
        order_id = talk.order(order_lines=[CHAIR], purchase_currency="SEK", **order)
        answer = await talk.call(tool, order_id=order_id, order_lines=[CHAIR, new], **given)
        assert answer["outcome"] == "confirmation_required"
        assert "product link to evil.example.com" in " ".join(answer["details"])
