"""Checks of a request before the order is looked at: credentials, paths, bodies, limits."""

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from kustom_mcp.simulator.app import API_KEY, MAX_LOG, LoggedRequest, Simulator
from kustom_mcp.simulator.switches import Switches
from kustom_mcp.simulator.wire import Request, Response
from tests.support.direct import ask, credentials

ORDER = "00000000-0000-6000-8000-000000000001"
PATH = f"/ordermanagement/v1/orders/{ORDER}"
GOOD = {"Authorization": credentials(), "Content-Type": "application/json"}


def shop(switches: Switches | None = None) -> Simulator:
    simulator = Simulator(seeds=(), switches=switches)
    simulator.add_order({"order_id": ORDER, "status": "PART_CAPTURED", "order_amount": 1000})
    return simulator


def send(
    simulator: Simulator, method: str, target: str, headers: Mapping[str, str] = GOOD, body: bytes = b""
) -> Response:
    return simulator.handle(Request(method, target, headers, body))


def error(response: Response) -> tuple[int, str]:
    return response.status, response.json()["error_code"]


@pytest.mark.parametrize(
    "value",
    [
        credentials("demo"),
        credentials(""),
        credentials("PK-1_åäö"),
        f"Basic {API_KEY}",
        f"basic {API_KEY}",
    ],
)
def test_any_user_name_with_the_key_is_let_in(value: str) -> None:
    assert send(shop(), "GET", PATH, {"authorization": value}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": API_KEY},
        {"Authorization": f"Bearer {API_KEY}"},
        {"Authorization": "Basic kco_test_api_other"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff:x").decode()},
        {"Authorization": credentials("demo", "kco_test_api_other")},
        {"Authorization": credentials("demo", API_KEY + ":")},
    ],
)
def test_others_get_401_without_a_body(headers: dict[str, str]) -> None:
    response = send(shop(), "POST", f"{PATH}/cancel", headers)
    assert (response.status, response.body) == (401, b"")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", "/ordermanagement/v1/orders"),
        ("GET", "/ordermanagement/v2/orders/" + ORDER),
        ("GET", PATH + "/"),
        ("GET", PATH + "/refunds"),
        ("DELETE", PATH),
        ("POST", PATH),
        ("POST", "/ordermanagement/v1/orders//cancel"),
        ("POST", "/ordermanagement/v1/orders/../orders/" + ORDER + "/cancel"),
        ("PATCH", f"{PATH}/captures/1/customer-details"),
        ("POST", "http://elsewhere.test" + PATH + "/cancel"),
    ],
)
def test_unknown_paths_are_not_found(method: str, target: str) -> None:
    assert error(send(shop(), method, target)) == (404, "RESOURCE_NOT_FOUND")


def test_an_encoded_slash_does_not_name_another_endpoint() -> None:
    simulator = shop()
    response = send(simulator, "POST", f"/ordermanagement/v1/orders/{ORDER}%2Fcancel%23/acknowledge")
    assert error(response) == (404, "NO_SUCH_ORDER")
    assert send(simulator, "POST", f"/ordermanagement/v1/orders/{ORDER}%00/acknowledge").status == 404


def test_ids_are_decoded_and_a_query_is_ignored() -> None:
    encoded = PATH.replace("-", "%2D").replace("/ordermanagement", "/%6Frdermanagement")
    assert send(shop(), "GET", encoded + "?x=1").status == 200
    assert send(shop(), "GET", PATH.replace(ORDER, ORDER.upper())).status == 200


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"captured_amount": NaN}', b'{"a": "\\ud800"}', b"[" * 100_000])
def test_a_body_that_is_no_json_is_a_bad_request(body: bytes) -> None:
    assert error(send(shop(), "POST", f"{PATH}/captures", body=body)) == (400, "BAD_REQUEST")
    assert error(send(shop(), "POST", f"{PATH}/captures")) == (400, "BAD_REQUEST")


def test_a_body_must_say_that_it_is_json() -> None:
    for media_type in ({}, {"Content-Type": "text/plain"}):
        headers = {"Authorization": credentials()} | media_type
        response = send(shop(), "POST", f"{PATH}/captures", headers, b'{"captured_amount": 1}')
        assert error(response) == (415, "UNSUPPORTED_MEDIA_TYPE")
    headers = {"Authorization": credentials(), "content-type": "Application/JSON; charset=utf-8"}
    assert send(shop(), "POST", f"{PATH}/captures", headers, b'{"captured_amount": 1}').status == 201


