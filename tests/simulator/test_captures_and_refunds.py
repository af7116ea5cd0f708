"""Money taken and given back: headers, arithmetic, and which capture a refund belongs to."""

from typing import Any

import pytest

from kustom_mcp.simulator.store import StoredOrder
from kustom_mcp.simulator.switches import Switches
from kustom_mcp.simulator.wire import Response
from tests.support.direct import ask, error, shop


def line(reference: str, amount: int, **more: Any) -> dict[str, Any]:
    return {
        "reference": reference,
        "name": reference,
        "quantity": 1,
        "unit_price": amount,
        "total_amount": amount,
    } | more


def booked(record: StoredOrder) -> list[int]:
    return [entry["refunded_amount"] for entry in record.order["captures"]]


def test_a_capture_is_found_where_its_headers_say() -> None:
    simulator, record, path = shop({"order_amount": 1000, "klarna_reference": "K4MADNY"})
    body = {
        "captured_amount": 400,
        "description": "First parcel",
        "reference": "ship-1",
        "shipping_delay": 2,
        "order_lines": [line("A", 400)],
        "shipping_info": [{"shipping_method": "Home"}],
    }
    made = ask(simulator, "POST", f"{path}/captures", body)
    capture_id = made.headers["Capture-Id"]
    assert made == Response(
        201,
        {
            "Location": f"http://sandbox.test/ordermanagement/v1{path}/captures/{capture_id}",
            "Capture-Id": capture_id,
        },
    )
    expected = {
        "capture_id": capture_id,
        "klarna_reference": "K4MADNY-1",
        "captured_amount": 400,
        "captured_at": "2026-03-02T09:30:00.000Z",
        "refunded_amount": 0,
        "description": "First parcel",
        "reference": "ship-1",
        "order_lines": [line("A", 400)],
        "shipping_info": [{"shipping_method": "Home"}],
        "billing_address": record.order["billing_address"],
        "shipping_address": record.order["shipping_address"],
    }
    assert ask(simulator, "GET", f"{path}/captures/{capture_id}").json() == expected
    assert ask(simulator, "GET", f"{path}/captures").json() == [expected]
    assert ask(simulator, "GET", path).json()["captures"] == [expected]
    assert record.acknowledged


def test_two_captures_without_a_key_are_two_captures() -> None:
    simulator, record, path = shop({"order_amount": 1000})
    made = [ask(simulator, "POST", f"{path}/captures", {"captured_amount": 500}) for _ in range(2)]
    assert len({response.headers["Capture-Id"] for response in made}) == 2
    assert (record.order["status"], record.order["captured_amount"]) == ("CAPTURED", 1000)
    assert error(ask(simulator, "POST", f"{path}/captures", {"captured_amount": 1})) == (403, "CAPTURE_NOT_ALLOWED")


def test_amounts_of_zero_are_not_captured_and_not_refunded() -> None:
    simulator, _, path = shop({"status": "PART_CAPTURED", "order_amount": 1000})
    for call, field in (("captures", "captured_amount"), ("refunds", "refunded_amount")):
        assert error(ask(simulator, "POST", f"{path}/{call}", {field: 0})) == (400, "INVALID_REQUEST_PARAMETERS")


def test_a_capture_by_id_must_exist() -> None:
    simulator, _, path = shop({"status": "CAPTURED"})
    assert error(ask(simulator, "GET", f"{path}/captures/none")) == (404, "NO_SUCH_CAPTURE")
    assert error(ask(simulator, "POST", f"{path}/captures/none/trigger-send-out")) == (404, "NO_SUCH_CAPTURE")
    assert error(ask(simulator, "GET", f"{path}/refunds/none")) == (404, "NOT_FOUND")


def test_shipments_and_messages_of_a_capture_need_captures() -> None:
    simulator, record, path = shop({"status": "CAPTURED"})
    capture = record.order["captures"][0]
    here = f"{path}/captures/{capture['capture_id']}"
    assert ask(simulator, "POST", f"{here}/shipping-info", {"shipping_info": [{}]}).status == 204
    assert ask(simulator, "POST", f"{here}/trigger-send-out").status == 204
    assert capture["shipping_info"] == [{}]
    simulator, _, path = shop({})
    assert error(ask(simulator, "POST", f"{path}/captures/x/trigger-send-out")) == (403, "NOT_ALLOWED")
    simulator, _, path = shop({"status": "CAPTURED", "captures": []})
    assert error(ask(simulator, "POST", f"{path}/captures/x/trigger-send-out")) == (403, "NOT_ALLOWED")


def test_an_invoice_gets_more_time_by_an_offered_number_of_days() -> None:
    simulator, record, path = shop({"status": "CAPTURED", "initial_payment_method": {"type": "INVOICE"}})
    capture_id = record.order["captures"][0]["capture_id"]
    here = f"{path}/captures/{capture_id}"
    options = ask(simulator, "GET", f"{here}/extend-due-date-options").json()
    assert (options["currency"], [option["number_of_days"] for option in options["options"]]) == ("SEK", [14, 30, 60])
    assert ask(simulator, "PATCH", f"{here}/extend-due-date", {"number_of_days": 30}).status == 204
    assert ask(simulator, "PATCH", f"{here}/extend-due-date", {"number_of_days": 14}).status == 204
    assert error(ask(simulator, "PATCH", f"{here}/extend-due-date", {"number_of_days": 31})) == (403, "NOT_ALLOWED")
    assert record.extra_due_days == {capture_id: 44}


