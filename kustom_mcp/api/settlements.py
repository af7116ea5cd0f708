"""The Settlements API, beside Order Management on the same host: payouts and their transactions.

Read as kindly as orders are (`models`): only the fields of a sum are required. Types and detailed types are open lists.
The description does not say whether a transaction adds to a payout or takes from it: `orders.payouts` decides.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from pydantic import Field

from kustom_mcp.api.endpoint import SETTLEMENTS, Read
from kustom_mcp.api.models import Amount, ApiModel, Many, Total

LARGEST_PAGE: Final = 500


class PayoutTotals(ApiModel):
    """The sums of a payout, minor units (KL). Fees are without tax, which has a total of its own."""

    sale_amount: Total = 0
    return_amount: Total = 0
    reversal_amount: Total = 0
    fee_amount: Total = 0
    fee_correction_amount: Total = 0
    fee_refund_amount: Total = 0
    tax_amount: Total = 0
    tax_refund_amount: Total = 0
    commission_amount: Total = 0
    charge_amount: Total = 0
    credit_amount: Total = 0
    holdback_amount: Total = 0
    release_amount: Total = 0
    repay_amount: Total = 0
    deposit_amount: Total = 0
    opening_debt_balance_amount: Total = 0
    closing_debt_balance_amount: Total = 0
    settlement_amount: Amount | None = None


class Payout(ApiModel):
    """One payment of Kustom to the merchant (KL)."""

    payment_reference: str
    payout_date: str | None = None
    currency_code: str | None = None
    merchant_settlement_type: str | None = None
    """The settlement's way with fees: NET, GROSS, GROSS_FEE."""
    totals: PayoutTotals = Field(default_factory=PayoutTotals)

    @property
    def currency(self) -> str:
        """The currency in upper case, `""` when Kustom sent none."""
        return (self.currency_code or "").upper()


class PayoutSummary(ApiModel):
    """The sums of all payouts of a period in one currency, minor units (A)."""

    summary_settlement_currency: str | None = None
    summary_total_sale_amount: Total = 0
    summary_total_return_amount: Total = 0
    summary_total_reversal_amount: Total = 0
    summary_total_fee_amount: Total = 0
    summary_total_fee_correction_amount: Total = 0
    summary_total_tax_amount: Total = 0
    summary_total_commission_amount: Total = 0
    summary_total_holdback_amount: Total = 0
    summary_total_release_amount: Total = 0
    summary_total_repay_amount: Total = 0
    summary_total_settlement_amount: Amount | None = None

    @property
    def payout(self) -> Payout:
        """The same sums as those of a payout without a reference."""
        found: dict[str, int | None] = {
            name.removeprefix("summary_total_"): value
            for name, value in self.model_dump().items()
            if name.startswith("summary_total_")
        }
        totals = PayoutTotals.model_validate(found)
        return Payout(payment_reference="", currency_code=self.summary_settlement_currency, totals=totals)


class Transaction(ApiModel):
    """One sale, return, fee or other entry of an order (KL). `payment_reference` is missing before it is paid out."""

    type: str
    amount: Amount
    currency_code: str | None = None
    order_id: str | None = None
    payment_reference: str | None = None
    detailed_type: str | None = None
    capture_id: str | None = None
    refund_id: str | None = None
    sale_date: str | None = None
    capture_date: str | None = None
    vat_amount: Amount | None = None
    short_order_id: str | None = None
    merchant_reference1: str | None = None
    merchant_reference2: str | None = None
    merchant_capture_reference: str | None = None
    merchant_refund_reference: str | None = None
    klarna_comment: str | None = None

    @property
    def currency(self) -> str:
        """The currency in upper case, `""` when Kustom sent none."""
        return (self.currency_code or "").upper()


class Pagination(ApiModel):
    """The place of a page in its list."""

    total: int | None = None
    next: str | None = None


class ListPage(ApiModel, ABC):
    """A page of a list."""

    pagination: Pagination = Field(default_factory=Pagination)

    @property
    @abstractmethod
    def entries(self) -> Sequence[ApiModel]:
        """The entries of the page."""

    def more_after(self, seen: int) -> bool:
        """Return whether there is a page behind this one, with so many entries seen."""
        if not self.entries:
            return False
        total = self.pagination.total
        return self.pagination.next is not None if total is None else seen < total


class Payouts(ListPage):
    """A page of payouts."""

    payouts: Many[Payout] = Field(default_factory=list[Payout])

    @property
    def entries(self) -> Sequence[Payout]:
        return self.payouts


class Transactions(ListPage):
    """A page of transactions."""

    transactions: Many[Transaction] = Field(default_factory=list[Transaction])

    @property
    def entries(self) -> Sequence[Transaction]:
        return self.transactions


LIST_PAYOUTS: Final = Read(
    "getPayouts",
    "/payouts",
    Payouts,
    prefix=SETTLEMENTS,
    query=("start_date", "end_date", "currency_code", "size", "offset"),
)  # K
SUM_PAYOUTS: Final = Read(
    "getPayoutSummary",
    "/payouts/summary",
    list[PayoutSummary],
    prefix=SETTLEMENTS,
    query=("start_date", "end_date", "currency_code"),
)  # A
GET_PAYOUT: Final = Read("getPayout", "/payouts/{payment_reference}", Payout, prefix=SETTLEMENTS)  # K
LIST_TRANSACTIONS: Final = Read(
    "getTransactions",
    "/transactions",
    Transactions,
    prefix=SETTLEMENTS,
    query=("payment_reference", "order_id", "size", "offset"),
)  # K
