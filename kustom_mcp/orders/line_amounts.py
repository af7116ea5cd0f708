"""The arithmetic of order lines: the price of a part of a line, and the sums of lines.

A part of a line is cut out of the line's own stored amounts, never computed anew from its unit price, because shops
round in their own ways and Kustom holds what they sent. Parts are differences of one running total: the first n units
of a line cost total x n / quantity, half a minor unit away from zero, and a part is what those cost with it minus
without it. So the parts of a line, taken one after another, add up to the stored line to the unit, whatever their
sizes; every part of a line has the line's sign, and none is worth more than the line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kustom_mcp.api.models import Order
from kustom_mcp.money import show, tax_of
from kustom_mcp.orders.line_pairs import paired
from kustom_mcp.schema.result import Code, Json, ToolError

Line = dict[str, Json]
"""An order line as Kustom's JSON has it."""

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

_NONE_IS_ZERO = frozenset({"tax_rate", "total_discount_amount", "total_tax_amount"})
_FIGURES = ("quantity", "unit_price", "tax_rate", "total_amount", "total_discount_amount", "total_tax_amount")
_MOST_SENTENCES = 5


def stored_lines(order: Order) -> list[Line]:
    """The order's lines as Kustom sent them, unknown fields too. A null is the same as a missing field (7.3)."""
    return [line.model_dump(by_alias=True, exclude_none=True) for line in order.order_lines]


def total_of(line: Mapping[str, Json]) -> int | None:
    """A line's total in minor units; where Kustom left it out, quantity x unit price - discount; None without these."""
    total: int | None = line.get("total_amount")
    if total is not None:
        return total
    quantity, price = line.get("quantity"), line.get("unit_price")
    if quantity is None or price is None:
        return None
    return quantity * price - (line.get("total_discount_amount") or 0)


def telling(line: Mapping[str, Json]) -> Line:
    """The fields of a line that say more than leaving them out would: no empty one, no discount or tax of 0."""
    return {
        name: value
        for name, value in line.items()
        if value not in (None, "", [], {}) and not (name in _NONE_IS_ZERO and value == 0)
    }


def share_of(amount: int, part: int, whole: int) -> int:
    """`amount` x `part` / `whole`, half a minor unit away from zero."""
    size = (2 * abs(amount) * part + whole) // (2 * whole)
    return -size if amount < 0 else size


def part_of(line: Mapping[str, Json], start: int, end: int) -> Line:
    """The line's units `start` + 1 to `end`, as a line of its own. The whole line has its stored amounts.

    `line` needs a quantity above 0 and a known total. `end` may lie beyond the stored quantity: an enlarged line
    costs in proportion. A line that obeys quantity x unit price - discount, or the tax formula, still does afterwards:
    the discount is then what remains, and the tax that of the running total.
    """
    whole: int = line["quantity"]
    total = total_of(line)
    assert total is not None  # callers ask total_of first
    count = end - start
    part: Line = {**line, "quantity": count, "total_amount": _span(lambda n: share_of(total, n, whole), start, end)}
    discount: int | None = line.get("total_discount_amount")
    if discount is not None:
        price: int | None = line.get("unit_price")
        if price is not None and whole * price - discount == total:
            part["total_discount_amount"] = count * price - part["total_amount"]
        else:
            part["total_discount_amount"] = _span(lambda n: share_of(discount, n, whole), start, end)
    tax: int | None = line.get("total_tax_amount")
    if tax is not None:
        rate = line.get("tax_rate")
        if tax == _tax(total, rate):
            part["total_tax_amount"] = _span(lambda n: tax_of(share_of(total, n, whole), rate or 0), start, end)
        else:
            part["total_tax_amount"] = _span(lambda n: share_of(tax, n, whole), start, end)
    return part


def divides_evenly(line: Mapping[str, Json]) -> bool:
    """Return whether each unit of the line costs the same whole number of minor units."""
    return (total_of(line) or 0) % (line.get("quantity") or 1) == 0


