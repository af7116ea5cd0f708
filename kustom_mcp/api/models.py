"""Read models of the Order Management API: Kustom's answers, field by field.

Field names are Kustom's own. Only an order's id and status are required; everything else may be missing or null,
because the schema requires nothing and does not say which of the two it means. Unknown fields are kept, and unknown
statuses, fraud statuses and payment types are plain text: a closed list has already been proved wrong by live data.
Amounts are the one thing that is not read kindly: they are int64 minor units, and a float, a text or a boolean in
their place makes the whole answer invalid, since guessing at money is worse than saying that nothing could be read.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar, cast

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, Strict

AUTHORIZED: Final = "AUTHORIZED"
PART_CAPTURED: Final = "PART_CAPTURED"
CAPTURED: Final = "CAPTURED"
CANCELLED: Final = "CANCELLED"
EXPIRED: Final = "EXPIRED"
CLOSED: Final = "CLOSED"
STATUSES: Final = (AUTHORIZED, PART_CAPTURED, CAPTURED, CANCELLED, EXPIRED, CLOSED)
"""The documented statuses of an order (K). Others are read as they come."""

ACCEPTED: Final = "ACCEPTED"
PENDING: Final = "PENDING"
REJECTED: Final = "REJECTED"
STOPPED: Final = "STOPPED"
FRAUD_STATUSES: Final = (ACCEPTED, PENDING, REJECTED, STOPPED)
"""The known fraud statuses: three documented (KL), STOPPED seen in a shop plugin only (C)."""

AMOUNTS: Final = (
    "order_amount",
    "original_order_amount",
    "captured_amount",
    "refunded_amount",
    "remaining_authorized_amount",
)
"""The five amounts of an order, minor units."""

PAYMENT_TYPES: Final = (
    "ACCOUNT",
    "ALTERNATIVE_PAYMENT_METHOD",
    "APPLE_PAY_CARD",
    "BANCONTACT",
    "BANK_TRANSFER",
    "BLIK",
    "CARD",
    "CARTES_BANCAIRES",
    "DEFERRED_INTEREST",
    "DIRECT_DEBIT",
    "FIXED_AMOUNT",
    "FIXED_AMOUNT_BY_CARD",
    "FIXED_SUM_CREDIT",
    "GOOGLE_PAY_CARD",
    "INVOICE",
    "INVOICE_BUSINESS",
    "MOBILEPAY",
    "OTHER",
    "PAY_BY_CARD",
    "PAY_IN_X",
    "PAY_LATER_BY_CARD",
    "PAY_LATER_IN_PARTS",
    "SWISH",
    "TWINT",
)
"""Payment method types listed by Klarna or seen at Kustom (KL + C). The list is open."""

Item = TypeVar("Item")

Amount = Annotated[int, Strict(), Field(ge=-(2**63), le=2**63 - 1)]
"""Minor units, int64, never coerced."""


def _whole_if_it_is(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Quantity = Annotated[
    Annotated[int, Strict()] | Annotated[float, Strict(), Field(allow_inf_nan=False)],
    Field(ge=-(2**63), le=2**63 - 1),
    BeforeValidator(_whole_if_it_is),
]
"""A number of pieces, int64 (KL). Shops that sell by weight may have stored 0.5: that must not hide the whole order."""


def _none_as_empty(value: object) -> object:
    return [] if value is None else value


def _none_as_zero(value: object) -> object:
    return 0 if value is None else value


Many = Annotated[list[Item], BeforeValidator(_none_as_empty)]
"""A list that is empty when it is null; the field gives the empty default."""

Total = Annotated[Amount, BeforeValidator(_none_as_zero)]
"""An amount that is 0 when it is missing or null."""


class ApiModel(BaseModel):
    """The base of every read model: unknown fields are kept, numbers in text fields become text, aliases both ways."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        coerce_numbers_to_str=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        protected_namespaces=(),
        defer_build=True,
    )


class ProductIdentifiers(ApiModel):
    """Catalogue identifiers of a product (KL)."""

    brand: str | None = None
    category_path: str | None = None
    color: str | None = None
    global_trade_item_number: str | None = None
    manufacturer_part_number: str | None = None
    size: str | None = None


class Subscription(ApiModel):
    """Recurring product data (KL; not seen at Kustom)."""

    name: str | None = None
    interval: str | None = None
    interval_count: int | None = None


class OrderLine(ApiModel):
    """One line of an order, a capture or a refund (KL). Prices include tax; `tax_rate` is percent times 100."""

    reference: str | None = None
    type: str | None = None
    name: str | None = None
    quantity: Quantity | None = None
    quantity_unit: str | None = None
    unit_price: Amount | None = None
    tax_rate: Amount | None = None
    total_amount: Amount | None = None
    total_discount_amount: Amount | None = None
    total_tax_amount: Amount | None = None
    merchant_data: str | None = None
    product_url: str | None = None
    image_url: str | None = None
    product_identifiers: ProductIdentifiers | None = None
    subscription: Subscription | None = None


class Address(ApiModel):
    """Postal and contact data of a person or company (KL)."""

    given_name: str | None = None
    family_name: str | None = None
    title: str | None = None
    organization_name: str | None = None
    attention: str | None = None
    street_address: str | None = None
    street_address2: str | None = None
    postal_code: str | None = None
    city: str | None = None
    region: str | None = None
    country: str | None = None
    email: str | None = None
    phone: str | None = None


class Customer(ApiModel):
    """The buyer (KL). The identification number is personal data that no result may carry; `repr` leaves both out."""

    date_of_birth: str | None = Field(default=None, repr=False)
    national_identification_number: str | None = Field(default=None, repr=False)


