"""Order lines made from the order as Kustom holds it: from line numbers and quantities, or from lines sent in part.

Kustom replaces the whole list when an amount changes, and what a model saw of the lines is shortened and cleaned. So
no list is ever made from what a model saw: numbers pick stored lines, texts that a model copied from our view become
the stored texts again, and figures come from the stored line or are computed (`line_amounts`). The checks on amounts
are offered here too, so that a tool needs one module for its lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

from kustom_mcp.api.models import Order
from kustom_mcp.money import show, tax_of
from kustom_mcp.orders.line_amounts import WRITABLE, Line, divides_evenly, part_of, share_of, stored_lines, total_of
from kustom_mcp.orders.refundable import Built, Refundable
from kustom_mcp.orders.shares import RETURN_FEE
from kustom_mcp.schema.result import Code, ToolError

N = TypeVar("N", int, int | float)

Pick = tuple[int, int]
"""A line's number in the order, from 1, and a quantity."""

PICK_GOODS = "Pick the goods that a discount belongs to as well, or send an amount without lines."


def from_lines(order: Order, picks: Sequence[Pick]) -> Built:
    """The lines of a capture, in the order of `picks`, and the amount that they come to.

    A part starts after what earlier captures took, so that the parts of a line add up to the stored line to the unit.
    A quantity that is the whole line takes the stored amounts. Lines of the whole order that go along with these goods
    are named, not added. INVALID_ARGUMENT for a line that is not there or is picked twice, for a quantity that the line
    does not have, for a line without figures, and for lines that come to nothing or less.
    """
    held, known = stored_lines(order), Refundable(order)
    parts: list[Line] = []
    notes: list[str] = []
    over: list[str] = []
    for position, (number, quantity) in enumerate(_checked(held, picks, "lines")):
        stored = held[number - 1]
        whole = _divisible(order, stored, number, f"lines[{position}].line")
        _must_hold(whole, number, quantity, f"lines[{position}].quantity")
        over += _over(known, number, quantity)
        part = known.capture(number, quantity)
        notes += _uneven(order, stored, part, number)
        parts.append(part)
    return _built(order, parts, [*notes, *over, *known.left_behind(picks)], _with_more(order, held))


def _with_more(order: Order, held: Sequence[Line]) -> str:
    """The way out where lines of a capture come to nothing because a discount is above the goods named with it."""
    known, left = Refundable(order), 0
    for number, stored in enumerate(held, start=1):
        quantity = min(known.uncaptured(number), stored.get("quantity") or 0)
        if not quantity or total_of(stored) is None or not isinstance(quantity, int):
            continue
        left += total_of(known.capture(number, quantity)) or 0
    if left <= 0:
        return PICK_GOODS
    return (
        f"Name more of the goods together with the discount: all that is left comes to {show(left, order.currency)}. "
        "Or send captured_amount without lines."
    )


def refunded(
    order: Order, picks: Sequence[Pick], totals: Mapping[int, int] | None = None, return_fee: int = 0
) -> Built:
    """The lines of a refund, in the order of `picks`, priced from what captures hold and refunds have left of them.

    Their shares of lines of the whole order come after them, and the fee that is kept back, last. `totals`: what is
    paid in all for a line, by its number, where that was said; like the fee in minor units. ACTION_NOT_ALLOWED for what
    is not captured or is refunded already; AMOUNT_OUT_OF_RANGE for a fee above the refund; INVALID_ARGUMENT as in
    `from_lines`.
    """
    built = Refundable(order).refund(_checked(stored_lines(order), picks, "lines"), totals or {})
    fee = _fee(order, built, return_fee) if return_fee else []
    return _built(order, [*built.order_lines, *fee], built.notes)


def _fee(order: Order, built: Built, amount: int) -> list[Line]:
    """Kustom's line for a fee that is kept back, at the tax rate of the goods that make up most of the refund."""
    if amount >= built.amount:
        raise ToolError(
            Code.AMOUNT_OUT_OF_RANGE,
            f"The fee must be less than the {show(built.amount, order.currency)} that the lines come to.",
            field="return_fee",
            next_step=f"Ask the person: a return_fee below {built.amount} (minor units), or no refund at all.",
        )
    by_rate: dict[int, int] = {}
    for line in built.order_lines:
        rate: int | None = line.get("tax_rate")
        if rate is not None and rate >= 0:
            by_rate[rate] = by_rate.get(rate, 0) + (total_of(line) or 0)
    rate = max(by_rate, key=lambda rate: by_rate[rate], default=0)
    line: Line = {"type": RETURN_FEE, "reference": "return-fee", "name": "Return fee", "quantity": 1}
    line |= {"unit_price": -amount, "tax_rate": rate, "total_amount": -amount}
    return [line | {"total_discount_amount": 0, "total_tax_amount": -tax_of(amount, rate)}]


