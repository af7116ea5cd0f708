"""The amount of a capture or a refund, given as an amount, as line numbers, or as lines.

Nothing ever means "all": without an amount and without lines there is nothing to do. The warnings are about what people
get wrong, and every preview of money shows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kustom_mcp.api.models import Order
from kustom_mcp.calls.confirmation import Contradicted
from kustom_mcp.money import show
from kustom_mcp.orders import line_amounts, line_matching, line_selection, plausibility
from kustom_mcp.orders.refundable import Refundable
from kustom_mcp.orders.shares import RETURN_FEE
from kustom_mcp.schema.arguments import LineIn, Pick, RefundPick, sent
from kustom_mcp.schema.parsing import CORRECT
from kustom_mcp.schema.result import Code, Json, ToolError
from kustom_mcp.settings.links import is_web_address
from kustom_mcp.text import has_url

SHORT_ID = 8
LINKS = ("product_url", "image_url")
TEXTS = ("name", "reference", "quantity_unit")
"""The fields of a line that the customer reads."""
FEE_MARKETS_IN_DOUBT = frozenset({"AU", "CZ", "ES", "GR", "IE", "IT", "PT"})
"""Countries in which Klarna's description has a return fee (KL), and a live plugin has none (C)."""
FEE_MARKETS = frozenset({"AT", "DE", "DK", "FI", "FR", "NL", "NO", "SE"}) | FEE_MARKETS_IN_DOUBT
"""Countries in which a refund may keep back a return fee (K/KL)."""


@dataclass(frozen=True)
class RequestedAmount:
    """An amount in minor units, its lines where there are any, and warnings. `asked`: those of `plausibility`."""

    amount: int
    order_lines: list[dict[str, Json]] | None
    warnings: list[str]
    asked: Sequence[str] = ()


def capture_amount(
    order: Order, amount: int | None, picks: Sequence[Pick] | None, order_lines: Sequence[LineIn] | None
) -> RequestedAmount:
    """Work out the amount to capture. ToolError."""
    field = "captured_amount"
    _one_way(picks, order_lines)
    if picks is not None:
        built = line_selection.from_lines(order, [(pick.line, pick.quantity) for pick in picks])
        line_amounts.agree(amount, built.amount, order.currency, field=field)
        missing = Refundable(order).left_behind([(pick.line, pick.quantity) for pick in picks])
        _must_fit(order, built.amount, missing, "lines")
        return RequestedAmount(built.amount, built.order_lines, built.notes)
    if order_lines is not None:
        found = _own_format(order, amount, order_lines, field)
        missing = Refundable(order).left_behind_by(found.order_lines or [])
        _must_fit(order, found.amount, missing, "order_lines")
        return replace(found, warnings=[*found.warnings, *missing])
    return _bare(order, amount, field)


def _must_fit(order: Order, amount: int, missing: Sequence[str], field: str) -> None:
    """Refuse lines above what is left to capture because the discount that goes with them is missing."""
    if missing and amount > order.remaining_authorized_amount > 0:
        left = show(order.remaining_authorized_amount, order.currency)
        raise ToolError(
            Code.ACTION_NOT_ALLOWED,
            f"The lines come to {show(amount, order.currency)}, and {left} are left to capture.",
            field=field,
            next_step=" ".join(missing),
        )


