"""All that a request would send, in sentences: the same for a form, for the order card and for a preview.

Made in one place, from the request body and the order as Kustom holds it, never from the arguments, so that nothing is
sent that the sentences do not tell. Typed text stands in straight double quotes, cleaned, on one line, after the
figures. What the sentences cut, clean or leave out is covered by the last one, `check` with a digest of the complete
request, so that two different requests never read the same.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from kustom_mcp.api.field_limits import PARTS
from kustom_mcp.api.models import Order
from kustom_mcp.money import show, tax_of
from kustom_mcp.orders.line_amounts import Line, stored_lines, telling
from kustom_mcp.orders.line_pairs import paired
from kustom_mcp.orders.shares import GIVEN_BACK_ELSEWHERE, RETURN_FEE, is_of_the_order
from kustom_mcp.orders.third_party import Pii, masked
from kustom_mcp.schema.result import Code, Json, ToolError
from kustom_mcp.settings.links import shown_host
from kustom_mcp.text import quoted

MOST_BYTES = 24_000
"""The bytes of all sentences together, so that no preview exceeds the 40,000 bytes of an answer."""
LINES_SHOWN = 20
"""Lines that a capture or a refund takes as the order has them: beyond these, their number and their sum."""

_WHOLE = 255  # characters; no text that a sentence shows whole may be longer at Kustom
_MONEY = {"total_amount": "total", "unit_price": "unit price", "total_discount_amount": "discount"}
_LINKS = {"product_url": "product link", "image_url": "picture"}
_TOLD = frozenset({"name", "quantity", *_MONEY, *_LINKS})
_PARCEL = {
    "shipping_company": "carrier",
    "shipping_method": "method",
    "tracking_number": "number",
    "tracking_uri": "link to",
    "return_shipping_company": "return carrier",
    "return_tracking_number": "return number",
    "return_tracking_uri": "return link to",
}
_EXACT = frozenset(
    {
        *("order_amount", "captured_amount", "refunded_amount", "number_of_days", "shipping_delay"),
        *("description", "reference", "shipping_info", "shipping_address"),
        *PARTS["Address"],
        *(name for name in _PARCEL if not name.endswith("_uri")),
    }
)
"""The fields of a request that sentences tell exactly, as long as no text was cut or cleaned."""


def details(
    tool: str, action: str, ids: Mapping[str, str], body: Mapping[str, Json], order: Order, pii: Pii
) -> list[str]:
    """Tell the whole request in sentences. `action`: the operation in a word; `ids`: those in the path of the request.

    INVALID_ARGUMENT where the sentences do not fit into one preview: nobody could approve it as a whole.
    """
    told = [_head(action, ids, body, order)]
    if "order_lines" in body:
        lines, refund = body["order_lines"], "refunded_amount" in body
        told += _changed(lines, order) if "order_amount" in body else _taken(lines, order, refund=refund)
    told += _texts(body)
    for shipment in body.get("shipping_info", ()):
        told.append(_shipment(shipment))
    if "shipping_delay" in body:
        told.append(f"Shipping delay: {body['shipping_delay']} days.")
    told += _address(order, body.get("shipping_address", {}), pii)
    if (body and not _is_exact(body)) or not _is_whole(order.merchant_reference1 or "", 40):
        told.append(f"check {_digest([tool, dict(ids), body])}")
    if sum(len(sentence.encode()) + 3 for sentence in told) > MOST_BYTES:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            "This is more than one preview can show, so nobody could approve it as a whole.",
            next_step="Split it: change fewer lines, or send fewer shipments, in one call.",
        )
    return told


def _head(action: str, ids: Mapping[str, str], body: Mapping[str, Json], order: Order) -> str:
    """The order, by the shop's number and the id, and the operation on it."""
    number, currency = order.merchant_reference1, order.currency
    does = action.replace("-", " ")
    if "order_amount" in body:
        does = f"amount {show(order.order_amount, currency)} -> {show(body['order_amount'], currency)}"
    elif "number_of_days" in body:
        does = f"due date of capture {ids['capture_id']} + {body['number_of_days']} days"
    for moved in ("captured_amount", "refunded_amount"):
        does += f" {show(body[moved], currency)}" if moved in body else ""
    named = f"{quoted(number)}, id {order.order_id}" if number else f"without a number of the shop, id {order.order_id}"
    return f"Order {named}: {does}."


def _texts(body: Mapping[str, Json]) -> Iterator[str]:
    if "description" in body:
        reads = "Description" if "order_amount" in body else "The customer reads"
        yield f"{reads}: {quoted(body['description'], _WHOLE)}."
    if "reference" in body:
        yield f"Reference: {quoted(body['reference'], _WHOLE)}."


