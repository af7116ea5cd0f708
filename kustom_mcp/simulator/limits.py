"""The limits of request bodies: Kustom's limits as tables, and the small checker that reads them.

Written as plain rules without a validation library, so that it shares nothing with the API client's models. A checked
value is answered with a list of sentences naming the field; an empty list means that the body is in order. Unknown
fields are let through. Lengths are characters, amounts minor units (source: KL's schema, which Kustom's field lists
match).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

MAX_AMOUNT: Final = 200_000_000
_INT32: Final = 2**31 - 1
_INT64: Final = 2**63 - 1


class Rule(Protocol):
    """A rule for a value."""

    def problems(self, value: Any, where: str) -> Iterator[str]:
        """Yield one sentence for each thing wrong with the value found at `where`."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A string, with a longest length and perhaps a pattern that it must match from end to end."""

    longest: int = _INT64
    pattern: re.Pattern[str] | None = None

    def problems(self, value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, str):
            yield f"{where}: must be a string"
        elif len(value) > self.longest:
            yield f"{where}: length must be between 0 and {self.longest}"
        elif self.pattern is not None and not self.pattern.fullmatch(value):
            yield f"{where}: must match {self.pattern.pattern}"


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer between two bounds. A boolean or a number with a fraction is not an integer, 100.0 neither."""

    least: int = -_INT64 - 1
    most: int = _INT64

    def problems(self, value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, int) or isinstance(value, bool):
            yield f"{where}: must be an integer"
        elif value < self.least:
            yield f"{where}: must be greater than or equal to {self.least}"
        elif value > self.most:
            yield f"{where}: must be less than or equal to {self.most}"


@dataclass(frozen=True, slots=True)
class Shape:
    """An object: rules of the fields we know, and those that must be there."""

    fields: Mapping[str, Rule]
    required: tuple[str, ...] = ()

    def problems(self, value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{where or 'body'}: must be an object"
            return
        given = cast(dict[str, Any], value)
        prefix = f"{where}." if where else ""
        for name in self.required:
            if name not in given:
                yield f"{prefix}{name}: must not be null"
        for name, content in given.items():
            rule = self.fields.get(name)
            if rule is not None:
                yield from rule.problems(content, prefix + name)


@dataclass(frozen=True, slots=True)
class Items:
    """An array of one kind of thing, with bounds on its length."""

    of: Rule
    least: int = 0
    most: int = 1000

    def problems(self, value: Any, where: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{where}: must be an array"
            return
        entries = cast(list[Any], value)
        if not self.least <= len(entries) <= self.most:
            yield f"{where}: size must be between {self.least} and {self.most}"
            return
        for number, entry in enumerate(entries):
            yield from self.of.problems(entry, f"{where}[{number}]")


def with_texts(rule: Rule, value: Any) -> Any:
    """Return a value with its numbers as texts, where the rule wants a text."""
    if isinstance(rule, Text) and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(rule, Shape) and isinstance(value, dict):
        given = cast(dict[str, Any], value)
        return {
            name: with_texts(rule.fields[name], content) if name in rule.fields else content
            for name, content in given.items()
        }
    if isinstance(rule, Items) and isinstance(value, list):
        return [with_texts(rule.of, entry) for entry in cast(list[Any], value)]
    return value


def _one_of(*words: str) -> Text:
    return Text(pattern=re.compile("|".join(words)))


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
    "package",  # observed in a shop's copy of Kustom's description
)

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

PRODUCT_IDENTIFIERS: Final = Shape(
    {
        "brand": Text(70),
        "category_path": Text(750),
        "color": Text(64),
        "global_trade_item_number": Text(50),
        "manufacturer_part_number": Text(70),
        "size": Text(64),
    }
)

SUBSCRIPTION: Final = Shape(
    {
        "name": Text(255),
        "interval": _one_of("DAY", "WEEK", "MONTH", "YEAR"),
        "interval_count": Whole(1, _INT32),
    },
    required=("name", "interval", "interval_count"),
)

ORDER_LINE: Final = Shape(
    {
        "reference": Text(255),
        "type": _one_of(*LINE_TYPES),
        "name": Text(255),
        "quantity": Whole(0),
        "quantity_unit": Text(10),
        "unit_price": Whole(most=MAX_AMOUNT),
        "tax_rate": Whole(0, _INT32),
        "total_amount": Whole(most=MAX_AMOUNT),
        "total_discount_amount": Whole(0, MAX_AMOUNT),
        "total_tax_amount": Whole(most=MAX_AMOUNT),
        "merchant_data": Text(1024),
        "product_url": Text(1024),
        "image_url": Text(1024),
        "product_identifiers": PRODUCT_IDENTIFIERS,
        "subscription": SUBSCRIPTION,
    },
    # The schema requires unit_price and total_amount too; Kustom's own sample of a changed authorization has neither.
    required=("name", "quantity"),
)

ADDRESS: Final = Shape(
    {
        "given_name": Text(100),
        "family_name": Text(100),
        "title": Text(20),
        "organization_name": Text(255),
        "attention": Text(255),
        "street_address": Text(100),
        "street_address2": Text(100),
        "postal_code": Text(10),
        "city": Text(200),
        "region": Text(200),
        "country": Text(pattern=re.compile("[A-Za-z]{2}")),
        "email": Text(100),
        "phone": Text(100),
    }
)

SHIPPING_INFO: Final = Shape(
    {
        "shipping_company": Text(100),
        "shipping_method": _one_of(*SHIPPING_METHODS),
        "tracking_number": Text(100),
        "tracking_uri": Text(1024),
        "return_shipping_company": Text(100),
        "return_tracking_number": Text(100),
        "return_tracking_uri": Text(1024),
    }
)

_WRITTEN_LINES: Final = Items(ORDER_LINE)
_AMOUNT_TO_MOVE: Final = Whole(1, MAX_AMOUNT)

UPDATE_AUTHORIZATION: Final = Shape(
    {"order_amount": Whole(0, MAX_AMOUNT), "description": Text(255), "order_lines": _WRITTEN_LINES},
    required=("order_amount",),
)
UPDATE_MERCHANT_REFERENCES: Final = Shape({"merchant_reference1": Text(255), "merchant_reference2": Text(255)})
UPDATE_CUSTOMER_DETAILS: Final = Shape({"shipping_address": ADDRESS})
UPDATE_SHIPPING_INFO: Final = Shape({"shipping_info": Items(SHIPPING_INFO, 1, 500)}, required=("shipping_info",))
CAPTURE: Final = Shape(
    {
        "captured_amount": _AMOUNT_TO_MOVE,
        "description": Text(255),
        "order_lines": _WRITTEN_LINES,
        "reference": Text(255),
        "shipping_delay": Whole(0),
        "shipping_info": Items(SHIPPING_INFO, 0, 500),
    },
    required=("captured_amount",),
)
REFUND: Final = Shape(
    {
        "refunded_amount": _AMOUNT_TO_MOVE,
        "description": Text(255),
        "order_lines": _WRITTEN_LINES,
        "reference": Text(255),
    },
    required=("refunded_amount",),
)
EXTEND_DUE_DATE: Final = Shape({"number_of_days": Whole(1, _INT32)}, required=("number_of_days",))
