"""The allocation of a refund to captures, by the references of its lines.

Kustom books a refund on the captured lines whose `reference` its own lines repeat; a refund without such lines counts
for the order but for no capture (K/KL). How money is spread where several captures hold the same reference is
assumed: the oldest first, never more than that capture's lines of the reference, never more than the capture. Amounts
are minor units.
"""

from collections.abc import Iterator
from typing import Any, Final

Json = dict[str, Any]
Booked = dict[tuple[str, str], int]
"""(capture_id, line reference) -> the amount refunded there so far."""

RETURN_FEE: Final = "return_fee"


def line_total(line: Json) -> int:
    """Return a line's total as given, or else from quantity, price and discount; 0 for a line without prices."""
    if "total_amount" in line:
        return int(line["total_amount"])
    return int(line.get("quantity", 1)) * int(line.get("unit_price", 0)) - int(line.get("total_discount_amount", 0))


def allocate(captures: list[Json], booked: Booked, lines: list[Json], amount: int) -> Booked:
    """Return the amounts that a refund of `amount` with these lines adds to `booked`, which stays as it is."""
    fees = -sum(line_total(line) for line in lines if line.get("type") == RETURN_FEE)
    budget = amount + fees
    added: Booked = {}
    for line in lines:
        wanted = min(line_total(line), budget)
        for place, room in _places(captures, booked, added, line):
            part = min(wanted, room)
            if part > 0:
                added[place] = added.get(place, 0) + part
                wanted -= part
                budget -= part
    if added and fees:
        first = next(iter(added))
        added[first[0], RETURN_FEE] = -fees
    return added


def of_capture(booked: Booked, capture_id: str) -> int:
    """Return the sum booked on one capture."""
    return sum(amount for (place, _), amount in booked.items() if place == capture_id)


def _places(captures: list[Json], booked: Booked, added: Booked, line: Json) -> Iterator[tuple[tuple[str, str], int]]:
    reference = line.get("reference")
    if not reference:
        return
    for capture in captures:
        place = (str(capture["capture_id"]), str(reference))
        captured: list[Json] = capture.get("order_lines", [])
        matching = [entry for entry in captured if entry.get("reference") == reference]
        line_room = sum(map(line_total, matching)) - booked.get(place, 0) - added.get(place, 0)
        capture_room = int(capture["captured_amount"]) - of_capture(booked, place[0]) - of_capture(added, place[0])
        yield place, min(line_room, capture_room)
