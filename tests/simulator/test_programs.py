"""Requests as real programs send them, in our own words: the sandbox accepts or refuses each as Kustom is known to.

The table of them is in `tests.support.programs`, and `docs/sandbox.md` prints it. What the sandbox takes for wrong in a
body is held to the published description, where that is at hand: an idea of ours that is wrong differs from it.
"""

from typing import Any

import openapi_schema_validator
import pytest

from tests.support.description import description, put_right
from tests.support.programs import (
    BOX,
    EMPTY_PARCEL,
    FREIGHT,
    NO_FEE,
    PACKAGE,
    PARCEL,
    PROGRAMS,
    Program,
    Sent,
    Shop,
)

NOT_AS_DESCRIBED = {
    ("SDK for .NET", "PATCH /authorization"),
    ("SDK for .NET", "POST /captures"),
    ("SDK for .NET", "POST /refunds"),
    ("SDK for Java", "PATCH /authorization"),
    ("SDK for Java", "POST /captures"),
    ("SDK for Java", "POST /refunds"),
    ("OXID, where numbers are taken for texts", "PATCH /merchant-references"),
}
"""What is taken although its description has no null, no `package`, and no number: programs send it."""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_each_request_of_a_program_is_answered_as_the_table_says(program: Program) -> None:
    shop = Shop(program.country, **program.assumed)
    assert [(sent.about, answered(shop, sent)) for sent in program.sends] == [
        (sent.about, sent.answer) for sent in program.sends
    ]


def answered(shop: Shop, sent: Sent) -> str:
    """The status of an answer, with its code."""
    captures: list[Any] = shop.order()["captures"]
    path = sent.path.replace("{capture_id}", captures[-1]["capture_id"] if captures else "")
    answer = shop.send(sent.method, path, sent.body)
    return f"{answer.status} {answer.json()['error_code']}" if answer.status >= 400 else str(answer.status)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_body_is_taken_for_wrong_where_the_published_description_does(program: Program) -> None:
    for sent in program.sends:
        call = description()["paths"]["/ordermanagement/v1/orders/{order_id}" + sent.path][sent.method.lower()]
        assert sent.answer.startswith("400") or sent.answer[:3] in call["responses"], sent
        if sent.body in (None, []):
            assert "requestBody" not in call, sent
            continue
        schema = put_right(call["requestBody"]["content"]["application/json"]["schema"])
        wrong = not openapi_schema_validator.OAS30Validator(schema).is_valid(sent.body)
        taken = not sent.answer.startswith("400")
        assert (taken and wrong) == ((program.name, f"{sent.method} {sent.path}") in NOT_AS_DESCRIBED), sent
        assert taken or wrong, sent


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