class ShippingInfo(ApiModel):
    """One shipment (KL)."""

    shipping_company: str | None = None
    shipping_method: str | None = None
    tracking_number: str | None = None
    tracking_uri: str | None = None
    return_shipping_company: str | None = None
    return_tracking_number: str | None = None
    return_tracking_uri: str | None = None


class InitialPaymentMethod(ApiModel):
    """The payment method that the customer chose (KL + C). `type` is open; PAYMENT_TYPES are the known ones."""

    type: str | None = None
    description: str | None = None
    number_of_installments: int | None = None


class CarrierProduct(ApiModel):
    """A carrier's product (KL)."""

    identifier: str | None = None
    name: str | None = None


class ShippingLocationAddress(ApiModel):
    """The address of a pick-up point (KL). Klarna spells the second line with two underscores; both spellings are
    read."""

    street_address: str | None = None
    street_address__2: str | None = Field(
        default=None, validation_alias=AliasChoices("street_address__2", "street_address2")
    )
    postal_code: str | None = None
    city: str | None = None
    region: str | None = None
    country: str | None = None


class ShippingLocation(ApiModel):
    """A pick-up point (KL)."""

    id: str | None = None
    name: str | None = None
    price: Amount | None = None
    address: ShippingLocationAddress | None = None


class Timeslot(ApiModel):
    """A delivery window (KL)."""

    id: str | None = None
    start: str | None = None
    end: str | None = None
    cutoff: str | None = None
    price: Amount | None = None


class Addon(ApiModel):
    """An extra of a delivery, such as a text message (KL)."""

    type: str | None = None
    price: Amount | None = None
    external_id: str | None = None
    user_input: str | None = None


class SelectedShippingOption(ApiModel):
    """The delivery option that the customer chose, where a shipping assistant is used (KL)."""

    id: str | None = None
    name: str | None = None
    type: str | None = None
    method: str | None = None
    class_: str | None = Field(default=None, validation_alias="class", serialization_alias="class")
    carrier: str | None = None
    carrier_product: CarrierProduct | None = None
    price: Amount | None = None
    tax_rate: Amount | None = None
    tax_amount: Amount | None = None
    tms_reference: str | None = None
    location: ShippingLocation | None = None
    timeslot: Timeslot | None = None
    selected_addons: Many[Addon] = Field(default_factory=list[Addon])


class Capture(ApiModel):
    """One capture as it is read back (KL)."""

    capture_id: str | None = None
    klarna_reference: str | None = None
    captured_amount: Amount | None = None
    captured_at: str | None = None
    description: str | None = None
    order_lines: Many[OrderLine] = Field(default_factory=list[OrderLine])
    reference: str | None = None
    refunded_amount: Amount | None = None
    billing_address: Address | None = None
    shipping_address: Address | None = None
    shipping_info: Many[ShippingInfo] = Field(default_factory=list[ShippingInfo])


class Refund(ApiModel):
    """One refund as it is read back (KL)."""

    refund_id: str | None = None
    refunded_amount: Amount | None = None
    refunded_at: str | None = None
    description: str | None = None
    reference: str | None = None
    order_lines: Many[OrderLine] = Field(default_factory=list[OrderLine])
    credit_invoice: bool | None = None


class Order(ApiModel):
    """One order (K). Amounts are minor units of `purchase_currency`; times are ISO 8601 texts, as sent."""

    order_id: str
    status: str
    fraud_status: str | None = None
    order_amount: Total = 0
    original_order_amount: Total = 0
    captured_amount: Total = 0
    refunded_amount: Total = 0
    remaining_authorized_amount: Total = 0
    purchase_currency: str | None = None
    purchase_country: str | None = None
    locale: str | None = None
    order_lines: Many[OrderLine] = Field(default_factory=list[OrderLine])
    merchant_reference1: str | None = None
    merchant_reference2: str | None = None
    klarna_reference: str | None = None
    customer: Customer | None = None
    billing_address: Address | None = None
    shipping_address: Address | None = None
    created_at: str | None = None
    expires_at: str | None = None
    captures: Many[Capture] = Field(default_factory=list[Capture])
    refunds: Many[Refund] = Field(default_factory=list[Refund])
    merchant_data: str | None = None
    initial_payment_method: InitialPaymentMethod | None = None
    selected_shipping_option: SelectedShippingOption | None = None
    shipping_info: Many[ShippingInfo] = Field(default_factory=list[ShippingInfo])

    @property
    def currency(self) -> str:
        """The currency in upper case, `""` when Kustom sent none. Kustom's own samples mix cases."""
        return (self.purchase_currency or "").upper()


class ExtendDueDateOption(ApiModel):
    """One possible extension and its fee (KL)."""

    number_of_days: int | None = None
    amount: Amount | None = None


class ExtendDueDateOptions(ApiModel):
    """The possible extensions of a capture's due date (KL)."""

    currency: str | None = None
    options: Many[ExtendDueDateOption] = Field(default_factory=list[ExtendDueDateOption])


def _texts(value: object) -> list[str]:
    found = cast("list[object]", value) if isinstance(value, list) else [value]
    return [text for text in found if isinstance(text, str)]


class ErrorBody(ApiModel):
    """An API error (K). Nothing is required; a message that is no text is left out, so that errors stay readable."""

    error_code: str | None = None
    error_messages: Annotated[list[str], BeforeValidator(_texts)] = Field(default_factory=list[str])
    correlation_id: str | None = None