def _shipment(shipment: Mapping[str, Json]) -> str:
    said = [
        f"{what} {shown_host(shipment[name]) if name.endswith('_uri') else quoted(shipment[name], _WHOLE)}"
        for name, what in _PARCEL.items()
        if name in shipment
    ]
    return f"Shipment: {', '.join(said)}."


def _address(order: Order, new: Mapping[str, Json], pii: Pii) -> Iterator[str]:
    """The complete address, old and new. Masked, an old value never tells whether it equals the new one."""
    if not new:
        return
    address, hidden = order.shipping_address, pii == "masked"
    old: dict[str, Json] = address.model_dump(mode="json", exclude_none=True) if address else {}
    for name in PARTS["Address"]:
        before = quoted(masked(old[name], name) if hidden else old[name], _WHOLE) if old.get(name) else "none"
        after = quoted(new[name], _WHOLE) if new.get(name) else "cleared"
        called = name.replace("_", " ").capitalize()
        if name not in new:
            if old.get(name):
                yield f"{called}: {before}, stays."
        elif before == after and not hidden:
            yield f"{called}: {after}, sent as it is."
        else:
            yield f"{called}: {before} -> {after}."


# ---------------------------------------------------------------------------------------- lines of a capture or refund


def _taken(lines: Sequence[Line], order: Order, *, refund: bool) -> Iterator[str]:
    """The lines of a capture or a refund. Beyond LINES_SHOWN those that the order has just so are told together."""
    held, currency = stored_lines(order), order.currency
    find = _Finder(held)
    whole: dict[int, Line] = {}
    for line in lines:
        numbers = find.numbers(line)
        just_so = [n for n in numbers if n not in whole and _is_part_of(line, held[n - 1])]
        if len(lines) > LINES_SHOWN and just_so:
            whole[just_so[0]] = line
        else:
            yield _part(line, numbers, held, currency, refund=refund)
    if whole:
        total = show(sum(line["total_amount"] for line in whole.values()), currency)
        yield f"Lines {_ranges(sorted(whole))} as the order has them: {len(whole)} lines, together {total}."


def _part(line: Line, numbers: Sequence[int], held: Sequence[Line], currency: str, *, refund: bool) -> str:
    """One line that is captured or refunded, and how it differs from the line of the order that it belongs to."""
    name = quoted(line.get("name") or "")
    if numbers and is_of_the_order(line):
        stored = held[numbers[0] - 1]
        if refund or line.get("total_amount") != stored.get("total_amount"):
            back = ", to be given back in the shop" if refund and line.get("type") in GIVEN_BACK_ELSEWHERE else ""
            return f"{_share(line, numbers[0], stored, currency)}{back}."
    if line.get("type") == RETURN_FEE and (line.get("total_amount") or 0) < 0:
        return f"Return fee kept back: {show(-line['total_amount'], currency)}, {name}."
    if not numbers:
        return f"Not in the order: {', '.join(_figures(line, currency))}, {name}."
    stored = held[numbers[0] - 1]
    figures = [
        f"{line.get('quantity')} of {stored.get('quantity')}",
        f"total {_money(line, 'total_amount', currency)}",
    ]
    if line.get("unit_price") != stored.get("unit_price"):
        prices = _money(line, "unit_price", currency), _money(stored, "unit_price", currency)
        figures.append(f"unit price {prices[0]} instead of {prices[1]}")
    figures += _links(line, stored)
    several = " or ".join(map(str, numbers[:3])) + (" or another" if len(numbers) > 3 else "")
    return f"Line {several}: {', '.join(figures)}, {_renamed(line, stored)}."


def _share(line: Line, number: int, stored: Line, currency: str) -> str:
    """A share of a line of the whole order, and of what."""
    figures = f"{_money(line, 'total_amount', currency)} of {_money(stored, 'total_amount', currency)}"
    return f"Share of line {number}: {figures}, {_renamed(line, stored)}"


def _is_part_of(line: Line, stored: Line) -> bool:
    """Return whether a line says nothing that the stored one does not, and all of its quantity and total."""
    told = all(name in line for name in ("quantity", "total_amount"))
    return told and all(name in stored and stored[name] == value for name, value in line.items())


def _ranges(numbers: Sequence[int]) -> str:
    """`1-20, 22`."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in spans)


class _Finder:
    """A search for the numbers of the order's lines that a line may be: by reference, else name; then by all fields."""

    def __init__(self, held: Sequence[Line]) -> None:
        self._held = held
        self._by: defaultdict[tuple[str, Json], list[int]] = defaultdict(list)
        for number, line in enumerate(held, start=1):
            for field in ("reference", "name"):
                if line.get(field):
                    self._by[field, line[field]].append(number)

    def numbers(self, line: Line) -> list[int]:
        """One number where it is clear, several where they are alike, none where the order has no such line."""
        found = self._by.get(("reference", line.get("reference"))) or self._by.get(("name", line.get("name"))) or []
        for field in ("name", "unit_price", "tax_rate", "type"):
            if len(found) > 1:
                found = [number for number in found if self._held[number - 1].get(field) == line.get(field)] or found
        return found


