"""Requests as six real programs send them, in our own words, each with its outcome. For tests, and for the documents.

WooCommerce, Kustom's own Magento module and the one that it comes from, OXID, and the SDKs for PHP, .NET and Java. None
of them sends an idempotency key. Bodies are written by hand after the facts that are known of these programs; how sure
it is that Kustom answers so: A for Kustom's own page or module, B for two programs, C for one, D for an inference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.control import handle
from kustom_mcp.simulator.switches import Switches
from kustom_mcp.simulator.wire import Request, Response
from tests.support.direct import credentials

BOX = {
    "type": "physical",
    "reference": "BOX-1",
    "name": "Box",
    "quantity": 2,
    "unit_price": 5000,
    "tax_rate": 2500,
    "total_amount": 10000,
    "total_discount_amount": 0,
    "total_tax_amount": 2000,
}
FREIGHT = {
    **BOX,
    "type": "shipping_fee",
    "reference": "FREIGHT",
    "name": "Freight",
    "quantity": 1,
    "total_amount": 5000,
    "total_tax_amount": 1000,
}
PACKAGE = {
    **BOX,
    "type": "package",
    "reference": "PALLET",
    "name": "Pallet",
    "unit_price": 0,
    "total_amount": 0,
    "total_tax_amount": 0,
}
NO_FEE = {
    "type": "return_fee",
    "name": "Return fee",
    "quantity": 1,
    "unit_price": 0,
    "tax_rate": 0,
    "total_amount": 0,
    "total_discount_amount": 0,
    "total_tax_amount": 0,
}
EMPTY_PARCEL = {"tracking_number": "", "tracking_uri": ""}
PARCEL = {"shipping_company": "DHL SE", "shipping_method": "Home", "tracking_number": "1", "tracking_uri": "https://t"}


class Shop:
    """One order of 150.00, and requests about it."""

    def __init__(self, country: str = "SE", **switches: Any) -> None:
        self.simulator = Simulator(seeds=(), switches=Switches(**switches))
        order = {"order_lines": [BOX, FREIGHT], "purchase_country": country}
        self.order_id = self.simulator.add_order(order).order["order_id"]

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """Send a request. `path` begins after the order's id."""
        content = b"" if body is None else json.dumps(body).encode()
        given = {"Authorization": credentials(), "Host": "shop.test"}
        if content:
            given["Content-Type"] = "application/json"
        target = f"/ordermanagement/v1/orders/{self.order_id}{path}"
        return handle(self.simulator, Request(method, target, given | headers, content))

    def order(self) -> Any:
        return self.send("GET", "").json()


@dataclass(frozen=True)
class Sent:
    """One request of a program. `answer`: the status, with the code of a refusal. `{capture_id}` in a path: the last
    capture's."""

    about: str
    method: str
    path: str
    body: Any
    answer: str
    sure: str


@dataclass(frozen=True)
class Program:
    """What a program sends about one order, in turn."""

    name: str
    sends: tuple[Sent, ...]
    country: str = "SE"
    assumed: Mapping[str, str] = field(default_factory=dict[str, str])


NULLS = {"merchant_data": None, "product_url": None, "image_url": None, "quantity_unit": None}
KNOWN = [{**BOX, **NULLS}, {**FREIGHT, **NULLS}, PACKAGE]
HALF = {**BOX, "quantity": 1, "total_amount": 5000, "total_tax_amount": 1000}
ALL = {"order_amount": 15000, "order_lines": [{**BOX, "quantity_unit": "pcs"}, FREIGHT]}
WHOLE = {"captured_amount": 15000, "order_lines": [BOX, FREIGHT]}
TAXED = {**ALL, "order_tax_amount": 3000}
BACK = {"refunded_amount": 5000, "description": "", "reference": "1017|1020"}
ADDRESS = {"given_name": "Testa", "family_name": "Testsson", "city": "Stockholm"}
SHIPMENT = {"shipping_info": [PARCEL]}
TYPED = {"order_amount": 15000, "description": None, "order_lines": KNOWN}
TYPED_CAPTURE = {
    "captured_amount": 15000,
    "shipping_delay": 0,
    "order_lines": KNOWN,
    "shipping_info": None,
    "reference": None,
}
TYPED_REFUND = {"refunded_amount": 5000, "description": None, "order_lines": None}
OVER = "403 CAPTURE_NOT_ALLOWED"


