"""Requests as real programs send them, in our own words: the sandbox accepts or refuses each as Kustom is known to.

WooCommerce, Kustom's own Magento module and the one that it comes from, OXID, and the SDKs for PHP, .NET and Java. None
of them sends an idempotency key. Bodies are written by hand after the addendum's facts.
"""

import json
from typing import Any

import pytest

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


def test_woocommerce_captures_whole_and_refunds_in_parts() -> None:
    shop = Shop()
    lines = [{**BOX, "quantity_unit": "pcs"}, FREIGHT]
    changed = {"order_amount": 15000, "order_tax_amount": 3000, "order_lines": lines}
    assert shop.send("PATCH", "/authorization", changed).status == 204
    assert (
        shop.send("PATCH", "/merchant-references", {"merchant_reference1": "1017", "merchant_reference2": ""}).status
        == 204
    )
    assert shop.send("POST", "/acknowledge").status == 204
    capture = {"captured_amount": 15000, "shipping_info": [EMPTY_PARCEL], **changed}
    made = shop.send("POST", "/captures", capture)
    capture_id = {name.lower(): value for name, value in made.headers.items()}["capture-id"]
    assert (made.status, made.body) == (201, b"")
    assert shop.send("GET", f"/captures/{capture_id}").json()["order_lines"] == lines
    back = {"refunded_amount": 5000, "description": "", "reference": "1017|1020"}
    half = {**BOX, "quantity": 1, "total_amount": 5000, "total_tax_amount": 1000}
    for number, refunded in enumerate(([half, NO_FEE], [{**half, "unit_price": 4999}, NO_FEE]), 1):
        assert shop.send("POST", "/refunds", back | {"order_lines": refunded}).status == 201
        assert (shop.order()["refunded_amount"], shop.order()["refunds"][-1]["description"]) == (5000 * number, "")
    assert shop.order()["captures"][0]["refunded_amount"] == 10000
    over = shop.send("POST", "/captures", capture)
    assert (over.status, over.json()["error_code"]) == (403, "CAPTURE_NOT_ALLOWED")


@pytest.mark.parametrize(
    ("country", "switches", "parts", "status"),
    [
        ("SE", {}, False, 201),
        ("SE", {}, True, 201),
        ("IT", {}, False, 201),
        ("PL", {}, False, 403),
        ("IT", {"return_fee_markets": "8"}, False, 403),
        ("SE", {"zero_return_fee": "refused"}, False, 201),
        ("SE", {"zero_return_fee": "refused"}, True, 403),
    ],
)
def test_a_refund_ends_with_a_fee_of_0_in_every_country(
    country: str, switches: dict[str, str], parts: bool, status: int
) -> None:
    shop = Shop(country, **switches)
    for amount in (5000, 10000) if parts else (15000,):
        assert shop.send("POST", "/captures", {"captured_amount": amount}).status == 201
    refused = shop.send("POST", "/refunds", {"refunded_amount": 5000, "order_lines": [FREIGHT, NO_FEE]})
    assert refused.status == status
    assert shop.order()["refunded_amount"] == (5000 if status == 201 else 0)


def test_magento_sends_a_body_where_none_is_needed_and_reads_the_id_from_location() -> None:
    shop = Shop()
    assert shop.send("GET", "", []).status == 200
    assert shop.send("POST", "/acknowledge", []).status == 204
    assert shop.send("POST", "/extend-authorization-time", []).status == 204
    capture = {"captured_amount": 10000, "order_lines": [BOX], "shipping_info": []}
    made = shop.send("POST", "/captures", capture)
    location = made.headers["Location"]
    assert location.startswith(f"http://shop.test/ordermanagement/v1/orders/{shop.order_id}/captures/")
    capture_id = location.rpartition("/")[2]
    assert shop.send("POST", f"/captures/{capture_id}/shipping-info", {"shipping_info": [PARCEL]}).status == 204
    assert shop.send("POST", "/shipping-info", {"shipping_info": [PARCEL]}).status == 204
    assert shop.send("POST", "/release-remaining-authorization", []).status == 204
    refund: dict[str, Any] = {"refunded_amount": 10000, "description": "", "order_lines": []}
    assert shop.send("POST", "/refunds", refund, **{"Content-Type": "application/json; charset=utf-8"}).status == 201
    cancel = shop.send("POST", "/cancel", [])
    assert (cancel.status, cancel.json()["error_code"]) == (403, "CANCEL_NOT_ALLOWED")
    order = shop.order()
    assert (order["captures"][0]["shipping_info"], order["shipping_info"]) == ([PARCEL], [PARCEL])


def test_oxid_may_send_its_order_number_as_a_number() -> None:
    shop = Shop()
    refused = shop.send("PATCH", "/merchant-references", {"merchant_reference1": 1017})
    assert (refused.status, refused.json()["error_messages"]) == (400, ["merchant_reference1: must be a string"])
    kind = Shop(numbers="as_texts")
    assert kind.send("PATCH", "/merchant-references", {"merchant_reference1": 1017}).status == 204
    assert kind.order()["merchant_reference1"] == "1017"
    over = shop.send("POST", "/captures", {"captured_amount": 15001, "order_lines": [BOX, FREIGHT]})
    assert over.json()["error_code"] == "CAPTURE_NOT_ALLOWED"
    assert shop.send("POST", "/captures", {"captured_amount": 15000, "order_lines": [BOX, FREIGHT]}).status == 201


def test_the_sdk_for_php_asks_where_a_capture_is_and_reads_it_there() -> None:
    shop = Shop()
    capture = {"captured_amount": 15000, "description": "Shipped part of the order", "order_lines": [BOX, FREIGHT]}
    made = shop.send("POST", "/captures", {**capture, "shipping_info": [PARCEL]})
    path = made.headers["Location"].removeprefix(f"http://shop.test/ordermanagement/v1/orders/{shop.order_id}")
    assert shop.send("GET", path).json()["shipping_info"] == [PARCEL]
    assert shop.send("POST", f"{path}/trigger-send-out").status == 204
    address = {"given_name": "Testa", "family_name": "Testsson", "city": "Stockholm"}
    legacy = shop.send("PATCH", "/customer-details", {"billing_address": address, "shipping_address": address})
    assert (legacy.status, legacy.json()["error_code"]) == (403, "NOT_ALLOWED")


def test_the_sdks_for_net_and_java_send_what_they_know_and_nulls_or_zeros_for_the_rest() -> None:
    shop = Shop()
    nulls = {"merchant_data": None, "product_url": None, "image_url": None, "quantity_unit": None}
    lines = [{**BOX, **nulls}, {**FREIGHT, **nulls}, PACKAGE]
    assert (
        shop.send("PATCH", "/authorization", {"order_amount": 15000, "description": None, "order_lines": lines}).status
        == 204
    )
    capture = {
        "captured_amount": 15000,
        "shipping_delay": 0,
        "order_lines": lines,
        "shipping_info": None,
        "reference": None,
    }
    assert shop.send("POST", "/captures", capture).status == 201
    assert (
        shop.send("POST", "/refunds", {"refunded_amount": 5000, "description": None, "order_lines": None}).status == 201
    )
    order = shop.order()
    assert order["order_lines"] == order["captures"][0]["order_lines"] == [BOX, FREIGHT, PACKAGE]
    assert order["refunds"][0]["order_lines"] == []


def test_an_empty_key_makes_no_two_requests_one() -> None:
    shop = Shop()
    for number in (1, 2):
        sent = shop.send("POST", "/captures", {"captured_amount": 100}, **{"Klarna-Idempotency-Key": ""})
        assert (sent.status, len(shop.order()["captures"])) == (201, number)
