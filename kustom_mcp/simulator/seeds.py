"""The parts of demo orders: a seed, its lines, its addresses. All of it is invented."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from kustom_mcp.simulator.drafts import Json, complete_line, expiry_after, stamp


@dataclass(frozen=True, slots=True)
class Seed:
    """A demo order. `order` is the part of it that is not made up; `hours_left` is for an unusual expiry,
    `disputed_days_ago` for a customer who has disputed the payment."""

    name: str
    story: str
    order: Json
    days_old: int = 2
    hours_left: int | None = None
    disputed_days_ago: int | None = None

    @property
    def order_id(self) -> str:
        """The order's id, the same in every run."""
        return str(self.order["order_id"])

    @property
    def status(self) -> str:
        """The status that the order starts in."""
        return str(self.order["status"])

    @property
    def currency(self) -> str:
        """ISO 4217, upper case."""
        return str(self.order["purchase_currency"]).upper()

    def draft(self, now: datetime) -> Json:
        """Return the order's given part, with dates relative to `now`."""
        created = now - timedelta(days=self.days_old, hours=3, minutes=12)
        expires = expiry_after(created) if self.hours_left is None else now + timedelta(hours=self.hours_left)
        given: dict[str, Any] = copied(self.order)
        return given | {"created_at": stamp(created), "expires_at": stamp(expires)}


def copied(value: Any) -> Any:
    """Copy a JSON value: a fifth of the time that `deepcopy` takes, for every order of every simulator."""
    if isinstance(value, dict):
        return {name: copied(part) for name, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [copied(part) for part in cast("list[Any]", value)]
    return value


def item(reference: str, name: str, quantity: int, unit_price: int, tax_rate: int = 2500, **more: object) -> Json:
    """Return one line; fields that are not given fit the rest. Amounts are minor units, `tax_rate` percent times
    100."""
    return complete_line(
        {
            "type": "physical",
            "reference": reference,
            "name": name,
            "quantity": quantity,
            "quantity_unit": "pcs",
            "unit_price": unit_price,
            "tax_rate": tax_rate,
        }
        | more
    )


def shipping(amount: int, tax_rate: int = 2500, name: str = "Standard delivery") -> Json:
    """Return a shipping fee."""
    return item("SHIPPING", name, 1, amount, tax_rate, type="shipping_fee")


def discount(amount: int, tax_rate: int = 2500, name: str = "Autumn campaign") -> Json:
    """Return a discount as a line of its own; `amount` is positive, the line is not."""
    return item("CAMPAIGN", name, 1, -amount, tax_rate, type="discount")


def person(given: str, family: str, street: str, postal_code: str, city: str, country: str, **more: str) -> Json:
    """Return a fictitious address with contact data."""
    mail = f"{given}.{family}@example.com".lower().replace(" ", "") if given.isascii() and family.isascii() else ""
    return {
        "given_name": given,
        "family_name": family,
        "title": "",
        "street_address": street,
        "postal_code": postal_code,
        "city": city,
        "country": country,
        "email": mail or "demo.customer@example.com",
        "phone": "+46700000000",
    } | more


def addressed(address: Json) -> Json:
    """Return the same address for billing and shipping."""
    return {"billing_address": dict(address), "shipping_address": dict(address)}
