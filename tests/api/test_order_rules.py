"""Rules by which a call is refused without asking: exactly those of the documentation."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kustom_mcp.api.endpoints import ENDPOINTS
from kustom_mcp.api.models import STATUSES, Order
from kustom_mcp.api.order_rules import (
    ALTERNATIVES,
    OPERATIONS,
    PERMISSIONS,
    StatusRule,
    Verdict,
    max_amount,
    refused_here,
    verdict,
)
from tests.api.documentation import documented

LESS_TO_CAPTURE = ("CAPTURE_NOT_ALLOWED", "has less left to capture")
NOTHING_TO_CAPTURE = ("CAPTURE_NOT_ALLOWED", "has nothing left to capture")
LESS_TO_REFUND = ("REFUND_NOT_ALLOWED", "has less left to refund")
NOTHING_TO_REFUND = ("REFUND_NOT_ALLOWED", "has nothing left to refund")
BELOW_CAPTURED = ("NOT_ALLOWED", "has captured more than the new amount")


def order(status: str, *, ordered: int = 1000, captured: int = 0, refunded: int = 0) -> Order:
    return Order(
        order_id="a",
        status=status,
        order_amount=ordered,
        captured_amount=captured,
        refunded_amount=refunded,
        remaining_authorized_amount=ordered - captured,
    )


def test_the_table_is_the_documented_one() -> None:
    def cell(result: str, mark: str) -> StatusRule:
        return StatusRule(None if result.startswith("Y") else result.split()[0], mark.split("(")[0])

    described = {
        operation: {status: cell(facts["result"], facts["confidence"]) for status, facts in row.items()}
        for operation, row in documented()["state_machine"]["permissions"].items()
    }
    for status in ("PART_CAPTURED", "CAPTURED", "CANCELLED", "EXPIRED", "CLOSED"):
        described["updateCustomerDetails"][status] = StatusRule("NOT_ALLOWED", "A")  # help.kustom.co 272002
    described["refundOrder"]["EXPIRED"] = StatusRule("REFUND_NOT_ALLOWED", "A")  # help.kustom.co 272001
    assert described == PERMISSIONS


def test_only_documented_refusals_are_refused_here() -> None:
    possible = {status: order(status, captured=500, refunded=100) for status in STATUSES}
    refused = {
        (operation, status)
        for operation, row in PERMISSIONS.items()
        for status in row
        if refused_here(operation, possible[status])
    }
    assert refused == {
        ("updateAuthorization", "CAPTURED"),
        ("updateAuthorization", "CANCELLED"),
        ("updateAuthorization", "EXPIRED"),
        ("updateMerchantReferences", "CANCELLED"),
        ("updateCustomerDetails", "PART_CAPTURED"),
        ("updateCustomerDetails", "CAPTURED"),
        ("updateCustomerDetails", "CANCELLED"),
        ("updateCustomerDetails", "EXPIRED"),
        ("updateCustomerDetails", "CLOSED"),
        ("cancelOrder", "PART_CAPTURED"),
        ("cancelOrder", "CAPTURED"),
        ("cancelOrder", "CLOSED"),
        ("extendAuthorizationTime", "CANCELLED"),
        ("extendAuthorizationTime", "EXPIRED"),
        ("releaseRemainingAuthorization", "AUTHORIZED"),
        ("releaseRemainingAuthorization", "CAPTURED"),
        ("releaseRemainingAuthorization", "CANCELLED"),
        ("captureOrder", "CAPTURED"),
        ("captureOrder", "CANCELLED"),
        ("captureOrder", "EXPIRED"),
        ("captureOrder", "CLOSED"),
        ("appendCaptureShippingInfo", "AUTHORIZED"),
        ("appendCaptureShippingInfo", "CANCELLED"),
        ("triggerSendOut", "AUTHORIZED"),
        ("triggerSendOut", "CANCELLED"),
        ("refundOrder", "AUTHORIZED"),
        ("refundOrder", "CANCELLED"),
        ("refundOrder", "EXPIRED"),
    }


def test_a_refusal_says_why_and_what_may_do_instead() -> None:
    found = verdict("cancelOrder", order("PART_CAPTURED", captured=300))
    assert found == Verdict(
        "cancelOrder",
        allowed=False,
        error_code="CANCEL_NOT_ALLOWED",
        mark="K",
        why="has captures",
        alternatives=("refundOrder", "releaseRemainingAuthorization"),
    )
    assert found.sentence == "has captures: refund, or release the remainder"
    assert verdict("captureOrder", order("EXPIRED")).sentence == "has expired"


def test_an_assumed_refusal_is_sent() -> None:
    found = verdict("cancelOrder", order("EXPIRED"))
    assert (found.allowed, found.refused_here) == (False, False)


@pytest.mark.parametrize("operation", [item.name for item in ENDPOINTS])
def test_a_status_that_nobody_documented_refuses_nothing(operation: str) -> None:
    assert not refused_here(operation, order("DISPUTED", captured=500), 10_000)


@pytest.mark.parametrize("operation", ["extendDueDate", "listExtendDueDateOptions"])
@pytest.mark.parametrize("status", STATUSES)
def test_operations_with_unknown_rules_are_sent(operation: str, status: str) -> None:
    assert verdict(operation, order(status)) == Verdict(operation, allowed=True, error_code=None, mark="U")


@pytest.mark.parametrize(
    ("operation", "at", "amount", "expected"),
    [
        ("captureOrder", order("AUTHORIZED"), None, None),
        ("captureOrder", order("AUTHORIZED"), 1000, None),
        ("captureOrder", order("PART_CAPTURED", captured=400), 600, None),
        ("captureOrder", order("PART_CAPTURED", captured=400), 601, LESS_TO_CAPTURE),
        ("captureOrder", order("PART_CAPTURED", captured=1000), None, NOTHING_TO_CAPTURE),
        ("refundOrder", order("CAPTURED", captured=1000, refunded=400), 600, None),
        ("refundOrder", order("CAPTURED", captured=1000, refunded=400), 601, LESS_TO_REFUND),
        ("refundOrder", order("CLOSED", captured=9, refunded=9), None, NOTHING_TO_REFUND),
        ("refundOrder", order("CLOSED", captured=9, refunded=8), None, None),
        ("updateAuthorization", order("PART_CAPTURED", captured=400), None, None),
        ("updateAuthorization", order("PART_CAPTURED", captured=400), 400, None),
        ("updateAuthorization", order("PART_CAPTURED", captured=400), 399, BELOW_CAPTURED),
        ("cancelOrder", order("AUTHORIZED"), None, None),
    ],
)
def test_amounts_stay_within_what_is_documented(
    operation: str, at: Order, amount: int | None, expected: tuple[str, str] | None
) -> None:
    found = verdict(operation, at, amount)
    assert found.allowed == (expected is None)
    assert found.refused_here == (expected is not None)
    assert expected is None or (found.error_code, found.why) == expected


def test_an_amount_that_kustom_did_not_send_limits_nothing() -> None:
    silent = Order(order_id="a", status="AUTHORIZED")
    assert max_amount("captureOrder", silent) is None
    assert not refused_here("captureOrder", silent, 10**6)


def test_the_most_that_is_possible_is_never_negative() -> None:
    odd = Order(order_id="a", status="CAPTURED", captured_amount=5, refunded_amount=9, remaining_authorized_amount=-3)
    assert [max_amount(operation, odd) for operation in ("captureOrder", "refundOrder", "cancelOrder")] == [0, 0, None]


@settings(deadline=None, max_examples=100)
@given(
    operation=st.sampled_from([item.name for item in ENDPOINTS]),
    status=st.sampled_from((*STATUSES, "NEW")),
    captured=st.integers(0, 20),
    refunded=st.integers(0, 20),
    amount=st.none() | st.integers(-1, 30),
)
def test_every_refusal_has_a_code_and_words(
    operation: str, status: str, captured: int, refunded: int, amount: int | None
) -> None:
    found = verdict(operation, order(status, ordered=20, captured=captured, refunded=refunded), amount)
    assert found.allowed == (found.error_code is None) == (not found.sentence)
    assert found.allowed or re.fullmatch(r"[A-Z]*_?NOT_ALLOWED", found.error_code or "")


def test_alternatives_are_operations_with_words_in_states_that_refuse() -> None:
    names = {item.name for item in ENDPOINTS}
    assert set(OPERATIONS) <= names
    for (operation, status), others in ALTERNATIVES.items():
        assert PERMISSIONS[operation][status].error_code is not None
        assert all(other in OPERATIONS and PERMISSIONS[other][status].error_code is None for other in others)
