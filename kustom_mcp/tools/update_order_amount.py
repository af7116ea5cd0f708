"""kustom_update_order_amount: a new total, with the lines that make it up."""

from typing import Annotated

from pydantic import Field

from kustom_mcp import lines as order_lines_of
from kustom_mcp.arguments import Currency, Description, LineChange, LineChanges, OrderId, OrderLines
from kustom_mcp.call import Call
from kustom_mcp.entries import complete, line_facts, short
from kustom_mcp.gate import Facts, Proposal, Watch
from kustom_mcp.money import show
from kustom_mcp.oms.endpoints import UPDATE_AUTHORIZATION
from kustom_mcp.oms.limits import MAX_AMOUNT
from kustom_mcp.oms.models import Order
from kustom_mcp.operation import Effect, operation
from kustom_mcp.result import Code, Failure, Json, Result
from kustom_mcp.text import quoted

NewTotal = Annotated[int, Field(ge=0, le=MAX_AMOUNT, description="New total, minor units (100 = 1.00), tax included.")]
Why = Annotated[Description, Field(description="Why it changes. No links.")]


def _shown(order: Order) -> Facts:
    """Where the change shows: the total, and which lines there are in which quantity."""
    lines = [[line.reference, line.quantity] for line in order.order_lines]
    return [order.order_amount, order.captured_amount, lines]


def _expected(order: Order, total: int, lines: list[dict[str, Json]]) -> Facts:
    """The same, as it will be afterwards."""
    return [total, order.captured_amount, [[line.get("reference"), line.get("quantity")] for line in lines]]


WATCH = Watch(
    depends=lambda order: [order.status, order.order_amount, order.captured_amount, line_facts(order)],
    shows=_shown,
    recurs=True,
)


@operation(UPDATE_AUTHORIZATION, Effect.REPLACES, toolset="orders")
async def update_order_amount(
    call: Call,
    order_id: OrderId,
    order_amount: NewTotal | None = None,
    order_lines: OrderLines | None = None,
    line_changes: LineChanges | None = None,
    description: Why | None = None,
    currency: Currency | None = None,
) -> Result:
    """Change an order's total and lines before it is fully captured: take goods off, change quantities, give a
    discount. Send line_changes, or order_amount with the complete order_lines."""
    order = await call.order(order_id, WATCH)
    call.same_currency(order, currency)
    if line_changes is not None and order_lines is None:
        built = order_lines_of.changed(order, [(change.line, change.quantity) for change in line_changes])
        order_lines_of.agree(order_amount, built.amount, order.currency, field="order_amount")
        total, lines, warnings = built.amount, built.order_lines, list(built.notes)
    elif line_changes is None and order_lines is not None and order_amount is not None:
        total, lines = order_amount, complete(order, order_lines)
        warnings = order_lines_of.check_change(order, total, lines)
    else:
        raise Failure(
            Code.INVALID_ARGUMENT,
            "Send line_changes alone, or order_amount with the complete order_lines: Kustom replaces the whole list, "
            "so leaving lines out would delete them. Nothing was sent.",
            field="line_changes",
            next_step="Read the order for its line numbers, then call again with line_changes.",
        )
    if total == order.order_amount and lines == order_lines_of.stored_lines(order):
        call.already(f"{short(order).capitalize()} has this amount and these lines already.")
    call.require(UPDATE_AUTHORIZATION, order, total, field="order_amount")
    if total > order.order_amount:
        call.policy.within_ceiling(total, order.currency, "order_amount")
        warnings.append("Raising an amount makes Kustom assess the risk again; it may refuse.")
    body: dict[str, Json] = {"order_amount": total, "order_lines": lines}
    if description is not None:
        body["description"] = description
    changes = _changes(order, total, len(lines), line_changes)
    approved = await call.approval(
        Proposal(
            action="update-amount",
            amount=total,
            currency=order.currency,
            effect=f"Change the amount of {short(order)} from {show(order.order_amount, order.currency)} "
            f"to {show(total, order.currency)}.",
            afterwards="The old lines are replaced; Kustom keeps no copy of them.",
            expects=_expected(order, total, lines),
            body=body,
            changes=changes,
            details=_details(order, line_changes),
            warnings=[*warnings, "The shop system is not told of this change."],
        )
    )
    await call.write(UPDATE_AUTHORIZATION, approved, body, order_id=order_id)
    result, after = await call.applied(
        f"Changed the amount of {short(order)} to {show(total, order.currency)}.", warnings=tuple(warnings)
    )
    if after is not None and _shown(after) == _expected(order, total, lines):
        quantities = [change for change in changes if change["field"].startswith("line ")]
        result.changes = [*result.changes, *quantities]
    return result


def _changes(order: Order, total: int, lines: int, changed: list[LineChange] | None) -> list[dict[str, Json]]:
    changes: list[dict[str, Json]] = [
        {"field": "order_amount", "before": order.order_amount, "after": total},
        {
            "field": "remaining_authorized_amount",
            "before": order.remaining_authorized_amount,
            "after": total - order.captured_amount,
        },
    ]
    if lines != len(order.order_lines):
        changes.append({"field": "order_lines", "before": len(order.order_lines), "after": lines})
    for change in changed or ():
        before = order.order_lines[change.line - 1].quantity
        changes.append({"field": f"line {change.line} quantity", "before": before, "after": change.quantity})
    return [change for change in changes if change["before"] != change["after"]]


def _details(order: Order, changed: list[LineChange] | None) -> list[str]:
    """The items in words, for the person's form."""
    return [f"line {change.line}: {quoted(order.order_lines[change.line - 1].name or '')}" for change in changed or ()]
