"""Payouts, made up from captures, refunds and disputes at each request, and kept nowhere.

What happened until 23:59 CET of a day is settled then, with everything else of that day in the same currency, and paid
out in the morning of the second day after it. An amount that a payout cannot cover - more came back than was sold - is
a debt that the next one repays. So the transactions of a payout add up to its totals, and those to its
settlement_amount, to the unit.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta, timezone
from hashlib import sha256
from typing import Any, Final

from kustom_mcp.simulator.drafts import Json, stamp
from kustom_mcp.simulator.store import OrderStore, StoredOrder, parse_time

DAYS_TO_PAYOUT: Final = 2
PAID_AT: Final = time(6, tzinfo=UTC)
CET: Final = timezone(timedelta(hours=1))
"""All year: the help page names no summer time."""
SETTLED_AT: Final = time(23, 59)
FEE_RATE: Final = 248  # of ten thousand
FIXED_FEE: Final = 200  # minor units of any currency
DISPUTE_FEE: Final = 1500  # minor units of any currency
VAT_RATE: Final = 2500  # percent times 100
MERCHANT: Final = "M000000"

_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_TOTALS: Final = (
    *("sale_amount", "return_amount", "reversal_amount", "fee_amount", "fee_correction_amount", "fee_refund_amount"),
    *("tax_amount", "tax_refund_amount", "commission_amount", "charge_amount", "credit_amount", "holdback_amount"),
    *("release_amount", "repay_amount", "deposit_amount", "opening_debt_balance_amount"),
    *("closing_debt_balance_amount", "settlement_amount"),
)
_TOTAL_OF: Final = {
    "SALE": "sale_amount",
    "RETURN": "return_amount",
    "REVERSAL": "reversal_amount",
    "FEE": "fee_amount",
}
_SUMMED: Final = (
    *("fee_correction", "release", "tax", "settlement", "holdback", "reversal", "return", "fee", "commission", "sale"),
    "repay",
)
"""The totals that a summary of payouts has."""


def transactions(store: OrderStore, origin: str, order_id: str | None = None) -> list[Json]:
    """Return the transactions of one order, or of all, oldest first. Those that are not paid out yet name no payout."""
    if order_id is None:
        records = store.records()
    else:
        record = store.find(order_id)
        records = [record] if record else []
    now, signed = store.now(), store.switches.transactions == "signed"
    return [_shown(entry, origin, now, signed=signed) for record in records for entry in _entries(record)]


def payouts(store: OrderStore, origin: str) -> list[Json]:
    """Return every payout so far, oldest first."""
    runs: dict[tuple[datetime, str], Json] = {}
    now = store.now()
    for record in store.records():
        for entry in _entries(record):
            due: datetime = entry["due"]
            if due <= now:
                totals = runs.setdefault((due, entry["currency_code"]), dict.fromkeys(_TOTALS, 0))
                totals[_TOTAL_OF[entry["type"]]] += entry["amount"]
                totals["tax_amount"] += entry.get("vat_amount", 0)
    return list(_paid(sorted(runs.items()), origin))


def summaries(found: Iterable[Json]) -> list[Json]:
    """Return the sums of payouts by currency, in alphabetical order."""
    sums: dict[str, Json] = {}
    for payout in found:
        currency, day = payout["currency_code"], payout["payout_date"]
        view = sums.setdefault(
            currency,
            {"summary_settlement_currency": currency, "summary_payout_date_start": day}
            | {f"summary_total_{name}_amount": 0 for name in _SUMMED},
        )
        view["summary_payout_date_end"] = day
        for name in _SUMMED:
            view[f"summary_total_{name}_amount"] += payout["totals"][f"{name}_amount"]
    return [sums[currency] for currency in sorted(sums)]


def _paid(runs: Iterable[tuple[tuple[datetime, str], Json]], origin: str) -> Iterator[Json]:
    """Yield the payout of each run, given the debt that the one before has left."""
    debts: dict[str, int] = {}
    for (due, currency), totals in runs:
        debt = debts.get(currency, 0)
        taken = ("return_amount", "reversal_amount", "fee_amount", "tax_amount")
        earned = totals["sale_amount"] - sum(totals[name] for name in taken)
        repaid, missing = min(debt, max(earned, 0)), max(-earned, 0)
        debts[currency] = debt - repaid + missing
        totals |= {
            "repay_amount": repaid,
            "deposit_amount": missing,
            "opening_debt_balance_amount": debt,
            "closing_debt_balance_amount": debts[currency],
            "settlement_amount": earned - repaid + missing,
        }
        reference = payment_reference(due, currency)
        yield {
            "totals": totals,
            "payment_reference": reference,
            "payout_date": stamp(due),
            "currency_code": currency,
            "currency_code_of_registration_country": "SEK",
            "merchant_settlement_type": "NET",
            "merchant_id": MERCHANT,
            "transactions": f"{origin}/transactions?payment_reference={reference}",
        }


def payment_reference(due: datetime, currency: str) -> str:
    """Return eight letters and digits, the same for the same day and currency."""
    digest = sha256(f"{due.date()}/{currency}".encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:8])


def _entries(record: StoredOrder) -> Iterator[Json]:
    """Yield a sale and its fees for each capture, a return for each refund, a reversal and its fee for a dispute; `due`
    is when each is paid out."""
    first: datetime | None = None
    for number, capture in enumerate(record.order["captures"]):
        due, amount = _run_after(capture["captured_at"]), int(capture["captured_amount"])
        first = min(first or due, due)
        sale = _entry(record, capture["captured_at"], due) | {"capture_id": capture["capture_id"]}
        if "reference" in capture:
            sale["merchant_capture_reference"] = capture["reference"]
        yield sale | {"type": "SALE", "detailed_type": "PURCHASE", "amount": amount}
        if number == 0:
            yield sale | _fee("PURCHASE_FEE_FIXED", FIXED_FEE)
        yield sale | _fee("PURCHASE_FEE_PERCENTAGE", (amount * FEE_RATE + 5_000) // 10_000)
    for refund in record.order["refunds"]:
        due = max(_run_after(refund["refunded_at"]), first or _run_after(refund["refunded_at"]))
        back = _entry(record, refund["refunded_at"], due) | {"capture_id": "", "refund_id": refund["refund_id"]}
        if "reference" in refund:
            back["merchant_refund_reference"] = refund["reference"]
        yield back | {"type": "RETURN", "detailed_type": "PURCHASE_RETURN", "amount": int(refund["refunded_amount"])}
    if record.dispute is not None:
        happened_at, amount = record.dispute
        due = max(_run_after(happened_at), first or _run_after(happened_at))
        disputed = _entry(record, happened_at, due) | {"capture_id": ""}
        reason = f"krn:sandbox:dispute:goods_not_received:{record.order['order_id']}"
        yield (
            disputed
            | {"type": "REVERSAL", "detailed_type": "REVERSAL", "amount": amount}
            | {"reversal_reference": reason}
        )
        yield disputed | _fee("DISPUTE_FEE", DISPUTE_FEE)


def _fee(kind: str, amount: int) -> Json:
    vat = (amount * VAT_RATE + 5_000) // 10_000
    return {"type": "FEE", "detailed_type": kind, "amount": amount, "vat_rate": VAT_RATE, "vat_amount": vat}


def _entry(record: StoredOrder, happened_at: str, due: datetime) -> Json:
    order = record.order
    entry: Json = {
        "due": due,
        "order_id": order["order_id"],
        "short_order_id": order.get("klarna_reference"),
        "merchant_reference1": order.get("merchant_reference1"),
        "merchant_reference2": order.get("merchant_reference2"),
        "sale_date": order["created_at"],
        "capture_date": happened_at,
        "currency_code": str(order["purchase_currency"]).upper(),
        "purchase_country": record.country,
        "initial_payment_method_type": record.payment_type.lower() or None,
    }
    return {name: value for name, value in entry.items() if value is not None}


def _shown(entry: Json, origin: str, now: datetime, *, signed: bool) -> Json:
    """Return a transaction as the API shows it."""
    due: Any = entry.pop("due")
    if due <= now:
        reference = payment_reference(due, entry["currency_code"])
        entry |= {"payment_reference": reference, "payout": f"{origin}/payouts/{reference}"}
    if signed and entry["type"] != "SALE":
        entry |= {name: -entry[name] for name in ("amount", "vat_amount") if name in entry}
    return entry


def _run_after(happened_at: str) -> datetime:
    """Return the time at which something is paid out: the day of CET whose settlement at 23:59 has it, and two more."""
    there = parse_time(happened_at).astimezone(CET)
    later = there.time() >= SETTLED_AT
    return datetime.combine(there.date() + timedelta(days=DAYS_TO_PAYOUT + later), PAID_AT)
