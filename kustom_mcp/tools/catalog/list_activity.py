"""kustom_list_activity: the journal of changes made through this server, with who asked, who approved, and why."""

from typing import Annotated

from pydantic import Field

from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.arguments import OrderId
from kustom_mcp.schema.cursor import NEXT, next_cursor, place_of
from kustom_mcp.schema.dates import DateOrTime, period_start
from kustom_mcp.schema.result import Json, Result, compact
from kustom_mcp.tools.over_shops import each, of_shop, silent
from kustom_mcp.tools.tool import Effect, operation

USUAL = 20
ROOM = 400
"""Bytes for a row: a page of many long reasons has fewer rows than were asked for, and a cursor."""

Person = Annotated[str, Field(max_length=200, description="Who asked or approved.")]
Named = Annotated[str, Field(max_length=80, description="Such as refund, capture or cancel.")]
From = Annotated[DateOrTime, Field(description="Date (UTC) or time.")]
Before = Annotated[DateOrTime, Field(description="Date (UTC) or time, not included.")]
Limit = Annotated[int, Field(ge=1, le=50, description="Rows, default 20.")]
Cursor = Annotated[str, Field(max_length=200, description="next_cursor of the last answer.")]


@operation(GET_ORDER, Effect.READS, toolset="orders", payload=("activity", "next_cursor"), card=True)
async def list_activity(
    call: Call,
    order_id: OrderId | None = None,
    person: Person | None = None,
    operation: Named | None = None,
    from_: From | None = None,
    before: Before | None = None,
    limit: Limit | None = None,
    cursor: Cursor | None = None,
) -> Result:
    """List what was done through this server, newest first: who asked, who approved, why, and the outcome. It reads
    the server's journal; what others did in the Kustom portal is only in kustom_get_order."""
    asked: dict[str, Json] = {
        "order_id": order_id,
        "person": person,
        "operation": operation,
        "from": from_,
        "before": before,
    }
    after = None if cursor is None else place_of(cursor, asked, _time, str)
    most = limit or USUAL

    async def ask(one: Call) -> list[tuple[tuple[float, str], dict[str, Json]]]:
        return await one.activity(
            order_id=order_id,
            person=person,
            operation=operation,
            since=_seconds(from_),
            before=_seconds(before),
            after=(after[0], after[1]) if after else None,
            most=most + 1,
        )

    found, failures = await each(call.over_shops(), ask)
    rows = [(place, of_shop(name, row)) for name, some in found.items() for place, row in some]
    if len(found) > 1:
        rows.sort(key=lambda one: one[0], reverse=True)
    shown = rows[:most]
    while len(shown) > 1 and len(compact([row for _, row in shown]).encode()) > ROOM * most:
        shown.pop()
    payload: dict[str, Json] = {"activity": [row for _, row in shown]}
    if len(shown) < len(rows):
        (at, key), _ = shown[-1]
        payload["next_cursor"] = next_cursor(asked, str(at).replace(".", ","), key)
    summary = _summary(len(shown), more="next_cursor" in payload) + silent(failures)
    return Result("ok", summary, payload=payload, next_step=_next(payload))


def _time(text: str) -> float:
    return float(text.replace(",", "."))


def _seconds(moment: str | None) -> float | None:
    start = period_start(moment)
    return None if start is None else start / 1000


def _summary(count: int, *, more: bool) -> str:
    if not count:
        return "The journal of this server has no such write; what others did in the Kustom portal is not in it."
    writes = "1 write" if count == 1 else f"{count} writes"
    return f"{writes} from the journal of this server, newest first{'; there are more' if more else ''}."


def _next(payload: dict[str, Json]) -> str | None:
    if "next_cursor" in payload:
        return NEXT
    if any(row["outcome"] == "unknown" for row in payload["activity"]):
        return "Find out what became of a write whose outcome is unknown with kustom_resolve_order."
    return None
