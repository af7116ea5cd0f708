"""Arguments as a hostile asker would choose them, by the real parser and the real tools, up to the question.

Two requests that differ anywhere never have the same details."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Iterator
from copy import deepcopy
from typing import Any, NoReturn, cast

import pytest

from kustom_mcp.api.models import ExtendDueDateOptions, Order
from kustom_mcp.calls.confirmation import Proposal
from kustom_mcp.orders.details import details
from kustom_mcp.schema.result import ToolError
from kustom_mcp.tools.catalog import CATALOG

Json = dict[str, Any]
ID = "7849fd84-65d4-4d6a-83c4-59f4b1b1a9d0"
LINK = "https://tracking.postnord.com/1"


def goods(number: int, name: str, quantity: int, price: int) -> Json:
    """A line of physical goods, with tax of 25 %."""
    total = quantity * price
    return {
        "reference": f"R-{number}",
        "type": "physical",
        "name": name,
        "quantity": quantity,
        "unit_price": price,
        "tax_rate": 2500,
        "total_amount": total,
        "total_discount_amount": 0,
        "total_tax_amount": total // 5,
        "product_url": "https://shop.example.com/1",
        "product_identifiers": {"brand": "Nordisk"},
    }


LINES = [goods(1, "Blanket", 1, 50000), goods(2, "Chair", 2, 30000), goods(3, "x" * 60 + "3", 4, 20000)]
MANY = [goods(number, "x" * 60 + str(number), 2, 1000) for number in range(1, 301)]
ADDRESS: Json = {"given_name": "Testa", "street_address": "Exempelgatan 1", "city": "Stockholm", "country": "SE"}


def an_order(lines: list[Json], status: str, captured: int = 0) -> Order:
    """An order in Sweden, with one capture of all its lines where something is captured."""
    total = sum(line["total_amount"] for line in lines)
    made: Json = {"capture_id": "c-1", "captured_amount": captured, "captured_at": "2026-11-01T10:00:00Z"}
    if captured == total:
        made["order_lines"] = lines
    return Order.model_validate(
        {
            "order_id": ID,
            "status": status,
            "fraud_status": "ACCEPTED",
            "purchase_currency": "SEK",
            "purchase_country": "SE",
            "order_amount": total,
            "original_order_amount": total,
            "captured_amount": captured,
            "remaining_authorized_amount": total - captured,
            "refunded_amount": 0,
            "merchant_reference1": "SE-20451",
            "order_lines": lines,
            "shipping_address": ADDRESS,
            "captures": [made] if captured else [],
        }
    )


ALL = sum(line["total_amount"] for line in LINES)
OPEN, PART, PAID = (
    an_order(LINES, "AUTHORIZED"),
    an_order(LINES, "PART_CAPTURED", 1000),
    an_order(LINES, "CAPTURED", ALL),
)
LONG, LONG_PAID = an_order(MANY, "AUTHORIZED"), an_order(MANY, "CAPTURED", 600_000)
TEXTS: Json = {"description": "Thanks", "reference": "M-1"}
PARCEL: Json = {
    "shipping_company": "PostNord SE",
    "shipping_method": "Home",
    "tracking_number": "1",
    "tracking_uri": LINK,
    "return_shipping_company": "PostNord SE",
    "return_tracking_number": "1",
    "return_tracking_uri": LINK,
}
STARTS: dict[str, tuple[str, Order, Json]] = {
    "cancel": ("cancel_order", OPEN, {}),
    "release": ("release_remaining_authorization", PART, {}),
    "amount by lines": (
        "update_order_amount",
        OPEN,
        {"line_changes": [{"line": 2, "quantity": 1, "unit_price": 30000}]},
    ),
    "amount of the last of many": ("update_order_amount", LONG, {"line_changes": [{"line": 300, "quantity": 1}]}),
    "amount by a whole list": (
        "update_order_amount",
        OPEN,
        {"order_amount": ALL, "order_lines": [goods(9, "Lamp", 1, 50000), *LINES[1:]], "description": "Swap"},
    ),
    "address": ("update_customer_details", OPEN, {"shipping_address": {"city": "Lund"}}),
    "address, one field cleared": (
        "update_customer_details",
        OPEN,
        {"shipping_address": {"city": "Lund"}, "clear": ["given_name"]},
    ),
    "capture of an amount": (
        "capture_order",
        OPEN,
        {"captured_amount": 100, "shipping_info": [PARCEL, PARCEL], "shipping_delay": 1, **TEXTS},
    ),
    "capture of lines": ("capture_order", OPEN, {"lines": [{"line": 2, "quantity": 1}, {"line": 3, "quantity": 1}]}),
    "capture of many lines": (
        "capture_order",
        LONG,
        {"lines": [{"line": number, "quantity": 2} for number in range(1, 301)], **TEXTS},
    ),
    "capture in Kustom's format": ("capture_order", OPEN, {"captured_amount": ALL, "order_lines": LINES, **TEXTS}),
    "refund of an amount": ("refund_order", PAID, {"refunded_amount": 100, **TEXTS}),
    "refund of lines": (
        "refund_order",
        PAID,
        {"lines": [{"line": 2, "quantity": 1, "total_amount": 30000}], "return_fee": 4900, **TEXTS},
    ),
    "refund of many lines": (
        "refund_order",
        LONG_PAID,
        {"lines": [{"line": number, "quantity": 2} for number in range(1, 301)], **TEXTS},
    ),
    "refund in Kustom's format": ("refund_order", PAID, {"refunded_amount": ALL, "order_lines": LINES, **TEXTS}),
    "due date": ("extend_due_date", PART, {"capture_id": "c-1", "number_of_days": 14}),
}
UNSENT = {"order_id", "currency", "reason"}
"""Arguments that are in no body: the path, a check, and the text for the approver."""
NEVER_ALONE = {
    "update_order_amount": {"order_amount", "order_lines.quantity", "order_lines.tax_rate", "line_changes"},
    "refund_order": {"lines"},
}
"""Fields that are refused when they alone change: the sums must agree, and no line may be named twice."""
INHERITED = {"order_lines.product_identifiers"}
"""A field that the order's own line fills in where it is left out."""