def agree(amount_given: int | None, built_amount: int, currency: str, *, field: str = "lines") -> None:
    """Hold an amount that was given as well as lines to what the lines cost. LINES_MISMATCH with both figures."""
    if amount_given is not None and amount_given != built_amount:
        raise ToolError(
            Code.LINES_MISMATCH,
            f"The lines come to {show(built_amount, currency)}, but the amount sent is {show(amount_given, currency)}.",
            field=field,
            next_step=f"Send the lines without an amount, or with {built_amount}, or correct the quantities.",
        )


def check_change(order: Order, order_amount: int, order_lines: Sequence[Mapping[str, Json]]) -> list[str]:
    """Hold the complete new list of an amount change to `order_amount`. Returns warnings for the preview.

    LINES_MISMATCH where every line has a total and the sum is not the amount, or where a line whose figures are not
    those of a stored line breaks its own arithmetic. A line with stored figures is taken as it is: the shop's
    rounding is not ours to correct. Lines without prices are Kustom's own short form and only bring a warning.
    """
    currency = order.currency
    if order.order_lines and not order_lines:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            "An empty list of order lines would wipe every line of the order.",
            field="order_lines",
            next_step="Send the complete list of lines that remain. To end the order use kustom_cancel_order.",
        )
    total = _sum(order_lines)
    if total is not None and total != order_amount and order_lines:
        raise ToolError(
            Code.LINES_MISMATCH,
            f"The order lines add up to {show(total, currency)}, but order_amount is {show(order_amount, currency)}.",
            field="order_lines",
            next_step="Kustom replaces the whole list, so a line that is left out is gone. Use line_changes instead: "
            "the server keeps the other lines and computes the total. Or correct the complete order_lines.",
        )
    for number, sentence in _wrong_lines(order, order_lines):
        raise ToolError(
            Code.LINES_MISMATCH,
            sentence,
            field=f"order_lines[{number - 1}]",
            next_step="Correct the figures of this line; with line_changes the server computes them.",
        )
    return [*_unchecked(order_lines), *_untaxed(order, order_lines), *_dropped(order, order_lines)]


def check_entry(order: Order, amount: int, order_lines: Sequence[Mapping[str, Json]]) -> list[str]:
    """The same comparisons for the lines of a capture or a refund, as warnings: Kustom is not known to enforce them.

    One more: the reference of a line that the order does not have, because Kustom allocates by reference (K).
    """
    warnings = [*_unchecked(order_lines), *_untaxed(order, order_lines)]
    total = _sum(order_lines)
    if order_lines and total is not None and total != amount:
        figures = show(total, order.currency), show(amount, order.currency)
        warnings.append(f"The order lines add up to {figures[0]}, but the amount is {figures[1]}.")
    known = {line.reference for line in order.order_lines if line.reference}
    sentences = [sentence for _, sentence in _wrong_lines(order, order_lines)]
    for number, line in enumerate(order_lines, start=1):
        if line.get("type") == "return_fee":
            if (line.get("total_amount") or 0) > 0:
                sentences.append(f"Order line {number} is a return fee above zero: Kustom expects a negative amount.")
        elif line.get("reference") not in known:
            sentences.append(
                f"Order line {number} has no reference that is in the order: Kustom cannot allocate it to an item."
            )
    return warnings + _first(sentences)


def _span(running: Callable[[int], int], start: int, end: int) -> int:
    return running(end) - running(start)


def _tax(total: int, rate: int | None) -> int | None:
    return tax_of(total, rate) if rate is not None and rate >= 0 else None


def _sum(lines: Sequence[Mapping[str, Json]]) -> int | None:
    """The sum of the lines' totals; None where a line does not say its own."""
    totals: list[int | None] = [line.get("total_amount") for line in lines]
    known = [total for total in totals if total is not None]
    return sum(known) if len(known) == len(totals) else None


def _figures(line: Mapping[str, Json]) -> tuple[Json, ...]:
    return (line.get("reference"), *(line.get(name) for name in _FIGURES))


