"""Plausibility of amounts and words: 199 meant as 199.00, a total that falls by 99 %, another currency.

Models and people write amounts as they say them, in major units, rounded or without the decimals. What a number may
have been meant as is looked for among the amounts that this order knows. A doubt is only ever a question, in a preview.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from kustom_mcp.api.models import Order, OrderLine
from kustom_mcp.money import exponent, show

MOST_TOGETHER = 10
"""Lines of which every sum is looked at; of longer orders single lines and runs of lines."""
_FALL = 50
"""A new total below this part of the old one is asked about."""

_SAID = {
    "SEK": "kronor kr",
    "NOK": "kroner kr",
    "DKK": "kroner kr",
    "ISK": "krónur kr",
    "EUR": "euro euros euroa €",
    "GBP": "pounds £",
    "USD": "dollar dollars $",
    "AUD": "dollar dollars $",
    "CAD": "dollar dollars $",
    "NZD": "dollar dollars $",
    "PLN": "zł zloty złotych",
    "CHF": "francs franken",
    "CZK": "kč korun",
    "HUF": "forint",
    "JPY": "yen ¥",
}
"""Words and signs for currencies, besides their codes."""
_MEANT = {
    word: frozenset(code for code, words in _SAID.items() if word in (code, *words.split()))
    for said in ([code, *words.split()] for code, words in _SAID.items())
    for word in said
}
_WORD = re.compile(r"\d[\d.,\s]*\s*([^\W\d_]+|[€£$¥])|([€£$¥]|\b[A-Z]{3})\s*\d")


def amount(order: Order, field: str, amount: int) -> list[str]:
    """Ask about an amount in minor units that is one of the order's in major units, as it is or rounded."""
    digits = exponent(order.currency)
    if not digits or not order.currency:
        return []
    meant = _meant(amount, 10**digits, _known(order))
    if meant is None:
        return []
    return [
        f"{field} {amount} is {show(amount, order.currency)}. Did you mean {show(meant, order.currency)}? That would "
        f"be {meant}."
    ]


def new_total(order: Order, field: str, total: int) -> list[str]:
    """Ask about a new total in minor units that is a small part of the old one."""
    if not 0 < total * _FALL < order.order_amount:
        return []
    larger = total * 10 ** exponent(order.currency)
    asked = f" Did you mean {show(larger, order.currency)}? That would be {larger}."
    meant = asked if larger <= order.order_amount else ""
    return [
        f"{field} {total} is {show(total, order.currency)}, of {show(order.order_amount, order.currency)} that were "
        f"ordered.{meant}"
    ]


def new_price(order: Order, number: int, price: int) -> list[str]:
    """Ask about a new price of one in minor units that is a small part of the old one."""
    old = order.order_lines[number - 1].unit_price or 0
    if not 0 < abs(price) * _FALL < abs(old):
        return []
    larger = price * 10 ** exponent(order.currency)
    return [
        f"Line {number}: unit_price {price} is {show(price, order.currency)} instead of {show(old, order.currency)}. "
        f"Did you mean {show(larger, order.currency)}? That would be {larger}."
    ]


def line_totals(order: Order, picks: Sequence[tuple[int, int]], totals: Mapping[int, int]) -> list[str]:
    """Ask about totals of lines in minor units that are a small part of what so many of the line cost."""
    sentences: list[str] = []
    for number, quantity in picks:
        line, total = order.order_lines[number - 1], totals.get(number, 0)
        whole = int(abs(line.total_amount or 0) * quantity / (line.quantity or quantity))
        sentences += _small(order, f"Line {number}: total_amount", total, whole)
    return sentences


def fee(order: Order, amount: int, paid: int) -> list[str]:
    """Ask about a fee in minor units that is a small part of what is paid."""
    return _small(order, "return_fee", amount, paid + amount)


def _small(order: Order, called: str, amount: int, whole: int) -> list[str]:
    larger = amount * 10 ** exponent(order.currency)
    if not 0 < amount * _FALL < whole or larger > whole or larger == amount:
        return []
    return [
        f"{called} {amount} is {show(amount, order.currency)}, of {show(whole, order.currency)}. Did you mean "
        f"{show(larger, order.currency)}? That would be {larger}."
    ]


def currencies(order: Order, texts: Iterable[str | None]) -> list[str]:
    """Say that a text names an amount in another currency than the order's."""
    for text in texts:
        for match in _WORD.finditer(text or ""):
            word = match[1] or match[2]
            meant = _MEANT.get(word) or _MEANT.get(word.lower())
            if meant and order.currency and order.currency not in meant:
                return [
                    f"A text speaks of {' or '.join(sorted(meant))}, and this order is in {order.currency}: amounts "
                    f"are minor units of {order.currency}, and nothing is converted."
                ]
    return []


def _meant(amount: int, unit: int, known: Sequence[int]) -> int | None:
    """The known amount that this is in major units: exact before rounded before cut off; the largest of several."""
    exact = [one for one in known if one == amount * unit]
    rounded = [one for one in known if (one + unit // 2) // unit == amount]
    cut = [one for one in known if one // unit == amount]
    return max(exact or rounded or cut, default=None)


def _known(order: Order) -> list[int]:
    """The amounts that a person may have in mind: of the order, of its lines and pieces, of several lines together."""
    known = {
        order.captured_amount,
        order.captured_amount - order.refunded_amount,
        order.remaining_authorized_amount,
        order.order_amount,
        *(capture.captured_amount or 0 for capture in order.captures),
    }
    for line in order.order_lines:
        known.update(_pieces(line))
    totals = [line.total_amount or 0 for line in order.order_lines]
    if len(totals) <= MOST_TOGETHER:
        known.update(sum(some) for count in range(2, len(totals) + 1) for some in combinations(totals, count))
    else:
        known.update(sum(totals[start:end]) for start in range(len(totals)) for end in (start + 2, len(totals)))
    return sorted(one for one in known if one > 0)


def _pieces(line: OrderLine) -> Iterable[int]:
    total, quantity = line.total_amount or 0, line.quantity or 0
    yield abs(total)
    yield abs(line.unit_price or 0)
    if isinstance(quantity, int) and 1 < quantity <= 100:
        yield from (abs(total) * count // quantity for count in range(1, quantity))
