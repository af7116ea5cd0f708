"""Order lines made from the order as Kustom holds it: from line numbers and quantities, or from lines sent in part.

Kustom replaces the whole list when an amount changes, and what a model saw of the lines is shortened and cleaned. So
no list is ever made from what a model saw: numbers pick stored lines, texts that a model copied from our view become
the stored texts again, and figures come from the stored line or are computed (`line_amounts`). The checks on amounts
are offered here too, so that a tool needs one module for its lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kustom_mcp.api.models import Order
from kustom_mcp.money import show
from kustom_mcp.orders.line_amounts import (
    Line,
    divides_evenly,
    part_of,
    stored_lines,
    total_of,
)
from kustom_mcp.orders.refundable import WHOLE, Refundable
from kustom_mcp.schema.result import Code, ToolError

WRITABLE = (
    "reference",
    "type",
    "name",
    "quantity",
    "quantity_unit",
    "unit_price",
    "tax_rate",
    "total_amount",
    "total_discount_amount",
    "total_tax_amount",
    "merchant_data",
    "product_url",
    "image_url",
    "product_identifiers",
)
"""The fields of a line that a capture or a refund may carry (KL)."""

Pick = tuple[int, int]
"""A line's number in the order, from 1, and a quantity."""


@dataclass(frozen=True, slots=True)
class Built:
    """Lines for Kustom, their sum in minor units, and sentences that a person should read first."""

    order_lines: list[Line]
    amount: int
    notes: list[str] = field(default_factory=list[str])


def from_lines(order: Order, picks: Sequence[Pick], *, already: Mapping[int, int] | None = None) -> Built:
    """The lines of a capture, in the order of `picks`, and the amount that they come to.

    `already` tells how many of a line earlier captures took: this part then starts after those, so that the parts of a
    line add up to the stored line to the unit. A quantity that is the whole line takes the stored amounts.
    INVALID_ARGUMENT for a line that is not there or is picked twice, for a quantity that the line
    does not have, for a line without figures, and for lines that come to nothing or less.
    """
    held = stored_lines(order)
    parts: list[Line] = []
    notes: list[str] = []
    for position, (number, quantity) in enumerate(_checked(held, picks, "lines")):
        stored = held[number - 1]
        whole = _divisible(stored, number, f"lines[{position}].line")
        _must_hold(whole, number, quantity, f"lines[{position}].quantity")
        start = max(0, min((already or {}).get(number, 0), whole - quantity))
        part = part_of(stored, start, start + quantity)
        notes += _uneven(order, stored, part, number)
        parts.append(part)
    return _built(order, parts, notes)


def refunded(order: Order, picks: Sequence[Pick]) -> Built:
    """The lines of a refund, in the order of `picks`, priced from what captures hold and refunds have left of them.

    ACTION_NOT_ALLOWED for what is not captured or is refunded already; INVALID_ARGUMENT as in `from_lines`.
    """
    known = Refundable(order)
    parts: list[Line] = []
    notes = [WHOLE] if known.whole else []
    for position, (number, quantity) in enumerate(_checked(stored_lines(order), picks, "lines")):
        left, part = known.refund(number, quantity, f"lines[{position}]")
        notes += _uneven(order, left, part, number)
        parts.append(part)
    return _built(order, parts, notes)


def _uneven(order: Order, whole: Line, part: Line, number: int) -> list[str]:
    if part["quantity"] >= whole["quantity"] or divides_evenly(whole):
        return []
    return [
        f"Line {number} does not divide evenly: {part['quantity']} of {whole['quantity']} come to "
        f"{show(part['total_amount'], order.currency)}."
    ]


def _built(order: Order, parts: Sequence[Line], notes: list[str]) -> Built:
    """Lines with the fields that Kustom takes, and what they come to. INVALID_ARGUMENT where that is nothing."""
    built = [{name: part[name] for name in WRITABLE if name in part} for part in parts]
    amount = sum(total_of(part) or 0 for part in parts)
    if amount <= 0:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"The lines come to {show(amount, order.currency)}; only an amount above zero can be captured or refunded.",
            field="lines",
            next_step="Pick the goods that a discount belongs to as well, or send an amount without lines.",
        )
    return Built(built, amount, notes)


def changed(order: Order, changes: Sequence[Pick]) -> Built:
    """The complete new list and total of an amount change: new quantities, 0 removes; other lines exactly as stored.

    A changed line costs in proportion to its stored total, discount and tax; every field is kept, unknown ones too.
    LINES_MISMATCH where the stored lines do not add up to the stored order amount: the difference belongs to no line,
    so nobody could say what the new total should be. ACTION_NOT_ALLOWED where captures hold more of a line.
    INVALID_ARGUMENT as in `from_lines`, and where no line would remain.
    """
    held = stored_lines(order)
    wanted = _checked(held, changes, "line_changes")
    Refundable(order).must_keep(wanted, "line_changes")
    _must_add_up(order, held)
    new = {number: (position, quantity) for position, (number, quantity) in enumerate(wanted)}
    built: list[Line] = []
    notes: list[str] = []
    amount = 0
    for number, stored in enumerate(held, start=1):
        line = stored
        if number in new:
            position, quantity = new[number]
            if quantity == 0:
                continue
            line = _resized(order, stored, number, quantity, f"line_changes[{position}]", notes)
        built.append(line)
        amount += total_of(line) or 0
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


def over(order: Order, picks: Sequence[Pick], captured: Mapping[int, int]) -> list[str]:
    """Warnings for quantities beyond what the captures so far, by line number, leave of the order's lines.

    Never an error, because captures need not carry lines, and Kustom decides by amount.
    """
    sentences: list[str] = []
    for number, quantity in picks:
        left = max((order.order_lines[number - 1].quantity or 0) - captured.get(number, 0), 0)
        if quantity > left:
            sentences.append(f"Line {number}: {quantity} asked for, but the captures so far leave {left} to capture.")
    return sentences


def must_be_left(order: Order, order_lines: Sequence[Line]) -> list[str]:
    """Refuse lines of a refund in Kustom's own format that are not captured or refunded already. ACTION_NOT_ALLOWED.

    Returns warnings for lines that could not be compared.
    """
    return Refundable(order).must_be_left(order_lines, "order_lines")


def _checked(held: Sequence[Line], picks: Sequence[Pick], argument: str) -> Sequence[Pick]:
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


def _divisible(line: Line, number: int, where: str) -> int:
    """The stored quantity of a line that can be divided."""
    _known_total(line, number, where)
    quantity: int = line.get("quantity") or 0
    if quantity < 1:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"Kustom holds line {number} without a quantity, so no part of it can be computed.",
            field=where,
            next_step="Ask the person for the amount and send it together with order_lines.",
        )
    return quantity


def _resized(order: Order, stored: Line, number: int, quantity: int, where: str, notes: list[str]) -> Line:
    if quantity == stored.get("quantity"):
        return stored
    if quantity < 0:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            "A quantity cannot be negative.",
            field=f"{where}.quantity",
            next_step="Send the new quantity of the line, or 0 to remove it.",
        )
    _divisible(stored, number, f"{where}.line")
    line = part_of(stored, 0, quantity)
    if not divides_evenly(stored):
        notes.append(
            f"Line {number} does not divide evenly: {quantity} of it come to "
            f"{show(line['total_amount'], order.currency)}."
        )
    return line
