"""The tables and rules without I/O: every cell, every transition, every refusal."""

import itertools

import pytest

from kustom_mcp.simulator import states
from kustom_mcp.simulator.states import (
    PERMISSIONS,
    TRANSITIONS,
    IllegalEvent,
    OperationRefused,
    OrderEvent,
    Position,
    Status,
)
from kustom_mcp.simulator.switches import Switches

PLAIN = Switches()
OPEN = Position(Status.AUTHORIZED, ordered=1000, remaining=1000)
PART = Position(Status.PART_CAPTURED, ordered=1000, captured=400, remaining=600)
FULL = Position(Status.CAPTURED, ordered=1000, captured=1000)


def refusal(call: object) -> str:
    assert callable(call)
    with pytest.raises(OperationRefused) as caught:
        call()
    return caught.value.code


@pytest.mark.parametrize(("operation", "status"), list(itertools.product(PERMISSIONS, Status)))
def test_permit_says_what_the_table_says(operation: str, status: Status) -> None:
    code = PERMISSIONS[operation][status].code
    if code is None:
        states.permit(operation, status)
    else:
        assert refusal(lambda: states.permit(operation, status)) == code


def test_the_table_is_the_one_of_the_contract() -> None:
    verdicts = {
        operation: "".join("Y" if cell.code is None else "n" for cell in row.values())
        for operation, row in PERMISSIONS.items()
    }
    assert tuple(Status) == ("AUTHORIZED", "PART_CAPTURED", "CAPTURED", "CANCELLED", "EXPIRED", "CLOSED")
    assert verdicts == {
        "getOrder": "YYYYYY",
        "listCaptures": "YYYYYY",
        "getCapture": "YYYYYY",
        "getRefund": "YYYYYY",
        "acknowledgeOrder": "YYYnnn",
        "updateAuthorization": "YYnnnn",
        "updateMerchantReferences": "YYYnYY",
        "updateCustomerDetails": "Ynnnnn",
        "appendOrderShippingInfo": "YYYYYY",
        "cancelOrder": "Ynnnnn",
        "extendAuthorizationTime": "YYnnnn",
        "releaseRemainingAuthorization": "nYnnnn",
        "captureOrder": "YYnnnn",
        "appendCaptureShippingInfo": "nYYnnY",
        "triggerSendOut": "nYYnnY",
        "refundOrder": "nYYnnY",
    }


def test_a_status_nobody_knows_counts_as_cancelled() -> None:
    states.permit("getOrder", "FROZEN")
    assert refusal(lambda: states.permit("captureOrder", "FROZEN")) == "CAPTURE_NOT_ALLOWED"


@pytest.mark.parametrize(("status", "event"), list(itertools.product(Status, OrderEvent)))
def test_an_event_has_a_transition_or_is_illegal(status: Status, event: OrderEvent) -> None:
    if (status, event) in TRANSITIONS:
        assert states.advance(status, event, PLAIN) == TRANSITIONS[status, event]
    else:
        with pytest.raises(IllegalEvent):
            states.advance(status, event, PLAIN)


def test_every_capture_is_followed_by_the_status_that_fits() -> None:
    part = states.capture(OPEN, 400, PLAIN)
    assert part == PART
    assert states.capture(part, 600, PLAIN) == FULL


def test_a_capture_over_the_remaining_amount_is_refused() -> None:
    assert refusal(lambda: states.capture(PART, 601, PLAIN)) == "CAPTURE_NOT_ALLOWED"


def test_a_refund_does_not_bring_back_the_authorization() -> None:
    assert states.refund(PART, 400, PLAIN) == Position(
        Status.PART_CAPTURED, ordered=1000, captured=400, refunded=400, remaining=600
    )


def test_a_refund_over_what_is_left_is_refused() -> None:
    once = states.refund(FULL, 999, PLAIN)
    assert refusal(lambda: states.refund(once, 2, PLAIN)) == "REFUND_NOT_ALLOWED"


