"""The way of a refund to the customer: when it was sent, by when it shows, and who can trace it.

Kustom sees no payment arrive. Its help names 1 to 10 business days, by payment method and bank (A, article 308522), and
who traces a refund that is missing: Klarna, Billie, or the bank that issued the card (A, article 406911). Klarna's own
page says 2 to 5 business days for its methods (KL).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from kustom_mcp.api.models import Order
from kustom_mcp.money import show

LONGEST: Final = 10
"""Business days after which a refund should be visible to the customer."""
_CARDS: Final = frozenset({"CARD", "APPLE_PAY_CARD", "GOOGLE_PAY_CARD", "CARTES_BANCAIRES", "BANCONTACT"})
_KLARNA: Final = frozenset(
    {
        *("ACCOUNT", "DEFERRED_INTEREST", "DIRECT_DEBIT", "FIXED_AMOUNT", "FIXED_AMOUNT_BY_CARD", "FIXED_SUM_CREDIT"),
        *("INVOICE", "INVOICE_BUSINESS", "PAY_BY_CARD", "PAY_IN_X", "PAY_LATER_BY_CARD", "PAY_LATER_IN_PARTS"),
    }
)


def refunds_in_words(order: Order, returned: int, today: str) -> str:
    """Say where the refunds of an order are; "" where it has none.

    `returned`: the returns that Kustom lists in its settlements, minor units, or -1 where these do not tell. `today` as
    2026-01-31.
    """
    if order.refunded_amount <= 0:
        return ""
    currency = order.purchase_currency or ""
    days = sorted(day for refund in order.refunds if (day := (refund.refunded_at or "")[:10]) and _date(day))
    said = [f"Refunded to the customer: {show(order.refunded_amount, currency)}{_when(days, today)}."]
    if 0 <= returned < order.refunded_amount:
        missing = show(order.refunded_amount - returned, currency)
        said.append(f"{missing} of it is in no transaction yet: it makes a later payout smaller.")
    time, tracer = _by_method((order.initial_payment_method and order.initial_payment_method.type) or "")
    said.append(f"It should be visible within 1 to {LONGEST} business days{time}; Kustom cannot see whether it is.")
    over = days and _business_days(days[-1], today) > LONGEST
    said.append(f"{'That time is over' if over else 'After that'}: {tracer}.")
    return " ".join(said)


def _when(days: list[str], today: str) -> str:
    if not days:
        return ""
    passed = _business_days(days[-1], today)
    ago = "today" if days[-1] == today else f"{passed} business day{'' if passed == 1 else 's'} ago"
    return f"{', the last' if len(days) > 1 else ''} on {days[-1]} ({ago})"


def _by_method(kind: str) -> tuple[str, str]:
    """Return what is known of the days of a payment method, and who traces its refunds."""
    kind = kind.upper()
    if "BILLIE" in kind:
        return "", "the customer asks Billie, which alone can trace it"
    if kind in _KLARNA:
        return ", by Klarna mostly 2 to 5", "the customer asks Klarna, which alone can trace it"
    if kind in _CARDS:
        return (
            " by the card's bank",
            "the customer asks the bank that issued the card, also whether a reservation was released instead",
        )
    return " by payment method and bank", "the customer asks the support of the payment method"


def _business_days(first: str, last: str) -> int:
    """Count the days from Monday to Friday after the first day, the last included. Holidays are not known."""
    begin, end = _date(first), _date(last)
    if begin is None or end is None:
        return 0
    weeks, rest = divmod(max(0, (end - begin).days), 7)
    return 5 * weeks + sum((end - timedelta(days=day)).weekday() < 5 for day in range(rest))


def _date(day: str) -> date | None:
    try:
        return date.fromisoformat(day)
    except ValueError:
        return None
