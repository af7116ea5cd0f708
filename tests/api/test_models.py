"""Models read what Kustom sends kindly, but for amounts."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from kustom_mcp.api.endpoints import GET_ORDER, LIST_CAPTURES, LIST_DUE_DATE_OPTIONS
from kustom_mcp.api.models import (
    Address,
    Capture,
    ErrorBody,
    ExtendDueDateOption,
    ExtendDueDateOptions,
    Order,
    OrderLine,
    SelectedShippingOption,
)


def read(text: str) -> Order:
    return GET_ORDER.parse(text.encode())


def test_an_order_needs_nothing_but_its_id_and_status() -> None:
    assert read('{"order_id": "a", "status": "AUTHORIZED"}') == Order(order_id="a", status="AUTHORIZED")


@pytest.mark.parametrize(
    "text", ['{"order_id": "a"}', '{"status": "CLOSED"}', "[]", "null", "", "{", '{"order_id":null}']
)
def test_an_order_without_id_or_status_is_no_order(text: str) -> None:
    with pytest.raises(ValidationError):
        read(text)


def test_null_and_missing_mean_the_same() -> None:
    null = read(
        '{"order_id": "a", "status": "S", "order_amount": null, "captures": null, "order_lines": null,'
        ' "customer": null, "refunds": null, "shipping_info": null, "purchase_currency": null}'
    )
    assert null == read('{"order_id": "a", "status": "S"}')
    assert (null.order_amount, null.captures, null.currency) == (0, [], "")


def test_statuses_and_types_that_nobody_documented_are_read() -> None:
    order = read(
        '{"order_id": "a", "status": "DISPUTED", "fraud_status": "STOPPED",'
        ' "initial_payment_method": {"type": "BLIK2"}}'
    )
    assert (order.status, order.fraud_status) == ("DISPUTED", "STOPPED")
    assert order.initial_payment_method is not None
    assert order.initial_payment_method.type == "BLIK2"


def test_unknown_fields_are_kept_at_every_depth() -> None:
    order = read('{"order_id": "a", "status": "S", "new": 1, "order_lines": [{"name": "Lamp", "eco": {"x": [1]}}]}')
    assert order.model_extra == {"new": 1}
    assert order.order_lines[0].model_dump(exclude_unset=True) == {"name": "Lamp", "eco": {"x": [1]}}


@pytest.mark.parametrize("amount", ["1.0", '"100"', "true", "1e3", "9223372036854775808", "[]", "NaN"])
@pytest.mark.parametrize("field", ["order_amount", "captured_amount", "remaining_authorized_amount"])
def test_an_amount_that_is_not_a_whole_number_makes_the_order_unreadable(field: str, amount: str) -> None:
    with pytest.raises(ValidationError):
        read(f'{{"order_id": "a", "status": "S", "{field}": {amount}}}')


@pytest.mark.parametrize("field", ["unit_price", "total_amount", "tax_rate"])
def test_a_line_amount_that_is_a_fraction_makes_the_order_unreadable(field: str) -> None:
    with pytest.raises(ValidationError):
        read(f'{{"order_id": "a", "status": "S", "order_lines": [{{"{field}": 99.90}}]}}')


@pytest.mark.parametrize(("sent", "read_as"), [("0.5", 0.5), ("2.0", 2), ("3", 3), ("-1", -1)])
def test_a_quantity_may_be_a_fraction(sent: str, read_as: float) -> None:
    order = read(f'{{"order_id": "a", "status": "S", "order_lines": [{{"quantity": {sent}}}]}}')
    assert repr(order.order_lines[0].quantity) == repr(read_as)


@pytest.mark.parametrize("sent", ['"1"', "true", "NaN", "1e400", "[]", "9223372036854775808"])
def test_a_quantity_that_is_no_number_makes_the_order_unreadable(sent: str) -> None:
    with pytest.raises(ValidationError):
        read(f'{{"order_id": "a", "status": "S", "order_lines": [{{"quantity": {sent}}}]}}')


def test_negative_line_amounts_are_read() -> None:
    order = read('{"order_id": "a", "status": "S", "order_lines": [{"type": "discount", "total_amount": -500}]}')
    assert order.order_lines == [OrderLine(type="discount", total_amount=-500)]


def test_the_currency_is_compared_in_upper_case() -> None:
    order = read('{"order_id": "a", "status": "S", "purchase_currency": "usd"}')
    assert (order.purchase_currency, order.currency) == ("usd", "USD")


def test_a_number_in_a_text_field_is_read_as_text() -> None:
    order = read('{"order_id": "a", "status": "S", "shipping_address": {"postal_code": 11122}}')
    assert order.shipping_address == Address(postal_code="11122")


def test_the_delivery_option_is_read_with_both_spellings_of_the_second_street_line() -> None:
    for spelling in ("street_address__2", "street_address2"):
        order = read(
            '{"order_id": "a", "status": "S", "selected_shipping_option": {"class": "x", "location":'
            f' {{"address": {{"{spelling}": "c/o"}}}}}}}}'
        )
        assert order.selected_shipping_option is not None
        assert order.selected_shipping_option.model_dump(exclude_unset=True) == {
            "class": "x",
            "location": {"address": {"street_address__2": "c/o"}},
        }
    assert SelectedShippingOption(class_="x").model_dump(exclude_unset=True) == {"class": "x"}


def test_captures_are_read_as_a_list() -> None:
    assert LIST_CAPTURES.parse(b'[{"capture_id": "c", "captured_amount": 5, "shipping_info": null}]') == [
        Capture(capture_id="c", captured_amount=5, shipping_info=[])
    ]


def test_due_date_options_are_read() -> None:
    found = LIST_DUE_DATE_OPTIONS.parse(b'{"currency": "EUR", "options": [{"number_of_days": 14, "amount": 295}]}')
    assert found == ExtendDueDateOptions(currency="EUR", options=[ExtendDueDateOption(number_of_days=14, amount=295)])


def test_the_identification_number_is_not_printed() -> None:
    order = read('{"order_id": "a", "status": "S", "customer": {"national_identification_number": "19000101-0000"}}')
    assert "19000101" not in repr(order)


@pytest.mark.parametrize(
    ("messages", "texts"),
    [(["a", 1, None], ["a"]), ("alone", ["alone"]), (None, []), ({"a": 1}, [])],
)
def test_error_messages_of_any_shape_leave_the_error_readable(messages: Any, texts: list[str]) -> None:
    assert ErrorBody.model_validate({"error_code": "X", "error_messages": messages}).error_messages == texts