def test_other_payment_methods_have_no_due_date() -> None:
    simulator, record, path = shop({"status": "CAPTURED", "initial_payment_method": {"type": "CARD"}})
    here = f"{path}/captures/{record.order['captures'][0]['capture_id']}"
    assert ask(simulator, "GET", f"{here}/extend-due-date-options").json() == {"currency": "SEK", "options": []}
    assert error(ask(simulator, "PATCH", f"{here}/extend-due-date", {"number_of_days": 14})) == (403, "NOT_ALLOWED")


def test_a_refund_is_found_where_its_headers_say() -> None:
    simulator, _, path = shop({"order_lines": [line("A", 700), line("B", 300)], "status": "CAPTURED"})
    body = {"refunded_amount": 300, "description": "Came back", "reference": "r-1", "order_lines": [line("B", 300)]}
    made = ask(simulator, "POST", f"{path}/refunds", body)
    refund_id = made.headers["Refund-Id"]
    assert made == Response(
        201,
        {"Location": f"http://sandbox.test/ordermanagement/v1{path}/refunds/{refund_id}", "Refund-Id": refund_id},
    )
    refund = {"refund_id": refund_id, "refunded_at": "2026-03-02T09:30:00.000Z"} | body
    assert ask(simulator, "GET", f"{path}/refunds/{refund_id}").json() == refund
    order = ask(simulator, "GET", path).json()
    assert (order["refunds"], order["refunded_amount"], order["status"]) == ([refund], 300, "CAPTURED")


def test_a_refund_without_matching_lines_belongs_to_no_capture() -> None:
    simulator, record, path = shop({"order_lines": [line("A", 1000)], "status": "CAPTURED"})
    ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": 100})
    ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": 200, "order_lines": [line("other", 200)]})
    assert (record.order["refunded_amount"], booked(record)) == (300, [0])


def test_refund_lines_fill_the_oldest_capture_of_their_reference_first() -> None:
    captures = [
        {"captured_amount": 300, "order_lines": [line("A", 300)]},
        {"captured_amount": 500, "order_lines": [line("A", 300), line("B", 200)]},
    ]
    simulator, record, path = shop({"order_amount": 1000, "captures": captures})
    ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": 400, "order_lines": [line("A", 400)]})
    assert booked(record) == [300, 100]
    ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": 400, "order_lines": [line("A", 400)]})
    assert (booked(record), record.order["refunded_amount"]) == ([300, 300], 800)


def test_a_refund_books_no_more_than_it_gives_back() -> None:
    simulator, record, path = shop({"order_lines": [line("A", 1000)], "status": "CAPTURED"})
    ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": 50, "order_lines": [line("A", 900)]})
    assert booked(record) == [50]


def test_no_capture_gives_back_more_than_it_took() -> None:
    captures = [
        {"captured_amount": 100, "order_lines": [line("A", 300)]},
        {"captured_amount": 500, "order_lines": [line("A", 300), line("B", 200)]},
    ]
    simulator, record, path = shop({"order_amount": 600, "captures": captures})
    ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": 300, "order_lines": [line("A", 300)]})
    assert booked(record) == [100, 200]


def test_lines_worth_more_than_the_refund_are_booked_up_to_it() -> None:
    simulator, record, path = shop({"order_lines": [line("A", 500), line("B", 500)], "status": "CAPTURED"})
    ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": 600, "order_lines": [line("A", 500), line("B", 500)]})
    assert (booked(record), sorted(record.booked.values())) == ([600], [100, 500])


def test_a_return_fee_lowers_what_comes_back() -> None:
    simulator, record, path = shop({"order_lines": [line("A", 1000)], "status": "CAPTURED"})
    lines = [line("A", 1000), line("fee", -99, type="return_fee")]
    assert ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": 901, "order_lines": lines}).status == 201
    assert (record.order["refunded_amount"], booked(record)) == (901, [901])


@pytest.mark.parametrize(
    ("given", "fee", "amount"),
    [
        ({"status": "PART_CAPTURED", "order_amount": 2000}, -99, 901),
        ({"status": "CAPTURED", "order_amount": 1000}, 99, 1099),
        ({"status": "CAPTURED", "order_amount": 1000}, -99, 900),
        ({"status": "CAPTURED", "order_amount": 1000, "purchase_country": "PL"}, -99, 901),
    ],
)
def test_a_return_fee_has_its_conditions(given: dict[str, Any], fee: int, amount: int) -> None:
    simulator, record, path = shop(given)
    before = ask(simulator, "GET", path)
    lines = [line("DEMO-1", 1000), line("fee", fee, type="return_fee")]
    refused = ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": amount, "order_lines": lines})
    assert error(refused) == (403, "REFUND_NOT_ALLOWED")
    assert ask(simulator, "GET", path) == before
    assert record.booked == {}


def test_a_full_refund_closes_the_order_where_the_switch_says_so() -> None:
    given = {"status": "CAPTURED", "order_amount": 1000}
    for switches, status in ((Switches(), "CAPTURED"), (Switches(full_refund="CLOSED"), "CLOSED")):
        simulator, record, path = shop(given, switches)
        ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": 1000})
        assert record.order["status"] == status
