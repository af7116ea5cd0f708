"""Everything that somebody typed, as a model sees it: cleaned, cut, and without a person unless asked for.

Shops and customers write into orders, and what they write is data for a model, never an instruction. The default is
what support needs to tell lines apart, small enough to be read often; `include` adds the rest. The shortened forms of
a text are defined here once, so that `line_matching` recognises each of them and no shortened text ever reaches Kustom.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Literal, cast

from pydantic import BaseModel

from kustom_mcp.api.models import Capture, Order, OrderLine, Refund, ShippingInfo
from kustom_mcp.schema.result import Json, compact
from kustom_mcp.text import clean, clean_json

Pii = Literal["on_request", "masked"]

NAME_LIMITS = (60, 40, 24, 12)
"""Characters that a default view keeps of a name or reference: the first that keeps a line within LINE_BYTES."""
LINE_BYTES = 165
LINES_SHOWN = 20
REFERENCE_BYTES = 80
WHOLE = 10_000
"""Characters of a text that is shown whole: ten times what Kustom takes for any text of a line."""

_MASK = "***"
_IDENTITY = "nationalidentificationnumber"
_UNMASKED = frozenset({"country"})
_LINE = ("reference", "name", "quantity", "total_amount")
_REFERENCES = ("merchant_reference1", "merchant_reference2", "klarna_reference")
_CUSTOMER = ("customer", "billing_address", "shipping_address", "initial_payment_method")
_CAPTURE = (
    "capture_id",
    "klarna_reference",
    "captured_amount",
    "captured_at",
    "refunded_amount",
    "description",
    "reference",
)
_SHIPMENT = tuple(ShippingInfo.model_fields)
_REFUND = ("refund_id", "refunded_amount", "refunded_at", "description", "reference", "credit_invoice")


def third_party(order: Order, include: Set[str], pii: Pii, shown: slice | None = None) -> dict[str, Json]:
    """Texts that somebody typed into the order, in the API's own shape. Absent is what Kustom does not have.

    Always the references, and of each of the first lines (or those of `shown`) its number, reference, name, quantity
    and total; `lines_left_out` counts the others. `include` adds `lines` (every field of every line, uncut),
    `customer`, `shipping`, `captures`, `refunds` and `merchant_data`. With `masked` personal fields are masked wherever
    they appear.
    """
    full = "lines" in include
    view: dict[str, Json] = {
        name: fitting(text, REFERENCE_BYTES) for name, text in _present(order, _REFERENCES).items()
    }
    view |= _lines(order.order_lines, full=full, shown=shown, numbered=True)
    if "customer" in include:
        for name in _CUSTOMER:
            part: BaseModel | None = getattr(order, name)
            if part is not None:
                shown = cleaned(_dump(part))
                view[name] = masked(shown) if pii == "masked" and name != "initial_payment_method" else shown
    if "shipping" in include:
        view |= _shipping(order, open_to_see="customer" in include and pii != "masked", pii=pii)
    if "captures" in include:
        view["captures"] = [capture_view(capture, full=full) for capture in order.captures]
    if "refunds" in include:
        view["refunds"] = [refund_view(refund, full=full) for refund in order.refunds]
    if "merchant_data" in include and order.merchant_data:
        view["merchant_data"] = clean(order.merchant_data, WHOLE)
    return view


def capture_view(capture: Capture, *, full: bool = False) -> dict[str, Json]:
    """A capture with its texts, lines and shipments, but no addresses and no unknown fields: they may be personal."""
    return _entry(capture, _CAPTURE, full=full)


def refund_view(refund: Refund, *, full: bool = False) -> dict[str, Json]:
    """A refund with its texts and lines."""
    return _entry(refund, _REFUND, full=full)


def capture_facts(capture: Capture) -> dict[str, Json]:
    """The computed fields of a capture: id, time, amounts in minor units."""
    return _present(capture, ("capture_id", "captured_at", "captured_amount", "refunded_amount"))


def refund_facts(refund: Refund) -> dict[str, Json]:
    """The computed fields of a refund: id, time, amount in minor units."""
    return _present(refund, ("refund_id", "refunded_at", "refunded_amount"))


def cleaned(value: Json) -> Json:
    """A JSON value with every text cleaned and whole, and without a national identification number at any depth."""
    return _anonymous(clean_json(value, WHOLE))


def fitting(text: str, size: int) -> str:
    """`text` cleaned and cut to the first of NAME_LIMITS that keeps it within `size` bytes of JSON, or to the last."""
    for limit in NAME_LIMITS:
        cut = clean(text, limit)
        if len(compact(cut).encode()) - 2 <= size:
            return cut
    return clean(text, NAME_LIMITS[-1])


def cut_forms(text: str) -> frozenset[str]:
    """Every shortened form in which a default view may show a line's text."""
    return frozenset(clean(text, limit) for limit in NAME_LIMITS)


