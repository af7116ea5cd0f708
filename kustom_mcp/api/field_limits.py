"""The documented limits of request fields, as data: one place for argument models, previews and tests.

Every figure is from Klarna's current description of the API, which the field lists of Kustom match (KL). Lengths count
characters. `required` follows Kustom, where the two differ. The client enforces nothing of it: code that takes
arguments from a caller validates them, and may be stricter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MAX_AMOUNT: Final = 200_000_000
"""The largest amount of any write, minor units."""

MAX_LINES: Final = 1000
MAX_SHIPMENTS: Final = 500
MAX_INT32: Final = 2**31 - 1
MAX_INT64: Final = 2**63 - 1
MAX_REFERENCE: Final = 255
MAX_DESCRIPTION: Final = 255

LINE_TYPES: Final = (
    "physical",
    "discount",
    "shipping_fee",
    "sales_tax",
    "store_credit",
    "gift_card",
    "digital",
    "surcharge",
    "return_fee",
    "package",
)
"""The kinds of order lines in Kustom's description; `package` in a copy of it that one shop has (C)."""

SHIPPING_METHODS: Final = (
    "PickUpStore",
    "Home",
    "BoxReg",
    "BoxUnreg",
    "PickUpPoint",
    "Own",
    "Postal",
    "DHLPackstation",
    "Digital",
    "Undefined",
    "PickUpWarehouse",
    "ClickCollect",
    "PalletDelivery",
)
"""Documented shipping methods."""

INTERVALS: Final = ("DAY", "WEEK", "MONTH", "YEAR")


@dataclass(frozen=True)
class Limit:
    """The limits of one field. None: no such limit is documented. `of` names the object, in a list or alone."""

    required: bool = False
    max_length: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    choices: tuple[str, ...] = ()
    of: str | None = None


def _text(length: int, *, required: bool = False) -> Limit:
    return Limit(required=required, max_length=length)


_AMOUNT: Final = Limit(maximum=MAX_AMOUNT)
_NOT_NEGATIVE: Final = Limit(minimum=0)
_TOTAL: Final = Limit(required=True, minimum=0, maximum=MAX_AMOUNT)
_LINES: Final = Limit(min_items=0, max_items=MAX_LINES, of="OrderLine")
_SHIPMENTS: Final = Limit(min_items=0, max_items=MAX_SHIPMENTS, of="ShippingInfo")

BODIES: Final[Mapping[str, Mapping[str, Limit]]] = {
    "UpdateAuthorization": {
        "order_amount": _TOTAL,
        "description": _text(MAX_DESCRIPTION),
        "order_lines": Limit(required=True, min_items=0, max_items=MAX_LINES, of="OrderLine"),
    },
    "UpdateMerchantReferences": {
        "merchant_reference1": _text(MAX_REFERENCE),
        "merchant_reference2": _text(MAX_REFERENCE),
    },
    "UpdateCustomerDetails": {"shipping_address": Limit(of="Address")},
    "UpdateShippingInfo": {
        "shipping_info": Limit(required=True, min_items=1, max_items=MAX_SHIPMENTS, of="ShippingInfo")
    },
    "CaptureRequest": {
        "captured_amount": _TOTAL,
        "description": _text(MAX_DESCRIPTION),
        "order_lines": _LINES,
        "reference": _text(MAX_REFERENCE),
        "shipping_delay": _NOT_NEGATIVE,
        "shipping_info": _SHIPMENTS,
    },
    "RefundRequest": {
        "refunded_amount": _TOTAL,
        "description": _text(MAX_DESCRIPTION),
        "order_lines": _LINES,
        "reference": _text(MAX_REFERENCE),
    },
    "ExtendDueDateRequest": {"number_of_days": Limit(required=True)},
}
"""The seven request bodies, by the name that `Write.takes` gives."""

PARTS: Final[Mapping[str, Mapping[str, Limit]]] = {
    "OrderLine": {
        "reference": _text(255),
        "type": Limit(choices=LINE_TYPES),
        "name": _text(255, required=True),
        "quantity": Limit(required=True, minimum=0),
        "quantity_unit": _text(10),
        "unit_price": Limit(required=True, maximum=MAX_AMOUNT),
        "tax_rate": _NOT_NEGATIVE,
        "total_amount": Limit(required=True, maximum=MAX_AMOUNT),
        "total_discount_amount": Limit(minimum=0, maximum=MAX_AMOUNT),
        "total_tax_amount": _AMOUNT,
        "merchant_data": _text(1024),
        "product_url": _text(1024),
        "image_url": _text(1024),
        "product_identifiers": Limit(of="ProductIdentifiers"),
        "subscription": Limit(of="Subscription"),
    },
    "ProductIdentifiers": {
        "brand": _text(70),
        "category_path": _text(750),
        "color": _text(64),
        "global_trade_item_number": _text(50),
        "manufacturer_part_number": _text(70),
        "size": _text(64),
    },
    "Subscription": {
        "name": _text(255, required=True),
        "interval": Limit(required=True, choices=INTERVALS),
        "interval_count": Limit(required=True, minimum=1),
    },
    "Address": {
        "given_name": _text(100),
        "family_name": _text(100),
        "title": _text(20),
        "organization_name": _text(255),
        "attention": _text(255),
        "street_address": _text(100),
        "street_address2": _text(100),
        "postal_code": _text(10),
        "city": _text(200),
        "region": _text(200),
        "country": Limit(),
        "email": _text(100),
        "phone": _text(100),
    },
    "ShippingInfo": {
        "shipping_company": _text(100),
        "shipping_method": Limit(choices=SHIPPING_METHODS),
        "tracking_number": _text(100),
        "tracking_uri": _text(1024),
        "return_shipping_company": _text(100),
        "return_tracking_number": _text(100),
        "return_tracking_uri": _text(1024),
    },
}
"""The objects that request bodies are made of."""
