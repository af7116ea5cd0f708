"""Orders of hundreds of lines, captures and shipments in answers of 40,000 bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kustom_mcp.api.models import Order
from kustom_mcp.orders.pages import LINES_AT_A_TIME, MOST_BYTES, page
from kustom_mcp.schema.result import compact

Line = dict[str, Any]
EVERYTHING = frozenset({"lines", "refundable", "captures", "refunds", "shipping", "customer", "merchant_data"})


def line(number: int, **more: Any) -> Line:
    made = {"reference": f"R{number}", "name": f"Article {number}", "type": "physical", "quantity": 1, "tax_rate": 2500}
    return made | {"unit_price": 1000, "total_amount": 1000, "total_tax_amount": 200} | more


def order(lines: Sequence[Line], captures: int = 1, **more: Any) -> Order:
    total = sum(one["total_amount"] for one in lines)
    held = [{"captured_amount": total // captures, "order_lines": lines} for _ in range(captures)]
    amounts = dict.fromkeys(("order_amount", "original_order_amount", "captured_amount"), total)
    figures = {"order_id": "00000000-0000-4000-8000-000000000001", "status": "CAPTURED", "purchase_currency": "SEK"}
    return Order.model_validate(figures | amounts | {"order_lines": lines, "captures": held} | more)


@pytest.mark.parametrize("include", [{"refundable"}, {"lines"}, EVERYTHING])
@pytest.mark.parametrize("more", [{}, {"merchant_data": "å" * 1000, "image_url": f"https://example.com/{'x' * 1000}"}])
def test_page_after_page_every_line_is_shown_once(include: set[str], more: Line) -> None:
    held = order([line(number, **more) for number in range(1, 121)], captures=3)
    start: int | None = 0
    seen: list[int] = []
    while start is not None:
        shown = page(held, include, "on_request", start)
        numbers = [one["line"] for one in shown.typed["order_lines"]]
        assert 1 <= len(numbers) <= LINES_AT_A_TIME
        assert shown.typed["lines_left_out"] == 120 - len(numbers)
        if shown.refundable is not None:
            assert [one["line"] for one in shown.refundable] == numbers
        assert len(compact([shown.typed, shown.refundable]).encode()) <= MOST_BYTES + 500
        seen += numbers
        start = shown.end
    assert seen == list(range(1, 121))


def test_of_a_short_order_nothing_is_left_out() -> None:
    shown = page(order([line(1), line(2)]), EVERYTHING, "on_request")
    assert shown.end is None
    assert [len(one["order_lines"]) for one in shown.typed["captures"]] == [2]
    assert "left_out" not in compact(shown.typed)


def test_entries_that_do_not_fit_are_counted() -> None:
    shipments = [{"tracking_number": f"{number:0100}", "shipping_company": "X" * 100} for number in range(400)]
    held = order([line(number) for number in range(1, 41)], captures=90, shipping_info=shipments)
    shown = page(held, EVERYTHING - {"lines"}, "on_request").typed
    for name, there in (("captures", 90), ("shipping_info", 400)):
        assert len(shown[name]) + shown[f"{name}_left_out"] == there
    *whole, last = shown["captures"]
    assert {one["lines_left_out"] for one in whole} == {20}
    assert len(last["order_lines"]) + last["lines_left_out"] == 40
    assert len(compact(shown).encode()) <= MOST_BYTES + 500


def test_lines_that_are_alike_name_some_of_each_other() -> None:
    seen = page(order([line(1)] * 400), {"refundable"}, "on_request", 350).refundable
    assert seen is not None
    assert seen[0] == {
        "line": 351,
        "captured": 1,
        "refunded": 0,
        "together_with": list(range(1, 11)),
        "alike_left_out": 389,
        "left": 400,
        "unit_price": 1000,
        "amount": 400000,
    }