def masked(value: Json, key: str = "") -> Json:
    """A cleaned personal value, masked but for a first letter, a postal code's start, a phone's end, the country."""
    if isinstance(value, dict):
        entries = cast("dict[str, Json]", value)
        return {name: masked(item, name) for name, item in entries.items()}
    if isinstance(value, list):
        return [masked(item, key) for item in cast("list[Json]", value)]
    if not isinstance(value, str):
        return _MASK
    if not value or key in _UNMASKED:
        return value
    if key == "email":
        return f"{value[0]}{_MASK}@{_MASK}"
    if key == "phone":
        return _MASK + value[-2:] if len(value) > 4 else _MASK
    if key == "postal_code":
        return value[:2] + _MASK if len(value) > 3 else _MASK
    return value[0] + _MASK if value[0].isalpha() else _MASK


def _lines(
    lines: Sequence[OrderLine], *, full: bool, shown: slice | None = None, numbered: bool = False
) -> dict[str, Json]:
    part = shown or slice(0, None if full else LINES_SHOWN)
    views = [cleaned(_dump(line)) if full else _short(line) for line in lines[part]]
    if numbered:
        views = [{"line": number} | line | {"line": number} for number, line in enumerate(views, start=part.start + 1)]
    view: dict[str, Json] = {"order_lines": views}
    if len(lines) > len(views):
        view["lines_left_out"] = len(lines) - len(views)
    return view


def _short(line: OrderLine) -> dict[str, Json]:
    short: dict[str, Json] = {}
    for limit in NAME_LIMITS:
        short = clean_json(_present(line, _LINE), limit)
        if len(compact(short).encode()) <= LINE_BYTES:
            break
    return short


def _present(model: BaseModel, names: Sequence[str]) -> dict[str, Json]:
    values = {name: getattr(model, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _entry(entry: Capture | Refund, names: Sequence[str], *, full: bool) -> dict[str, Json]:
    view: dict[str, Json] = cleaned(_present(entry, names))
    if entry.order_lines:
        view |= _lines(entry.order_lines, full=full)
    if isinstance(entry, Capture) and entry.shipping_info:
        view["shipping_info"] = [cleaned(_present(shipment, _SHIPMENT)) for shipment in entry.shipping_info]
    return view


def _shipping(order: Order, *, open_to_see: bool, pii: Pii) -> dict[str, Json]:
    """Shipments and the chosen delivery. What the customer typed for the carrier (a door code) counts as personal."""
    view: dict[str, Json] = {}
    if order.shipping_info:
        view["shipping_info"] = [cleaned(_dump(shipment)) for shipment in order.shipping_info]
    if order.selected_shipping_option is not None:
        option = cleaned(_dump(order.selected_shipping_option))
        for addon in option.get("selected_addons", []):
            if not open_to_see and "user_input" in addon:
                addon["user_input"] = _MASK
        location = option.get("location", {})
        if pii == "masked" and "address" in location:
            location["address"] = masked(location["address"])
        view["selected_shipping_option"] = option
    return view


def _dump(model: BaseModel) -> dict[str, Json]:
    return model.model_dump(by_alias=True, exclude_none=True)


def _anonymous(value: Json) -> Json:
    if isinstance(value, dict):
        entries = cast("dict[str, Json]", value)
        return {key: _anonymous(item) for key, item in entries.items() if not _is_identity(key)}
    if isinstance(value, list):
        return [_anonymous(item) for item in cast("list[Json]", value)]
    return value


def _is_identity(key: str) -> bool:
    # The length first: it settles nearly every key, and a full view asks for thousands.
    return len(key) >= len(_IDENTITY) and key.replace("_", "").replace("-", "").lower() == _IDENTITY
