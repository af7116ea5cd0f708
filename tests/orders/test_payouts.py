"""Sums of transactions: which take away whatever their sign, and when no net is claimed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kustom_mcp.api.settlements import Payout, PayoutTotals, Transaction
from kustom_mcp.orders import payouts as settled

DAY = "2026-03-02"
WHOLE = {"A": 10**9, "B": 10**9}


def entry(type: str, amount: int, paid: str | None = "A", **more: Any) -> Transaction:
    return Transaction(type=type, amount=amount, currency_code="SEK", payment_reference=paid, **more)


def payout(reference: str, day: str = "2026-02-20", kind: str | None = "NET") -> Payout:
    return Payout(payment_reference=reference, payout_date=f"{day}T06:00:00Z", merchant_settlement_type=kind)


def said(*transactions: Transaction, read: tuple[Payout, ...] = (payout("A"), payout("B")), **whole: int) -> str:
    known = {one.payment_reference: one for one in read}
    rows = settled.order_payouts(transactions, known)
    return settled.paid_out(settled.order_totals(transactions), rows, WHOLE | whole, DAY)


SALE, FEE = entry("SALE", 20517), entry("FEE", 494, vat_amount=123)


@pytest.mark.parametrize("sign", [1, -1])
def test_what_takes_away_does_so_whichever_sign_it_is_sent_with(sign: int) -> None:
    found = [
        entry("SALE", 10_000),
        entry("RETURN", sign * 1_000),
        entry("FEE", sign * 200, vat_amount=sign * 50),
        entry("FEE_REFUND", 20, vat_amount=5),
        entry("REVERSAL", sign * 400),
        entry("REVERSAL_MERCHANT_PROTECTION", 400),
        entry("CHARGE", sign * 30),
        entry("CREDIT", 10),
        entry("HOLDBACK", sign * 500),
        entry("RELEASE", 100),
    ]
    assert settled.order_totals(found) == [
        {
            "currency_code": "SEK",
            "transactions": 10,
            "sales": 10_000,
            "returns": 1_000,
            "fees": 225,
            "reversals": 400,
            "other": -20,
            "net": 8_355,
        }
    ]


@pytest.mark.parametrize(
    "unclear",
    [
        [entry("CORRECTION", 5)],
        [entry("COMMISSION", 5)],
        [entry("TIP", -5)],
        [entry("SALE", -5)],
        [entry("CREDIT", -5)],
        [entry("RETURN", 5), entry("FEE", -5)],
        [entry("FEE", 5, vat_amount=-1)],
        [entry("TAX", 5), entry("FEE", 5, vat_amount=1)],
    ],
)
def test_where_the_type_or_the_sign_does_not_decide_no_net_is_claimed(unclear: list[Transaction]) -> None:
    (total,) = settled.order_totals([SALE, *unclear])
    (row,) = settled.order_payouts([SALE, *unclear], {})
    assert "net" not in total
    assert "net" not in row
    assert "cannot be told for certain" in said(SALE, *unclear)
    assert "Paid out" not in said(SALE, *unclear)


def test_an_entry_of_nothing_raises_no_doubt() -> None:
    assert settled.order_totals([SALE, entry("CORRECTION", 0)])[0]["net"] == 20517


@pytest.mark.parametrize(
    ("transactions", "sentence"),
    [
        ([SALE, FEE], "Paid out: 199.00 SEK on 2026-02-20 in payout A, after 6.17 SEK of fees."),
        (
            [SALE, FEE, entry("RETURN", 5000, "B")],
            "Paid out: 149.00 SEK in 2 payouts, the last on 2026-02-20, after 6.17 SEK of fees and 50.00 SEK of "
            "returns.",
        ),
        (
            [entry("SALE", 20517, None), entry("FEE", 617, None)],
            "Not yet paid out: 199.00 SEK, after 6.17 SEK of fees.",
        ),
        (
            [SALE, FEE, entry("SALE", 1000, "")],
            "Paid out: 199.00 SEK on 2026-02-20 in payout A, after 6.17 SEK of fees. Not yet paid out: 10.00 SEK.",
        ),
        (
            [SALE, FEE, entry("TIP", 1, None)],
            "Paid out: 199.00 SEK on 2026-02-20 in payout A, after 6.17 SEK of fees. Not yet paid out: 1 transaction.",
        ),
        (
            [SALE, FEE, entry("TIP", 1)],
            "Settled on 2026-02-20 in payout A: 205.17 SEK of sales, 6.17 SEK of fees. ",
        ),
        ([entry("FEE", 617), entry("RETURN", 100)], "Settled: -7.17 SEK on 2026-02-20 in payout A, after 6.17 SEK of"),
    ],
)
def test_an_order_is_told_in_one_plain_sentence(transactions: list[Transaction], sentence: str) -> None:
    found = said(*transactions)
    assert found.startswith(sentence) if sentence.endswith((" ", "of")) else found == sentence


@pytest.mark.parametrize("kind", ["GROSS", "GROSS_FEE", None])
def test_where_fees_may_not_be_taken_off_no_payment_is_claimed(kind: str | None) -> None:
    assert said(SALE, FEE, read=(payout("A", kind=kind),)).startswith("Settled on 2026-02-20 in payout A: 205.17 SEK")


def test_a_payout_that_could_not_be_read_is_told_without_its_day() -> None:
    assert said(SALE, FEE, read=()).startswith("Settled in payout A: 205.17 SEK of sales, 6.17 SEK of fees.")


def test_what_returns_of_others_have_eaten_up_is_settled_and_not_paid_out() -> None:
    assert said(SALE, FEE, A=19899) == "Settled: 199.00 SEK on 2026-02-20 in payout A, after 6.17 SEK of fees."
    back = entry("RETURN", 5000, "B")
    assert said(SALE, FEE, back, B=0).startswith("Settled: 149.00 SEK in 2 payouts")
    assert said(SALE, FEE, back, B=1).startswith("Paid out: 149.00 SEK in 2 payouts")


def test_a_payout_of_tomorrow_is_still_to_come() -> None:
    assert said(SALE, FEE, read=(payout("A", "2026-03-03"),)).startswith("To be paid out: 199.00 SEK on 2026-03-03")
    assert said(SALE, FEE, read=(payout("A", DAY),)).startswith("Paid out: ")


def test_currencies_are_never_added_up() -> None:
    euro = SALE.model_copy(update={"currency_code": "eur"})
    assert [total["currency_code"] for total in settled.order_totals([SALE, euro])] == ["EUR", "SEK"]
    assert said(SALE, euro).count("205.17") == 2


@given(st.lists(st.tuples(st.sampled_from(["SALE", "RETURN", "FEE"]), st.integers(0, 10**9), st.sampled_from("AB"))))
def test_the_payouts_of_an_order_add_up_to_its_totals(found: list[tuple[str, int, str]]) -> None:
    transactions = [entry(kind, amount, paid) for kind, amount, paid in found]
    rows = settled.order_payouts(transactions, {})
    for total in settled.order_totals(transactions):
        for name in ("transactions", "sales", "returns", "fees", "net"):
            assert sum(row[name] for row in rows) == total[name]
        assert total["net"] == total["sales"] - total["returns"] - total["fees"]


def test_a_payout_is_what_kustom_adds_it_up_to_and_the_rest_is_other() -> None:
    totals = PayoutTotals(
        sale_amount=100, return_amount=10, fee_amount=4, tax_amount=1, repay_amount=20, settlement_amount=65
    )
    whole = Payout(payment_reference="A", currency_code="eur", totals=totals)
    row = {"payment_reference": "A", "currency_code": "EUR", "sales": 100, "returns": 10, "fees": 5, "vat_on_fees": 1}
    assert settled.payout_row(whole) == row | {"other": -20, "settlement_amount": 65}
    assert settled.payout_row(Payout(payment_reference="A", currency_code="EUR"))["sales"] == 0
    assert "settlement_amount" not in settled.payout_totals([settled.payout_row(Payout(payment_reference="A"))])[0]


@pytest.mark.parametrize(
    ("totals", "said"),
    [
        (
            {"sale_amount": 9000, "reversal_amount": 1000, "fee_amount": 400, "tax_amount": 100}
            | {"repay_amount": 500, "opening_debt_balance_amount": 500, "settlement_amount": 7000},
            "70.00 EUR. 90.00 EUR of sales, less 10.00 EUR of disputes, 5.00 EUR of fees (1.00 EUR of it VAT) and 5.00 "
            "EUR repaid of an earlier debt. The debt to Kustom was 5.00 EUR before and 0.00 EUR after, which the next "
            "payout pays first.",
        ),
        (
            {"return_amount": -300, "deposit_amount": 300, "closing_debt_balance_amount": 300, "settlement_amount": 0},
            "0.00 EUR. 0.00 EUR of sales, less 3.00 EUR of returns, plus 3.00 EUR left as a debt. The debt to Kustom "
            "was 0.00 EUR before and 3.00 EUR after, which the next payout pays first.",
        ),
        (
            {"sale_amount": 900, "fee_amount": 100, "settlement_amount": 900},
            "9.00 EUR. 9.00 EUR of sales, less 1.00 EUR of fees. The fees were not taken off it.",
        ),
        (
            {"sale_amount": 900, "fee_correction_amount": 7, "settlement_amount": 893},
            "8.93 EUR. 9.00 EUR of sales. -0.07 EUR of it these totals do not explain: see the types of its "
            "transactions.",
        ),
        (
            {"sale_amount": 900, "commission_amount": 1, "charge_amount": 2, "holdback_amount": 3, "credit_amount": 4}
            | {"release_amount": 5, "settlement_amount": 903},
            "9.03 EUR. 9.00 EUR of sales, less 0.01 EUR of commission, 0.02 EUR of charges and 0.03 EUR held back, "
            "plus 0.04 EUR of credits and 0.05 EUR released from what was held back.",
        ),
    ],
)
def test_a_payout_says_why_less_was_paid_than_was_sold(totals: dict[str, int], said: str) -> None:
    payout = Payout(payment_reference="A", currency_code="EUR", totals=PayoutTotals.model_validate(totals))
    assert settled.payout_in_words(payout) == f"Payout A: {said}"


def test_what_all_rows_share_is_said_once() -> None:
    first = entry("SALE", 1, merchant_reference1="web-1", merchant_capture_reference="c")
    second = entry("FEE", 1, merchant_reference1="web-1", klarna_comment="a\u202eb " + "x" * 400)
    assert settled.transaction_rows([], of_order=True) == ([], {})
    (row,), alone = settled.transaction_rows([first], of_order=True)
    assert "third_party" not in row
    assert alone == {"merchant_reference1": "web-1", "merchant_capture_reference": "c"}
    (sale, fee), shared = settled.transaction_rows([first, second], of_order=True)
    assert shared == {"merchant_reference1": "web-1"}
    assert sale["third_party"] == {"merchant_capture_reference": "c"}
    assert fee["third_party"].keys() == {"klarna_comment"}
    assert len(fee["third_party"]["klarna_comment"]) <= 260
    assert "\u202e" not in fee["third_party"]["klarna_comment"]
