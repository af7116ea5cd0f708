"""Any order with discounts, gift cards and tax, any captures and any refunds: what goes back is what was paid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kustom_mcp.api.models import Order
from kustom_mcp.money import tax_of
from kustom_mcp.orders.line_selection import from_lines, refunded
from kustom_mcp.orders.refundable import Refundable
from kustom_mcp.schema.result import ToolError

Line = dict[str, Any]


def total(lines: Sequence[Line]) -> int:
    return sum(line["total_amount"] for line in lines)


class Shop:
    """An order as Kustom would keep it: captures and refunds are entries, and nothing else is remembered."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.captures: list[list[Line]] = []
        self.refunds: list[tuple[int, list[Line]]] = []

    @property
    def captured(self) -> int:
        return sum(map(total, self.captures))

    @property
    def refunded(self) -> int:
        return sum(amount for amount, _ in self.refunds)

    @property
    def order(self) -> Order:
        ordered = total(self.lines)
        return Order.model_validate(
            {
                "order_id": "00000000-0000-4000-8000-000000000001",
                "status": "PART_CAPTURED",
                "purchase_currency": "SEK",
                "order_amount": ordered,
                "original_order_amount": ordered,
                "captured_amount": self.captured,
                "refunded_amount": self.refunded,
                "remaining_authorized_amount": ordered - self.captured,
                "order_lines": self.lines,
                "captures": [{"captured_amount": total(lines), "order_lines": lines} for lines in self.captures],
                "refunds": [{"refunded_amount": amount, "order_lines": lines} for amount, lines in self.refunds],
            }
        )

    def refund(self, picks: list[tuple[int, int]], totals: dict[int, int] | None = None) -> bool:
        """Refund by lines, as the tool does. Whether anything was sent."""
        try:
            built = refunded(self.order, picks, totals)
        except ToolError:
            return False
        if built.amount > self.captured - self.refunded:
            return False
        self.refunds.append((built.amount, built.order_lines))
        self.balance()
        return True

    def balance(self) -> None:
        """Nothing was paid more often, or dearer, than it was captured."""
        assert self.refunded <= self.captured
        for line in self.lines:
            paid, held = self.of(self.refunds_lines, line), self.of(self.captured_lines, line)
            if line["total_amount"] >= 0 and line["type"] != "sales_tax":
                assert paid <= held + self.of_type("sales_tax")

    def of_type(self, kind: str) -> int:
        return total([line for line in self.captured_lines if line["type"] == kind])

    @property
    def captured_lines(self) -> list[Line]:
        return [line for lines in self.captures for line in lines]

    @property
    def refunds_lines(self) -> list[Line]:
        return [line for _, lines in self.refunds for line in lines]

    @staticmethod
    def of(lines: Sequence[Line], like: Line) -> int:
        return sum(line["total_amount"] for line in lines if line["reference"] == like["reference"])

    def refund_the_rest(self) -> None:
        """Refund piece by piece what is left of every line; again where a missed share took all.

        All pieces that are left at once where one alone comes to nothing: Kustom takes no refund of 0.
        """
        before = -1
        while before < len(self.refunds):
            before = len(self.refunds)
            for number, line in enumerate(self.lines, start=1):
                while self.refund([(number, 1)]):
                    assert line["total_amount"]
                left = Refundable(self.order).view()[number - 1].get("left", 0)
                if left > 1:
                    self.refund([(number, left)])


