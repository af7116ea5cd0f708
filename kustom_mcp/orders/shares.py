"""The lines of a whole order - discounts, gift cards, store credit, sales tax - and the shares of them that goods have.

Such a line belongs to other lines: one that takes a shipping line back to that line, one with a tax rate of its own to
the goods at that rate, any other to all goods, in proportion to their totals; shipping and fees apart, unless goods
alone cannot bear them: a gift card may have paid the shipping, too. What goods have of it is a share, kept by amount
and never by quantity: the share of all goods that came back by now, rounded once, less the shares that went before. So
the shares do not depend on the order of the parts, and the last takes the rest.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kustom_mcp.money import tax_of
from kustom_mcp.orders.line_amounts import WRITABLE, Line, share_of, total_of
from kustom_mcp.schema.result import Json

RETURN_FEE = "return_fee"
GIVEN_BACK_ELSEWHERE = frozenset({"gift_card", "store_credit"})
"""What was paid with something else than money: its share goes back in the shop."""

_TYPES = frozenset({"discount", "gift_card", "store_credit", "sales_tax"})
_SHIPPING = "shipping_fee"
_FEES = frozenset({_SHIPPING, "surcharge", RETURN_FEE})


def is_of_the_order(line: Mapping[str, Json]) -> bool:
    """Whether a line belongs to the whole order: by its type, or because it takes something off."""
    kind = line.get("type")
    return kind in _TYPES or (kind != RETURN_FEE and (total_of(line) or 0) < 0)


class Bearer(Protocol):
    """A line that may bear shares: its type and tax rate, and its total in minor units. Compared by identity.

    `numbers`: the lines of the order that it is.
    """

    @property
    def numbers(self) -> Sequence[int]: ...
    @property
    def kind(self) -> str | None: ...
    @property
    def rate(self) -> int | None: ...
    @property
    def total(self) -> int: ...


@dataclass(eq=False)
class OrderShare:
    """A line of the whole order, with those that bear it. Several that are alike are one.

    `total` is what captures hold of it, `given` what refunds have given back of it, `returned` what the goods that came
    back had cost; minor units. `tax` is None where no line says its tax.
    """

    form: Line
    numbers: list[int] = field(default_factory=list[int])
    ordered: int = 0
    total: int = 0
    tax: int | None = 0
    given: int = 0
    taxed: int = 0
    returned: int = 0
    bearers: Sequence[Bearer] = ()
    forms: list[Line] = field(default_factory=list[Line])

    def take(self, line: Line) -> None:
        """Add a captured line."""
        self.total += total_of(line) or 0
        tax: int | None = line.get("total_tax_amount")
        self.tax = None if tax is None or self.tax is None else self.tax + tax
        self.forms.append(line)

    def due(self, more: int = 0) -> int:
        """The share of all goods that have come back, and of others at this price, in minor units."""
        whole = sum(bearer.total for bearer in self.bearers)
        return share_of(self.total, min(self.returned + more, whole), whole) if whole > 0 else 0

    def owed(self, more: int) -> int:
        """The share that is due if goods at this price come back as well, less what was given; never the other way."""
        return self._signed(self.due(more) - self.given)

    def own(self, more: int) -> int:
        """The share of these goods alone, whatever refunds before have missed or given too much."""
        own, owed = self._signed(self.due(more) - self.due()), self.owed(more)
        return min(own, owed, key=abs)

    def give(self, amount: int, tax: int | None = None) -> int:
        """Count a share as given. Returns its tax, made from what captures say where the refund says none."""
        tax = self.tax_for(amount) if tax is None else tax
        self.given += amount
        self.taxed += tax
        return tax

    def tax_for(self, amount: int) -> int:
        """The tax of a share: that of all that was given by then, less what was given before."""
        given = self.given + amount
        if not self.tax or given == self.total:
            return (self.tax or 0) - self.taxed if self.tax else 0
        rate: int | None = self.form.get("tax_rate")
        exact = rate is not None and rate >= 0 and self.tax == tax_of(self.total, rate)
        by_now = tax_of(given, rate or 0) if exact else share_of(self.tax, abs(given), abs(self.total))
        return by_now - self.taxed

    def line(self, amount: int) -> Line:
        """A share as a line of its own; the whole of one captured line as it stands."""
        if len(self.forms) == 1 and amount == self.total:
            return {name: value for name, value in self.forms[0].items() if name in WRITABLE}
        line = {name: value for name, value in self.form.items() if name in WRITABLE}
        line |= {"quantity": 1, "unit_price": amount, "total_amount": amount}
        if "total_discount_amount" in line:
            line["total_discount_amount"] = 0
        line.pop("total_tax_amount", None)
        if self.tax is not None:
            line["total_tax_amount"] = self.tax_for(amount)
        return line

    def _signed(self, amount: int) -> int:
        return max(0, amount) if self.total > 0 else min(0, amount)


class Shares:
    """The lines of a whole order, found by what they are. A price never tells: shares have their own."""

    def __init__(self) -> None:
        self._all: dict[Hashable, OrderShare] = {}

    def __iter__(self) -> Iterator[OrderShare]:
        return iter(self._all.values())

    def order(self, number: int, line: Line) -> None:
        """Add a line of the order."""
        share = self._made(line)
        share.numbers.append(number)
        share.ordered += total_of(line) or 0

    def take(self, line: Line) -> OrderShare:
        """Add a captured line; one that the order does not have stands for itself."""
        share = self.find(line) or self._made(line)
        share.take(line)
        return share

    def find(self, line: Line) -> OrderShare | None:
        """The line of the whole order that `line` is a share of; None where it is none or may be several."""
        found = [share for share in self._all.values() if _fits(share.form, line)]
        for name in ("type", "tax_rate", "name", "reference"):
            if len(found) > 1:
                found = [share for share in found if share.form.get(name) == line.get(name)] or found
        return found[0] if len(found) == 1 else None

    def numbered(self, number: int) -> OrderShare | None:
        """The one that is the line of the order with this number."""
        return next((share for share in self._all.values() if number in share.numbers), None)

    def belong(self, bearers: Sequence[Bearer]) -> None:
        """Say what bears each of them, once everything is counted that there is."""
        charged = [bearer for bearer in bearers if bearer.total > 0]
        waiting = [bearer for bearer in charged if bearer.kind == _SHIPPING]
        others: list[OrderShare] = []
        for share in self._all.values():
            shipping = next((bearer for bearer in waiting if share.total and bearer.total == -share.total), None)
            if shipping is not None:
                waiting.remove(shipping)
                share.bearers = (shipping,)
            else:
                others.append(share)
        goods = [bearer for bearer in charged if bearer.kind not in _FEES]
        if not goods or sum(bearer.total for bearer in goods) < -sum(share.total for share in others):
            goods = [bearer for bearer in charged if bearer.kind != _SHIPPING or bearer in waiting]
        _spread(others, goods)

    def borne_by(self, bearer: Bearer) -> list[OrderShare]:
        """Those of which a line has a share."""
        return [share for share in self._all.values() if any(one is bearer for one in share.bearers)]

    def _made(self, line: Line) -> OrderShare:
        key = tuple(line.get(name) for name in ("type", "reference", "name", "tax_rate"))
        return self._all.setdefault(key, OrderShare(line))


def _spread(shares: Sequence[OrderShare], goods: Sequence[Bearer]) -> None:
    """Give shares to the goods of their own tax rate; to all goods where there are none, or they cannot bear them.

    Goods never bear more than they cost: those of a rate that would are left out until all the others fit.
    """
    rates = {share.form.get("tax_rate") for share in shares} & {bearer.rate for bearer in goods} - {None}
    whole = sum(bearer.total for bearer in goods)
    while True:
        pooled = sum(-share.total for share in shares if share.total < 0 and share.form.get("tax_rate") not in rates)
        over = {rate for rate in rates if not _bears(rate, shares, goods, pooled, whole)}
        if not over:
            break
        rates -= over
    for share in shares:
        rate = share.form.get("tax_rate")
        share.bearers = [bearer for bearer in goods if bearer.rate == rate] if rate in rates else goods


def _bears(rate: int | None, shares: Sequence[OrderShare], goods: Sequence[Bearer], pooled: int, whole: int) -> bool:
    """Return whether the goods of a tax rate can bear the shares of that rate, and their part of what all bear."""
    cost = sum(bearer.total for bearer in goods if bearer.rate == rate)
    own = sum(-share.total for share in shares if share.total < 0 and share.form.get("tax_rate") == rate)
    return own + share_of(pooled, cost, whole) <= cost


def _fits(form: Line, line: Line) -> bool:
    """Whether two lines of a whole order may be one, by reference or name, and type."""
    if form.get("type") and line.get("type") and form["type"] != line["type"]:
        return False
    if form.get("reference") and line.get("reference"):
        return bool(form["reference"] == line["reference"])
    return not (form.get("name") and line.get("name")) or bool(form["name"] == line["name"])
