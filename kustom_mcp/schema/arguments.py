"""The types of tool arguments, held to Kustom's limits before anything else looks at them.

Strict on purpose: no number out of a text, no `true` for 1, no field that is not known. A mistyped argument must never
become a wider effect. Limits are Kustom's own (`api.field_limits`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from kustom_mcp.api import identifiers
from kustom_mcp.api.endpoint import PATTERNS
from kustom_mcp.api.field_limits import (
    BODIES,
    LINE_TYPES,
    MAX_AMOUNT,
    MAX_INT32,
    MAX_LINES,
    MAX_SHIPMENTS,
    PARTS,
    SHIPPING_METHODS,
)
from kustom_mcp.settings.links import host_of
from kustom_mcp.text import clean, has_url

AMOUNT_FIELDS = frozenset(
    {
        "order_amount",
        "captured_amount",
        "refunded_amount",
        "unit_price",
        "total_amount",
        "total_discount_amount",
        "total_tax_amount",
        "amount",
        "min_remaining",
        "return_fee",
    }
)
"""Fields that hold minor units: a value outside their limits is AMOUNT_OUT_OF_RANGE."""

Include = Literal["lines", "refundable", "customer", "shipping", "captures", "refunds", "merchant_data"]


class InputObject(BaseModel):
    """An object of the input: strict, and closed to fields that are not known."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, defer_build=True)


def _identifier(parse: Callable[[str], str]) -> AfterValidator:
    def check(value: str) -> str:
        try:
            return parse(value)
        except identifiers.IdentifierError as error:
            raise PydanticCustomError("INVALID_IDENTIFIER", "{why}", {"why": str(error)}) from None

    return AfterValidator(check)


def _fitting(parameter: str, value: str) -> str:
    """Check a value that is to stand in a URL as this parameter."""
    if not PATTERNS[parameter].fullmatch(value):
        raise PydanticCustomError("INVALID_ARGUMENT", "it must be 1 to 64 letters, digits, hyphens and underscores")
    return value


def _no_url(value: str) -> str:
    if has_url(value):
        raise PydanticCustomError(
            "INVALID_ARGUMENT", "the customer sees this text, so it may not contain a link or a web address"
        )
    return value


def _visible(value: str) -> str:
    """Check that a text has a visible character: blanks would overwrite what is there, with nobody asked."""
    return _not_blank(value, "to empty it, name it in clear")


def _legible(value: str) -> str:
    """Check that a text for the customer has a visible character."""
    return _not_blank(value, "write what the customer shall read, or leave it out")


def _not_blank(value: str, instead: str) -> str:
    if not clean(value).strip():
        raise PydanticCustomError("INVALID_ARGUMENT", "has no visible character; {instead}", {"instead": instead})
    return value


def _no_link(value: str) -> str:
    """Check the name of a carrier or a number: it is never a link. One that looks like a host ("Bring.se") is held to
    KUSTOM_TRACKING_HOSTS afterwards."""
    return value if not has_url(value, bare=False) else _no_url(value)


def _web_link(value: str) -> str:
    try:
        host_of(value)
    except ValueError as error:
        raise PydanticCustomError("INVALID_ARGUMENT", "{why}", {"why": str(error)}) from None
    return value


def _one_of(choices: tuple[str, ...]) -> Any:
    """Return the parts of a text type that is one of Kustom's documented values; in the schema an enum."""
    return Field(json_schema_extra={"enum": list(choices)}), AfterValidator(_member(choices))


