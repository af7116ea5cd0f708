"""The calls of the Settlements API: payouts, their sums, one payout, transactions. They only read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl

from kustom_mcp.simulator import payouts
from kustom_mcp.simulator.calls import invalid
from kustom_mcp.simulator.drafts import Json
from kustom_mcp.simulator.store import OrderStore, parse_time
from kustom_mcp.simulator.wire import ErrorAnswer, Request, Response, json_response

PREFIX: Final = ("settlements", "v1")
LARGEST_PAGE: Final = 500
USUAL_PAGE: Final = 20
_NUMBER: Final = 12  # digits


def answer(store: OrderStore, request: Request) -> Response:
    """Answer one request below the prefix."""
    host = request.header("Host")
    origin = f"{f'http://{host}' if host else ''}/{'/'.join(PREFIX)}"
    asked = dict(parse_qsl(request.target.partition("?")[2]))
    match request.method, request.segments[len(PREFIX) :]:
        case "GET", ("payouts",):
            return _list(origin, "payouts", asked, _payouts(store, origin, asked))
        case "GET", ("payouts", "summary"):
            missing = [name for name in ("start_date", "end_date") if name not in asked]
            if missing:
                raise invalid(*(f"{name}: must be given" for name in missing))
            return json_response(200, payouts.summaries(_payouts(store, origin, asked)))
        case "GET", ("payouts", reference):
            return json_response(200, _payout(store, origin, reference))
        case "GET", ("transactions",):
            return _list(origin, "transactions", asked, _transactions(store, origin, asked))
        case _:
            raise ErrorAnswer(404, "RESOURCE_NOT_FOUND", ["The requested resource was not found."])


def _payouts(store: OrderStore, origin: str, asked: Mapping[str, str]) -> list[Json]:
    start, end = _time(asked, "start_date"), _time(asked, "end_date")
    currency = asked.get("currency_code")

    def wanted(payout: Json) -> bool:
        paid = parse_time(payout["payout_date"])
        in_time = (start is None or start <= paid) and (end is None or paid <= end)
        return in_time and (currency is None or currency.upper() == payout["currency_code"])

    return [payout for payout in payouts.payouts(store, origin) if wanted(payout)]


def _payout(store: OrderStore, origin: str, reference: str) -> Json:
    for payout in payouts.payouts(store, origin):
        if payout["payment_reference"] == reference:
            return payout
    raise ErrorAnswer(404, "NOT_FOUND", ["There is no payout with this payment reference."])


def _transactions(store: OrderStore, origin: str, asked: Mapping[str, str]) -> list[Json]:
    reference = asked.get("payment_reference")
    found = payouts.transactions(store, origin, asked.get("order_id"))
    return [entry for entry in found if reference is None or entry.get("payment_reference") == reference]


def _list(origin: str, name: str, asked: Mapping[str, str], found: list[Json]) -> Response:
    """Return a page, and the links to the next one and the one before."""
    size, offset = _number(asked, "size", USUAL_PAGE, 1, LARGEST_PAGE), _number(asked, "offset", 0, 0, 10**_NUMBER)
    page = found[offset : offset + size]
    pagination: Json = {"count": len(page), "total": len(found), "offset": offset}
    others = [f"{key}={value}" for key, value in asked.items() if key not in ("size", "offset")]
    neighbours = {"next": offset + size, "prev": max(0, offset - size)}
    for neighbour, start in neighbours.items():
        if start != offset and start < len(found):
            pagination[neighbour] = f"{origin}/{name}?{'&'.join([*others, f'offset={start}', f'size={size}'])}"
    return json_response(200, {name: page, "pagination": pagination})


def _number(asked: Mapping[str, str], name: str, usual: int, least: int, most: int) -> int:
    text = asked.get(name, str(usual))
    if not (text.isascii() and text.isdigit() and len(text) <= _NUMBER and least <= int(text) <= most):
        raise invalid(f"{name}: must be between {least} and {most}")
    return int(text)


def _time(asked: Mapping[str, str], name: str) -> datetime | None:
    """Parse a time: the start of the day where only a date is given."""
    try:
        return parse_time(asked[name]) if name in asked else None
    except ValueError:
        raise invalid(f"{name}: must be a date and time") from None
