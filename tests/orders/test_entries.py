"""An entry is recognised by what it says: ours, uncertain, or another's."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kustom_mcp.api.models import Order
from kustom_mcp.orders.entries import EntryKind, Likeness, Sent, reference_of, sent_by

KEY = UUID("7f3a9c21-0000-4000-8000-000000000000")
BLUE: dict[str, Any] = {"reference": "BLUE", "name": "Blue shirt", "quantity": 1, "total_amount": 19900}
RED: dict[str, Any] = {"reference": "RED", "name": "Red shirt", "quantity": 1, "total_amount": 19900}
NOTHING: dict[str, Any] = {"reference": "GIFT", "name": "Gift wrap", "quantity": 1, "total_amount": 0}
SENT = Sent(
    kind=EntryKind.REFUND, amount=19900, reference="RMA-1", description="Retur av blå skjorta", lines=[BLUE, NOTHING]
)
PARCEL = {"shipping_company": "PostNord", "tracking_number": "0034"}


def order(**entries: Any) -> Order:
    return Order.model_validate({"order_id": "1", "status": "CAPTURED", **entries})


def likeness(sent: Sent, **entry: Any) -> Likeness:
    name = "captured_amount" if sent.kind is EntryKind.CAPTURE else "refunded_amount"
    whole = order(**{f"{sent.kind.value}s": [{name: sent.amount, **entry}]})
    return sent.likeness(sent.kind.of(whole)[0])


@pytest.mark.parametrize(
    "entry",
    [
        {"reference": "RMA-1", "description": "Retur av blå skjorta", "order_lines": [BLUE, NOTHING]},
        {"reference": " RMA-1 ", "description": "Retur av bla\u030a skjorta", "order_lines": [BLUE]},
        {"reference": "RMA-1"},
        {"reference": "RMA-1", "order_lines": [{**BLUE, "tax_rate": 2500, "total_tax_amount": 3980}]},
        {"description": "Retur av blå skjorta"},
        {"order_lines": [NOTHING, BLUE]},
        {"reference": "RMA-1", "description": "Retur av blå"},
    ],
    ids=["verbatim", "trimmed", "reference alone", "completed", "description alone", "lines alone", "cut"],
)
def test_an_entry_whose_fields_agree_is_ours(entry: dict[str, Any]) -> None:
    assert likeness(SENT, **entry) is Likeness.OURS


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"reference": "RMA-2"},
        {"reference": "RMA-1", "description": "Kompensation"},
        {"reference": "RMA-1", "order_lines": [RED]},
        {"reference": "RMA-1", "order_lines": [{**BLUE, "quantity": 2}]},
        {"reference": "RMA-1", "order_lines": [BLUE, RED]},
        {"description": "Retur av blå"},
    ],
    ids=["bare", "reference", "description", "line", "quantity", "one line more", "cut, and nothing else"],
)
def test_an_entry_that_differs_or_says_nothing_is_uncertain(entry: dict[str, Any]) -> None:
    assert likeness(SENT, **entry) is Likeness.UNCERTAIN


def test_an_entry_with_fewer_lines_than_were_sent_is_uncertain() -> None:
    gift_card = {"reference": "CARD", "name": "Gift card", "quantity": 1, "total_amount": -19900}
    sent = Sent(kind=EntryKind.REFUND, amount=19900, reference="", lines=[BLUE, RED, gift_card])
    assert likeness(sent, order_lines=[gift_card, RED, BLUE]) is Likeness.OURS
    assert likeness(sent, order_lines=[BLUE]) is Likeness.UNCERTAIN


def test_an_entry_of_another_amount_is_anothers() -> None:
    assert SENT.likeness(order(refunds=[{"refunded_amount": 19901, "reference": "RMA-1"}]).refunds[0]) is (
        Likeness.ANOTHER
    )


def test_a_description_does_not_tell_where_lines_were_given_that_nobody_sent() -> None:
    sent = Sent(kind=EntryKind.REFUND, amount=19900, reference="km-7f3a9c21", description="Retur")
    assert likeness(sent, description="Retur") is Likeness.OURS
    assert likeness(sent, description="Retur", order_lines=[RED]) is Likeness.UNCERTAIN
    assert likeness(sent, reference="km-7f3a9c21", order_lines=[RED]) is Likeness.OURS


def test_shipments_tell_a_capture_and_more_of_them_may_be_added() -> None:
    sent = Sent(kind=EntryKind.CAPTURE, amount=19900, reference="", shipments=[PARCEL])
    assert likeness(sent, shipping_info=[{"tracking_number": "9"}, PARCEL]) is Likeness.OURS
    assert likeness(sent, shipping_info=[{"tracking_number": "9"}]) is Likeness.UNCERTAIN
    assert likeness(sent) is Likeness.UNCERTAIN
    two = Sent(kind=EntryKind.CAPTURE, amount=19900, reference="", shipments=[PARCEL, {"tracking_number": "9"}])
    assert likeness(two, shipping_info=[PARCEL]) is Likeness.UNCERTAIN


def test_a_request_without_a_reference_is_known_by_the_one_of_its_key() -> None:
    sent = sent_by(EntryKind.REFUND, 19900, KEY, {"refunded_amount": 19900})
    assert (reference_of(KEY), sent.reference) == ("km-7f3a9c21", "km-7f3a9c21")
    assert sent_by(EntryKind.REFUND, 19900, KEY, {"reference": "RMA-1"}).reference == "RMA-1"


@given(st.permutations([BLUE, RED, NOTHING]), st.permutations([BLUE, RED]))
def test_lines_agree_in_every_order(sent: list[dict[str, Any]], given_back: list[dict[str, Any]]) -> None:
    both = Sent(kind=EntryKind.REFUND, amount=19900, reference="RMA-1", lines=sent)
    assert likeness(both, order_lines=given_back) is Likeness.OURS


def test_entries_like_ours_are_counted() -> None:
    entry = {"refunded_amount": 19900, "reference": "RMA-1"}
    two = order(refunds=[entry, {**entry, "reference": "RMA-2"}, entry])
    assert len(SENT.found(two)) == 2