def refund_amount(
    order: Order,
    amount: int | None,
    picks: Sequence[RefundPick] | None,
    order_lines: Sequence[LineIn] | None,
    return_fee: int | None,
) -> RequestedAmount:
    """Work out the amount to refund. ToolError."""
    field = "refunded_amount"
    _one_way(picks, order_lines)
    if return_fee is not None and picks is None:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            "A return fee is kept back of goods, so it needs lines.",
            next_step="Name the goods that came back in lines, or send what is paid as refunded_amount without a fee.",
            field="return_fee",
        )
    if picks is not None:
        chosen = [(pick.line, pick.quantity) for pick in picks]
        totals = {pick.line: pick.total_amount for pick in picks if pick.total_amount is not None}
        built = line_selection.refunded(order, chosen, totals, return_fee or 0)
        line_amounts.agree(amount, built.amount, order.currency, field=field)
        fee_warnings = require_fee(order, built.amount, "return_fee") if return_fee else []
        asked = [
            hint
            for line, paid in totals.items()
            for hint in plausibility.amount(order, f"line {line}: total_amount", paid)
            or plausibility.line_totals(order, chosen, {line: paid})
        ]
        asked += plausibility.fee(order, return_fee or 0, built.amount)
        return RequestedAmount(built.amount, built.order_lines, [*fee_warnings, *built.notes], asked)
    if order_lines is not None:
        found = _own_format(order, amount, order_lines, field)
        lines = found.order_lines or []
        has_fee = any(line.get("type") == RETURN_FEE and line.get("total_amount") for line in lines)
        fee_warnings = require_fee(order, found.amount, "order_lines") if has_fee else []
        unclear = line_selection.must_be_left(order, lines, found.amount)
        return replace(found, warnings=[*fee_warnings, *found.warnings, *unclear])
    found = _bare(order, amount, field)
    priced = Refundable(order).priced_without_share(found.amount)
    left = order.captured_amount - order.refunded_amount
    if priced and found.amount > left > 0:
        raise ToolError(
            Code.ACTION_NOT_ALLOWED,
            f"{show(found.amount, order.currency)} is asked for, and {show(left, order.currency)} are left to refund.",
            field=field,
            next_step=f"{' '.join(priced)} Call again with those lines, and without {field}.",
        )
    return replace(found, warnings=[*found.warnings, *priced])


def _one_way(picks: Sequence[Pick] | None, order_lines: Sequence[LineIn] | None) -> None:
    if picks is not None and order_lines is not None:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            "Send lines or order_lines, not both.",
            next_step="Call again with lines alone: the server fills in the rest from the order.",
            field="lines",
        )


def _own_format(order: Order, amount: int | None, order_lines: Sequence[LineIn], field: str) -> RequestedAmount:
    full = line_matching.inherit(order, [sent(line) for line in order_lines])
    require_whole(order, full)
    total = amount if amount is not None else _sum(full, field)
    return RequestedAmount(
        total, full, line_amounts.check_entry(order, total, full), plausibility.amount(order, field, total)
    )


def _bare(order: Order, amount: int | None, field: str) -> RequestedAmount:
    if amount is None:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"Nothing says how much: send {field} in minor units, or lines.",
            field=field,
            next_step=f"Ask the person for the amount or the items, then call again with {field} or lines.",
        )
    return RequestedAmount(amount, None, [], plausibility.amount(order, field, amount))


def require_fee(order: Order, paid: int, field: str) -> list[str]:
    """Refuse a return fee where Kustom has none. ACTION_NOT_ALLOWED. `paid`: what would be paid, in minor units.

    Returns a warning for the markets that only some sources name.
    """
    country = (order.purchase_country or "").upper()
    captured = sum(1 for capture in order.captures if capture.captured_amount) or (1 if order.captured_amount else 0)
    why = ""
    if captured != 1:
        why = "the order has several captures"
    elif order.captured_amount != order.order_amount:
        why = "the order is captured in part"
    elif country and country not in FEE_MARKETS:
        why = "there is none in the country of this order"
    if why:
        raise ToolError(
            Code.ACTION_NOT_ALLOWED,
            f"Kustom takes no return fee here: {why}.",
            field=field,
            next_step=f"Without lines, refunded_amount {paid} pays the same, not allocated to goods. Ask the person "
            "first.",
        )
    if country in FEE_MARKETS_IN_DOUBT:
        return ["Not every description of Kustom's return fee names this country: Kustom may refuse it."]
    return [] if country else ["The country of this order is not known: Kustom may refuse a return fee."]


def unbooked(before: Order, field: str, amount: int) -> Contradicted:
    """Return a test whether neither the sum has risen by this amount nor one more entry of it is there.

    `field`: `captured_amount` or `refunded_amount`; `amount` in minor units.
    """

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
    known = {getattr(line, name) for entry in entries for line in entry.order_lines for name in TEXTS}
    links = {getattr(line, name) for line in order.order_lines for name in LINKS}
    for index, line in enumerate(lines):
        for name in TEXTS:
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
