"""A new total for an order, with the lines that make it up: from new quantities, or from lines that were sent."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from kustom_mcp.api.endpoints import UPDATE_AUTHORIZATION
from kustom_mcp.api.models import Order
from kustom_mcp.calls.confirmation import Facts
from kustom_mcp.calls.write import Call
from kustom_mcp.orders import line_amounts, line_matching, line_selection, plausibility
from kustom_mcp.orders.line_pairs import paired
from kustom_mcp.orders.refundable import Refundable
from kustom_mcp.schema.arguments import LineChange, LineIn, sent
from kustom_mcp.schema.result import Code, Json, ToolError
from kustom_mcp.text import alike
from kustom_mcp.tools.amounts import line_facts, require_whole

LINES_SHOWN = 20
"""Changed lines that `changes` names; `details` of a preview tell them all."""
_TELLING = ("reference", "name", "quantity", "unit_price", "total_amount")


@dataclass(frozen=True)
class AmountChange:
    """The new total in minor units and the complete new lines, with changes and warnings. `asked`: those of
    `plausibility`."""

    total: int
    lines: list[dict[str, Json]]
    warnings: list[str]
    changes: list[dict[str, Json]]
    asked: list[str]

    @property
    def quantities(self) -> list[dict[str, Json]]:
        """The changes that comparing two reads of the order would not name."""
        return [change for change in self.changes if change["field"].startswith("line ")]


@contextmanager
def _state_first(call: Call, order: Order) -> Generator[None]:
    """Refuse for the order's state where it forbids every change: a better reason than lines that do not fit."""
    try:
        yield
    except ToolError:
        call.require(UPDATE_AUTHORIZATION, order)
        raise


def amount_change(
    call: Call,
    order: Order,
    order_amount: int | None,
    order_lines: Sequence[LineIn] | None,
    line_changes: Sequence[LineChange] | None,
) -> AmountChange:
    """Work out the new total and the new lines. ToolError when it does not say it, or does not add up."""
    if line_changes is not None and order_lines is None:
        with _state_first(call, order):
            prices = {change.line: change.unit_price for change in line_changes if change.unit_price is not None}
            built = line_selection.changed(order, _quantities(order, line_changes), prices)
            line_amounts.agree(order_amount, built.amount, order.currency, field="order_amount")
        asked = [hint for number, price in prices.items() for hint in plausibility.new_price(order, number, price)]
        total, lines, warnings = built.amount, built.order_lines, list(built.notes)
    elif line_changes is None and order_lines is not None and order_amount is not None:
        total = order_amount
        with _state_first(call, order):
            lines = line_matching.inherit(order, [sent(line) for line in order_lines])
        require_whole(order, lines)
        with _state_first(call, order):
            known = Refundable(order)
            known.must_keep_all(lines, "order_lines")
            warnings = [
                *line_amounts.check_change(order, total, lines),
                *known.stays_as_it_is(_replaced(order, lines)),
            ]
        asked = plausibility.new_total(order, "order_amount", total)
    else:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            "Send line_changes alone, or order_amount with the complete order_lines: Kustom replaces the whole list, "
            "so leaving lines out would delete them.",
            field="line_changes",
            next_step="Read the order for its line numbers, then call again with line_changes.",
        )
    if total > order.order_amount:
        warnings.insert(0, "Raising an amount makes Kustom assess the risk again; it may refuse.")
    changed = line_changes or ()
    return AmountChange(total, lines, warnings, _changes(order, total, lines, changed), asked)


def _replaced(order: Order, lines: Sequence[line_amounts.Line]) -> dict[int, line_amounts.Line | None]:
    """The lines of the order that a new list changes, by number, as they will be; None for those that it removes."""
    held = line_amounts.stored_lines(order)
    news = {old: lines[new] for new, old in paired(held, lines).items()}
    return {number: news.get(number - 1) for number, line in enumerate(held, start=1) if news.get(number - 1) != line}


def _quantities(order: Order, changes: Sequence[LineChange]) -> list[tuple[int, int | float]]:
    """The new quantity of each changed line; the stored one where only the price changes. ToolError where neither."""
    quantities: list[tuple[int, int | float]] = []
    for position, change in enumerate(changes):
        quantity: int | float | None = change.quantity
        if quantity is None:
            if change.unit_price is None:
                raise ToolError(
                    Code.INVALID_ARGUMENT,
                    f"line_changes[{position}] changes nothing: it has neither quantity nor unit_price.",
                    field=f"line_changes[{position}]",
                    next_step="Send the new quantity of the line (0 removes it), its new unit_price, or both.",
                )
            there = change.line <= len(order.order_lines)
            quantity = order.order_lines[change.line - 1].quantity if there else 1
        elif quantity == 0 and change.unit_price is not None:
            raise ToolError(
                Code.INVALID_ARGUMENT,
                f"line_changes[{position}] removes the line (quantity 0) and gives it a price.",
                field=f"line_changes[{position}].unit_price",
                next_step="Send quantity 0 alone to remove the line, or unit_price with the quantity that remains.",
            )
        quantities.append((change.line, quantity or 0))
    return quantities


def shown(order: Order) -> Facts:
    """The facts that show the change: the totals, and of each line those that differ between prices for one total."""
    lines = [[getattr(line, name) for name in _TELLING] for line in order.order_lines]
    return [order.order_amount, order.captured_amount, lines]


def expected(order: Order, wanted: AmountChange) -> Facts:
    """The same, as it will be afterwards."""
    lines = [[line.get(name) for name in _TELLING] for line in wanted.lines]
    return [wanted.total, order.captured_amount, lines]


def unchanged(before: Order, wanted: AmountChange, now: Order) -> bool:
    """Return whether total and lines are as they were, although the change would show: a total, a line more or less, or
    a field that Kustom returns, in another way than a text is trimmed."""
    held = line_facts(before)
    telling = wanted.total != before.order_amount or len(wanted.lines) != len(held)
    telling = telling or any(map(_differs, wanted.lines, held))
    return telling and now.order_amount == before.order_amount and line_facts(now) == held


def _differs(wanted: dict[str, Json], held: dict[str, Json]) -> bool:
    """Return whether a line has a field that would read otherwise than the stored one. A field that is left out, or is
    not returned, tells nothing."""
    return any(
        not alike(value, held[name]) if isinstance(value, str) and isinstance(held[name], str) else value != held[name]
        for name, value in wanted.items()
        if name in held
    )


def _changes(
    order: Order, total: int, lines: list[dict[str, Json]], changed: Sequence[LineChange]
) -> list[dict[str, Json]]:
    changes: list[dict[str, Json]] = [
        {"field": "order_amount", "before": order.order_amount, "after": total},
        {
            "field": "remaining_authorized_amount",
            "before": order.remaining_authorized_amount,
            "after": total - order.captured_amount,
        },
        {"field": "order_lines", "before": len(order.order_lines), "after": len(lines)},
        *(
            {
                "field": f"line {change.line} {name}",
                "before": getattr(order.order_lines[change.line - 1], name),
                "after": getattr(change, name),
            }
            for change in changed[:LINES_SHOWN]
            for name in ("quantity", "unit_price")
            if getattr(change, name) is not None
        ),
    ]
    return [change for change in changes if change["before"] != change["after"]]
