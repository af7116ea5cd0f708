"""Where a customer's refund is: by when it shows, by payment method, and who traces it."""

from __future__ import annotations

from typing import Any

import pytest

from kustom_mcp.api.models import Order
from kustom_mcp.orders.repayment import refunds_in_words

ORDER = "00000000-0000-4000-8000-000000000000"
FRIDAY = "2026-02-20"


def order(kind: str | None = None, *days: str, amount: int = 5000) -> Order:
    refunds: list[dict[str, Any]] = [{"refunded_amount": amount, "refunded_at": f"{day}T10:00:00Z"} for day in days]
    given = {
        "order_id": ORDER,
        "status": "CAPTURED",
        "purchase_currency": "SEK",
        "refunded_amount": amount * len(days),
        "refunds": refunds,
    }
    return Order.model_validate(given | ({"initial_payment_method": {"type": kind}} if kind else {}))


@pytest.mark.parametrize(
    ("kind", "time", "tracer"),
    [
        ("INVOICE", ", by Klarna mostly 2 to 5", "the customer asks Klarna, which alone can trace it"),
        ("BILLIE_INVOICE", "", "the customer asks Billie, which alone can trace it"),
        (
            "CARD",
            " by the card's bank",
            "the customer asks the bank that issued the card, also whether a reservation was released instead",
        ),
        ("SWISH", " by payment method and bank", "the customer asks the support of the payment method"),
        (None, " by payment method and bank", "the customer asks the support of the payment method"),
    ],
)
def test_a_refund_is_told_with_its_days_and_with_who_traces_it(kind: str | None, time: str, tracer: str) -> None:
    assert refunds_in_words(order(kind, FRIDAY), 5000, "2026-02-24") == (
        "Refunded to the customer: 50.00 SEK on 2026-02-20 (2 business days ago). It should be visible within 1 to 10 "
        f"business days{time}; Kustom cannot see whether it is. After that: {tracer}."
    )


@pytest.mark.parametrize(
    ("today", "ago", "over"),
    [
        (FRIDAY, "today", False),
        ("2026-02-22", "0 business days ago", False),
        ("2026-02-23", "1 business day ago", False),
        ("2026-03-06", "10 business days ago", False),
        ("2026-03-09", "11 business days ago", True),
        ("2026-02-01", "0 business days ago", False),
    ],
)
def test_business_days_are_counted_from_monday_to_friday(today: str, ago: str, over: bool) -> None:
    said = refunds_in_words(order("CARD", "2026-01-05", FRIDAY), 10_000, today)
    assert f"100.00 SEK, the last on {FRIDAY} ({ago})." in said
    assert ("That time is over: " in said) is over


def test_what_no_transaction_names_yet_makes_a_later_payout_smaller() -> None:
    said = refunds_in_words(order("CARD", FRIDAY), 2000, FRIDAY)
    assert " 30.00 SEK of it is in no transaction yet: it makes a later payout smaller. " in said
    assert "in no transaction yet" not in refunds_in_words(order("CARD", FRIDAY), 6000, FRIDAY)


def test_an_order_without_refunds_has_nothing_to_say_and_a_bare_one_no_day() -> None:
    assert refunds_in_words(order("CARD"), 0, FRIDAY) == ""
    bare = Order.model_validate(
        {"order_id": ORDER, "status": "CLOSED", "refunded_amount": 5, "refunds": [{"refunded_at": "soon"}]}
    )
    assert refunds_in_words(bare, 5, FRIDAY).startswith("Refunded to the customer: 5 minor units. It should ")
