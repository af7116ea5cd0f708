"""kustom_find_orders: which orders? Among those that this server knows."""

from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.field_limits import MAX_AMOUNT
from kustom_mcp.book.query import Query, SortKey
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.dates import DateOrTime, period_end, period_start
from kustom_mcp.schema.result import Json, Result
from kustom_mcp.tools.search import BookSearch, cursor_at, next_step, place_of
from kustom_mcp.tools.tool import Effect, operation

DEFAULT_LIMIT = 20
DEFAULT_MAX_AGE = 3600  # seconds


Status = Annotated[
    Literal["AUTHORIZED", "PART_CAPTURED", "CAPTURED", "CANCELLED", "EXPIRED", "CLOSED"], Field(description="State.")
]
FraudStatus = Annotated[Literal["ACCEPTED", "PENDING", "REJECTED", "STOPPED"], Field(description="Fraud check.")]
Reference = Annotated[
    str,
    Field(max_length=255, description="A reference as it is written, or the start of an order id."),
]
InCurrency = Annotated[str, Field(pattern="^[A-Za-z]{3}$", description="Currency."), AfterValidator(str.upper)]
ExpiresBefore = Annotated[DateOrTime, Field(description="Date (UTC) or time; only what can still be captured.")]
CreatedFrom = Annotated[DateOrTime, Field(description="Date (UTC) or time.")]
CreatedTo = Annotated[DateOrTime, Field(description="Date (UTC, that day included) or time.")]
RefundedFrom = Annotated[DateOrTime, Field(description="Date (UTC) or time of the last refund.")]
MinRemaining = Annotated[int, Field(ge=0, le=MAX_AMOUNT, description="Left to capture, minor units.")]
Unshipped = Annotated[bool, Field(description="No shipment reported, not ended.")]
Disputed = Annotated[bool, Field(description="A dispute was announced.")]
OrderBy = Annotated[SortKey, Field(description="Newest (default), soonest or largest first.")]
Limit = Annotated[int, Field(ge=1, le=50, description="Rows, default 20.")]
Cursor = Annotated[str, Field(max_length=200, description="next_cursor of the last answer.")]
MaxAge = Annotated[
    int, Field(ge=0, le=10**8, description="Seconds, default 3600. Open orders read earlier are read again.")
]


@operation(
    GET_ORDER,
    Effect.READS,
    toolset="orders",
    payload=("orders", "totals", "now", "coverage", "next_cursor"),
)
async def find_orders(
    call: Call,
    reference: Reference | None = None,
    status: Status | None = None,
    fraud_status: FraudStatus | None = None,
    currency: InCurrency | None = None,
    expires_before: ExpiresBefore | None = None,
    created_from: CreatedFrom | None = None,
    created_to: CreatedTo | None = None,
    refunded_from: RefundedFrom | None = None,
    min_remaining: MinRemaining | None = None,
    unshipped: Unshipped | None = None,
    disputed: Disputed | None = None,
    order_by: OrderBy | None = None,
    limit: Limit | None = None,
    cursor: Cursor | None = None,
    max_age: MaxAge | None = None,
) -> Result:
    """Find orders by the shop's reference, state, amount or date, with totals per currency. It knows the orders
    that this server has met, since Kustom has no search: `coverage` says how far. With an order id use
    kustom_get_order."""
    wanted = Query(
        reference=reference,
        status=status,
        fraud_status=fraud_status,
        currency=currency,
        expires_before=period_start(expires_before),
        created_from=period_start(created_from),
        created_to=period_end(created_to),
        refunded_from=period_start(refunded_from),
        min_remaining=min_remaining,
        unshipped=unshipped,
        disputed=disputed,
    )
    by: SortKey = order_by or "created_at"
    asked: dict[str, Json] = {**asdict(wanted), "order_by": by}
    age = DEFAULT_MAX_AGE if max_age is None else max_age
    search = BookSearch(
        call=call,
        wanted=wanted,
        order_by=by,
        limit=limit or DEFAULT_LIMIT,
        after=None if cursor is None else place_of(cursor, asked),
        oldest=int((call.app.wall() - age) * 1000),
    )
    found = await search.found()
    shown = found.entries[: search.limit]
    payload: dict[str, Json] = {
        "orders": search.rows(found),
        "totals": found.totals,
        "now": call.app.now().isoformat(timespec="seconds"),
        "coverage": search.coverage(found),
    }
    if len(found.entries) > search.limit:
        alike = wanted.reference is not None and found.alike(shown[-1])
        payload["next_cursor"] = cursor_at(asked, shown[-1], by, alike=alike)
    return Result("ok", search.summary(found), payload=payload, next_step=next_step(found, wanted, payload))