def _wrong_lines(order: Order, lines: Sequence[Mapping[str, Json]]) -> list[tuple[int, str]]:
    held = {_figures(line) for line in stored_lines(order)}
    wrong: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        sentence = None if _figures(line) in held else _wrong(line, number, order.currency)
        if sentence:
            wrong.append((number, sentence))
    return wrong


def _wrong(line: Mapping[str, Json], number: int, currency: str) -> str | None:
    """The errors in a line's own arithmetic, where it has enough fields: a unit apiece is allowed, and one for tax."""
    quantity, price, total, tax = (
        line.get(name) for name in ("quantity", "unit_price", "total_amount", "total_tax_amount")
    )
    if total is None:
        return None
    if quantity is not None and price is not None:
        discount = line.get("total_discount_amount") or 0
        expected = quantity * price - discount
        if abs(total - expected) > quantity:
            return (
                f"Order line {number} does not add up: {quantity} x {show(price, currency)} less a discount of "
                f"{show(discount, currency)} is {show(expected, currency)}, "
                f"but total_amount says {show(total, currency)}."
            )
    expected = _tax(total, line.get("tax_rate"))
    if tax is not None and expected is not None and abs(tax - expected) > 1:
        return (
            f"Order line {number} has the wrong tax: its tax_rate makes {show(expected, currency)} of "
            f"{show(total, currency)}, but total_tax_amount says {show(tax, currency)}."
        )
    return None


def _unchecked(lines: Sequence[Mapping[str, Json]]) -> list[str]:
    bare = [number for number, line in enumerate(lines, start=1) if _lacks_prices(line)]
    if not bare:
        return []
    return [f"{_named(bare, 'Order line', 'Order lines')} without complete prices could not be checked."]


def _untaxed(order: Order, lines: Sequence[Mapping[str, Json]]) -> list[str]:
    """The warning of lines with prices that leave their tax out, on an order that has tax."""
    held = stored_lines(order)
    if not any(line.get("tax_rate") or line.get("total_tax_amount") for line in held):
        return []
    known = {_figures(line) for line in held}
    bare = [
        number
        for number, line in enumerate(lines, start=1)
        if not _lacks_prices(line)
        and line.get("total_amount")
        and line.get("total_tax_amount") is None
        and line.get("tax_rate") != 0
        and line.get("type") != "return_fee"
        and _figures(line) not in known
    ]
    if not bare:
        return []
    leaves = "leaves its tax" if len(bare) == 1 else "leave their tax"
    return [f"{_named(bare, 'Order line', 'Order lines')} {leaves} out (total_tax_amount): Kustom may book none."]


def _lacks_prices(line: Mapping[str, Json]) -> bool:
    return any(line.get(name) is None for name in ("quantity", "unit_price", "total_amount"))


def _dropped(order: Order, lines: Sequence[Mapping[str, Json]]) -> list[str]:
    held = stored_lines(order)
    kept = set(paired(held, lines).values())
    gone = [number for number, _ in enumerate(held, start=1) if number - 1 not in kept]
    if not gone:
        return []
    many = len(gone) > 1
    removed, has = ("are removed", "them") if many else ("is removed", "it")
    return [f"{_named(gone, 'Line', 'Lines')} of the order {removed}: the new list does not have {has}."]


def _named(numbers: Sequence[int], one: str, many: str) -> str:
    if len(numbers) == 1:
        return f"{one} {numbers[0]}"
    shown = ", ".join(map(str, numbers[:20]))
    return f"{many} {shown}" + (f" and {len(numbers) - 20} more" if len(numbers) > 20 else "")


def _first(sentences: Sequence[str]) -> list[str]:
    shown = list(sentences[:_MOST_SENTENCES])
    if len(sentences) > _MOST_SENTENCES:
        shown.append(f"{len(sentences) - _MOST_SENTENCES} more order lines have such a difference.")
    return shown