def test_a_body_that_is_too_large_is_refused() -> None:
    body = b'{"captured_amount": 1}'
    assert send(shop(Switches(max_body=len(body))), "POST", f"{PATH}/captures", body=body).status == 201
    refused = send(shop(Switches(max_body=len(body) - 1)), "POST", f"{PATH}/captures", body=body)
    assert error(refused) == (413, "PAYLOAD_TOO_LARGE")


def test_a_call_without_a_body_tolerates_one() -> None:
    assert send(shop(), "POST", f"{PATH}/acknowledge", body=b"[]").status == 204


LINE: dict[str, Any] = {"name": "x", "quantity": 1, "unit_price": 1, "total_amount": 1}


def changed(**line: Any) -> dict[str, Any]:
    return {"order_amount": 1000, "order_lines": [LINE | line]}


OVER_A_LIMIT: list[tuple[str, str, Any, str]] = [
    ("POST", "captures", [], "body"),
    ("POST", "captures", {}, "captured_amount"),
    ("POST", "captures", {"captured_amount": None}, "captured_amount"),
    ("POST", "captures", {"captured_amount": True}, "captured_amount"),
    ("POST", "captures", {"captured_amount": "100"}, "captured_amount"),
    ("POST", "captures", {"captured_amount": 1.0}, "captured_amount"),
    ("POST", "captures", {"captured_amount": 0}, "captured_amount"),
    ("POST", "captures", {"captured_amount": 200_000_001}, "captured_amount"),
    ("POST", "captures", {"captured_amount": 1, "description": "d" * 256}, "description"),
    ("POST", "captures", {"captured_amount": 1, "reference": "r" * 256}, "reference"),
    ("POST", "captures", {"captured_amount": 1, "shipping_delay": -1}, "shipping_delay"),
    ("POST", "captures", {"captured_amount": 1, "order_lines": {}}, "order_lines"),
    ("POST", "captures", {"captured_amount": 1, "order_lines": [LINE] * 1001}, "order_lines"),
    ("POST", "captures", {"captured_amount": 1, "order_lines": [7]}, "order_lines[0]"),
    ("POST", "captures", {"captured_amount": 1, "shipping_info": [{}] * 501}, "shipping_info"),
    ("POST", "refunds", {"refunded_amount": -1}, "refunded_amount"),
    ("POST", "refunds", {"refunded_amount": 1, "description": 5}, "description"),
    ("PATCH", "authorization", {"order_amount": -1, "order_lines": []}, "order_amount"),
    ("PATCH", "authorization", changed(quantity=-1), "order_lines[0].quantity"),
    ("PATCH", "authorization", changed(quantity=2**63), "order_lines[0].quantity"),
    ("PATCH", "authorization", changed(quantity_unit="u" * 11), "order_lines[0].quantity_unit"),
    ("PATCH", "authorization", changed(name="n" * 256), "order_lines[0].name"),
    ("PATCH", "authorization", changed(name=None), "order_lines[0].name"),
    ("PATCH", "authorization", changed(type="physicals"), "order_lines[0].type"),
    ("PATCH", "authorization", changed(tax_rate=-1), "order_lines[0].tax_rate"),
    ("PATCH", "authorization", changed(unit_price=200_000_001), "order_lines[0].unit_price"),
    ("PATCH", "authorization", changed(total_discount_amount=-1), "order_lines[0].total_discount_amount"),
    ("PATCH", "authorization", changed(merchant_data="m" * 1025), "order_lines[0].merchant_data"),
    (
        "PATCH",
        "authorization",
        changed(product_identifiers={"brand": "b" * 71}),
        "order_lines[0].product_identifiers.brand",
    ),
    (
        "PATCH",
        "authorization",
        changed(subscription={"name": "s", "interval": "DAY"}),
        "order_lines[0].subscription",
    ),
    ("PATCH", "merchant-references", {"merchant_reference1": "r" * 256}, "merchant_reference1"),
    ("PATCH", "customer-details", {"shipping_address": {"country": "SWE"}}, "shipping_address.country"),
    ("PATCH", "customer-details", {"shipping_address": {"postal_code": "1" * 11}}, "shipping_address.postal_code"),
    ("POST", "shipping-info", {"shipping_info": []}, "shipping_info"),
    ("POST", "shipping-info", {}, "shipping_info"),
    ("POST", "shipping-info", {"shipping_info": [{"shipping_method": "home"}]}, "shipping_info[0].shipping_method"),
    ("POST", "shipping-info", {"shipping_info": [{"tracking_uri": "u" * 1025}]}, "shipping_info[0].tracking_uri"),
    ("POST", "shipping-info", {"shipping_info": [{"shipping_company": "c" * 101}]}, "shipping_company"),
]


