"""Orders made up from any part of one."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kustom_mcp.simulator.drafts import draft_order, tax_in

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FIGURES = ("status", "order_amount", "captured_amount", "refunded_amount", "remaining_authorized_amount")


def make(part: dict[str, Any]) -> dict[str, Any]:
    return draft_order(part, NOON, 1).order


@pytest.mark.parametrize(
    ("part", "figures"),
    [
        ({}, ("AUTHORIZED", 10000, 0, 0, 10000)),
        ({"status": "CAPTURED", "order_amount": 20000}, ("CAPTURED", 20000, 20000, 0, 0)),
        ({"status": "PART_CAPTURED", "order_amount": 900}, ("PART_CAPTURED", 900, 450, 0, 450)),
        ({"status": "PART_CAPTURED", "captured_amount": 900}, ("PART_CAPTURED", 1800, 900, 0, 900)),
        ({"status": "CLOSED", "order_amount": 900}, ("CLOSED", 900, 900, 900, 0)),
        ({"status": "CANCELLED"}, ("CANCELLED", 10000, 0, 0, 0)),
        ({"status": "EXPIRED"}, ("EXPIRED", 10000, 0, 0, 0)),
        ({"status": "FROZEN"}, ("FROZEN", 10000, 0, 0, 10000)),
        ({"captured_amount": 400, "order_amount": 900}, ("PART_CAPTURED", 900, 400, 0, 500)),
        ({"captured_amount": 900}, ("CAPTURED", 900, 900, 0, 0)),
        ({"refunded_amount": 300, "order_amount": 900}, ("CAPTURED", 900, 900, 300, 0)),
        ({"remaining_authorized_amount": 300, "order_amount": 900}, ("PART_CAPTURED", 900, 600, 0, 300)),
        ({"captures": [{"captured_amount": 300}], "order_amount": 900}, ("PART_CAPTURED", 900, 300, 0, 600)),
        ({"refunds": [{"refunded_amount": 300}], "order_amount": 900}, ("CAPTURED", 900, 900, 300, 0)),
        ({"order_amount": 0}, ("AUTHORIZED", 0, 0, 0, 0)),
        ({"original_order_amount": 700}, ("AUTHORIZED", 700, 0, 0, 700)),
    ],
)
def test_the_figures_are_made_up_to_fit(part: dict[str, Any], figures: tuple[object, ...]) -> None:
    order = make(part)
    assert tuple(order[name] for name in FIGURES) == figures
    assert sum(entry["captured_amount"] for entry in order["captures"]) == order["captured_amount"]
    assert sum(entry["refunded_amount"] for entry in order["refunds"]) == order["refunded_amount"]


def test_lines_alone_set_the_amount() -> None:
    order = make({"order_lines": [{"quantity": 3, "unit_price": 500}, {"total_amount": 250}]})
    assert order["order_amount"] == 1750
    assert order["order_lines"][0] == {
        "type": "physical",
        "name": "Demo item",
        "quantity": 3,
        "unit_price": 500,
        "tax_rate": 2500,
        "total_amount": 1500,
        "total_discount_amount": 0,
        "total_tax_amount": 300,
    }


def test_what_is_given_stays_and_a_null_is_left_out() -> None:
    part = {"status": "AUTHORIZED", "captured_amount": 5, "loyalty": {"tier": None}, "locale": None}
    order = make(part)
    assert order | {"status": "AUTHORIZED", "captured_amount": 5, "loyalty": {"tier": None}} == order
    assert "locale" not in order


def test_the_currency_decides_the_country() -> None:
    order = make({"purchase_currency": "pln"})
    assert (order["purchase_country"], order["billing_address"]["city"]) == ("PL", "Warszawa")
    assert make({"purchase_currency": "XXX"})["purchase_country"] == "SE"


def test_a_capture_of_whole_lines_has_them_and_another_has_none() -> None:
    lines = [{"reference": name, "quantity": 1, "unit_price": 100} for name in "AB"]
    whole = make({"order_lines": lines, "captured_amount": 100})["captures"][0]
    broken = make({"order_lines": lines, "captured_amount": 150})["captures"][0]
    assert [line["reference"] for line in whole["order_lines"]] == ["A"]
    assert broken["order_lines"] == []


def test_times_that_are_given_decide_the_others() -> None:
    order = make({"created_at": "2022-07-08T09:48:16.680Z"})
    assert order["expires_at"] == "2022-08-05T00:00:00.000Z"
    assert make({"status": "EXPIRED"})["expires_at"] < "2026-03-02"


@pytest.mark.parametrize(
    ("total", "rate", "tax"), [(6000, 2500, 1200), (-5000, 2500, -1000), (999, 0, 0), (10001, 2550, 2032)]
)
def test_tax_is_the_part_of_an_amount_that_includes_it(total: int, rate: int, tax: int) -> None:
    assert tax_in(total, rate) == tax


AMOUNT = st.integers(0, 10**6)
Strategies = dict[str, st.SearchStrategy[Any]]
REQUIRED: Strategies = {"unit_price": AMOUNT}
OPTIONAL: Strategies = {"quantity": st.integers(0, 9)}
FIELDS: Strategies = {
    "status": st.sampled_from(["AUTHORIZED", "PART_CAPTURED", "CAPTURED", "CANCELLED", "EXPIRED", "CLOSED"]),
    "order_amount": AMOUNT,
    "purchase_currency": st.sampled_from(["SEK", "EUR", "jpy"]),
    "order_lines": st.lists(st.fixed_dictionaries(REQUIRED, optional=OPTIONAL), max_size=4),
}
NOTHING: Strategies = {}
PARTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(NOTHING, optional=FIELDS)


@given(PARTS)
@settings(deadline=None, max_examples=60)
def test_any_part_makes_an_order_whose_sums_agree(part: dict[str, Any]) -> None:
    draft = draft_order(part, NOON, 1)
    at, order = draft.position, draft.order
    assert order | {name: value for name, value in part.items() if name != "order_lines"} == order
    assert at.captured + at.remaining + at.released == at.ordered
    assert 0 <= at.refunded <= at.captured <= at.ordered
    assert sum(entry["captured_amount"] for entry in order["captures"]) == at.captured
    assert sum(entry["refunded_amount"] for entry in order["captures"]) <= at.refunded