# ---------------------------------------------------------------------------------------- lines of an amount change


def _changed(lines: Sequence[Line], order: Order) -> Iterator[str]:
    """Every line that a new list changes, removes or adds."""
    held = stored_lines(order)
    pairs = paired(held, lines)
    news = {old: new for new, old in pairs.items()}
    for number, stored in enumerate(held):
        if number not in news:
            figures = ", ".join(_figures(stored, order.currency))
            yield f"Line {number + 1} is removed: {figures}, {quoted(stored.get('name') or '')}."
        elif telling(lines[news[number]]) != telling(stored):
            yield f"Line {number + 1} changes: {_difference(stored, lines[news[number]], order.currency)}."
    for position, line in enumerate(lines):
        if position not in pairs:
            yield f"New line: {', '.join(_figures(line, order.currency))}, {quoted(line.get('name') or '')}."
    kept = list(pairs.values())
    if kept != sorted(kept):
        yield "The lines come in another order."


def _difference(old: Line, new: Line, currency: str) -> str:
    """The figures of a changed line, before and after, the other fields that change, and its name."""
    figures = [_arrow("quantity", str(old.get("quantity")), str(new.get("quantity")))]
    for field, what in _MONEY.items():
        if field == "total_amount" or (old.get(field) or 0) != (new.get(field) or 0):
            figures.append(_arrow(what, _money(old, field, currency), _money(new, field, currency)))
    figures += _links(new, old)
    says, said = telling(new), telling(old)
    differ = [field for field in old | new if said.get(field) != says.get(field) and field not in _TOLD]
    if "total_tax_amount" in differ and _follows(new) and old.get("total_amount") != new.get("total_amount"):
        differ.remove("total_tax_amount")
    if differ:
        known = [field for field in PARTS["OrderLine"] if field in differ]
        figures.append(f"also {', '.join(known + ['other fields'] * (len(differ) > len(known)))}")
    return f"{', '.join(figures)}, {_renamed(new, old)}"


def _follows(line: Line) -> bool:
    """Return whether the tax of a line equals its rate of its total."""
    total, rate = line.get("total_amount"), line.get("tax_rate")
    return total is not None and rate is not None and rate >= 0 and line.get("total_tax_amount") == tax_of(total, rate)


# ---------------------------------------------------------------------------------------- words and the digest


def _figures(line: Line, currency: str) -> list[str]:
    """Quantity, total, links and an unusual type of a line that stands alone."""
    figures = [f"quantity {line.get('quantity')}", f"total {_money(line, 'total_amount', currency)}"]
    if line.get("type") in PARTS["OrderLine"]["type"].choices and line["type"] != "physical":
        figures.append(f"type {line['type']}")
    return [*figures, *_links(line, {})]


def _links(line: Line, stored: Line) -> list[str]:
    """The hosts of the links that the order does not have in this place."""
    return [
        f"{what} to {shown_host(line[field])}"
        for field, what in _LINKS.items()
        if line.get(field) and line[field] != stored.get(field)
    ]


def _renamed(line: Line, stored: Line) -> str:
    name, before = quoted(line.get("name") or ""), quoted(stored.get("name") or "")
    return name if line.get("name") == stored.get("name") else f"{name} instead of {before}"


def _money(line: Line, field: str, currency: str) -> str:
    amount = line.get(field)
    return "not given" if amount is None else show(amount, currency)


def _arrow(what: str, before: str, after: str) -> str:
    return f"{what} {after}" if before == after else f"{what} {before} -> {after}"


def _is_exact(value: Json) -> bool:
    """Return whether the sentences tell every field of a request, and every text as it is."""
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Json]", value)
        return fields != {} and fields.keys() <= _EXACT and all(map(_is_exact, fields.values()))
    if isinstance(value, list):
        return value != [] and all(map(_is_exact, cast("list[Json]", value)))
    return _is_whole(value, _WHOLE) if isinstance(value, str) else value is not None


def _is_whole(text: str, limit: int) -> bool:
    return quoted(text, limit) == f'"{text}"'


def _digest(request: Json) -> str:
    text = json.dumps(request, sort_keys=True, separators=(",", ":"))
    figures = hashlib.sha256(text.encode()).hexdigest()[:8].upper()
    return f"{figures[:4]}-{figures[4:]}"
