"""Real shapes of orders: what refunds of their parts pay, worked out by hand, tax included."""

from __future__ import annotations

import pytest

from kustom_mcp.api.models import Order
from kustom_mcp.orders.line_selection import refunded
from kustom_mcp.orders.refundable import Refundable
from tests.support.worked_examples import EXAMPLES, Example, Line


def order(example: Example, refunds: list[list[Line]]) -> Order:
    """The order of an example, captured as it says, after these refunds."""
    captures = example.captures if example.captures is not None else [example.lines]
    held = [{"captured_amount": total(lines), "order_lines": list(lines)} for lines in captures]
    ordered, captured = total(example.lines), sum(total(lines) for lines in captures)
    return Order.model_validate(
        {
            "order_id": "00000000-0000-4000-8000-000000000001",
            "status": "CAPTURED",
            "purchase_currency": example.currency,
            "purchase_country": "SE",
            "order_amount": ordered,
            "original_order_amount": ordered,
            "captured_amount": captured,
            "refunded_amount": sum(map(total, refunds)),
            "order_lines": list(example.lines),
            "captures": held,
            "refunds": [{"refunded_amount": total(lines), "order_lines": lines} for lines in refunds],
        }
    )


def total(lines: object) -> int:
    return sum(line["total_amount"] for line in lines)  # type: ignore[attr-defined]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_what_goes_back_is_what_was_paid(example: Example) -> None:
    refunds: list[list[Line]] = [list(lines) for lines in example.portal]
    for step in example.steps:
        built = refunded(order(example, refunds), list(step.quantities.items()), step.totals, step.fee)
        shares = {line["name"]: line["total_amount"] for line in built.order_lines if line["name"] in step.shares}
        assert (built.amount, shares) == (step.pays, step.shares)
        goods = len(step.quantities) + bool(step.fee)
        assert len(built.order_lines) == goods + len(step.shares)
        refunds.append(built.order_lines)
    after = order(example, refunds)
    named = {number for step in example.steps for number in step.quantities}
    back = {seen["line"] for seen in Refundable(after).view() if seen.get("captured") == seen.get("refunded", -1)}
    assert named <= back
    if len(back) == sum("captured" in seen for seen in Refundable(after).view()) and not any(
        step.fee for step in example.steps
    ):
        captured = [line for capture in order(example, []).captures for line in capture.order_lines]
        assert after.refunded_amount == after.captured_amount
        assert sum(line["total_tax_amount"] for lines in refunds for line in lines) == sum(
            line.total_tax_amount or 0 for line in captured
        )
