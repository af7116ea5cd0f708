"""kustom_find_orders: a search among the orders that this server knows."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.field_limits import MAX_AMOUNT
from kustom_mcp.book.people import Sought
from kustom_mcp.book.query import Query, SortKey
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.dates import DateOrTime, period_start
from kustom_mcp.schema.result import Code, Json, Result, ToolError
from kustom_mcp.tools.over_shops import each
from kustom_mcp.tools.search import BookSearch, digests_of, require_people
from kustom_mcp.tools.search_answer import answer, places_after
from kustom_mcp.tools.tool import Effect, operation

DEFAULT_LIMIT = 20
DEFAULT_MAX_AGE = 3600  # seconds
MOST_REFERENCES = 50


def _true(value: bool) -> bool:
    if not value:
        raise PydanticCustomError("INVALID_ARGUMENT", "it is true or left out: the opposite is not a filter")
    return value


References = Annotated[
    list[Annotated[str, Field(max_length=255)]],
    Field(
        min_length=1,
        max_length=MOST_REFERENCES,
        description="Order, capture or invoice numbers, or ends.",
    ),
]
Email = Annotated[str, Field(max_length=100, description="E-mail.")]
Phone = Annotated[str, Field(max_length=64, description="Phone.")]
Name = Annotated[str, Field(max_length=200, description="With postal_code.")]
PostalCode = Annotated[str, Field(max_length=64, description="With name.")]
Status = Annotated[
    list[Literal["AUTHORIZED", "PART_CAPTURED", "CAPTURED", "CANCELLED", "EXPIRED", "CLOSED"]],
    Field(min_length=1, max_length=6, description="States."),
]
FraudStatus = Annotated[
    list[Literal["ACCEPTED", "PENDING", "REJECTED", "STOPPED"]],
    Field(min_length=1, max_length=4, description="Fraud checks."),
]
InCurrency = Annotated[
    list[Annotated[str, Field(pattern="^[A-Za-z]{3}$"), AfterValidator(str.upper)]],
    Field(min_length=1, max_length=20, description="Currencies."),
]
Amount = Annotated[int, Field(ge=1, le=MAX_AMOUNT, description="Of order, capture, refund.")]
MinRemaining = Annotated[int, Field(ge=0, le=MAX_AMOUNT, description="Left to capture.")]
From = Annotated[DateOrTime, Field(description="Date.")]
Before = Annotated[DateOrTime, Field(description="Excluded.")]
ToCapture = Annotated[bool, AfterValidator(_true), Field(description="Left to capture.")]
NoTracking = Annotated[bool, AfterValidator(_true), Field(description="Not shipped.")]
EverDisputed = Annotated[bool, AfterValidator(_true), Field(description="Disputed.")]
Unresolved = Annotated[bool, AfterValidator(_true), Field(description="Write in doubt.")]
OrderBy = Annotated[SortKey, Field(description="Newest first.")]
Limit = Annotated[int, Field(ge=1, le=50, description="Rows, default 20.")]
Cursor = Annotated[str, Field(max_length=200, description="next_cursor.")]
MaxAge = Annotated[int, Field(ge=0, le=10**8, description="Read again if older, seconds.")]


@operation(
    GET_ORDER,
    Effect.READS,
    toolset="orders",
    payload=("orders", "totals", "now", "coverage", "next_cursor"),
    card=True,
)
async def find_orders(
    call: Call,
    reference: References | None = None,
    email: Email | None = None,
    phone: Phone | None = None,
    name: Name | None = None,
    postal_code: PostalCode | None = None,
    status: Status | None = None,
    fraud_status: FraudStatus | None = None,
    currency: InCurrency | None = None,
    amount: Amount | None = None,
    created_from: From | None = None,
    created_before: Before | None = None,
    captured_from: From | None = None,
    captured_before: Before | None = None,
    refunded_from: From | None = None,
    refunded_before: Before | None = None,
    expires_from: From | None = None,
    expires_before: Before | None = None,
    min_remaining: MinRemaining | None = None,
    to_capture: ToCapture | None = None,
    no_tracking: NoTracking | None = None,
    ever_disputed: EverDisputed | None = None,
    unresolved: Unresolved | None = None,
    order_by: OrderBy | None = None,
    limit: Limit | None = None,
    cursor: Cursor | None = None,
    max_age: MaxAge | None = None,
) -> Result:
    """Find orders this server has met (Kustom has no search) by reference, person, state, amount or date, with
    totals. With an id use kustom_get_order."""
    if (name is None) != (postal_code is None):
        missing = "postal_code" if postal_code is None else "name"
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"{missing} is missing: people are found by their name and postal code together.",
            field=missing,
            next_step="Ask the person for the other one, or use email, phone or reference.",
        )
    times = {
        "created_from": created_from,
        "created_before": created_before,
        "captured_from": captured_from,
        "captured_before": captured_before,
        "refunded_from": refunded_from,
        "refunded_before": refunded_before,
        "expires_from": expires_from,
        "expires_before": expires_before,
    }

    person = Sought(email, phone, name, postal_code)
    await require_people(call, person)

    async def asked_of(one: Call) -> Query:
        return Query(
            reference=tuple(reference or ()),
            people=await digests_of(one, person),
            status=tuple(status or ()),
            fraud_status=tuple(fraud_status or ()),
            currency=tuple(currency or ()),
            amount=amount,
            **{what: period_start(moment, one.app.zone) for what, moment in times.items()},
            min_remaining=min_remaining,
            to_capture=int(one.app.wall() * 1000) if to_capture else None,
            no_tracking=no_tracking or False,
            ever_disputed=ever_disputed or False,
            only=await one.unresolved_orders() if unresolved else None,
        )

    calls = call.over_shops()
    queries, failures = await each(calls, asked_of)
    one = next(iter(queries.values()))
    by: SortKey = order_by or "created_at"
    asked: dict[str, Json] = {
        **times,
        **{what: list(getattr(one, what)) for what in ("reference", "status", "fraud_status", "currency")},
        "people": [list(digests) for query in queries.values() for digests in query.people],
        "amount": amount,
        "min_remaining": min_remaining,
        "to_capture": to_capture,
        "no_tracking": no_tracking,
        "ever_disputed": ever_disputed,
        "unresolved": unresolved,
        "order_by": by,
    }
    age = DEFAULT_MAX_AGE if max_age is None else max_age
    after = places_after(cursor, asked, queries, by)
    searches = {
        shop: BookSearch(
            call=calls[shop],
            wanted=query,
            order_by=by,
            limit=limit or DEFAULT_LIMIT,
            after=after[shop],
            oldest=int((call.app.wall() - age) * 1000),
        )
        for shop, query in queries.items()
    }
    found, silent_ones = await each(searches, BookSearch.found)
    return answer(searches, found, failures | silent_ones, asked)
