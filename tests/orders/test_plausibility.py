"""Amounts and words that are probably a slip."""

from __future__ import annotations

from typing import Any

import pytest

from kustom_mcp.api.models import Order
from kustom_mcp.orders import plausibility
from tests.support.worked_examples import line


def order(*lines: dict[str, Any], currency: str = "SEK", **fields: Any) -> Order:
    total = sum(one["total_amount"] for one in lines)
    made = {"order_id": "1", "status": "CAPTURED", "order_amount": total, "captured_amount": total}
    return Order.model_validate(made | {"order_lines": [*lines], "purchase_currency": currency, **fields})


SHOP = (line("Towel", 19950), line("Soap", 14700, quantity=3), line("Robe", 50000), line("Off", -5000, type="discount"))


@pytest.mark.parametrize(
    ("amount", "meant"),
    [
        (200, 19950),
        (199, 19950),
        (49, 4900),
        (98, 9800),
        (147, 14700),
        (346, 34650),
        (347, 34650),
        (699, 69950),
        (150, 14950),
        (796, 79650),
        (500, 50000),
        (19950, None),
        (1234, None),
        (1, None),
    ],
)
def test_an_amount_in_major_units_is_asked_about(amount: int, meant: int | None) -> None:
    asked = plausibility.amount(order(*SHOP), "refunded_amount", amount)

    assert [f"That would be {meant}." in sentence for sentence in asked] == ([True] if meant else [])


def test_every_amount_of_an_order_is_found_when_it_is_said_in_major_units() -> None:
    held = order(*SHOP)
    for known in (19950, 14700, 50000, 79650, 34650, 69950, 64700, 84650):
        for said in (known // 100, round(known / 100), -(-known // 100)):
            assert plausibility.amount(held, "refunded_amount", said)


def test_without_decimals_nothing_is_asked() -> None:
    assert plausibility.amount(order(line("Tea", 1280), currency="JPY"), "captured_amount", 12) == []
    assert plausibility.amount(order(line("Tea", 1280), currency=""), "captured_amount", 12) == []


def test_of_many_lines_runs_are_looked_at() -> None:
    many = [line(f"Thing {number}", 1000 + 10 * number) for number in range(12)]

    assert "That would be 12660." in plausibility.amount(order(*many), "refunded_amount", 127)[0]


def test_a_total_that_falls_by_99_percent_is_asked_about() -> None:
    held = order(*SHOP)

    assert "Did you mean 796.00 SEK? That would be 79600." in plausibility.new_total(held, "order_amount", 796)[0]
    assert plausibility.new_total(held, "order_amount", 40000) == []
    assert plausibility.new_total(held, "order_amount", 0) == []
    assert "Did you mean" not in plausibility.new_total(held, "order_amount", 900)[0]
    assert "Did you mean 490.00 SEK? That would be 49000." in plausibility.new_price(held, 3, 490)[0]
    assert plausibility.new_price(held, 3, 49000) == []


@pytest.mark.parametrize(
    ("text", "currency", "named"),
    [
        ("199 kronor", "EUR", "SEK"),
        ("199 kr", "EUR", "DKK or ISK or NOK or SEK"),
        ("199:- SEK 200", "EUR", "SEK"),
        ("EUR 20 please", "SEK", "EUR"),
        ("€20", "SEK", "EUR"),
        ("20,50 euro", "SEK", "EUR"),
        ("20 euro", "EUR", None),
        ("199 kr", "NOK", None),
        ("2 boxes, 3 kg", "SEK", None),
        ("the euro sign", "SEK", None),
        (None, "SEK", None),
    ],
)
def test_an_amount_in_another_currency_is_pointed_out(text: str | None, currency: str, named: str | None) -> None:
    said = plausibility.currencies(order(line("Towel", 100), currency=currency), (None, text))

    assert [sentence.partition(",")[0] for sentence in said] == ([f"A text speaks of {named}"] if named else [])
