"""The calls about an order as a whole, as a client sees them."""

from typing import Any

import pytest

from kustom_mcp.simulator.switches import Switches
from tests.support.direct import ask, error, shop
from tests.support.documentation_lines import TOMATOES

LINE = {"reference": "A", "name": "Thing", "quantity": 1, "unit_price": 1000, "total_amount": 1000}


def test_an_unknown_order_is_not_there() -> None:
    simulator, _, _ = shop({})
    path = "/orders/00000000-0000-6000-8000-000000000000"
    assert error(ask(simulator, "GET", path)) == (404, "NO_SUCH_ORDER")
    assert error(ask(simulator, "GET", "/orders/not-a-uuid")) == (404, "NO_SUCH_ORDER")
    assert error(ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": 1})) == (404, "NOT_FOUND")


def test_a_malformed_order_id_is_400_where_the_switch_says_so() -> None:
    simulator, _, path = shop({}, Switches(malformed_order_id="400"))
    assert error(ask(simulator, "GET", "/orders/not-a-uuid")) == (400, "INVALID_REQUEST_PARAMETERS")
    assert ask(simulator, "GET", path).status == 200


def test_acknowledging_twice_is_fine_and_shows_nowhere() -> None:
    simulator, record, path = shop({})
    before = ask(simulator, "GET", path)
    assert [ask(simulator, "POST", f"{path}/acknowledge").status for _ in range(2)] == [204, 204]
    assert record.acknowledged
    assert ask(simulator, "GET", path) == before


def test_a_finished_order_cannot_be_acknowledged() -> None:
    simulator, _, path = shop({"status": "CANCELLED"})
    assert error(ask(simulator, "POST", f"{path}/acknowledge")) == (403, "NOT_ALLOWED")


def test_the_documented_change_of_an_authorization_is_accepted_as_it_stands() -> None:
    simulator, _, path = shop({"order_amount": 20000, "purchase_currency": "PLN"})
    body = {"order_amount": 6000, "description": "Added charger", "order_lines": [TOMATOES]}
    before = ask(simulator, "GET", path).json()
    assert ask(simulator, "PATCH", f"{path}/authorization", body).status == 204
    assert ask(simulator, "GET", path).json() == before | {
        "order_amount": 6000,
        "remaining_authorized_amount": 6000,
        "order_lines": [TOMATOES],
    }


def test_a_change_without_lines_is_refused_or_wipes_them() -> None:
    simulator, _, path = shop({"order_amount": 1000})
    body = {"order_amount": 900}
    assert error(ask(simulator, "PATCH", f"{path}/authorization", body)) == (400, "INVALID_REQUEST_PARAMETERS")
    simulator, record, path = shop({"order_amount": 1000}, Switches(order_lines="optional"))
    assert ask(simulator, "PATCH", f"{path}/authorization", body).status == 204
    assert record.order["order_lines"] == []


def test_line_sums_are_enforced_only_by_the_strict_switch() -> None:
    body = {"order_amount": 999, "order_lines": [LINE]}
    simulator, _, path = shop({"order_amount": 1000})
    assert ask(simulator, "PATCH", f"{path}/authorization", body).status == 204
    simulator, _, path = shop({"order_amount": 1000}, Switches(line_sums="refused"))
    assert error(ask(simulator, "PATCH", f"{path}/authorization", body)) == (400, "INVALID_REQUEST_PARAMETERS")


@pytest.mark.parametrize(
    ("kind", "country", "status"),
    [
        ("INVOICE", "SE", 204),
        ("INVOICE", "CH", 403),
        ("FIXED_AMOUNT", "FI", 204),
        ("FIXED_AMOUNT", "PL", 403),
        ("CARD", "SE", 403),
    ],
)
def test_a_higher_amount_depends_on_payment_method_and_country(kind: str, country: str, status: int) -> None:
    given = {"order_amount": 1000, "purchase_country": country, "initial_payment_method": {"type": kind}}
    simulator, _, path = shop(given)
    body: dict[str, Any] = {"order_amount": 1001, "order_lines": []}
    assert ask(simulator, "PATCH", f"{path}/authorization", body).status == status


def test_only_given_references_are_overwritten_and_an_empty_text_clears() -> None:
    simulator, record, path = shop({"merchant_reference1": "1", "merchant_reference2": "2"})
    assert ask(simulator, "PATCH", f"{path}/merchant-references", {"merchant_reference2": ""}).status == 204
    assert (record.order["merchant_reference1"], record.order["merchant_reference2"]) == ("1", "")
    assert ask(simulator, "PATCH", f"{path}/merchant-references", {"merchant_reference2": None}).status == 204
    assert record.order["merchant_reference2"] == ""


def test_an_address_is_merged_field_by_field() -> None:
    address = {"street_address": "Old 1", "street_address2": "Floor 2", "city": "Malmö", "title": ""}
    simulator, record, path = shop({"shipping_address": address})
    change = {"shipping_address": {"street_address": "New 2", "street_address2": ""}}
    assert ask(simulator, "PATCH", f"{path}/customer-details", change).status == 204
    assert record.order["shipping_address"] == {"street_address": "New 2", "city": "Malmö", "title": ""}


def test_a_missing_address_is_made_from_what_is_sent() -> None:
    simulator, record, path = shop({"shipping_address": None})
    assert "shipping_address" not in ask(simulator, "GET", path).json()
    ask(simulator, "PATCH", f"{path}/customer-details", {"shipping_address": {"city": "Umeå"}})
    assert record.order["shipping_address"] == {"city": "Umeå"}


def test_mandatory_address_fields_cannot_be_cleared_and_billing_cannot_be_changed() -> None:
    simulator, record, path = shop({})
    before = dict(record.order)
    cleared = ask(simulator, "PATCH", f"{path}/customer-details", {"shipping_address": {"city": ""}})
    billing = ask(simulator, "PATCH", f"{path}/customer-details", {"billing_address": {"city": "Umeå"}})
    assert error(cleared) == (400, "INVALID_REQUEST_PARAMETERS")
    assert error(billing) == (403, "NOT_ALLOWED")
    assert record.order == before


def test_shipments_are_appended_and_never_compared() -> None:
    simulator, record, path = shop({})
    shipment = {"shipping_company": "DHL US", "shipping_method": "Home", "tracking_number": "63456415674545679874"}
    for _ in range(2):
        assert ask(simulator, "POST", f"{path}/shipping-info", {"shipping_info": [shipment]}).status == 204
    assert record.order["shipping_info"] == [shipment, shipment]


def test_a_second_cancel_is_refused() -> None:
    simulator, record, path = shop({"order_amount": 1000})
    assert ask(simulator, "POST", f"{path}/cancel").status == 204
    assert (record.order["status"], record.order["remaining_authorized_amount"]) == ("CANCELLED", 0)
    assert error(ask(simulator, "POST", f"{path}/cancel")) == (403, "CANCEL_NOT_ALLOWED")


def test_an_extension_ends_at_midnight_and_a_repeat_on_the_same_day_changes_nothing() -> None:
    simulator, record, path = shop({"expires_at": "2026-03-03T00:00:00.000Z"})
    for _ in range(2):
        assert ask(simulator, "POST", f"{path}/extend-authorization-time").status == 204
        assert record.order["expires_at"] == "2026-03-30T00:00:00.000Z"


@pytest.mark.parametrize(
    "given",
    [
        {"initial_payment_method": {"type": "CARD"}},
        {"initial_payment_method": None},
        {"purchase_country": "fr"},
        {"created_at": "2025-09-24T23:59:59Z", "expires_at": "2026-03-03T00:00:00Z"},
        {"expires_at": "2026-06-30T00:00:00Z"},
    ],
)
def test_only_orders_that_qualify_are_extended(given: dict[str, Any]) -> None:
    simulator, record, path = shop(given)
    before = dict(record.order)
    assert error(ask(simulator, "POST", f"{path}/extend-authorization-time")) == (403, "NOT_ALLOWED")
    assert record.order == before


def test_an_extension_never_shortens() -> None:
    simulator, record, path = shop({"expires_at": "2026-05-01T12:00:00.000Z"})
    assert ask(simulator, "POST", f"{path}/extend-authorization-time").status == 204
    assert record.order["expires_at"] == "2026-05-01T12:00:00.000Z"


def test_releasing_keeps_the_order_amount() -> None:
    simulator, record, path = shop({"status": "PART_CAPTURED", "order_amount": 1000})
    assert ask(simulator, "POST", f"{path}/release-remaining-authorization").status == 204
    after = record.order
    assert (after["status"], after["order_amount"], after["remaining_authorized_amount"]) == ("CAPTURED", 1000, 0)