def _typed(name: str) -> Program:
    """An SDK with types: nulls or zeros for what is not given."""
    return Program(
        name,
        (
            Sent("change of the lines, nulls and a `package` line", "PATCH", "/authorization", TYPED, "204", "C"),
            Sent("capture with nulls and a delay of 0", "POST", "/captures", TYPED_CAPTURE, "201", "C"),
            Sent("refund without lines, nulls", "POST", "/refunds", TYPED_REFUND, "201", "D"),
        ),
    )


PROGRAMS = (
    Program(
        "WooCommerce",
        (
            Sent("change with `order_tax_amount`", "PATCH", "/authorization", TAXED, "204", "C"),
            Sent(
                "references, one of them empty",
                "PATCH",
                "/merchant-references",
                {"merchant_reference1": "1017", "merchant_reference2": ""},
                "204",
                "C",
            ),
            Sent("acknowledgement", "POST", "/acknowledge", None, "204", "A"),
            Sent(
                "capture with unknown amounts and empty tracking",
                "POST",
                "/captures",
                {"captured_amount": 15000, **TAXED, "shipping_info": [EMPTY_PARCEL]},
                "201",
                "C",
            ),
            Sent(
                "refund of a part, its last line a `return_fee` of 0",
                "POST",
                "/refunds",
                {**BACK, "order_lines": [HALF, NO_FEE]},
                "201",
                "D",
            ),
            Sent("a second such refund", "POST", "/refunds", {**BACK, "order_lines": [HALF, NO_FEE]}, "201", "D"),
            Sent("capture of more than is left", "POST", "/captures", WHOLE, OVER, "C"),
        ),
    ),
    Program(
        "WooCommerce, a country without return fees",
        (
            Sent("capture", "POST", "/captures", WHOLE, "201", "C"),
            Sent(
                "refund with a `return_fee` of 0",
                "POST",
                "/refunds",
                {**BACK, "order_lines": [HALF, NO_FEE]},
                "403 REFUND_NOT_ALLOWED",
                "C",
            ),
        ),
        country="PL",
    ),
    Program(
        "Magento",
        (
            Sent("read with the body `[]`", "GET", "", [], "200", "C"),
            Sent("acknowledgement with `[]`", "POST", "/acknowledge", [], "204", "C"),
            Sent("extension with `[]`", "POST", "/extend-authorization-time", [], "204", "C"),
            Sent(
                "capture with empty shipments",
                "POST",
                "/captures",
                {"captured_amount": 10000, "order_lines": [BOX], "shipping_info": []},
                "201",
                "B",
            ),
            Sent("shipment of the capture", "POST", "/captures/{capture_id}/shipping-info", SHIPMENT, "204", "A"),
            Sent("shipment of the order, after the capture", "POST", "/shipping-info", SHIPMENT, "204", "A"),
            Sent("release with `[]`", "POST", "/release-remaining-authorization", [], "204", "C"),
            Sent(
                "refund with empty lines and text",
                "POST",
                "/refunds",
                {"refunded_amount": 10000, "description": "", "order_lines": []},
                "201",
                "C",
            ),
            Sent("cancellation of what is captured", "POST", "/cancel", [], "403 CANCEL_NOT_ALLOWED", "A"),
        ),
    ),
    Program(
        "OXID",
        (
            Sent(
                "reference as a number",
                "PATCH",
                "/merchant-references",
                {"merchant_reference1": 1017},
                "400 INVALID_REQUEST_PARAMETERS",
                "D",
            ),
            Sent("capture of more than is left", "POST", "/captures", {**WHOLE, "captured_amount": 15001}, OVER, "A"),
            Sent("capture", "POST", "/captures", WHOLE, "201", "C"),
        ),
    ),
    Program(
        "OXID, where numbers are taken for texts",
        (Sent("reference as a number", "PATCH", "/merchant-references", {"merchant_reference1": 1017}, "204", "D"),),
        assumed={"numbers": "as_texts"},
    ),
    Program(
        "SDK for PHP",
        (
            Sent(
                "capture with a shipment",
                "POST",
                "/captures",
                {**WHOLE, "description": "Shipped part of the order", **SHIPMENT},
                "201",
                "B",
            ),
            Sent("the capture, where `Location` says", "GET", "/captures/{capture_id}", None, "200", "B"),
            Sent("the message to the customer", "POST", "/captures/{capture_id}/trigger-send-out", None, "204", "C"),
            Sent(
                "both addresses of a captured order",
                "PATCH",
                "/customer-details",
                {"billing_address": ADDRESS, "shipping_address": ADDRESS},
                "403 NOT_ALLOWED",
                "A",
            ),
        ),
    ),
    _typed("SDK for .NET"),
    _typed("SDK for Java"),
)
