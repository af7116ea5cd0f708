"""Facts of an order for a model: possibilities, texts, sums; those it never sees; and the size of it all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kustom_mcp.api.models import STATUSES, Capture, Order, Refund
from kustom_mcp.orders.facts import ROW_BYTES, OrderTotals, difference, facts, row, summary
from kustom_mcp.orders.third_party import capture_facts, capture_view, refund_facts, refund_view, third_party

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ID = "7849fd84-47dc-4919-a7ce-000000000001"
PORTAL = f"https://portal.playground.kustom.co/orders/list/{ID}?merchantId=M123456"
OFFERED = {
    "kustom_update_order_amount": "updateAuthorization",
    "kustom_update_customer_details": "updateCustomerDetails",
    "kustom_cancel_order": "cancelOrder",
    "kustom_extend_authorization": "extendAuthorizationTime",
    "kustom_release_remaining_authorization": "releaseRemainingAuthorization",
    "kustom_capture_order": "captureOrder",
    "kustom_refund_order": "refundOrder",
    "kustom_extend_due_date": "extendDueDate",
}
OFFERED_FIRST = [name for name in OFFERED if not name.startswith("kustom_extend_")]
NOTHING: frozenset[str] = frozenset()
EVERYTHING = frozenset({"lines", "customer", "shipping", "captures", "refunds", "merchant_data"})
READ_ONLY = "the server is read-only (KUSTOM_WRITES=allow opens it)"

ADDRESS = {
    "given_name": "Testina",
    "family_name": "Canary-Example",
    "street_address": "Canarystreet 1",
    "postal_code": "11122",
    "city": "Canaryville",
    "country": "SE",
    "email": "canary@example.com",
    "phone": "+46700000099",
    "nested": {"secret": "canary-nested", "number": 5},
}
LINE = {
    "type": "physical",
    "reference": "MUG-1",
    "name": "Blue mug",
    "quantity": 2,
    "quantity_unit": "pcs",
    "unit_price": 10000,
    "tax_rate": 2500,
    "total_amount": 20000,
    "total_tax_amount": 4000,
    "merchant_data": "canary-line-data",
    "national_identification_number": "19811111-1111",
}
ORDER: dict[str, Any] = {
    "order_id": ID,
    "status": "AUTHORIZED",
    "fraud_status": "ACCEPTED",
    "order_amount": 20000,
    "original_order_amount": 20000,
    "captured_amount": 0,
    "refunded_amount": 0,
    "remaining_authorized_amount": 20000,
    "purchase_currency": "pln",
    "created_at": "2026-02-20T09:48:16.680Z",
    "expires_at": "2026-03-20T00:00:00.000Z",
    "order_lines": [LINE],
    "merchant_reference1": "10001",
    "klarna_reference": "K4MADNY",
    "customer": {"date_of_birth": "1981-11-11", "national_identification_number": "19811111-1111", "type": "person"},
    "billing_address": ADDRESS,
    "shipping_address": ADDRESS | {"national_identification_number": "19811111-1111"},
    "merchant_data": "canary-merchant-data",
    "canary_unknown": "canary-unknown",
    "initial_payment_method": {"type": "CARD"},
    "shipping_info": [{"shipping_company": "DHL SE", "tracking_number": "JD1"}],
    "selected_shipping_option": {
        "id": "s1",
        "class": "standard",
        "location": {"id": "L", "address": {"street_address": "Pickup 9", "country": "SE"}},
        "selected_addons": [{"type": "entry-code", "price": 0, "user_input": "canary-door-code"}],
    },
}
CAPTURE = {
    "capture_id": "c1",
    "klarna_reference": "K4MADNY-1",
    "captured_amount": 10000,
    "captured_at": "2026-02-21T10:00:00Z",
    "refunded_amount": 2500,
    "description": "First\u202e parcel",
    "reference": "R-1",
    "order_lines": [LINE | {"quantity": 1, "total_amount": 10000}],
    "billing_address": ADDRESS,
    "shipping_address": ADDRESS,
    "shipping_info": [{"shipping_company": "DHL SE", "tracking_number": "JD1", "receiver": "canary-receiver"}],
    "customer": {"email": "canary@example.com"},
}
REFUND = {
    "refund_id": "r1",
    "refunded_amount": 2500,
    "refunded_at": "2026-02-22T10:00:00Z",
    "description": "One returned",
    "reference": "RET-1",
    "order_lines": [LINE | {"quantity": 1, "total_amount": 2500}],
    "note": "canary-refund-extra",
}
PART: dict[str, Any] = ORDER | {
    "status": "PART_CAPTURED",
    "captured_amount": 10000,
    "refunded_amount": 2500,
    "remaining_authorized_amount": 10000,
    "captures": [CAPTURE],
    "refunds": [REFUND],
}


def order(**fields: Any) -> Order:
    return Order.model_validate(ORDER | fields)


def everything_on(tool: str) -> str | None:
    return "switched off (add klarna or kustom_extend_due_date to KUSTOM_TOOLS)" if "due_date" in tool else None


def read_only(tool: str) -> str | None:
    return READ_ONLY


def all_tools(tool: str) -> str | None:
    return None


def seen(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def size(value: object) -> int:
    return len(seen(value).encode())


# Facts


def test_an_authorized_order_can_be_changed_cancelled_and_captured() -> None:
    assert facts(order(), portal_url=PORTAL, now=NOW, offered=OFFERED, permitted=everything_on) == {
        "order_id": ID,
        "status": "AUTHORIZED",
        "fraud_status": "ACCEPTED",
        "purchase_currency": "PLN",
        "order_amount": 20000,
        "original_order_amount": 20000,
        "captured_amount": 0,
        "refunded_amount": 0,
        "remaining_authorized_amount": 20000,
        "payment_method": "CARD",
        "created_at": "2026-02-20T09:48:16.680Z",
        "expires_at": "2026-03-20T00:00:00.000Z",
        "days_left": 18,
        "portal_url": PORTAL,
        "can": [
            {"tool": "kustom_update_order_amount"},
            {"tool": "kustom_update_customer_details"},
            {"tool": "kustom_cancel_order"},
            {"tool": "kustom_capture_order", "max_amount": 20000},
        ],
        "cannot": [
            {
                "tool": "kustom_release_remaining_authorization",
                "why": "has no captures: cancel, or change the amount",
            },
            {"tool": "kustom_refund_order", "why": "has no captures: cancel, or change the amount"},
        ],
    }


def test_a_part_captured_order_shows_what_is_left_to_capture_and_to_refund() -> None:
    part = Order.model_validate(PART | {"initial_payment_method": {"type": "INVOICE"}})
    view = facts(part, portal_url=None, now=NOW, offered=OFFERED, permitted=all_tools)

    assert "portal_url" not in view
    assert view["can"] == [
        {"tool": "kustom_update_order_amount"},
        {"tool": "kustom_release_remaining_authorization"},
        {"tool": "kustom_capture_order", "max_amount": 10000},
        {"tool": "kustom_refund_order", "max_amount": 7500},
        {"tool": "kustom_extend_authorization"},
        {"tool": "kustom_extend_due_date"},
    ]
    assert view["cannot"] == [
        {"tool": "kustom_update_customer_details", "why": "has captures: ask the carrier to redirect the parcel"},
        {"tool": "kustom_cancel_order", "why": "has captures: refund, or release the remainder"},
    ]


def test_what_the_operator_switched_off_cannot_be_done_and_says_why() -> None:
    view = facts(order(), portal_url=None, now=NOW, offered=OFFERED, permitted=read_only)

    assert view["can"] == []
    assert view["cannot"] == [{"tool": tool, "why": READ_ONLY} for tool in OFFERED_FIRST]


@pytest.mark.parametrize("status", ["CANCELLED", "EXPIRED", "CLOSED"])
def test_an_ended_order_without_captures_can_do_nothing(status: str) -> None:
    ended = order(status=status, remaining_authorized_amount=0)
    view = facts(ended, portal_url=None, now=NOW, offered=OFFERED, permitted=all_tools)

    assert (view["can"], [entry["tool"] for entry in view["cannot"]]) == (
        [],
        [*OFFERED_FIRST, "kustom_extend_due_date"],
    )
    assert "days_left" not in view


@pytest.mark.parametrize("status", ["CLOSED", "CAPTURED"])
def test_what_was_captured_can_be_refunded_after_the_end(status: str) -> None:
    ended = order(status=status, captured_amount=5000, refunded_amount=1000, remaining_authorized_amount=0)

    can = facts(ended, portal_url=None, now=NOW, offered=OFFERED, permitted=everything_on)["can"]

    assert {"tool": "kustom_refund_order", "max_amount": 4000} in can


def test_an_expired_order_is_not_refunded_whatever_was_captured() -> None:
    ended = order(status="EXPIRED", captured_amount=5000, remaining_authorized_amount=0)

    cannot = facts(ended, portal_url=None, now=NOW, offered=OFFERED, permitted=everything_on)["cannot"]

    assert {"tool": "kustom_refund_order", "why": "has expired: ask Kustom's merchant support"} in cannot


PASSED = "is past its expires_at (2026-02-28), so Kustom may end it any moment"


@pytest.mark.parametrize(
    ("status", "left"), [("AUTHORIZED", []), ("PART_CAPTURED", ["kustom_refund_order", "kustom_extend_due_date"])]
)
def test_past_its_expiry_an_order_offers_only_what_needs_no_authorization(status: str, left: list[str]) -> None:
    given = (PART if status == "PART_CAPTURED" else ORDER) | {"initial_payment_method": {"type": "INVOICE"}}
    late = Order.model_validate(given | {"expires_at": "2026-02-28T00:00:00Z"})

    view = facts(late, portal_url=None, now=NOW, offered=OFFERED, permitted=all_tools)

    why = {entry["tool"]: entry["why"] for entry in view["cannot"]}
    assert [entry["tool"] for entry in view["can"]] == left
    assert why["kustom_capture_order"] == why["kustom_update_order_amount"] == PASSED
    assert "its authorization ended on 2026-02-28 by its date" in summary(late, NOW)


def test_an_order_that_is_captured_is_refunded_long_after_its_expiry() -> None:
    old = order(status="CAPTURED", captured_amount=5000, remaining_authorized_amount=0, expires_at="2025-01-01T00:00Z")

    can = facts(old, portal_url=None, now=NOW, offered=OFFERED, permitted=everything_on)["can"]

    assert can == [{"tool": "kustom_refund_order", "max_amount": 5000}]


@pytest.mark.parametrize("status", [*STATUSES, "FROZEN"])
def test_nothing_is_offered_with_nothing_left(status: str) -> None:
    used = order(status=status, captured_amount=5000, refunded_amount=5000, remaining_authorized_amount=0)

    view = facts(used, portal_url=None, now=NOW, offered=OFFERED, permitted=all_tools)

    assert not [entry for entry in view["can"] if entry.get("max_amount") == 0]
    why = {entry["tool"]: entry["why"] for entry in view["cannot"]}
    assert why["kustom_capture_order"]
    assert why["kustom_refund_order"]


@pytest.mark.parametrize(
    ("given", "offered"),
    [
        ({"initial_payment_method": {"type": "INVOICE"}}, True),
        ({"initial_payment_method": {"type": "SOMETHING_NEW"}}, True),
        ({"initial_payment_method": None, "created_at": None, "purchase_country": None}, True),
        ({"initial_payment_method": {"type": "SWISH"}}, False),
        ({"initial_payment_method": {"type": "INVOICE"}, "purchase_country": "es"}, False),
        ({"initial_payment_method": {"type": "INVOICE"}, "created_at": "2025-09-24T23:59:59Z"}, False),
    ],
)
def test_an_extension_is_offered_only_where_kustom_may_grant_one(given: dict[str, Any], offered: bool) -> None:
    can = facts(order(**given), portal_url=None, now=NOW, offered=OFFERED, permitted=everything_on)["can"]

    assert ({"tool": "kustom_extend_authorization"} in can) is offered


@pytest.mark.parametrize(("method", "offered"), [("INVOICE", True), ("CARD", False)])
def test_a_due_date_is_extended_only_where_there_is_one(method: str, offered: bool) -> None:
    paid = order(captured_amount=5000, initial_payment_method={"type": method})

    can = facts(paid, portal_url=None, now=NOW, offered=OFFERED, permitted=all_tools)["can"]

    assert ({"tool": "kustom_extend_due_date"} in can) is offered


def test_nothing_is_left_to_release_after_a_release() -> None:
    released = Order.model_validate(PART | {"remaining_authorized_amount": 0})

    cannot = facts(released, portal_url=None, now=NOW, offered=OFFERED, permitted=everything_on)["cannot"]

    assert {"tool": "kustom_release_remaining_authorization", "why": "has nothing left to release"} in cannot


@pytest.mark.parametrize(
    ("expires_at", "days"),
    [
        ("2026-03-20T00:00:00.000Z", 18),
        ("2026-03-03T12:00:00Z", 2),
        ("2026-03-03T11:59:59Z", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_days_left_are_whole_and_from_two_on(expires_at: str | None, days: int | None) -> None:
    view = facts(order(expires_at=expires_at), portal_url=None, now=NOW, offered=OFFERED, permitted=everything_on)

    assert view.get("days_left") == days


@pytest.mark.parametrize(
    ("expires_at", "hours"),
    [
        ("2026-03-03T11:59:59Z", 47),
        ("2026-03-02T12:00:00+02:00", 22),
        ("2026-03-01T12:59:59Z", 0),
        ("2026-02-01T00:00:00", 0),
        ("2026-03-03T12:00:00Z", None),
        (None, None),
    ],
)
def test_below_two_days_the_hours_that_are_left_are_told(expires_at: str | None, hours: int | None) -> None:
    view = facts(order(expires_at=expires_at), portal_url=None, now=NOW, offered=OFFERED, permitted=everything_on)

    assert view.get("hours_left") == hours


def test_an_order_with_an_id_and_a_status_only_is_shown() -> None:
    bare = Order(order_id=ID, status="FROZEN")

    view = facts(bare, portal_url=None, now=NOW, offered=OFFERED, permitted=everything_on)

    zeros = dict.fromkeys(
        (
            "order_amount",
            "original_order_amount",
            "captured_amount",
            "refunded_amount",
            "remaining_authorized_amount",
        ),
        0,
    )
    can = [{"tool": tool} for tool in (*OFFERED_FIRST, "kustom_extend_authorization")]
    assert view == {"order_id": ID, "status": "FROZEN"} | zeros | {"can": can, "cannot": []}
    assert third_party(bare, EVERYTHING, "on_request") == {"order_lines": [], "captures": [], "refunds": []}
    assert summary(bare) == (
        "Order 7849fd84… is FROZEN: 0 minor units ordered, 0 captured, 0 refunded, 0 left to capture."
    )


# The sentence, rows and sums


def test_the_summary_is_one_sentence_in_major_units() -> None:
    assert summary(order(), NOW) == (
        "Order 7849fd84… is AUTHORIZED: 200.00 PLN ordered, 0.00 captured, 0.00 refunded, 200.00 left to capture; "
        "captures are possible until 2026-03-20 (18 days left)."
    )
    assert summary(order(fraud_status="PENDING", expires_at="2026-03-02T13:00:00Z"), NOW) == (
        "Order 7849fd84… is AUTHORIZED: 200.00 PLN ordered, 0.00 captured, 0.00 refunded, 200.00 left to capture; "
        "captures are possible until 2026-03-02 (25 hours left); the fraud status is PENDING."
    )
    assert summary(order(status="CAPTURED", captured_amount=20000, remaining_authorized_amount=0)) == (
        "Order 7849fd84… is CAPTURED: 200.00 PLN ordered, 200.00 captured, 0.00 refunded, 0.00 left to capture."
    )


def test_a_row_drops_the_least_important_first() -> None:
    assert row("ok", order(), now=NOW) == {
        "outcome": "ok",
        "order_id": ID,
        "status": "AUTHORIZED",
        "purchase_currency": "PLN",
        "order_amount": 20000,
        "original_order_amount": 20000,
        "remaining_authorized_amount": 20000,
        "created_at": order().created_at,
        "expires_at": "2026-03-20T00:00:00.000Z",
        "days_left": 18,
        "third_party": {"merchant_reference1": "10001"},
    }
    assert row("ok", Order(order_id=ID, status="CLOSED", order_amount=5), now=NOW) == {
        "outcome": "ok",
        "order_id": ID,
        "status": "CLOSED",
        "order_amount": 5,
    }


def test_a_large_row_keeps_amounts_and_status() -> None:
    large = order(
        status="PART_CAPTURED",
        fraud_status="PENDING",
        order_amount=200_000_000,
        captured_amount=100_000_001,
        refunded_amount=100_000_000,
        remaining_authorized_amount=99_999_999,
        merchant_reference1="🎁" * 200,
    )
    view = row("rejected", large, now=NOW)

    assert view == {
        "outcome": "rejected",
        "order_id": ID,
        "status": "PART_CAPTURED",
        "fraud_status": "PENDING",
        "purchase_currency": "PLN",
        "order_amount": 200_000_000,
        "captured_amount": 100_000_001,
        "refunded_amount": 100_000_000,
        "remaining_authorized_amount": 99_999_999,
        "third_party": {"merchant_reference1": "🎁" * 11 + "…"},
    }


def test_totals_are_per_currency_and_status() -> None:
    many = [
        order(),
        order(purchase_currency="PLN", order_amount=1),
        order(purchase_currency="EUR"),
        Order.model_validate(PART),
        Order(order_id=ID, status="CLOSED"),
    ]

    def line(currency: str | None, status: str, count: int, *amounts: int) -> dict[str, Any]:
        names = (
            "order_amount",
            "original_order_amount",
            "captured_amount",
            "refunded_amount",
            "remaining_authorized_amount",
        )
        named = {"purchase_currency": currency} if currency else {}
        known = {name: amount for name, amount in zip(names, amounts, strict=True) if amount}
        return named | {"status": status, "orders": count} | known

    assert OrderTotals(many).listed() == [
        line(None, "CLOSED", 1, 0, 0, 0, 0, 0),
        line("EUR", "AUTHORIZED", 1, 20000, 20000, 0, 0, 20000),
        line("PLN", "AUTHORIZED", 2, 20001, 40000, 0, 0, 40000),
        line("PLN", "PART_CAPTURED", 1, 20000, 20000, 10000, 2500, 10000),
    ]


def test_the_difference_names_what_changed() -> None:
    after = Order.model_validate(PART | {"merchant_reference1": "10002\u200b", "shipping_info": []})

    assert difference(order(), order()) == []
    assert difference(order(), after) == [
        {"field": "status", "before": "AUTHORIZED", "after": "PART_CAPTURED"},
        {"field": "captured_amount", "before": 0, "after": 10000},
        {"field": "refunded_amount", "before": 0, "after": 2500},
        {"field": "remaining_authorized_amount", "before": 20000, "after": 10000},
        {"field": "merchant_reference1", "before": "10001", "after": "10002"},
        {"field": "shipping_info", "before": 1, "after": 0},
    ]


# Texts


def test_the_default_texts_are_references_and_short_lines() -> None:
    assert third_party(order(), NOTHING, "on_request") == {
        "merchant_reference1": "10001",
        "klarna_reference": "K4MADNY",
        "order_lines": [
            {"line": 1, "reference": "MUG-1", "name": "Blue mug", "quantity": 2, "total_amount": 20000},
        ],
    }


def test_a_long_order_shows_the_first_lines_and_counts_the_others() -> None:
    view = third_party(order(order_lines=[LINE] * 1000), NOTHING, "on_request")

    assert [line["line"] for line in view["order_lines"]] == list(range(1, 21))
    assert view["lines_left_out"] == 980
    assert len(third_party(order(order_lines=[LINE] * 1000), frozenset({"lines"}), "masked")["order_lines"]) == 1000


def test_invisible_characters_are_removed_and_names_cut() -> None:
    line = LINE | {"name": "Mug\u202e\u200b " + "x" * 300, "reference": "M\U000e0041UG"}
    view = third_party(order(order_lines=[line], merchant_reference1="A\u200b1"), NOTHING, "on_request")

    (shown,) = view["order_lines"]
    assert view["merchant_reference1"] == "A1"
    assert shown["reference"] == "MUG"
    assert shown["name"].startswith("Mug xxx")
    assert len(shown["name"]) <= 60


def test_include_lines_shows_every_field_whole() -> None:
    name = "long " * 50
    line = LINE | {"name": name, "line": 99, "extra": {"note": "a\u200bb"}}
    (shown,) = third_party(order(order_lines=[line]), frozenset({"lines"}), "on_request")["order_lines"]

    rest = {key: value for key, value in LINE.items() if key != "national_identification_number"}
    assert shown == rest | {"line": 1, "name": name, "extra": {"note": "ab"}}


def test_include_customer_shows_the_person_but_never_the_identification_number() -> None:
    view = third_party(order(), frozenset({"customer"}), "on_request")

    assert view["customer"] == {"date_of_birth": "1981-11-11", "type": "person"}
    assert view["billing_address"] == ADDRESS
    assert view["shipping_address"] == ADDRESS
    assert view["initial_payment_method"] == {"type": "CARD"}


def test_masked_personal_data_is_masked_in_every_part() -> None:
    address = {
        "given_name": "T***",
        "family_name": "C***",
        "street_address": "C***",
        "postal_code": "11***",
        "city": "C***",
        "country": "SE",
        "email": "c***@***",
        "phone": "***99",
        "nested": {"secret": "c***", "number": "***"},
    }
    view = third_party(Order.model_validate(PART), EVERYTHING, "masked")

    assert view["customer"] == {"date_of_birth": "***", "type": "p***"}
    assert (view["billing_address"], view["shipping_address"]) == (address, address)
    assert view["selected_shipping_option"] == {
        "id": "s1",
        "class": "standard",
        "location": {"id": "L", "address": {"street_address": "P***", "country": "SE"}},
        "selected_addons": [{"type": "entry-code", "price": 0, "user_input": "***"}],
    }


def test_a_door_code_is_shown_with_the_customer_only() -> None:
    def code(*include: str) -> str:
        option = third_party(order(), frozenset(include), "on_request")["selected_shipping_option"]
        return option["selected_addons"][0]["user_input"]

    assert (code("shipping"), code("shipping", "customer")) == ("***", "canary-door-code")


def test_captures_and_refunds_show_texts_and_shipments_without_addresses() -> None:
    capture, refund = Capture.model_validate(CAPTURE), Refund.model_validate(REFUND)
    short = {"reference": "MUG-1", "name": "Blue mug", "quantity": 1}

    assert capture_view(capture) == {
        "capture_id": "c1",
        "klarna_reference": "K4MADNY-1",
        "captured_amount": 10000,
        "captured_at": "2026-02-21T10:00:00Z",
        "refunded_amount": 2500,
        "description": "First parcel",
        "reference": "R-1",
        "order_lines": [short | {"total_amount": 10000}],
        "shipping_info": [{"shipping_company": "DHL SE", "tracking_number": "JD1"}],
    }
    assert refund_view(refund) == {
        "refund_id": "r1",
        "refunded_amount": 2500,
        "refunded_at": "2026-02-22T10:00:00Z",
        "description": "One returned",
        "reference": "RET-1",
        "order_lines": [short | {"total_amount": 2500}],
    }
    assert capture_facts(capture) == {
        "capture_id": "c1",
        "captured_at": "2026-02-21T10:00:00Z",
        "captured_amount": 10000,
        "refunded_amount": 2500,
    }
    assert refund_facts(refund) == {
        "refund_id": "r1",
        "refunded_at": "2026-02-22T10:00:00Z",
        "refunded_amount": 2500,
    }
    view = third_party(Order.model_validate(PART), frozenset({"captures", "refunds"}), "on_request")
    assert (view["captures"], view["refunds"]) == ([capture_view(capture)], [refund_view(refund)])


def test_default_views_carry_no_personal_data() -> None:
    part = Order.model_validate(PART)
    shown = seen(
        [
            facts(part, portal_url=PORTAL, now=NOW, offered=OFFERED, permitted=all_tools),
            third_party(part, NOTHING, "on_request"),
            third_party(part, frozenset({"captures", "refunds", "shipping"}), "on_request"),
            row("ok", part, now=NOW),
            summary(part, NOW),
            OrderTotals([part]).listed(),
        ]
    )

    for secret in ("anary", "11122", "Testina", "+46700000099", "1981", "19811111"):
        assert secret not in shown


def test_the_identification_number_is_in_no_view() -> None:
    part = Order.model_validate(
        PART | {"billing_address": {"list": [{"nationalIdentificationNumber": "19811111-1111"}]}}
    )

    for pii in ("on_request", "masked"):
        shown = seen(third_party(part, EVERYTHING, pii))
        assert "19811111-1111" not in shown
        assert "dentification" not in shown


# Sizes


@pytest.mark.parametrize("name", ["Long name " * 25, "名前" * 120, "🎁" * 250, '"\\' * 120, "Ж" * 255])
@pytest.mark.parametrize("permitted", [all_tools, read_only])
@pytest.mark.parametrize("status", STATUSES)
def test_the_default_view_of_five_lines_stays_small(name: str, permitted: Any, status: str) -> None:
    line = LINE | {"name": name, "reference": name, "quantity": 10_000_000, "total_amount": 200_000_000}
    amounts = dict.fromkeys((key for key in ORDER if key.endswith("_amount")), 200_000_000)
    texts = {"merchant_reference1": name, "merchant_reference2": name, "klarna_reference": "K4MADNY"}
    large = order(status=status, order_lines=[line] * 5, **amounts, **texts)

    content = {
        "summary": summary(large, NOW),
        "order": facts(large, portal_url=PORTAL, now=NOW, offered=OFFERED, permitted=permitted),
        "third_party": third_party(large, NOTHING, "on_request"),
    }

    assert size(content) <= 2650


def orders() -> st.SearchStrategy[Order]:
    """Orders of every completeness: any field may be missing or null, statuses and times are anything."""
    text = st.text(max_size=60) | st.sampled_from(["2026-03-20T00:00:00.000Z", "9999-12-31T23:59:59-23:59", "ACCEPTED"])
    amount = st.integers(-(2**63), 2**63 - 1)
    line = st.fixed_dictionaries(
        {}, optional={"reference": text, "name": text, "quantity": amount, "total_amount": amount, "extra": text}
    )
    lines = st.lists(line, max_size=25)
    address = st.none() | st.dictionaries(st.sampled_from([*ADDRESS, "other"]), text)
    entry = st.fixed_dictionaries(
        {}, optional={"captured_amount": amount, "description": text, "order_lines": lines, "capture_id": text}
    )
    option = {"location": {"address": None}, "selected_addons": [{"user_input": "x"}], "timeslot": None}
    fields: dict[str, st.SearchStrategy[Any]] = {
        "fraud_status": text,
        "purchase_currency": text,
        "created_at": text,
        "expires_at": text,
        "merchant_reference1": text,
        "merchant_data": text,
        "order_lines": lines,
        "billing_address": address,
        "captures": st.lists(entry, max_size=2),
        "selected_shipping_option": st.sampled_from([None, {}, option]),
        **dict.fromkeys((key for key in ORDER if key.endswith("_amount")), st.none() | amount),
    }
    return st.fixed_dictionaries(
        {"order_id": st.sampled_from([ID]), "status": st.sampled_from([*STATUSES, "NEW"]) | text}, optional=fields
    ).map(Order.model_validate)


@settings(deadline=None, max_examples=60)
@given(orders(), st.sets(st.sampled_from(sorted(EVERYTHING))), st.sampled_from(["on_request", "masked"]))
def test_any_order_can_be_shown(any_order: Order, include: set[str], pii: Any) -> None:
    view = facts(any_order, portal_url=None, now=NOW, offered=OFFERED, permitted=everything_on)
    texts = third_party(any_order, include, pii)

    assert {entry["tool"] for entry in (*view["can"], *view["cannot"])} >= set(OFFERED_FIRST)
    assert view.get("days_left", 0) >= 0
    assert summary(any_order, NOW).endswith(".")
    assert len(OrderTotals([any_order, any_order]).listed()) == 1
    assert difference(any_order, any_order) == []
    assert json.loads(seen([view, texts])) == [view, texts]
    assert seen(view) == seen(facts(any_order, portal_url=None, now=NOW, offered=OFFERED, permitted=everything_on))


@settings(deadline=None, max_examples=60)
@given(orders(), st.sampled_from(["ok", "already_applied"]))
def test_a_row_of_an_order_with_amounts_that_kustom_allows_fits(any_order: Order, outcome: str) -> None:
    amounts = {name: abs(getattr(any_order, name)) % 200_000_001 for name in ORDER if name.endswith("_amount")}
    possible = any_order.model_copy(update=amounts | {"status": any_order.status[:13], "purchase_currency": "SEK"})

    view = row(outcome, possible, now=NOW)

    assert size(view) <= ROW_BYTES
    assert view["order_id"] == ID
