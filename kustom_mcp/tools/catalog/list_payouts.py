"""kustom_list_payouts: the payments of Kustom to the shop's bank account."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from kustom_mcp.api.settlements import GET_PAYOUT, LIST_PAYOUTS, Payout
from kustom_mcp.calls.write import Call
from kustom_mcp.orders import payouts as payout_facts
from kustom_mcp.schema.arguments import PaymentReference
from kustom_mcp.schema.cursor import NEXT, behind_the_end, next_cursor, start_of
from kustom_mcp.schema.dates import DateOrTime, period_start
from kustom_mcp.schema.result import Code, Json, Result, ToolError
from kustom_mcp.tools.over_shops import each, of_shop, silent, together
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
    for one in call.over_shops().values():
        one.policy.require_all_orders()
    if payment_reference is not None:
        return await _one(call, asked)
    wanted = _period(from_, before, call.app.now())
    if currency is not None:
        wanted["currency_code"] = currency
    told, failures = await each(call.over_shops(), lambda one: _payouts(one, wanted))
    found = [(name, payout) for name, some in told.items() for payout in some.payouts]
    found.sort(key=lambda of: of[1].payout_date or "", reverse=True)
    rows = [of_shop(name, payout_facts.payout_row(payout)) for name, payout in found]
    if start and start >= len(rows):
        raise behind_the_end()
    totals = [of_shop(name, total) for name, some in told.items() for total in some.totals]
    payload: dict[str, Json] = {"payouts": rows[start:end], "totals": totals}
    if end < len(rows):
        payload["next_cursor"] = next_cursor(asked, end)
    period = ""
    if from_ is None:
        period = f" (from {wanted['start_date'][:10]} {f'until {before}' if before else 'on'})"
    words = {
        name: payout_facts.payouts_in_words(some.totals, len(some.payouts), complete=some.complete, period=period)
        for name, some in told.items()
    }
    summary = f"{together(words)}{silent(failures)}"
    return Result("ok", summary, payload=payload, next_step=NEXT if end < len(rows) else None)


class _OfShop(NamedTuple):
    """The payouts of a shop in the period. `complete`: whether these are all; the totals are of all."""

    payouts: list[Payout]
    complete: bool
    totals: list[dict[str, Json]]


async def _payouts(call: Call, wanted: dict[str, str]) -> _OfShop:
    found, complete = await all_payouts(call, **wanted)
    if complete:
        return _OfShop(found, True, payout_facts.payout_totals(map(payout_facts.payout_row, found)))
    return _OfShop(found, False, payout_facts.summed_by_kustom(await summed_payouts(call, wanted)))


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
    reference: str = asked["payment_reference"]
    found, _ = await each(call.over_shops(), lambda one: one.read(GET_PAYOUT, payment_reference=reference))
    rows = {name: payout_facts.payout_row(payout) for name, payout in found.items()}
    totals = [of_shop(name, total) for name, row in rows.items() for total in payout_facts.payout_totals([row])]
    payload = {"payouts": [of_shop(name, row) for name, row in rows.items()], "totals": totals}
    words = {name: payout_facts.payout_in_words(payout) for name, payout in found.items()}
    return Result("ok", together(words), payload=payload)


def _time(moment: int) -> str:
    """Unix milliseconds as the API takes them: to the second, since without a time it means the start of a day."""
    return datetime.fromtimestamp(moment // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