def _uneven(order: Order, whole: Line, part: Line, number: int) -> list[str]:
    if part["quantity"] >= whole["quantity"] or divides_evenly(whole):
        return []
    return [
        f"Line {number} does not divide evenly: {part['quantity']} of {whole['quantity']} come to "
        f"{show(part['total_amount'], order.currency)}."
    ]


def _built(order: Order, parts: Sequence[Line], notes: list[str], instead: str = PICK_GOODS) -> Built:
    """Lines with the fields that Kustom takes, and what they come to. INVALID_ARGUMENT where that is nothing."""
    built = [{name: part[name] for name in WRITABLE if name in part} for part in parts]
    amount = sum(total_of(part) or 0 for part in parts)
    if amount <= 0:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"The lines come to {show(amount, order.currency)}; only an amount above zero can be captured or refunded.",
            field="lines",
            next_step=instead,
        )
    return Built(built, amount, notes)


def changed(order: Order, changes: Sequence[tuple[int, int | float]], prices: Mapping[int, int] | None = None) -> Built:
    """The complete new list and total of an amount change: new quantities, 0 removes; other lines exactly as stored.

    `prices`: new unit prices by line number, minor units. A changed line costs in proportion to its stored total,
    discount and tax, or its new price less its discount; every field is kept, unknown ones too. LINES_MISMATCH where
    the stored lines do not add up to the stored order amount: the difference belongs to no line, so nobody could say
    what the new total should be. ACTION_NOT_ALLOWED where captures hold more of a line. INVALID_ARGUMENT as in
    `from_lines`, and where no line would remain.
    """
    held, known = stored_lines(order), Refundable(order)
    wanted = _checked(held, changes, "line_changes")
    known.must_keep(wanted, "line_changes")
    _must_add_up(order, held)
    new: dict[int, Line | None] = {}
    notes: list[str] = []
    for position, (number, quantity) in enumerate(wanted):
        where, stored = f"line_changes[{position}]", held[number - 1]
        line = _resized(order, stored, number, quantity, where, notes) if quantity else None
        if line is not None and prices and number in prices:
            line = _repriced(order, line, number, prices[number], where, notes)
            notes += _captured_dearer(known, number)
        new[number] = line
    lines = [new.get(number, stored) for number, stored in enumerate(held, start=1)]
    built = [line for line in lines if line is not None]
    amount = sum(total_of(line) or 0 for line in built)
    notes += known.stays_as_it_is(new)
    if not built:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            "No line would remain.",
            field="line_changes",
            next_step="To end the order use kustom_cancel_order; an order with captures is refunded instead.",
        )
    if amount < 0:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"The lines that would remain come to {show(amount, order.currency)}, which is less than nothing.",
            field="line_changes",
            next_step="Change the discount or gift card lines as well.",
        )
    return Built(built, amount, notes)


def _over(known: Refundable, number: int, quantity: int) -> list[str]:
    """A warning for more than the captures so far leave of a line, or of lines that are alike.

    Never an error, because captures need not carry lines, and Kustom decides by amount.
    """
    left = known.uncaptured(number)
    if quantity <= left:
        return []
    return [f"Line {number}: {quantity} asked for, but the captures so far leave {left} to capture."]


def must_be_left(order: Order, order_lines: Sequence[Line], amount: int = 0) -> list[str]:
    """Refuse lines of a refund in Kustom's own format that are not captured or refunded already. ACTION_NOT_ALLOWED.

    `amount`: what the refund would pay, in minor units. Returns warnings for lines that could not be compared.
    """
    return Refundable(order).must_be_left(order_lines, "order_lines", amount)


def _checked(held: Sequence[Line], picks: Sequence[tuple[int, N]], argument: str) -> Sequence[tuple[int, N]]:
    """`picks`, once each names a stored line and no line is named twice."""
    seen: set[int] = set()
    for position, (number, _) in enumerate(picks):
        if not 1 <= number <= len(held):
            there = f"has lines 1 to {len(held)}" if held else "has no lines"
            raise ToolError(
                Code.INVALID_ARGUMENT,
                f"There is no such line: the order {there}.",
                field=f"{argument}[{position}].line",
                next_step="Read the order with kustom_get_order: it numbers the lines from 1.",
            )
        if number in seen:
            raise ToolError(
                Code.INVALID_ARGUMENT,
                f"Line {number} is named twice.",
                field=f"{argument}[{position}].line",
                next_step="Name each line once, with the quantity that you mean.",
            )
        seen.add(number)
    return picks