def _member(choices: tuple[str, ...]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in choices:
            raise PydanticCustomError("INVALID_ARGUMENT", "it must be one of {known}", {"known": ", ".join(choices)})
        return value

    return check


def _text(kind: str, field: str) -> Any:
    """Return a text argument's limit, which is Kustom's for the field of that object."""
    return Field(max_length=(PARTS.get(kind) or BODIES[kind])[field].max_length)


OrderId = Annotated[str, _identifier(identifiers.order_id), Field(description="Order id or portal link.")]
CaptureId = Annotated[str, _identifier(identifiers.entry_id), Field(description="Capture id from kustom_get_order.")]
RefundId = Annotated[str, _identifier(identifiers.entry_id), Field(description="Refund id from kustom_get_order.")]
PaymentReference = Annotated[
    str,
    AfterValidator(lambda value: _fitting("payment_reference", value)),
    Field(max_length=64, description="Reference of a payout, as on the bank statement."),
]
Currency = Annotated[
    str,
    Field(pattern="^[A-Za-z]{3}$", description="The order's currency, only as a check."),
    AfterValidator(str.upper),
]
Money = Annotated[int, Field(ge=1, le=MAX_AMOUNT)]
"""An amount that moves: minor units, tax included, never 0."""

Price = Annotated[int, Field(le=MAX_AMOUNT, ge=-MAX_AMOUNT)]
Whole = Annotated[int, Field(ge=0, le=10_000_000)]
Description = Annotated[str, _text("CaptureRequest", "description"), AfterValidator(_no_url), AfterValidator(_legible)]
Reference = Annotated[str, _text("CaptureRequest", "reference"), AfterValidator(_no_url), AfterValidator(_legible)]
Reason = Annotated[
    str,
    Field(max_length=200, description="Why; for the journal and who approves."),
    AfterValidator(lambda value: _not_blank(value, "write the reason")),
]
OrderReference = Annotated[
    str, _text("UpdateMerchantReferences", "merchant_reference1"), AfterValidator(_no_url), AfterValidator(_visible)
]
ParcelText = Annotated[
    str, _text("ShippingInfo", "tracking_number"), AfterValidator(_no_link), AfterValidator(_legible)
]
Link = Annotated[str, _text("ShippingInfo", "tracking_uri"), AfterValidator(_web_link)]


_TYPE, _KNOWN_TYPE = _one_of(LINE_TYPES)
_METHOD, _KNOWN_METHOD = _one_of(SHIPPING_METHODS)


class Pick(InputObject):
    """A line of the order by its number, and how many of it."""

    line: Annotated[int, Field(ge=1, le=MAX_LINES)]
    quantity: Annotated[int, Field(ge=1, le=10_000_000)]


class RefundPick(Pick):
    """A line of the order by its number, how many of it come back, and what is paid for them, where that is less."""

    total_amount: (
        Annotated[int, Field(ge=1, le=MAX_AMOUNT, description="Paid for this line in all; less is a price cut.")] | None
    ) = None


class LineChange(InputObject):
    """A line of the order by its number, and its new quantity (0 removes it), its new unit price, or both."""

    line: Annotated[int, Field(ge=1, le=MAX_LINES)]
    quantity: Whole | None = None
    unit_price: Annotated[Price, Field(description="New price of one, minor units.")] | None = None


class ProductIdentifiersIn(InputObject):
    """Catalogue identifiers of a product."""

    brand: Annotated[str, _text("ProductIdentifiers", "brand")] | None = None
    category_path: Annotated[str, _text("ProductIdentifiers", "category_path")] | None = None
    color: Annotated[str, _text("ProductIdentifiers", "color")] | None = None
    global_trade_item_number: Annotated[str, _text("ProductIdentifiers", "global_trade_item_number")] | None = None
    manufacturer_part_number: Annotated[str, _text("ProductIdentifiers", "manufacturer_part_number")] | None = None
    size: Annotated[str, _text("ProductIdentifiers", "size")] | None = None


class LineIn(InputObject):
    """An order line in Kustom's own format. Prices include tax; `tax_rate` is percent times 100."""

    reference: Annotated[str, _text("OrderLine", "reference")] | None = None
    type: Annotated[str, _TYPE, _KNOWN_TYPE] | None = None
    name: Annotated[str, _text("OrderLine", "name")] | None = None
    quantity: Whole
    quantity_unit: Annotated[str, _text("OrderLine", "quantity_unit")] | None = None
    unit_price: Price | None = None
    tax_rate: Annotated[int, Field(ge=0, le=MAX_INT32)] | None = None
    total_amount: Price | None = None
    total_discount_amount: Annotated[int, Field(ge=0, le=MAX_AMOUNT)] | None = None
    total_tax_amount: Price | None = None
    merchant_data: Annotated[str, _text("OrderLine", "merchant_data")] | None = None
    product_url: Annotated[str, _text("OrderLine", "product_url")] | None = None
    image_url: Annotated[str, _text("OrderLine", "image_url")] | None = None
    product_identifiers: ProductIdentifiersIn | None = None


class ShipmentIn(InputObject):
    """One parcel or shipment."""

    shipping_company: ParcelText | None = None
    shipping_method: Annotated[str, _METHOD, _KNOWN_METHOD] | None = None
    tracking_number: ParcelText | None = None
    tracking_uri: Link | None = None
    return_shipping_company: ParcelText | None = None
    return_tracking_number: ParcelText | None = None
    return_tracking_uri: Link | None = None


class AddressIn(InputObject):
    """The fields of a shipping address to change."""

    given_name: Annotated[str, _text("Address", "given_name"), AfterValidator(_visible)] | None = None
    family_name: Annotated[str, _text("Address", "family_name"), AfterValidator(_visible)] | None = None
    title: Annotated[str, _text("Address", "title"), AfterValidator(_visible)] | None = None
    organization_name: Annotated[str, _text("Address", "organization_name"), AfterValidator(_visible)] | None = None
    attention: Annotated[str, _text("Address", "attention"), AfterValidator(_visible)] | None = None
    street_address: Annotated[str, _text("Address", "street_address"), AfterValidator(_visible)] | None = None
    street_address2: Annotated[str, _text("Address", "street_address2"), AfterValidator(_visible)] | None = None
    postal_code: Annotated[str, _text("Address", "postal_code"), AfterValidator(_visible)] | None = None
    city: Annotated[str, _text("Address", "city"), AfterValidator(_visible)] | None = None
    region: Annotated[str, _text("Address", "region"), AfterValidator(_visible)] | None = None
    country: Annotated[str, Field(pattern="^[A-Za-z]{2}$")] | None = None
    email: Annotated[str, _text("Address", "email"), AfterValidator(_visible)] | None = None
    phone: Annotated[str, _text("Address", "phone"), AfterValidator(_visible)] | None = None


def _in_order(names: list[str]) -> list[str]:
    """List each name once and in one order: the same wish is the same call."""
    return sorted(set(names))


_REFERENCE, _KNOWN_REFERENCE = _one_of(("merchant_reference1", "merchant_reference2"))
_FIELDS = tuple(AddressIn.model_fields)
ClearedReferences = Annotated[
    list[Annotated[str, _REFERENCE, _KNOWN_REFERENCE]],
    AfterValidator(_in_order),
    Field(max_length=2, description="To empty them."),
]
ClearedFields = Annotated[
    list[Annotated[str, AfterValidator(_member(_FIELDS))]],  # no enum: every model would read the names twice
    AfterValidator(_in_order),
    Field(max_length=len(_FIELDS), description="Address fields to empty."),
]
Address = Annotated[AddressIn, Field(description="Only the fields to change.")]
Picks = Annotated[
    list[Pick],
    Field(
        min_length=1,
        max_length=MAX_LINES,
        description="Lines by number in kustom_get_order; the amount is computed.",
    ),
]
RefundPicks = Annotated[
    list[RefundPick],
    Field(
        min_length=1,
        max_length=MAX_LINES,
        description="Lines by number in kustom_get_order; the amount is computed, shares of discounts too.",
    ),
]
LineChanges = Annotated[
    list[LineChange],
    Field(
        min_length=1,
        max_length=MAX_LINES,
        description="New quantity (0 removes) or unit_price of lines by number in kustom_get_order. The rest stays.",
    ),
]
OrderLines = Annotated[
    list[LineIn],
    Field(
        min_length=1,
        max_length=MAX_LINES,
        description="Kustom's line format: prices with tax, tax_rate percent x 100. Texts left out are those of the "
        "order's line.",
    ),
]
Shipments = Annotated[
    list[ShipmentIn],
    Field(min_length=1, max_length=MAX_SHIPMENTS, description="Shipments; added to those already there."),
]


def sent(value: BaseModel) -> dict[str, Any]:
    """Return an object with the fields that the caller sent, and no others: the JSON for Kustom."""
    return value.model_dump(exclude_unset=True, mode="json")


def as_json(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return checked arguments as JSON values, to which a code and an open intent are bound."""
    return {name: _plain(value) for name, value in arguments.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return sent(value)
    return [_plain(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value
