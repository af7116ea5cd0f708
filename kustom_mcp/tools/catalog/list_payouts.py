"""kustom_list_payouts: what Kustom has paid to the shop's bank account."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from kustom_mcp.api.settlements import GET_PAYOUT, LIST_PAYOUTS
from kustom_mcp.calls.write import Call
from kustom_mcp.orders import payouts as payout_facts
from kustom_mcp.schema.arguments import PaymentReference
from kustom_mcp.schema.cursor import NEXT, behind_the_end, next_cursor, start_of
from kustom_mcp.schema.dates import DateOrTime, period_start
from kustom_mcp.schema.result import Code, Json, Result, ToolError
from kustom_mcp.tools.settlements import all_payouts, summed_payouts
from kustom_mcp.tools.tool import Effect, operation

USUAL = 20
USUAL_DAYS = 30
YEARS: Final = range(2000, 2100)
"""Far from where a computer's calendar ends, with an offset or thirty days more."""


def _near(moment: str) -> str:
    if int(moment[:4]) not in YEARS:
        raise PydanticCustomError("INVALID_ARGUMENT", "its year must be from 2000 to 2099")
    return moment


From = Annotated[DateOrTime, AfterValidator(_near), Field(description="Date (UTC) or time. Default 30 days before.")]
Before = Annotated[DateOrTime, AfterValidator(_near), Field(description="Date (UTC) or time, not included.")]
InCurrency = Annotated[str, Field(pattern="^[A-Za-z]{3}$", description="Currency."), AfterValidator(str.upper)]
Limit = Annotated[int, Field(ge=1, le=100, description="Rows, default 20.")]
Cursor = Annotated[str, Field(max_length=200, description="next_cursor of the last answer.")]


@operation(
    LIST_PAYOUTS, Effect.READS, toolset="settlements", payload=("payouts", "totals settled", "next_cursor"), card=True
)
async def list_payouts(
    call: Call,
    from_: From | None = None,
    before: Before | None = None,
    currency: InCurrency | None = None,
    payment_reference: PaymentReference | None = None,
    limit: Limit | None = None,
    cursor: Cursor | None = None,
) -> Result:
    """List Kustom's payouts to the shop's bank account in a period, newest first, with totals, or read a single
    one, and why it is less than was sold. For what is inside one use kustom_list_transactions."""
    asked: dict[str, Json] = {
        "from": from_,
        "before": before,
        "currency": currency,
        "payment_reference": payment_reference,
    }
    start = start_of(cursor, asked)
    end = start + (limit or USUAL)
    call.policy.require_all_orders()
    if payment_reference is not None:
        return await _one(call, asked)
    wanted = _period(from_, before, call.app.now())
    if currency is not None:
        wanted["currency_code"] = currency
    found, complete = await all_payouts(call, **wanted)
    found.sort(key=lambda payout: payout.payout_date or "", reverse=True)
    rows = [payout_facts.payout_row(payout) for payout in found]
    if start and start >= len(rows):
        raise behind_the_end()
    if complete:
        totals = payout_facts.payout_totals(rows)
    else:
        totals = payout_facts.summed_by_kustom(await summed_payouts(call, wanted))
    payload: dict[str, Json] = {"payouts": rows[start:end], "totals": totals}
    if end < len(rows):
        payload["next_cursor"] = next_cursor(asked, end)
    period = ""
    if from_ is None:
        period = f" (from {wanted['start_date'][:10]} {f'until {before}' if before else 'on'})"
    summary = payout_facts.payouts_in_words(totals, len(rows), complete=complete, period=period)
    return Result("ok", summary, payload=payload, next_step=NEXT if end < len(rows) else None)


def _period(from_: str | None, before: str | None, now: datetime) -> dict[str, str]:
    """The query that is sent. ToolError INVALID_ARGUMENT for a period that ends before it begins."""
    first, last = period_start(from_), period_start(before)
    if first is None:
        until = datetime.fromtimestamp(last / 1000, UTC) if last is not None else now
        first = int((until - timedelta(days=USUAL_DAYS)).timestamp() * 1000)
    if last is None:
        return {"start_date": _time(first)}
    if first >= last:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            "from is not earlier than before, which is not included: the period is empty.",
            field="from",
            next_step="Ask the person for the period; for one day give that day and the next.",
        )
    return {"start_date": _time(first), "end_date": _time(last - 1)}  # the API takes the second that it ends with


async def _one(call: Call, asked: dict[str, Json]) -> Result:
    others = [name for name in ("from", "before", "currency") if asked[name] is not None]
    if others:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"payment_reference names one payout: leave {' and '.join(others)} out.",
            field=others[0],
        )
    payout = await call.read(GET_PAYOUT, payment_reference=asked["payment_reference"])
    row = payout_facts.payout_row(payout)
    payload = {"payouts": [row], "totals": payout_facts.payout_totals([row])}
    return Result("ok", payout_facts.payout_in_words(payout), payload=payload)


def _time(moment: int) -> str:
    """Unix milliseconds as the API takes them: to the second, since without a time it means the start of a day."""
    return datetime.fromtimestamp(moment // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
