"""The delivery option that a customer chose in the checkout, as an order carries it (KL).

Only orders placed with a shipping assistant have one.
"""

from __future__ import annotations

from pydantic import AliasChoices, Field

from kustom_mcp.api.wire import Amount, Many, Wire


class CarrierProduct(Wire):
    """A carrier's product (KL)."""

    identifier: str | None = None
    name: str | None = None


class ShippingLocationAddress(Wire):
    """Where a pick-up point is (KL). Klarna spells the second line with two underscores; both spellings are read."""

    street_address: str | None = None
    street_address__2: str | None = Field(
        default=None, validation_alias=AliasChoices("street_address__2", "street_address2")
    )
    postal_code: str | None = None
    city: str | None = None
    region: str | None = None
    country: str | None = None


class ShippingLocation(Wire):
    """A pick-up point (KL)."""

    id: str | None = None
    name: str | None = None
    price: Amount | None = None
    address: ShippingLocationAddress | None = None


class Timeslot(Wire):
    """A delivery window (KL)."""

    id: str | None = None
    start: str | None = None
    end: str | None = None
    cutoff: str | None = None
    price: Amount | None = None


class Addon(Wire):
    """An extra of a delivery, such as a text message (KL)."""

    type: str | None = None
    price: Amount | None = None
    external_id: str | None = None
    user_input: str | None = None


class SelectedShippingOption(Wire):
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
