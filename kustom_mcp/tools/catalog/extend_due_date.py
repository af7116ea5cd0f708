"""kustom_extend_due_date: give an invoice customer more time, for a fee."""

from typing import Annotated

from pydantic import Field

from kustom_mcp.api.endpoints import EXTEND_DUE_DATE, LIST_DUE_DATE_OPTIONS
from kustom_mcp.api.models import ExtendDueDateOptions, Order
from kustom_mcp.calls.confirmation import Proposal, Watch
from kustom_mcp.calls.write import Call
from kustom_mcp.money import show
from kustom_mcp.schema.arguments import CaptureId, OrderId
from kustom_mcp.schema.result import Result
from kustom_mcp.tools.amounts import short
from kustom_mcp.tools.tool import Effect, operation

Days = Annotated[int, Field(ge=1, le=365, description="One of the days that kustom_get_due_date_options lists.")]
WATCH = Watch(depends=lambda order: [order.status, len(order.captures)], recurs=True)
"""A due date cannot be read through the API, so a write in doubt stays in doubt."""


@operation(EXTEND_DUE_DATE, Effect.MOVES_MONEY, toolset="klarna", label="Extend the due date")
async def extend_due_date(call: Call, order_id: OrderId, capture_id: CaptureId, number_of_days: Days) -> Result:
    """Give the customer more days to pay an invoice; the shop pays a fee. Read kustom_get_due_date_options first
    for the days that are possible."""
    order = await call.order(order_id, WATCH)
    options = await call.read(LIST_DUE_DATE_OPTIONS, entry="capture", order_id=order_id, capture_id=capture_id)
    body = {"number_of_days": number_of_days}
    approved = await call.approval(
        Proposal(
            action=f"extend-due-date-{number_of_days}days",
            effect=f"Extend the due date of a capture of {short(order)} by {number_of_days} days.",
            afterwards="This cannot be undone.",
            body=body,
            warnings=[_fee(order, options, number_of_days)],
        )
    )
    await call.write(
        EXTEND_DUE_DATE, approved, body, contradicted=None, entry="capture", order_id=order_id, capture_id=capture_id
    )
    result, _ = await call.applied(f"Extended the due date of a capture of {short(order)} by {number_of_days} days.")
    return result


def _fee(order: Order, options: ExtendDueDateOptions, days: int) -> str:
    for option in options.options:
        if option.number_of_days == days:
            return (
                f"The merchant pays a fee of {show(option.amount or 0, (options.currency or order.currency).upper())}."
            )
    return f"Kustom does not list an extension by {days} days for this capture, so it may refuse."
