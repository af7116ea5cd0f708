"""Settlement transactions in figures and words: sums, rows, and the sentence about the payouts of an order.

The published description of the API does not say which amounts are negative, nor what each type does to a payout. So
the signs here are assumed, after Klarna's published calculation of a payout: a sale, a refunded fee, a credit, a
release and Klarna's protection against a reversal add; a return, a fee, tax, a reversal, a charge and a holdback take
away, whichever sign they are sent with. `vat_amount` comes on top of a fee. Where that does not decide - a correction
goes either way, a commission is paid by one side or the other, a type is unknown, signs contradict one another - the
figures are shown and no net is claimed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from kustom_mcp.api.endpoint import PATTERNS
from kustom_mcp.api.settlements import Payout, Transaction
from kustom_mcp.money import show
from kustom_mcp.orders.third_party import REFERENCE_BYTES, fitting
from kustom_mcp.schema.result import Json
from kustom_mcp.text import clean

ADDS = frozenset({"SALE", "FEE_REFUND", "CREDIT", "RELEASE", "REVERSAL_MERCHANT_PROTECTION"})
TAKES = frozenset({"RETURN", "FEE", "TAX", "REVERSAL", "CHARGE", "HOLDBACK"})
FEES = frozenset({"FEE", "TAX", "FEE_REFUND"})
NET = "NET"
"""The `merchant_settlement_type` of a payout from which fees have been taken off."""

_ROW = ("type", "detailed_type", "amount", "vat_amount", "currency_code", "order_id", "capture_id", "refund_id")
_PAID = ("payment_reference", "capture_date")
_TYPED = (
    *("merchant_reference1", "merchant_reference2", "short_order_id"),
    *("merchant_capture_reference", "merchant_refund_reference"),
)


def doubtful(transactions: Iterable[Transaction]) -> frozenset[str]:
    """The types whose effect on a payout is unknown."""
    found = [entry for entry in transactions if entry.amount or entry.vat_amount]
    taking = [entry for entry in found if entry.type in TAKES]
    contradicting = {entry.amount < 0 for entry in taking if entry.amount} == {True, False}
    taxed_twice = any(entry.type == "TAX" for entry in found) and any(entry.vat_amount for entry in found)
    doubts = {entry.type for entry in found if entry.type not in ADDS | TAKES}
    doubts |= {entry.type for entry in found if entry.type in ADDS and entry.amount < 0}
    doubts |= {entry.type for entry in found if entry.amount * (entry.vat_amount or 0) < 0}
    doubts |= {entry.type for entry in taking if contradicting}
    return frozenset(doubts | ({"TAX"} if taxed_twice else set()))


def sums(transactions: Iterable[Transaction], doubts: frozenset[str]) -> dict[str, Json]:
    """Sales, returns and fees of one currency, minor units, and the net where it can be known."""
    found = list(transactions)
    view: dict[str, Json] = {"transactions": len(found), "sales": 0, "returns": 0, "fees": 0}
    other = 0
    for entry in found:
        size = abs(entry.amount) + (abs(entry.vat_amount or 0) if entry.type in FEES else 0)
        if entry.type in FEES:
            view["fees"] += -size if entry.type == "FEE_REFUND" else size
        elif entry.type in ("SALE", "RETURN"):
            view["sales" if entry.type == "SALE" else "returns"] += size
        else:
            other += entry.amount if entry.type in doubts else size if entry.type in ADDS else -size
    if other or any(entry.type in doubts for entry in found):
        view["other"] = other
    if not any(entry.type in doubts for entry in found):
        view["net"] = view["sales"] - view["returns"] - view["fees"] + other
    return view


def order_totals(transactions: Sequence[Transaction]) -> list[dict[str, Json]]:
    """Per currency, the sums of an order, and the part of its net without a payout yet."""
    doubts = doubtful(transactions)
    totals: list[dict[str, Json]] = []
    for currency, entries in _by_currency(transactions):
        total: dict[str, Json] = {"currency_code": currency} | sums(entries, doubts)
        waiting = [entry for entry in entries if not entry.payment_reference]
        if waiting:
            total["not_paid_out"] = sums(waiting, doubts).get("net")
        totals.append({name: value for name, value in total.items() if value is not None})
    return totals


def order_payouts(transactions: Sequence[Transaction], read: dict[str, Payout]) -> list[dict[str, Json]]:
    """Per payout, the part of an order in it; its date where the payout could be read."""
    doubts = doubtful(transactions)
    rows: list[dict[str, Json]] = []
    for currency, entries in _by_currency(transactions):
        references = dict.fromkeys(entry.payment_reference for entry in entries if entry.payment_reference)
        for reference in references:
            inside = sums((entry for entry in entries if entry.payment_reference == reference), doubts)
            rows.append(_head(reference, currency, read.get(reference)) | inside)
    return rows


def payout_row(payout: Payout) -> dict[str, Json]:
    """A payout as Kustom adds it up. `other` is what sales, returns and fees do not explain: commission, charges,
    holdback, debts."""
    view = _head(payout.payment_reference, payout.currency, payout)
    totals = payout.totals
    view["sales"], view["returns"] = abs(totals.sale_amount), abs(totals.return_amount)
    paid, refunded = (totals.fee_amount, totals.tax_amount), (totals.fee_refund_amount, totals.tax_refund_amount)
    view["fees"] = sum(map(abs, paid)) - sum(map(abs, refunded))
    if totals.settlement_amount is not None:
        other = totals.settlement_amount - view["sales"] + view["returns"] + view["fees"]
        view |= ({"other": other} if other else {}) | {"settlement_amount": totals.settlement_amount}
    return view


def payout_totals(rows: Iterable[dict[str, Json]]) -> list[dict[str, Json]]:
    """Per currency: the number of payouts, and their sum."""
    totals: list[dict[str, Json]] = []
    for currency, group in groupby(sorted(rows, key=itemgetter("currency_code")), itemgetter("currency_code")):
        entries = list(group)
        total: dict[str, Json] = {"currency_code": currency, "payouts": len(entries)}
        total |= {name: sum(entry[name] for entry in entries) for name in ("sales", "returns", "fees")}
        if all("settlement_amount" in entry for entry in entries):
            total["settlement_amount"] = sum(entry["settlement_amount"] for entry in entries)
        totals.append(total)
    return totals


def transaction_rows(transactions: Sequence[Transaction], *, of_order: bool) -> tuple[list[Json], dict[str, Json]]:
    """Amounts that Kustom computes of each transaction, and in `third_party` what somebody typed into it; then, once,
    what was typed into all of them."""
    typed = [_typed(entry) for entry in transactions]
    first = typed[0] if typed else {}
    shared = {name: text for name, text in first.items() if all(own.get(name) == text for own in typed)}
    rows: list[Json] = []
    for entry, texts in zip(transactions, typed, strict=True):
        own = {name: text for name, text in texts.items() if name not in shared}
        rows.append(_computed(entry, of_order=of_order) | ({"third_party": own} if own else {}))
    return rows, shared


def _computed(entry: Transaction, *, of_order: bool) -> dict[str, Json]:
    """The computed fields of a transaction. An empty text counts as absent."""
    view: dict[str, Json] = {}
    for name in (*_ROW, *_PAID):
        value = getattr(entry, name)
        if value not in (None, "") and not (of_order and name == "order_id"):
            view[name] = clean(value, 64) if isinstance(value, str) else value
    return view


def _typed(entry: Transaction) -> dict[str, Json]:
    view = {name: fitting(text, REFERENCE_BYTES) for name in _TYPED if (text := getattr(entry, name))}
    return view | ({"klarna_comment": clean(entry.klarna_comment, 255)} if entry.klarna_comment else {})


def paid_out(
    totals: Sequence[dict[str, Json]],
    payouts: Sequence[dict[str, Json]],
    whole: Mapping[str, int | None],
    today: str,
    asked: str | None = None,
) -> str:
    """The sentence about an order: paid out, when, minus which fees. `today` as 2026-01-31.

    `whole`: what each payout came to, with everything that is in it. "Paid out" is said only where that is at least as
    much: what returns and debts of other orders have eaten up is settled, and nothing of it reached the bank.
    `asked`: the one payout that was asked about. What is in it comes first where it is not all.
    """
    said = " ".join(
        _of_currency(total, [row for row in payouts if row["currency_code"] == total["currency_code"]], whole, today)
        for total in totals
    )
    inside = [row for row in payouts if row["payment_reference"] == asked]
    if asked is None or sum(row["transactions"] for row in inside) == sum(row["transactions"] for row in totals):
        return said
    first = " ".join(_of_currency(row, [row], whole, today) for row in inside)
    part = f"{first} That is only a part of this order. " if first else ""
    return f"{part}The whole order: {said}"


def payout_in_words(row: dict[str, Json]) -> str:
    """One payout, as `payout_row` gives it."""
    currency, day = row["currency_code"], _day(row)
    amount = f": {show(row['settlement_amount'], currency)}" if "settlement_amount" in row else ""
    return f"{_payout(row, 'Payout')}{f' of {day}' if day else ''}{amount}{_less([row], currency)}."


def payouts_in_words(totals: Sequence[dict[str, Json]], found: int, *, complete: bool) -> str:
    """Many payouts, as `payout_totals` adds them up; without the full stop."""
    if not complete:
        return f"More than {found:,} payouts, too many to add up: ask for a shorter period"
    sums = [
        show(total["settlement_amount"], total["currency_code"]) for total in totals if "settlement_amount" in total
    ]
    count = "1 payout" if found == 1 else f"{found:,} payouts"
    return f"{count}: {', '.join(sums)}" if sums else count


def _of_currency(
    total: dict[str, Json], payouts: Sequence[dict[str, Json]], whole: Mapping[str, int | None], today: str
) -> str:
    currency: str = total["currency_code"]
    waiting = total["transactions"] - sum(row["transactions"] for row in payouts)
    later = ""
    if waiting:
        known = show(total["not_paid_out"], currency) if "not_paid_out" in total else _counted(waiting)
        later = f"Not yet paid out: {known}{'' if payouts else _less([total], currency)}."
    if not payouts:
        return later
    where = _where(payouts)
    if all("net" in row and row.get("merchant_settlement_type") == NET for row in payouts):
        reached = all(_reached(row["net"], whole.get(row["payment_reference"]) or 0) for row in payouts)
        paid = sum(row["net"] for row in payouts)
        verb = "Paid out" if reached and paid > 0 else "Settled"
        if any(_day(row) > today for row in payouts):
            verb = "To be paid out"
        return f"{verb}: {show(paid, currency)}{where}{_less(payouts, currency)}. {later}".rstrip()
    names = ("sales", "returns", "fees")
    amounts = {name: sum(row[name] for row in payouts) for name in names}
    figures = ", ".join(f"{show(amount, currency)} of {name}" for name, amount in amounts.items() if amount)
    return (
        f"Settled{where}{f': {figures}' if figures else ''}. What was paid of it cannot be told for certain: "
        f"see the types of its transactions and of the payout. {later}"
    ).rstrip()


def _counted(transactions: int) -> str:
    return "1 transaction" if transactions == 1 else f"{transactions:,} transactions"


def _reached(net: int, whole: int) -> bool:
    """Return whether a payout that came to `whole` can have brought, or taken off, all of this."""
    return whole >= net if net >= 0 else whole > 0


def _less(rows: Sequence[dict[str, Json]], currency: str) -> str:
    """The deductions, in words."""
    amounts = {name: sum(row[name] for row in rows) for name in ("fees", "returns")}
    parts = [f"{show(amount, currency)} of {name}" for name, amount in amounts.items() if amount]
    return f", after {' and '.join(parts)}" if parts else ""


def _where(payouts: Sequence[dict[str, Json]]) -> str:
    days = sorted(day for row in payouts if (day := _day(row)))
    if len(payouts) > 1:
        return f" in {len(payouts)} payouts{f', the last on {days[-1]}' if days else ''}"
    return f"{f' on {days[0]}' if days else ''} in {_payout(payouts[0])}"


def _payout(row: dict[str, Json], word: str = "payout") -> str:
    """A payout in words; its reference only where it looks like one."""
    reference = row["payment_reference"]
    return f"{word} {reference}" if PATTERNS["payment_reference"].fullmatch(reference) else word


def _day(row: dict[str, Json]) -> str:
    return str(row.get("payout_date", ""))[:10]


def _head(reference: str, currency: str, payout: Payout | None) -> dict[str, Json]:
    view: dict[str, Json] = {"payment_reference": clean(reference, 64), "currency_code": clean(currency, 10)}
    if payout is not None:
        known = {name: getattr(payout, name) for name in ("payout_date", "merchant_settlement_type")}
        view |= {name: clean(value, 64) for name, value in known.items() if value}
    return view


def _by_currency(transactions: Sequence[Transaction]) -> list[tuple[str, list[Transaction]]]:
    currencies = sorted({entry.currency for entry in transactions})
    return [(clean(code, 10), [entry for entry in transactions if entry.currency == code]) for code in currencies]
