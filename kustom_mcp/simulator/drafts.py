"""A whole order from any part of one: given fields stay as given, the others are made up to fit them.

A field given as null is left out. Used for the demo orders and for orders that a test asks for. Amounts are minor
units; times ISO 8601 in UTC with milliseconds.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from kustom_mcp.simulator.allocation import Booked, allocate, line_total, of_capture
from kustom_mcp.simulator.states import Position, Status

Json = dict[str, Any]

DEFAULT_AMOUNT: Final = 10_000
AUTHORIZATION_DAYS: Final = 28
DEFAULT_TAX_RATE: Final = 2500

_COUNTRIES: Final = {
    "SEK": ("SE", "sv-SE", "Stockholm", "11122"),
    "EUR": ("DE", "de-DE", "Berlin", "10115"),
    "PLN": ("PL", "pl-PL", "Warszawa", "00-001"),
    "NOK": ("NO", "nb-NO", "Oslo", "0150"),
    "DKK": ("DK", "da-DK", "København", "1050"),
    "GBP": ("GB", "en-GB", "London", "EC1A 1AA"),
    "USD": ("US", "en-US", "New York", "10001"),
    "JPY": ("JP", "ja-JP", "Tokyo", "100-0001"),
    "ISK": ("IS", "is-IS", "Reykjavík", "101"),
}


def stamp(moment: datetime) -> str:
    """Write a time as the API writes it, e.g. 2022-07-08T09:48:16.680Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def expiry_after(moment: datetime, days: int = AUTHORIZATION_DAYS) -> datetime:
    """Return midnight UTC, so many days on: Kustom's sample ends at midnight, and repeats on one day agree."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)


def made_up_id(*parts: object) -> str:
    """Return an id in UUID shape that is the same from run to run."""
    return str(uuid5(NAMESPACE_URL, "/".join(map(str, parts))))


def tax_in(total: int, rate: int) -> int:
    """Return the tax part of an amount that includes it; `rate` is percent times 100. Halves are rounded away from
    0."""
    tax = (2 * abs(total) * rate + 10_000 + rate) // (2 * (10_000 + rate))
    return tax if total >= 0 else -tax


def complete_line(line: Json) -> Json:
    """Complete a line with everything that Kustom returns; given fields win."""
    total = line_total(line)
    quantity = int(line.get("quantity", 1))
    rate = int(line.get("tax_rate", DEFAULT_TAX_RATE))
    discount = int(line.get("total_discount_amount", 0))
    made_up: Json = {
        "type": "physical",
        "name": "Demo item",
        "quantity": quantity,
        "unit_price": (total + discount) // quantity if quantity else total,
        "tax_rate": rate,
        "total_amount": total,
        "total_discount_amount": discount,
        "total_tax_amount": tax_in(total, rate),
    }
    return made_up | line


@dataclass(frozen=True, slots=True)
class Draft:
    """An order, its money side, and where its refunds are booked."""

    order: Json
    position: Position
    booked: Booked


def draft_order(given: Json, now: datetime, number: int) -> Draft:
    """Make the whole order. `number` makes the made-up ids and references unique."""
    order: Json = _identity(number) | _people(given) | given | _amounts_and_lines(given)
    order = {name: value for name, value in order.items() if value is not None}
    order["captures"] = _captures(order, given, now)
    order["captured_amount"] = given.get("captured_amount", _sum(order["captures"], "captured_amount"))
    order["refunds"] = _refunds(order, given, now)
    order["refunded_amount"] = given.get("refunded_amount", _sum(order["refunds"], "refunded_amount"))
    order["status"] = given.get("status", _status_of(order))
    order["remaining_authorized_amount"] = given.get("remaining_authorized_amount", _remaining(order))
    _times(order, given, now)
    position = Position(
        status=order["status"],
        ordered=order["order_amount"],
        captured=order["captured_amount"],
        refunded=order["refunded_amount"],
        remaining=order["remaining_authorized_amount"],
        released=order["order_amount"] - order["captured_amount"] - order["remaining_authorized_amount"],
    )
    return Draft(order, position, _book(order))


def _identity(number: int) -> Json:
    return {
        "order_id": made_up_id("sandbox order", number),
        "fraud_status": "ACCEPTED",
        "klarna_reference": f"SANDBOX{number}",
        "merchant_reference1": f"{10000 + number}",
        "initial_payment_method": {"type": "INVOICE", "description": "Pay later"},
        "shipping_info": [],
    }


def _people(given: Json) -> Json:
    currency = str(given.get("purchase_currency", "SEK"))
    country, locale, city, postal_code = _COUNTRIES.get(currency.upper(), _COUNTRIES["SEK"])
    address = {
        "given_name": "Testa",
        "family_name": "Testsson",
        "email": "testa.testsson@example.com",
        "phone": "+46700000000",
        "street_address": "Exempelgatan 1",
        "postal_code": postal_code,
        "city": city,
        "country": given.get("purchase_country", country),
    }
    return {
        "purchase_currency": currency,
        "purchase_country": country,
        "locale": locale,
        "customer": {},
        "billing_address": dict(address),
        "shipping_address": dict(address),
    }


def _amounts_and_lines(given: Json) -> Json:
    lines = _lines(given)
    amount = given.get("order_amount", _amount_for(given, lines))
    if "order_lines" not in given and amount:
        lines = [complete_line({"reference": "DEMO-1", "quantity": 1, "unit_price": amount})]
    original = given.get("original_order_amount", amount)
    return {"order_amount": amount, "original_order_amount": original, "order_lines": lines}


def _amount_for(given: Json, lines: list[Json]) -> int:
    """Return the order amount where none is given: the lines, or enough for the captured and the remaining amount."""
    if lines:
        return sum(map(line_total, lines))
    captured = given.get("captured_amount") or _sum(given.get("captures", []), "captured_amount")
    remaining = given.get("remaining_authorized_amount", 0)
    if captured and not remaining and given.get("status") == Status.PART_CAPTURED:
        return captured * 2
    return captured + remaining or given.get("original_order_amount") or DEFAULT_AMOUNT


def _captures(order: Json, given: Json, now: datetime) -> list[Json]:
    if "captures" in given:
        listed: list[Json] = given["captures"]
        return [_complete_capture(order, entry, given, now, place) for place, entry in enumerate(listed, 1)]
    amount = given.get("captured_amount")
    if amount is None:
        amount = _captured_for(given, order["order_amount"])
    return [_complete_capture(order, {"captured_amount": amount}, given, now, 1)] if amount else []


def _captured_for(given: Json, ordered: int) -> int:
    """Return the captured amount of an order of this status, with this much refunded or remaining."""
    status = given.get("status")
    remaining = given.get("remaining_authorized_amount")
    refunded = given.get("refunded_amount") or _sum(given.get("refunds", []), "refunded_amount")
    if status in (Status.CAPTURED, Status.CLOSED) or (status is None and refunded):
        return ordered - (remaining or 0)
    if status in (Status.PART_CAPTURED, None) and remaining is not None:
        return ordered - remaining
    return max(ordered // 2, refunded) if status == Status.PART_CAPTURED else refunded


def _some_time_after(given: Json, now: datetime, hours: int, at_latest: int) -> datetime:
    """Return a time so many hours after a purchase whose time is given, but so many hours ago at the latest."""
    latest = now - timedelta(hours=at_latest)
    if "created_at" not in given:
        return latest
    created = datetime.fromisoformat(given["created_at"].replace("Z", "+00:00"))
    return min(latest, (created if created.tzinfo else created.replace(tzinfo=UTC)) + timedelta(hours=hours))


def _complete_capture(order: Json, entry: Json, given: Json, now: datetime, place: int) -> Json:
    lines = _lines(entry)
    amount = entry.get("captured_amount", sum(map(line_total, lines)) or order["order_amount"])
    if "order_lines" not in entry:
        lines = _lines_worth(order["order_lines"], amount)
    made_up: Json = {
        "capture_id": made_up_id(order["order_id"], "capture", place),
        "klarna_reference": f"{order['klarna_reference']}-{place}",
        "captured_amount": amount,
        "captured_at": stamp(_some_time_after(given, now, hours=36, at_latest=12)),
        "shipping_info": [],
    }
    made_up |= {name: dict(order[name]) for name in ("billing_address", "shipping_address") if name in order}
    return made_up | entry | {"order_lines": lines}


def _lines_worth(lines: list[Json], amount: int) -> list[Json]:
    """Return leading whole lines that add up to the amount exactly; none where that is impossible."""
    total = 0
    for count, line in enumerate(lines, 1):
        total += line_total(line)
        if total == amount:
            return [dict(chosen) for chosen in lines[:count]]
    return []


def _refunds(order: Json, given: Json, now: datetime) -> list[Json]:
    listed: list[Json] = given.get("refunds", [])
    if "refunds" not in given:
        full = order["captured_amount"] if given.get("status") == Status.CLOSED else 0
        amount = given.get("refunded_amount", full)
        captured: list[Json] = [line for entry in order["captures"] for line in entry["order_lines"]]
        listed = [{"refunded_amount": amount, "order_lines": _lines_worth(captured, amount)}] if amount else []
    return [
        {
            "refund_id": made_up_id(order["order_id"], "refund", place),
            "refunded_amount": sum(map(line_total, _lines(entry))),
            "refunded_at": stamp(_some_time_after(given, now, hours=84, at_latest=6)),
        }
        | entry
        | {"order_lines": _lines(entry)}
        for place, entry in enumerate(listed, 1)
    ]


def _book(order: Json) -> Booked:
    """Book every refund on the captures, and write the refunded amount on each capture unless it was given."""
    booked: Booked = {}
    for refund in order["refunds"]:
        added = allocate(order["captures"], booked, refund["order_lines"], refund["refunded_amount"])
        booked |= {place: booked.get(place, 0) + amount for place, amount in added.items()}
    for capture in order["captures"]:
        capture.setdefault("refunded_amount", of_capture(booked, capture["capture_id"]))
    return booked


def _status_of(order: Json) -> str:
    if not order["captured_amount"]:
        return Status.AUTHORIZED
    return Status.PART_CAPTURED if order["captured_amount"] < order["order_amount"] else Status.CAPTURED


def _remaining(order: Json) -> int:
    if order["status"] in (Status.CAPTURED, Status.CANCELLED, Status.EXPIRED, Status.CLOSED):
        return 0
    return max(order["order_amount"] - order["captured_amount"], 0)


def _times(order: Json, given: Json, now: datetime) -> None:
    """Set the times: the purchase is a day old, or long past for an order that has expired."""
    if "created_at" not in given:
        age = AUTHORIZATION_DAYS + 3 if order["status"] == Status.EXPIRED else 1
        order["created_at"] = stamp(now - timedelta(days=age))
    if "expires_at" not in given:
        created = datetime.fromisoformat(order["created_at"].replace("Z", "+00:00"))
        order["expires_at"] = stamp(expiry_after(created))


def _lines(given: Json) -> list[Json]:
    lines: list[Json] = given.get("order_lines", [])
    return [complete_line(line) for line in lines]


def _sum(entries: list[Json], field: str) -> int:
    return sum(int(entry.get(field, 0)) for entry in entries)