def test_an_expired_order_is_not_refunded_even_where_captures_exist() -> None:
    expired = Position(Status.EXPIRED, ordered=1000, released=1000)
    assert refusal(lambda: states.refund(expired, 1, PLAIN)) == "REFUND_NOT_ALLOWED"
    part = states.expire(PART, PLAIN)
    assert refusal(lambda: states.refund(part, 400, PLAIN)) == "REFUND_NOT_ALLOWED"


def test_a_full_refund_closes_where_the_switch_says_so() -> None:
    closing = Switches(full_refund="CLOSED")
    assert states.refund(FULL, 1000, PLAIN).status == Status.CAPTURED
    assert states.refund(FULL, 999, closing).status == Status.CAPTURED
    assert states.refund(FULL, 1000, closing).status == Status.CLOSED
    assert states.refund(PART, 400, closing).status == Status.PART_CAPTURED


def test_a_closed_order_is_refunded_while_something_is_left() -> None:
    closed = Position(Status.CLOSED, ordered=1000, captured=1000, refunded=900)
    assert states.refund(closed, 100, PLAIN).refunded == 1000
    assert refusal(lambda: states.refund(closed, 101, PLAIN)) == "REFUND_NOT_ALLOWED"


def test_a_new_amount_moves_what_remains() -> None:
    assert states.reprice(PART, 700, PLAIN, may_raise=False) == Position(
        Status.PART_CAPTURED, ordered=700, captured=400, remaining=300
    )


def test_an_amount_lowered_to_what_is_captured_makes_the_order_captured() -> None:
    assert states.reprice(PART, 400, PLAIN, may_raise=False) == Position(Status.CAPTURED, ordered=400, captured=400)


def test_an_amount_of_zero_is_possible_while_nothing_is_captured() -> None:
    assert states.reprice(OPEN, 0, PLAIN, may_raise=False) == Position(Status.AUTHORIZED, ordered=0)
    assert refusal(lambda: states.reprice(PART, 399, PLAIN, may_raise=True)) == "NOT_ALLOWED"


def test_a_higher_amount_needs_a_payment_method_that_allows_it() -> None:
    assert refusal(lambda: states.reprice(OPEN, 1001, PLAIN, may_raise=False)) == "NOT_ALLOWED"
    assert states.reprice(OPEN, 1001, PLAIN, may_raise=True).remaining == 1001


def test_cancelling_releases_everything() -> None:
    assert states.cancel(OPEN, PLAIN) == Position(Status.CANCELLED, ordered=1000, released=1000)


def test_an_order_with_captures_is_not_cancelled_whatever_its_status_says() -> None:
    odd = Position(Status.AUTHORIZED, ordered=1000, captured=1, remaining=999)
    assert refusal(lambda: states.cancel(odd, PLAIN)) == "CANCEL_NOT_ALLOWED"


def test_releasing_keeps_the_order_amount() -> None:
    released = states.release(PART, PLAIN)
    assert released == Position(Status.CAPTURED, ordered=1000, captured=400, released=600)
    assert states.release(PART, Switches(release="CLOSED")).status == Status.CLOSED
    assert refusal(lambda: states.release(released, PLAIN)) == "NOT_ALLOWED"


def test_nothing_is_released_where_nothing_remains() -> None:
    waiting = states.expire(PART, Switches(part_captured_expiry="PART_CAPTURED"))
    assert waiting == Position(Status.PART_CAPTURED, ordered=1000, captured=400, released=600)
    assert refusal(lambda: states.release(waiting, PLAIN)) == "NOT_ALLOWED"


def test_only_open_orders_expire() -> None:
    assert states.expire(OPEN, PLAIN) == Position(Status.EXPIRED, ordered=1000, released=1000)
    assert states.expire(PART, PLAIN) == Position(Status.EXPIRED, ordered=1000, captured=400, released=600)
    assert states.expire(FULL, PLAIN) is FULL