class Asked(Exception):
    """Ends a tool's function where it asks for approval."""

    def __init__(self, proposal: Proposal) -> None:
        super().__init__()
        self.proposal = proposal


class AlreadySo(Exception):
    """Ends it where nothing is left to do."""


class Asking:
    """Stands for the call of a tool's function: it has one order, no limits, and stops at the question."""

    class app:
        class settings:
            pii = "on_request"
            refund_reasons = None

    class policy:
        hides_addresses = True

        tracking_links = within_ceiling = staticmethod(lambda *_: None)

    def __init__(self, order: Order) -> None:
        self._order = order

    async def order(self, *_: object) -> Order:
        return self._order

    async def read(self, *_: object, **__: object) -> ExtendDueDateOptions:
        return ExtendDueDateOptions()

    def same_currency(self, *_: object) -> None: ...

    def require(self, *_: object, **__: object) -> None: ...

    def already(self, summary: str) -> NoReturn:
        raise AlreadySo(summary)

    async def approval(self, proposal: Proposal) -> NoReturn:
        raise Asked(proposal)


def question(tool: str, order: Order, arguments: Json) -> tuple[str, str] | None:
    """The request that these arguments would send, and its details, each as one text. None where there is none."""
    operation = CATALOG[f"kustom_{tool}"]
    try:
        parsed: Json = operation.parse({"order_id": ID, **arguments})
        proposal = asked_by(operation.run(cast("Any", Asking(order)), **parsed))
        ids = {name: str(parsed[name]) for name in ("order_id", "capture_id") if name in parsed}
        body = dict(proposal.body or {})
        told = details(operation.name, proposal.action, ids, body, order, "masked")
    except (AlreadySo, ToolError):  # or more than one preview shows, so that nobody is asked
        return None
    assert all(len(sentence.splitlines()) == 1 for sentence in told)
    return json.dumps([ids, body], sort_keys=True), json.dumps([*told, *proposal.details])


def asked_by(steps: Awaitable[object]) -> Proposal:
    """The proposal of a tool's function, which waits for nothing before it. What else it raises passes on."""
    try:
        next(steps.__await__())
    except Asked as asked:
        return asked.proposal
    raise AssertionError("it neither asked nor refused")