@pytest.mark.parametrize(("method", "call", "body", "field"), OVER_A_LIMIT)
def test_a_body_over_a_limit_names_the_field_and_changes_nothing(method: str, call: str, body: Any, field: str) -> None:
    simulator = shop()
    before = ask(simulator, "GET", f"/orders/{ORDER}")
    refused = ask(simulator, method, f"/orders/{ORDER}/{call}", body)
    assert error(refused) == (400, "INVALID_REQUEST_PARAMETERS")
    assert field in refused.json()["error_messages"][0]
    assert ask(simulator, "GET", f"/orders/{ORDER}") == before


def test_values_at_the_limit_and_unknown_fields_are_accepted() -> None:
    lines = [
        LINE | {"name": "n" * 255, "unit_price": -5, "total_amount": -5, "type": "package", "our_own": {"a": [1]}},
        *[LINE] * 999,
    ]
    body = {"order_amount": 900, "order_lines": lines, "unknown": True}
    simulator = shop()
    assert ask(simulator, "PATCH", f"/orders/{ORDER}/authorization", body).status == 204
    assert ask(simulator, "GET", f"/orders/{ORDER}").json()["order_lines"] == lines


def test_a_broken_limit_is_422_where_the_switch_says_so() -> None:
    refused = ask(shop(Switches(limits="422")), "POST", f"/orders/{ORDER}/captures", {"captured_amount": 0})
    assert error(refused) == (422, "UNPROCESSABLE_ENTITY")


def test_every_error_has_its_own_correlation_id() -> None:
    simulator = shop()
    bodies = [ask(simulator, "POST", f"/orders/{ORDER}/cancel").json() for _ in range(2)]
    assert [set(body) for body in bodies] == [{"error_code", "error_messages", "correlation_id"}] * 2
    assert bodies[0]["correlation_id"] != bodies[1]["correlation_id"]


def test_an_event_that_cannot_be_is_an_internal_error_and_changes_nothing() -> None:
    simulator = Simulator(seeds=())
    odd = simulator.add_order({"status": "AUTHORIZED", "order_amount": 1000, "captured_amount": 400})
    path = f"/orders/{odd.order['order_id']}"
    before = ask(simulator, "GET", path)
    response = ask(simulator, "PATCH", f"{path}/authorization", {"order_amount": 400, "order_lines": []})
    assert error(response) == (500, "INTERNAL_ERROR")
    assert ask(simulator, "GET", path) == before


def test_every_request_to_the_api_is_in_the_log() -> None:
    simulator = shop()
    path = f"/orders/{ORDER}"
    ask(simulator, "GET", path)
    ask(simulator, "POST", f"{path}/captures", {"captured_amount": 1}, key="k")
    ask(simulator, "POST", f"{path}/captures", {"captured_amount": 2}, key="k")
    ask(simulator, "GET", "/sandbox/orders")
    send(simulator, "POST", f"{PATH}/captures", body=b"\xff{")
    assert simulator.requests == [
        LoggedRequest("GET", PATH, None, None, 200),
        LoggedRequest("POST", f"{PATH}/captures", "k", {"captured_amount": 1}, 201),
        LoggedRequest("POST", f"{PATH}/captures", "k", {"captured_amount": 2}, 201, replayed=True),
        LoggedRequest("POST", f"{PATH}/captures", None, "\ufffd{", 400),
    ]


def test_a_long_log_forgets_its_oldest_entries() -> None:
    simulator = shop()
    for _ in range(MAX_LOG + 1):
        simulator.note(Request("GET", PATH), 200)
    assert len(simulator.requests) == MAX_LOG + 1 - MAX_LOG // 10