def line(reference: str, amount: int, rate: int, quantity: int = 1, **more: Any) -> Line:
    made = {"reference": reference, "name": reference, "type": "physical", "quantity": quantity, "tax_rate": rate}
    figures = {"unit_price": amount // quantity, "total_amount": amount, "total_tax_amount": tax_of(amount, rate)}
    return made | figures | more


@st.composite
def orders(draw: st.DrawFn) -> list[Line]:
    """Two to four goods of two tax rates, shipping, and up to three lines of the whole order that they can bear.

    One article may stand on two lines, at the same price or another.
    """
    count = draw(st.integers(2, 4))
    goods = [
        line(f"G{n}", draw(st.integers(3, 40)) * 997, draw(st.sampled_from([0, 1200, 2500])), draw(st.integers(1, 4)))
        for n in range(count)
    ]
    if draw(st.booleans()):
        first = draw(st.sampled_from(goods))
        quantity, dearer = draw(st.integers(1, 4)), draw(st.sampled_from([0, 0, 1000]))
        amount = (first["unit_price"] + dearer) * quantity
        goods.append(line(first["reference"], amount, first["tax_rate"], quantity))
    extras: list[Line] = [line("SHIP", 4900, 2500, type="shipping_fee")] if draw(st.booleans()) else []
    room = total(goods) // 4
    for kind in draw(st.lists(st.sampled_from(["discount", "gift_card", "sales_tax", "store_credit"]), max_size=3)):
        amount = draw(st.integers(1, max(1, room)))
        rate = draw(st.sampled_from([0, 1200, 2500])) if kind == "discount" else 0
        extras.append(line(f"W{len(extras)}", amount if kind == "sales_tax" else -amount, rate, type=kind))
    return [*goods, *extras]


PICKS = st.lists(
    st.tuples(st.integers(1, 7), st.integers(1, 4)), min_size=1, max_size=3, unique_by=lambda pick: pick[0]
)
STEPS = st.one_of(
    st.tuples(st.just("lines"), PICKS),
    st.tuples(st.just("cut"), st.integers(1, 5), st.integers(1, 3), st.integers(1, 2000)),
    st.tuples(st.just("portal"), st.integers(1, 5), st.integers(1, 3), st.integers(0, 100)),
)
"""A refund by lines, a price reduction, and a refund of a line by somebody else, at a part of its price in percent."""


def do(shop: Shop, step: tuple[Any, ...]) -> None:
    picks: list[tuple[int, int]]
    number: int
    quantity: int
    amount: int
    percent: int
    match step:
        case ("lines", picks):
            shop.refund([pick for pick in picks if pick[0] <= len(shop.lines)])
        case ("cut", number, quantity, amount):
            seen = Refundable(shop.order).view()[number - 1] if number <= len(shop.lines) else {}
            if amount <= seen.get("amount", 0):  # more would be at the expense of goods that missed no share
                shop.refund([(number, quantity)], {number: amount})
        case ("portal", number, quantity, percent):
            seen = Refundable(shop.order).view()[number - 1] if number <= len(shop.lines) else {}
            if seen.get("left", 0) < quantity:
                return
            bought = shop.lines[number - 1]
            amount = min(bought["total_amount"] * quantity * percent // bought["quantity"] // 100, seen["amount"])
            if 0 < amount <= shop.captured - shop.refunded:
                sent = bought | {"quantity": quantity, "total_amount": amount}
                sent |= {"total_tax_amount": tax_of(amount, bought["tax_rate"])}
                shop.refunds.append((amount, [sent]))
        case _:
            raise AssertionError(step)


def check(lines: list[Line], parcels: list[list[tuple[int, int]]], story: list[tuple[Any, ...]]) -> None:
    """Capture in parcels and the rest, refund as the story says and then the rest: exactly what was captured."""
    shop = Shop(lines)
    for picks in parcels:
        capture(shop, picks)
    capture(shop, [(number, bought["quantity"]) for number, bought in enumerate(lines, start=1)])
    assume(
        not any(map(Refundable(shop.order).uncaptured, range(1, len(lines) + 1)))
    )  # a gift card above the last goods
    assert shop.captured == total(lines)
    assert sum(one["total_tax_amount"] for one in shop.captured_lines) == sum(one["total_tax_amount"] for one in lines)
    for step in story:
        do(shop, step)
    shop.refund_the_rest()
    assert shop.refunded == shop.captured, Refundable(shop.order).view()


def capture(shop: Shop, picks: list[tuple[int, int]]) -> None:
    """Capture as many of these as are left."""
    known = Refundable(shop.order)
    left = [
        (number, min(quantity, int(known.uncaptured(number))))
        for number, quantity in picks
        if number <= len(shop.lines)
    ]
    chosen = [pick for pick in left if pick[1]]
    try:
        built = from_lines(shop.order, chosen)
    except ToolError:
        return
    if built.amount <= total(shop.lines) - shop.captured:  # Kustom takes no more
        shop.captures.append(built.order_lines)


@given(lines=orders(), story=st.lists(st.tuples(st.just("lines"), PICKS), max_size=5))
@settings(max_examples=40, deadline=None)
def test_any_parts_pay_together_what_was_captured_tax_included(lines: list[Line], story: list[tuple[Any, ...]]) -> None:
    shop = Shop(lines)
    shop.captures.append(lines)
    for step in story:
        do(shop, step)
    shop.refund_the_rest()
    assert shop.refunded == total(lines)
    assert sum(one["total_tax_amount"] for one in shop.refunds_lines) == sum(one["total_tax_amount"] for one in lines)


@given(lines=orders(), parcels=st.lists(PICKS, max_size=2), story=st.lists(STEPS, max_size=5))
@settings(max_examples=40, deadline=None)
def test_whatever_was_captured_and_refunded_the_rest_pays_what_is_left(
    lines: list[Line], parcels: list[list[tuple[int, int]]], story: list[tuple[Any, ...]]
) -> None:
    check(lines, parcels, story)


@pytest.mark.exam
@given(lines=orders(), parcels=st.lists(PICKS, max_size=3), story=st.lists(STEPS, max_size=10))
@settings(max_examples=1000, deadline=None)
def test_whatever_was_captured_and_refunded_the_rest_pays_what_is_left_in_many_orders(
    lines: list[Line], parcels: list[list[tuple[int, int]]], story: list[tuple[Any, ...]]
) -> None:
    check(lines, parcels, story)