def _known_total(line: Line, number: int, where: str) -> int:
    total = total_of(line)
    if total is None:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"Kustom holds line {number} without prices, so nothing can be computed from it.",
            field=where,
            next_step="Ask the person for the amount and send it together with order_lines.",
        )
    return total


def _must_hold(whole: int, number: int, quantity: int, where: str) -> None:
    if not 1 <= quantity <= whole:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"Line {number} has a quantity of {whole}: send a quantity from 1 to {whole}.",
            field=where,
            next_step="Read the order with kustom_get_order and repeat the call with a quantity that the line has.",
        )


def _must_add_up(order: Order, held: Sequence[Line]) -> None:
    total = sum(_known_total(line, number, "line_changes") for number, line in enumerate(held, start=1))
    if total != order.order_amount:
        raise ToolError(
            Code.LINES_MISMATCH,
            f"The lines of this order add up to {show(total, order.currency)}, but its amount is "
            f"{show(order.order_amount, order.currency)}, so a new total cannot be computed from them.",
            field="line_changes",
            next_step="Ask the person for the new total and send order_amount with the complete order_lines.",
        )


def _divisible(order: Order, line: Line, number: int, where: str) -> int:
    """The stored quantity of a line that can be divided."""
    _known_total(line, number, where)
    quantity: int | float = line.get("quantity") or 0
    if isinstance(quantity, float):
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"Line {number} has a quantity that is no whole number, so no part of it can be counted.",
            field=where,
            next_step=f"All of it is {show(total_of(line) or 0, order.currency)}. Ask the person for the amount and "
            "send it without lines; a change of the order takes the line off (quantity 0) or sends order_lines.",
        )
    if quantity < 1:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"Kustom holds line {number} without a quantity, so no part of it can be computed.",
            field=where,
            next_step="Ask the person for the amount and send it together with order_lines.",
        )
    return quantity


def _resized(order: Order, stored: Line, number: int, quantity: int | float, where: str, notes: list[str]) -> Line:
    if quantity == stored.get("quantity"):
        return stored
    if quantity < 0 or isinstance(quantity, float):
        raise ToolError(
            Code.INVALID_ARGUMENT,
            "A quantity cannot be negative or a fraction.",
            field=f"{where}.quantity",
            next_step="Send the new quantity of the line, or 0 to remove it.",
        )
    _divisible(order, stored, number, f"{where}.line")
    line = part_of(stored, 0, quantity)
    if not divides_evenly(stored):
        notes.append(
            f"Line {number} does not divide evenly: {quantity} of it come to "
            f"{show(line['total_amount'], order.currency)}."
        )
    return line


def _repriced(order: Order, line: Line, number: int, price: int, where: str, notes: list[str]) -> Line:
    """A line at another price of one: its discount stays, total and tax follow."""
    currency, old = order.currency, _known_total(line, number, where)
    discount: int = line.get("total_discount_amount") or 0
    quantity: int | float = line.get("quantity") or 0
    total = Fraction(quantity) * price - discount
    if total.denominator != 1:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"At this price line {number} would cost a fraction of a minor unit: its quantity is no whole number.",
            field=f"{where}.unit_price",
            next_step="Ask the person for the new total, and send order_amount with the complete order_lines.",
        )
    if (total < 0 <= old) or (total > 0 > old):
        kept = f", less its discount of {show(discount, currency)}," if discount else ""
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"Line {number} comes to {show(old, currency)}; at this price{kept} it would come to "
            f"{show(int(total), currency)}, which turns what is charged and what is taken off around.",
            field=f"{where}.unit_price",
            next_step="Prices of goods stay above zero, those of discounts below. Correct the price.",
        )
    if discount:
        notes.append(f"Line {number} keeps its discount of {show(discount, currency)}.")
    new: Line = line | {"unit_price": price, "total_amount": int(total)}
    tax, rate = line.get("total_tax_amount"), line.get("tax_rate")
    if tax is not None:
        by_rate = rate is not None and rate >= 0 and (not old or abs(tax - tax_of(old, rate)) <= 1)
        new["total_tax_amount"] = (
            tax_of(int(total), rate or 0) if by_rate else share_of(tax, abs(int(total)), abs(old) or 1)
        )
    return new


def _captured_dearer(known: Refundable, number: int) -> list[str]:
    held = known.captured().get(number)
    if not held:
        return []
    return [f"Captures hold {held} of line {number} at its old price: those are not repriced, only refunded."]
