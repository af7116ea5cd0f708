"""The amount of a capture or a refund, given as an amount, as line numbers, or as lines.

Nothing ever means "all": without an amount and without lines there is nothing to do. The warnings are about what people
get wrong, and every preview of money shows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kustom_mcp.api.models import Order
from kustom_mcp.calls.confirmation import Contradicted
from kustom_mcp.money import show
from kustom_mcp.orders import line_amounts, line_matching, line_selection
from kustom_mcp.orders.refundable import Refundable
from kustom_mcp.schema.arguments import LineIn, Pick, sent
from kustom_mcp.schema.parsing import CORRECT
from kustom_mcp.schema.result import Code, Json, ToolError
from kustom_mcp.settings.links import is_web_address
from kustom_mcp.text import has_url

SHORT_ID = 8
LINKS = ("product_url", "image_url")


@dataclass(frozen=True)
class RequestedAmount:
    """An amount in minor units, its lines where there are any, and warnings."""

    amount: int
    order_lines: list[dict[str, Json]] | None
    warnings: list[str]


def requested_amount(
    order: Order,
    field: str,
    amount: int | None,
    picks: Sequence[Pick] | None,
    order_lines: Sequence[LineIn] | None,
) -> RequestedAmount:
    """Work out the amount to capture or refund. `field`: `captured_amount` or `refunded_amount`. ToolError."""
    refund = field == "refunded_amount"
    if picks is not None and order_lines is not None:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            "Send lines or order_lines, not both.",
            next_step="Call again with lines alone: the server fills in the rest from the order.",
            field="lines",
        )
    if picks is not None:
        return _picked(order, field, amount, [(pick.line, pick.quantity) for pick in picks], refund=refund)
    if order_lines is not None:
        full = line_matching.inherit(order, [sent(line) for line in order_lines])
        require_whole(order, full)
        total = amount if amount is not None else _sum(full, field)
        warnings = line_amounts.check_entry(order, total, full)
        if refund:
            warnings += line_selection.must_be_left(order, full)
        return RequestedAmount(total, full, _times_hundred(order, total, field, warnings))
    if amount is None:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"Nothing says how much: send {field} in minor units, or lines.",
            field=field,
            next_step=f"Ask the person for the amount or the items, then call again with {field} or lines.",
        )
    return RequestedAmount(amount, None, _times_hundred(order, amount, field, []))


def _picked(
    order: Order, field: str, amount: int | None, chosen: Sequence[tuple[int, int]], *, refund: bool
) -> RequestedAmount:
    if refund:
        built = line_selection.refunded(order, chosen)
        warnings = list(built.notes)
    else:
        captured = Refundable(order).captured()
        built = line_selection.from_lines(order, chosen, already=captured)
        warnings = [*built.notes, *line_selection.over(order, chosen, captured)]
    line_amounts.agree(amount, built.amount, order.currency, field=field)
    return RequestedAmount(built.amount, built.order_lines, _times_hundred(order, built.amount, field, warnings))


def unbooked(before: Order, field: str, amount: int) -> Contradicted:
    """That neither the sum has risen by this amount nor one more entry of it is there. `field`: `captured_amount` or
    `refunded_amount`; `amount` in minor units."""

    def entries(order: Order) -> int:
        made = order.refunds if field == "refunded_amount" else order.captures
        return sum(getattr(one, field) == amount for one in made)

    return lambda now: getattr(now, field) < getattr(before, field) + amount and entries(now) <= entries(before)


def require_whole(order: Order, order_lines: Sequence[Mapping[str, Json]]) -> None:
    """Refuse a line without a name, and links in what the customer reads. ToolError INVALID_ARGUMENT."""
    for index, line in enumerate(order_lines):
        if not line.get("name"):
            raise ToolError(
                Code.INVALID_ARGUMENT,
                f"order_lines[{index}] needs a name: its reference is not one of the order's.",
                next_step="Name the line, or use a reference that kustom_get_order shows.",
                field=f"order_lines[{index}].name",
            )
    _no_new_links(order, order_lines)


def _no_new_links(order: Order, lines: Sequence[Mapping[str, Json]]) -> None:
    """Refuse links in the text of a line that the customer reads, unless the order has that text already. ToolError."""
    entries = (order, *order.captures, *order.refunds)
    known = {text for entry in entries for line in entry.order_lines for text in (line.name, line.reference)}
    links = {getattr(line, name) for line in order.order_lines for name in LINKS}
    for index, line in enumerate(lines):
        for name in ("name", "reference"):
            if line.get(name) and line[name] not in known and has_url(line[name]):
                raise _bad_line(index, name, "is read by the customer and may not contain a link or a web address")
        for name in LINKS:
            if line.get(name) and line[name] not in links and not is_web_address(line[name]):
                raise _bad_line(index, name, "must be a web address that starts with https:// or http://")


def _bad_line(index: int, name: str, why: str) -> ToolError:
    field = f"order_lines[{index}].{name}"
    return ToolError(Code.INVALID_ARGUMENT, f"{field} {why}.", field=field, next_step=CORRECT)


def line_facts(order: Order) -> list[dict[str, Any]]:
    """Every stored line, whole, for an operation that depends on lines."""
    return [line.model_dump(mode="json", exclude_none=True) for line in order.order_lines]


def short(order: Order) -> str:
    """An order in words, by the first group of its id."""
    return f"order {order.order_id[:SHORT_ID]}…"


def _sum(full: Sequence[Mapping[str, Json]], field: str) -> int:
    totals = [line.get("total_amount") for line in full]
    if not all(isinstance(total, int) for total in totals):
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"The lines do not all carry total_amount, so {field} must be sent as well.",
            next_step=f"Send {field}, or lines with the numbers that kustom_get_order shows.",
            field=field,
        )
    total = sum(total for total in totals if isinstance(total, int))
    if total < 1:
        raise ToolError(
            Code.AMOUNT_OUT_OF_RANGE,
            "The lines come to nothing or less.",
            next_step="Correct the lines, so that they come to more than 0.",
            field=field,
        )
    return total


def _times_hundred(order: Order, amount: int, field: str, warnings: list[str]) -> list[str]:
    """The most common slip with minor units: 1000 meant as 1,000.00."""
    larger = amount * 100
    known = {
        order.captured_amount,
        order.captured_amount - order.refunded_amount,
        order.remaining_authorized_amount,
        order.order_amount,
        *(line.total_amount or 0 for line in order.order_lines),
    }
    if larger not in known:
        return warnings
    meant, is_now = show(larger, order.currency), show(amount, order.currency)
    return [f"{field} {amount} is {is_now}. Did you mean {meant}? That would be {larger}.", *warnings]
