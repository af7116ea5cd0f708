"""Settlement transactions in figures and words: sums, rows, and the sentence about the payouts of an order.

The published description of the API does not say which amounts are negative, nor what each type does to a payout. So
the signs here are assumed, after Klarna's published calculation of a payout: a sale, a refunded fee, a credit, a
release and Klarna's protection against a reversal add; a return, a fee, tax, a reversal (an open dispute), a charge and
a holdback take away, whichever sign they are sent with. `vat_amount` comes on top of a fee. Where that does not decide
- a correction goes either way, a commission is paid by one side or the other, a type is unknown, signs contradict one
another - the figures are shown and no net is claimed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from kustom_mcp.api.endpoint import PATTERNS
from kustom_mcp.api.settlements import Payout, PayoutSummary, PayoutTotals, Transaction
from kustom_mcp.money import show
from kustom_mcp.orders.third_party import REFERENCE_BYTES, fitting
from kustom_mcp.schema.result import Json
from kustom_mcp.text import clean

ADDS = frozenset({"SALE", "FEE_REFUND", "CREDIT", "RELEASE", "REVERSAL_MERCHANT_PROTECTION"})
TAKES = frozenset({"RETURN", "FEE", "TAX", "REVERSAL", "CHARGE", "HOLDBACK"})
FEES = frozenset({"FEE", "TAX", "FEE_REFUND"})
NET = "NET"
"""The `merchant_settlement_type` of a payout from which fees have been taken off."""

_SUMS = {"SALE": "sales", "RETURN": "returns", "REVERSAL": "reversals"}
_TAKEN = {"returns": "returns", "reversals": "disputes", "fees": "fees"}
"""The fields that make a payout smaller than its sales, each in words."""
_WHERE_ANY = frozenset({"reversals", "vat_on_fees", "other"})
_OTHERS = {
    "commission_amount": ("of commission", -1),
    "charge_amount": ("of charges", -1),
    "holdback_amount": ("held back", -1),
    "repay_amount": ("repaid of an earlier debt", -1),
    "credit_amount": ("of credits", 1),
    "release_amount": ("released from what was held back", 1),
    "deposit_amount": ("left as a debt", 1),
}
"""The other totals of a payout, in words, and what each does to what is paid (assumed, after Klarna)."""
MOST_EXPLAINED = 3
"""Currencies whose sums are explained in words; more are in `totals`."""

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
    """Sales, returns, disputes and fees of one currency, minor units, and the net where it can be known."""
    found = list(transactions)
    view: dict[str, Json] = {"transactions": len(found), "sales": 0, "returns": 0, "fees": 0}
    other = 0
    for entry in found:
        size = abs(entry.amount) + (abs(entry.vat_amount or 0) if entry.type in FEES else 0)
        if entry.type in FEES:
            view["fees"] += -size if entry.type == "FEE_REFUND" else size
        elif entry.type in _SUMS and entry.type not in doubts:
            name = _SUMS[entry.type]
            view[name] = view.get(name, 0) + size
        else:
            other += entry.amount if entry.type in doubts else size if entry.type in ADDS else -size
    if other or any(entry.type in doubts for entry in found):
        view["other"] = other
    if not any(entry.type in doubts for entry in found):
        view["net"] = view["sales"] - sum(view.get(name, 0) for name in _TAKEN) + other
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
    """A payout as Kustom adds it up. `other` is what sales, returns, disputes and fees do not explain: commission,
    charges, holdback, debts."""
    view = _head(payout.payment_reference, payout.currency, payout)
    totals = payout.totals
    view["sales"], view["returns"] = abs(totals.sale_amount), abs(totals.return_amount)
    if totals.reversal_amount:
        view["reversals"] = abs(totals.reversal_amount)
    vat = abs(totals.tax_amount) - abs(totals.tax_refund_amount)
    view["fees"] = abs(totals.fee_amount) - abs(totals.fee_refund_amount) + vat
    if vat:
        view["vat_on_fees"] = vat
    if totals.settlement_amount is not None:
        other = totals.settlement_amount - view["sales"] + sum(view.get(name, 0) for name in _TAKEN)
        view |= ({"other": other} if other else {}) | {"settlement_amount": totals.settlement_amount}
    debts = {"opening_debt": totals.opening_debt_balance_amount, "closing_debt": totals.closing_debt_balance_amount}
    return view | {name: abs(debt) for name, debt in debts.items() if debt}


def payout_totals(rows: Iterable[dict[str, Json]]) -> list[dict[str, Json]]:
    """Per currency: the number of payouts, and their sum."""
    totals: list[dict[str, Json]] = []
    for currency, group in groupby(sorted(rows, key=itemgetter("currency_code")), itemgetter("currency_code")):
        entries = list(group)
        total: dict[str, Json] = {"currency_code": currency, "payouts": len(entries)}
        for name in ("sales", "returns", "reversals", "fees", "vat_on_fees"):
            total[name] = sum(entry.get(name, 0) for entry in entries)
        if all("settlement_amount" in entry for entry in entries):
            total["other"] = sum(entry.get("other", 0) for entry in entries)
            total["settlement_amount"] = sum(entry["settlement_amount"] for entry in entries)
        totals.append({name: value for name, value in total.items() if value or name not in _WHERE_ANY})
    return totals


def summed_by_kustom(found: Iterable[PayoutSummary]) -> list[dict[str, Json]]:
    """Per currency: the sums that Kustom gives for a period, without the number of payouts."""
    totals = (payout_row(summary.payout) for summary in found)
    return [{name: value for name, value in total.items() if name != "payment_reference"} for total in totals]


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


def payout_in_words(payout: Payout) -> str:
    """One payout: what was paid, and why it is not all that was sold."""
    row = payout_row(payout)
    day = _day(row)
    head = f"{_payout(row, 'Payout')}{f' of {day}' if day else ''}"
    if "settlement_amount" not in row:
        return f"{head}{_less([row], row['currency_code'])}."
    return f"{head}: {show(row['settlement_amount'], row['currency_code'])}. {_explained(row, payout.totals)}"


def payouts_in_words(totals: Sequence[dict[str, Json]], found: int, *, complete: bool, period: str = "") -> str:
    """Many payouts, as `payout_totals` or `summed_by_kustom` adds them up. `period`: what is said of it."""
    if not complete and not totals:
        return f"More than {found:,} payouts{period}, too many to add up: ask for a shorter period."
    known = [total for total in totals if "settlement_amount" in total]
    sums = ", ".join(show(total["settlement_amount"], total["currency_code"]) for total in known)
    count = "1 payout" if found == 1 else f"{found:,} payouts"
    said = f"{count if complete else f'More than {count}, by the sums of Kustom'}{f': {sums}' if sums else ''}{period}."
    if len(known) <= MOST_EXPLAINED:
        said = " ".join([said, *(_explained(total) for total in known)])
    return said


def _explained(row: dict[str, Json], totals: PayoutTotals | None = None) -> str:
    """Say how what was paid comes from what was sold, and what of it Kustom's totals do not tell."""
    currency: str = row["currency_code"]
    vat = f" ({show(row['vat_on_fees'], currency)} of it VAT)" if row.get("vat_on_fees") else ""
    taken = [
        f"{show(row[name], currency)} of {word}{vat if name == 'fees' else ''}"
        for name, word in _TAKEN.items()
        if row.get(name)
    ]
    rest: int = row.get("other", 0)
    added: list[str] = []
    if totals is not None:
        for name, (word, sign) in _OTHERS.items():
            amount = abs(getattr(totals, name))
            if amount:
                rest -= sign * amount
                (taken if sign < 0 else added).append(f"{show(amount, currency)} {word}")
    less, plus = (f", {word} {_joined(parts)}" if parts else "" for word, parts in (("less", taken), ("plus", added)))
    said = [f"{show(row['sales'], currency)} of sales{less}{plus}."]
    if rest and rest == row["fees"]:
        said.append("The fees were not taken off it.")
    elif rest and totals is not None:
        said.append(f"{show(rest, currency)} of it these totals do not explain: see the types of its transactions.")
    elif rest:
        said.append(f"{show(rest, currency)} is other: debts, charges, credits and holdback.")
    if row.get("opening_debt") or row.get("closing_debt"):
        debts = (show(row.get(name, 0), currency) for name in ("opening_debt", "closing_debt"))
        said.append("The debt to Kustom was {} before and {} after, which the next payout pays first.".format(*debts))
    return " ".join(said)


def _joined(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


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
    amounts = {word: sum(row.get(name, 0) for row in payouts) for name, word in {"sales": "sales", **_TAKEN}.items()}
    figures = ", ".join(f"{show(amount, currency)} of {word}" for word, amount in amounts.items() if amount)
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
    amounts = {word: sum(row.get(name, 0) for row in rows) for name, word in reversed(_TAKEN.items())}
    parts = [f"{show(amount, currency)} of {word}" for word, amount in amounts.items() if amount]
    return f", after {_joined(parts)}" if parts else ""


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