class Readings:
    """The details that were read, each with its request. No two requests may share theirs."""

    def __init__(self) -> None:
        self._sent: dict[str, str] = {}

    @property
    def requests(self) -> set[str]:
        return {*self._sent.values()}

    def add(self, asked: tuple[str, str] | None) -> bool:
        if asked is None:
            return False
        request, told = asked
        assert self._sent.setdefault(told, request) == request, told
        return True


TEXT = (
    "a",
    "A",
    "b",
    " a",
    "a\u200b",
    "\u202ea",
    "a\u2066b\u2069",
    "a\u202eb",
    "b\u202ea",
    'a"',
    "a'",
    'a". Reference: "b',
    "a\\",
    "x" * 60 + "1",
    "x" * 60 + "2",
    "x" * 254 + "1",
    "x" * 254 + "2",
    "е",
    "é",
    "e\u0301",
    "check AAAA-BBBB",
    "SE",
    "DK",
    LINK,
    LINK + "?2",
    "https://postnord.com/1",
)
NUMBERS = (0, 1, 2, 3, 4, 100, 4900, 4901, 20000, 30000, 30001, 50000, 59999, ALL, -1)


SOME = ("b", "a\u202eb", "x" * 60 + "1", "x" * 60 + "2", "DK", LINK + "?2")


def values(schema: Json, *, every: bool) -> tuple[Any, ...]:
    """Values to try for an argument of this schema, valid or not: the parser decides."""
    if "enum" in schema:
        return tuple(schema["enum"]) if every else tuple(schema["enum"])[:2]
    if schema["type"] == "integer":
        return NUMBERS if every else (1, 2, 4901, 30001)
    return TEXT if every else SOME


def changed(value: Any, schema: Json, path: str = "", *, every: bool) -> Iterator[tuple[str, Any]]:
    """The value with one field changed, left out or added, at any depth, and the name of that field; lists also
    backwards, shorter, and with their last item twice."""
    if schema["type"] == "object":
        given: Json = value or {}
        for name, field in schema["properties"].items():
            for where, other in changed(given.get(name), field, f"{path}.{name}".strip("."), every=every):
                yield where, {**given, name: other}
            yield f"{path}.{name}".strip("."), {key: kept for key, kept in given.items() if key != name}
    elif schema["type"] == "array":
        items: list[Any] = value or []
        for index in ({0, 1, len(items) - 1} if every else {len(items) - 1}) & {*range(len(items))} or {0}:
            for where, other in changed(items[index] if items else None, schema["items"], path, every=every):
                yield where, [*items[:index], other, *items[index + 1 :]]
        yield from ((path, other) for other in (items[::-1], items[:-1], [*items, *items[-1:]]))
    else:
        yield from ((path, other) for other in values(schema, every=every) if other != value)


def tried(start: str, *, every: bool) -> tuple[set[str], set[str]]:
    """The fields that were changed, and those of them that changed the request.

    Fails where two requests read the same.
    """
    tool, order, arguments = STARTS[start]
    readings, first = Readings(), question(tool, order, arguments)
    assert first is not None
    readings.add(first)
    seen, differed = set[str](), set[str]()
    for path, other in changed(deepcopy(arguments), CATALOG[f"kustom_{tool}"].input, every=every):
        seen.add(path)
        asked = question(tool, order, other)
        if readings.add(asked) and asked is not None and asked[0] != first[0]:
            differed.add(path)
    return seen, differed


LONG_STARTS = {"capture of many lines", "refund of many lines", "amount of the last of many"}


@pytest.mark.parametrize("tool", sorted({tool for tool, _, _ in STARTS.values()}))
def test_each_argument_of_each_gated_tool_shows_where_it_changes_the_request(tool: str) -> None:
    seen, differed = set[str](), set[str]()
    for start, (of, _, _) in STARTS.items():
        if of == tool and start not in LONG_STARTS:
            fields, others = tried(start, every=False)
            seen, differed = seen | fields, differed | others
    assert seen - differed == seen & (UNSENT | INHERITED | NEVER_ALONE.get(tool, set()))


def test_no_gated_tool_is_left_out() -> None:
    assert {f"kustom_{tool}" for tool, _, _ in STARTS.values()} == {
        name for name, tool in CATALOG.items() if tool.effect.gated
    }


@pytest.mark.exam
@pytest.mark.parametrize("start", STARTS)
def test_no_field_of_any_request_changes_without_its_details(start: str) -> None:
    tried(start, every=True)
