"""The lines of an order as captures and refunds have them: captured, refunded and left, with price, tax and shares.

The one place that knows it. Refunds are priced from what was captured and was not refunded, never from the order's
present lines, which may have been changed since. Everything is counted anew from the captures and refunds that Kustom
holds, whoever made them: what a refund paid for a line decides whether it came back (all that was left of it was paid,
with its share of what belongs to the whole order or without) or whether only its price was reduced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import cast

from kustom_mcp.api.models import Order, OrderLine, Refund
from kustom_mcp.money import show, tax_of
from kustom_mcp.orders.line_amounts import WRITABLE, Line, part_of, share_of, stored_lines, total_of
from kustom_mcp.orders.line_identity import Identity
from kustom_mcp.orders.shares import GIVEN_BACK_ELSEWHERE, RETURN_FEE, OrderShare, Shares, is_of_the_order
from kustom_mcp.orders.units import Units
from kustom_mcp.schema.result import Code, Json, ToolError

WHOLE = (
    "The captures name no lines, but together they are the whole order: its lines count as captured, at the order's "
    "prices."
)
BY_AMOUNT = "Ask the person how much is to be paid, and send refunded_amount without lines."
SECOND = f"A second payment for the same goods, or one of goodwill, goes by amount. {BY_AMOUNT}"
UNCAPTURED = (
    "Only what is captured can be refunded. Goods that are not are taken off with line_changes of "
    "kustom_update_order_amount. Ask the person first."
)

_ALIKE_SHOWN = 10
"""Lines that are alike which the view of one of them names."""


@dataclass(eq=False)
class Goods:
    """Lines of the order that are alike in everything, with what captures hold of them and refunds have left.

    `unclear`: a capture or a refund has a line that may be one of these or another one at another price.
    """

    numbers: Sequence[int]
    stored: Sequence[Line]
    held: list[Line] = field(default_factory=list[Line])
    units: Units = field(default_factory=Units)
    paid: int = 0
    taxed: int = 0

    @property
    def kind(self) -> str | None:
        """The type of the lines."""
        return (self.held or self.stored)[0].get("type")

    @property
    def rate(self) -> int | None:
        """The tax rate at which they were captured; before that, the order's."""
        return (self.held or self.stored)[0].get("tax_rate")

    @property
    def total(self) -> int:
        """The total of these lines in captures, minor units."""
        return sum(total_of(line) or 0 for line in self.held)

    @property
    def ordered(self) -> int | float:
        """The quantity of the order's lines as they stand now."""
        return _quantity(self.stored)

    @property
    def captured(self) -> int | float:
        """The captured quantity."""
        return _quantity(self.held)

    @property
    def is_countable(self) -> bool:
        """Whether quantities are whole numbers, so that a part can be taken."""
        return all(isinstance(line.get("quantity") or 0, int) for line in (*self.stored, *self.held))

    @property
    def is_priced(self) -> bool:
        """Whether the captures say what every line costs."""
        return bool(self.held) and all(total_of(line) is not None for line in self.held)

    @property
    def left(self) -> int:
        """The captured quantity that did not come back."""
        return self.units.left

    @property
    def refunded(self) -> int | float:
        """The quantity that came back."""
        return self.captured - self.left if self.is_countable else 0 if self.left else self.captured

    def start(self) -> None:
        """Begin with everything that is captured, at one price where there is one."""
        if not self.is_countable:
            self.units.put(1 if self.held else 0, self.total, self.total)
            return
        if _have_one_price([(total_of(line) or 0, line["quantity"]) for line in self.held if line.get("quantity")]):
            self.units.put(_whole(self.captured), self.total, self.total)
            return
        for line in reversed(self.held):
            self.units.put(line.get("quantity") or 0, total_of(line) or 0, total_of(line) or 0)

    def tax_for(self, amount: int) -> int | None:
        """The tax of a payment: that of all that was paid by then, less that of what was paid before.

        None where captures do not name it. Never further than a minor unit from the rate's own, which Kustom compares.
        """
        taxes: list[int | None] = [line.get("total_tax_amount") for line in self.held]
        known = [tax for tax in taxes if tax is not None]
        if len(known) < len(taxes):
            return None
        total, tax, paid = self.total, sum(known), self.paid + amount
        if not total:
            return 0
        rate = self.rate if self.rate is not None and self.rate >= 0 else None
        by_rate = rate is not None and abs(tax - tax_of(total, rate)) <= len(self.held)
        if paid == total:
            return tax - self.taxed
        if not by_rate:
            return share_of(tax, paid, total) - self.taxed
        exact = tax_of(amount, rate or 0)
        return min(max(tax_of(paid, rate or 0) - self.taxed, exact - 1), exact + 1)

    def line(self, quantity: int, amount: int, tax: int | None) -> Line:
        """A payment for so many as a line for Kustom; the captured line itself where it is all of one."""
        held = self.held[0]
        line: Line = {name: held[name] for name in WRITABLE if name in held}
        if len(self.held) == 1 and quantity == held.get("quantity") and amount == total_of(held):
            return line | {"total_amount": amount}
        line |= {"quantity": quantity, "total_amount": amount}
        line.pop("total_discount_amount", None)
        line.pop("total_tax_amount", None)
        price: int | None = line.get("unit_price")
        if price is not None:
            if amount > quantity * price + quantity:  # with a share of the tax in it
                price = line["unit_price"] = -(-amount // quantity)
            off = quantity * price - amount
            if off > quantity or any("total_discount_amount" in one for one in self.held):
                line["total_discount_amount"] = max(0, off)
        if tax is not None:
            line["total_tax_amount"] = tax
        return line

    def note(self, amount: int, tax: int | None) -> None:
        """Count a payment, without the shares that are in it."""
        self.paid += amount
        self.taxed += tax_of(amount, max(0, self.rate or 0)) if tax is None else tax


@dataclass(eq=False)
class _Payment:
    """A payment for some units of a line that were taken off the pile: `rest` is what is left to pay for them.

    `embedded` is the share of lines of the whole order that is in the payment, with its tax: so much less was paid for
    the goods than they cost (below 0), or so much more.
    """

    goods: Goods
    quantity: int
    amount: int
    base: int
    rest: int
    came_back: bool = False
    embedded: int = 0
    embedded_tax: int = 0


@dataclass(frozen=True, slots=True)
class Built:
    """Lines for Kustom, what they come to in minor units, and sentences that a person should read first."""

    order_lines: list[Line]
    amount: int
    notes: list[str] = field(default_factory=list[str])


class Refundable:
    """The lines of an order, with the captured and the refunded part of each.

    `whole`: no capture names lines, but together they are the whole order, which never changed. `silent`: captures
    that name no lines hold something, and it cannot be said what.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._stored = stored_lines(order)
        goods = {number: line for number, line in enumerate(self._stored, start=1) if not is_of_the_order(line)}
        self._identity = Identity(goods)
        self._goods: dict[int, Goods] = {}
        for number in goods:
            alike = self._identity.twins[number]
            one = self._goods.get(alike[0]) or Goods(alike, [goods[twin] for twin in alike])
            self._goods[number] = one
        self.shares = Shares()
        for number, line in enumerate(self._stored, start=1):
            if number not in goods:
                self.shares.order(number, line)
        self._captured: dict[int, int | float] = {}
        self.whole = _is_whole(order, self._stored)
        unnamed = [capture for capture in order.captures if not capture.order_lines]
        self.silent = not self.whole and bool(unnamed or (order.captured_amount and not order.captures))
        strangers = self._hold()
        for one in self.goods:
            one.start()
        self.shares.belong([*self.goods, *strangers])
        for refund in _in_time(order.refunds):
            self.pay_back(_plain(refund.order_lines))

    @property
    def goods(self) -> list[Goods]:
        """The lines of the order that are not of the whole order, those that are alike as one."""
        return list(dict.fromkeys(self._goods.values()))

    def of(self, number: int) -> Goods | None:
        """The line of the order with this number, with those alike; None for a line of the whole order."""
        return self._goods.get(number)

    def is_unclear(self, goods: Goods) -> bool:
        """Whether a capture or a refund has a line that may be this one or another one at another price."""
        return any(number in self._identity.unclear for number in goods.numbers)

    def captured(self) -> dict[int, int | float]:
        """The captured quantity of each line of which there is any, by its number."""
        return {number: quantity for number, quantity in self._captured.items() if quantity}

    # Refunds that Kustom has

    def pay_back(self, lines: Iterable[Line]) -> None:
        """Count the lines of one refund."""
        payments: list[tuple[_Payment, int | None]] = []
        for line in lines:
            if line.get("type") == RETURN_FEE:
                continue
            share = self._share_of(line)
            if share is not None:
                share.give(total_of(line) or 0, line.get("total_tax_amount"))
                continue
            found = self._goods_in(line)
            if found:
                payments.append((self._payment(self._goods[found[0]], line), line.get("total_tax_amount")))
        self._decide_returns([payment for payment, _ in payments])
        for payment, tax in payments:
            own = None if tax is None else tax - payment.embedded_tax
            payment.goods.note(payment.amount - payment.embedded, own)

    def _share_of(self, line: Line) -> OrderShare | None:
        """The line of the whole order that `line` is a share of. One without a type or a total is known by its name."""
        if is_of_the_order(line):
            return self.shares.find(line)
        bare = line.get("type") is None and total_of(line) is None
        return self.shares.find(line) if bare and not self._identity.find(line) else None

    def _goods_in(self, line: Line) -> list[int]:
        """The goods that a line of a refund pays for, whatever type it gives itself: what pays is no discount."""
        pays = (total_of(line) or 0) > 0
        return self._identity.find(line) if pays or not is_of_the_order(line) else []

    def _payment(self, goods: Goods, line: Line) -> _Payment:
        quantity = line.get("quantity") or 0
        count = goods.left
        if quantity and goods.is_countable:
            count = min(count, int(-(-quantity // 1)))
        base, worth = goods.units.take(count)
        amount = total_of(line)
        if amount is None or not goods.is_priced:
            amount = worth
        return _Payment(goods, count, amount, base, worth - amount)

    def _decide_returns(self, payments: Sequence[_Payment]) -> None:
        """Say of each payment whether its goods came back, and put back those that did not.

        Those came back of which nothing is left to pay, with or without their shares. What rounding left of them goes
        to the units that remain.
        """
        for payment in sorted(payments, key=lambda payment: payment.rest > 0):
            goods, borne = payment.goods, self.shares.borne_by(payment.goods)
            owed = [(share, share.owed(payment.base)) for share in borne]
            rounding = payment.quantity if goods.left else 0
            taken_off = sum(amount for _, amount in owed if amount < 0)
            added = sum(amount for _, amount in owed if amount > 0)
            payment.came_back = payment.rest + added + taken_off <= rounding
            if payment.came_back:
                left = self._embed(payment, owed, payment.rest)
                above = goods.units.pay(-left)
                if above:  # it is a share of the units that remain
                    whole = payment.base + goods.units.base
                    self._embed(payment, [(share, share.owed(whole)) for share in borne], -above)
                self._return(payment, borne)
            else:
                self._embed(payment, owed, min(0, payment.rest))
                goods.units.put(payment.quantity, payment.base, max(0, payment.rest))

    @staticmethod
    def _return(payment: _Payment, borne: Sequence[OrderShare]) -> None:
        """Count the cost of goods as come back, and that of others of the line that are paid, unless a share is not.

        The others are still left by their number, since nobody said that they came back, but nothing is paid for them.
        """
        units = payment.goods.units
        quantity, base = units.take_paid()
        counts = sum(share.owed(payment.base + base) for share in borne) <= 0
        units.put_under(quantity, 0 if counts else base)
        for share in borne:
            share.returned += payment.base + (base if counts else 0)

    def _embed(self, payment: _Payment, owed: Sequence[tuple[OrderShare, int]], rest: int) -> int:
        """Count what a payment is short of (or above) the goods' price as shares. Returns what is still left to pay."""
        for share, amount in owed:
            if amount > 0 and rest:
                part = amount if rest > 0 else min(amount, -rest)
                rest += part
                payment.embedded_tax += share.give(part)
                payment.embedded += part
        for share, amount in owed:
            if amount < 0 < rest:
                part = max(amount, -rest)
                rest += part
                payment.embedded_tax += share.give(part)
                payment.embedded += part
        return rest

    # A refund by lines

    def refund(self, picks: Sequence[tuple[int, int]], totals: Mapping[int, int]) -> Built:
        """The lines of a refund of so many of each line, with their shares; these count as refunded then.

        `totals` has what is paid in all for lines of which that was said, by number, in minor units. ACTION_NOT_ALLOWED
        where so many, or so much, are not left, or nobody can say at what price.
        """
        notes = [WHOLE] if self.whole else []
        taken: dict[int, _Payment] = {}
        for position, (number, quantity) in enumerate(picks):
            where = f"lines[{position}]"
            goods = self._goods.get(number)
            if goods is None:
                notes.append(_goes_along(number, number in totals, where))
                continue
            self._must_be_left(goods, number, quantity, f"{where}.line", f"{where}.quantity")
            self._must_be_priced(goods, number, quantity, where)
            before, all_of_it = goods.left, goods.units.worth
            base, worth = goods.units.take(quantity)
            if number not in totals and quantity < before and all_of_it % before:
                notes.append(self._uneven(number, quantity, before, worth))
            taken[number] = _Payment(goods, quantity, worth, base, 0)
        plain = [payment for number, payment in taken.items() if number not in totals]
        shares = self._give_shares(plain)
        self._must_pay(taken, totals, picks, shares)
        lines: list[Line] = []
        self._decide_returns(plain)
        for position, (number, _) in enumerate(picks):
            payment = taken.get(number)
            if payment is None:
                continue
            if number in totals:
                notes += self._pay_total(payment, number, totals[number], f"lines[{position}].total_amount")
            tax = payment.goods.tax_for(payment.amount - payment.embedded)
            payment.goods.note(payment.amount - payment.embedded, tax)
            if tax is not None:
                tax += payment.embedded_tax
            lines.append(payment.goods.line(payment.quantity, payment.amount, tax))
            self._must_be_known(lines[-1], number, f"lines[{position}].line")
        lines += shares
        return Built(lines, sum(total_of(line) or 0 for line in lines), notes)

    def _give_shares(self, payments: Sequence[_Payment]) -> list[Line]:
        """The shares that go with goods, as lines of their own; they count as given."""
        lines: list[Line] = []
        for share in self.shares:
            more = sum(payment.base for payment in payments if any(one is payment.goods for one in share.bearers))
            amount = share.owed(more) if more else 0
            if amount:
                line = share.line(amount)
                share.give(amount, line.get("total_tax_amount", 0))
                lines.append(line)
        return lines

    def _pay_total(self, payment: _Payment, number: int, amount: int, where: str) -> list[str]:
        """Pay so much in all for some units: for goods that came back, or as a price reduction."""
        goods, worth = payment.goods, payment.amount
        most = worth + sum(share.own(payment.base) for share in self.shares.borne_by(goods))
        currency = self._order.currency
        if amount > most:
            raise _refused(
                f"At most {show(max(0, most), currency)} are left to pay for {payment.quantity} of line {number}, "
                "its share of discounts and the like taken off.",
                where,
                f"Send total_amount {most} or less for this line. {SECOND}" if most > 0 else SECOND,
            )
        payment.amount, payment.rest = amount, worth - amount
        self._decide_returns([payment])
        if payment.came_back:
            return []
        return [
            f"Line {number}: {show(amount, currency)} of {show(most, currency)} is paid as a price reduction; the "
            f"goods stay refundable for the other {show(most - amount, currency)}."
        ]

    def _must_pay(
        self,
        taken: Mapping[int, _Payment],
        totals: Mapping[int, int],
        picks: Sequence[tuple[int, int]],
        shares: Sequence[Line],
    ) -> None:
        """Refuse goods for which nothing is left to pay, although they had a price."""
        for position, (number, _) in enumerate(picks):
            payment = taken.get(number)
            if payment is None or number in totals or payment.amount or not payment.goods.total:
                continue
            if not any((total_of(line) or 0) > 0 for line in shares):
                nothing = show(0, self._order.currency)
                raise _refused(f"{nothing} of line {number} is left to refund.", f"lines[{position}].line", SECOND)

    def _must_be_priced(self, goods: Goods, number: int, quantity: int, where: str) -> None:
        if not goods.is_priced:
            raise _refused(f"The captures say no price for line {number}.", f"{where}.line", BY_AMOUNT)
        if quantity < goods.left and not goods.units.is_even:
            raise _refused(
                f"Line {number} was captured at different prices, so what some of the {goods.left} that are left "
                "cost cannot be told.",
                f"{where}.quantity",
                BY_AMOUNT,
            )

    def _must_be_known(self, line: Line, number: int, where: str) -> None:
        """Refuse a line that nobody could tell from another one of the order afterwards."""
        if not self._identity.knows(line, number):
            raise _refused(
                f"A part of the price of line {number} could not be told from another line of the order afterwards.",
                where,
                BY_AMOUNT,
            )

    def _uneven(self, number: int, quantity: int, whole: int, amount: int) -> str:
        return (
            f"Line {number} does not divide evenly: {quantity} of {whole} come to {show(amount, self._order.currency)}."
        )

    # A capture by lines

    def capture(self, number: int, quantity: int) -> Line:
        """The next so many units of a line of the order, as a line; these count as captured then.

        The stored line needs a quantity and a price. The last units of a line, and of lines that are alike, take what
        rounding left. Units beyond what is left cost what the last ones cost.
        """
        stored, goods = self._stored[number - 1], self._goods.get(number)
        start = max(0, min(_whole(self._captured.get(number, 0)), stored["quantity"] - quantity))
        part = part_of(stored, start, start + quantity)
        taken = self._captured[number] = self._captured.get(number, 0) + quantity
        if goods is None:
            return self._rest_of_share(number, part) if taken >= stored["quantity"] else part
        if quantity == goods.ordered - goods.captured and all(total_of(line) is not None for line in goods.stored):
            _take_the_rest(part, goods)
        goods.held.append(part)
        return part

    def _rest_of_share(self, number: int, part: Line) -> Line:
        """A line of the whole order as captures have left it: its shares are of any amount."""
        share = self.shares.numbered(number)
        if share is None or not share.total or len(share.numbers) > 1:
            return part
        left = share.ordered - share.total
        if left * share.ordered <= 0 or left == part["total_amount"]:
            return part
        rest = OrderShare(part, total=left, tax=part.get("total_tax_amount"))
        if rest.tax is not None and share.tax is not None:
            rest.tax -= share.tax
        return rest.line(left)

    def uncaptured(self, number: int) -> int | float:
        """The quantity of a line, and of those that are alike, that no capture holds."""
        goods, share = self._goods.get(number), self.shares.numbered(number)
        if goods is not None:
            return max(0, goods.ordered - goods.captured)
        done = share is not None and abs(share.total) >= abs(share.ordered)
        return 0 if done else self._stored[number - 1].get("quantity") or 0

    def left_behind(self, picks: Sequence[tuple[int, int]]) -> list[str]:
        """Name the lines of the whole order of which goods to capture have a share, and that are not captured along."""
        parts = [(picked, total_of(part_of(self._stored[picked - 1], 0, quantity)) or 0) for picked, quantity in picks]
        return self._left_behind(parts, {number for number, _ in picks})

    def left_behind_by(self, lines: Sequence[Line]) -> list[str]:
        """The same for lines of a capture in Kustom's own format."""
        parts: list[tuple[int, int]] = []
        named: set[int] = set()
        for line in lines:
            share = self._share_of(line)
            if share is not None:
                named.update(share.numbers)
            elif not is_of_the_order(line):
                parts += [(number, total_of(line) or 0) for number in self._identity.find(line)[:1]]
        return self._left_behind(parts, named)

    def _left_behind(self, parts: Sequence[tuple[int, int]], named: Set[int]) -> list[str]:
        """`parts`: goods by number, with what is captured of them in minor units; `named`: lines captured along."""
        plan, currency = self._plan(), self._order.currency
        sentences: list[str] = []
        for share in plan:
            number = share.numbers[0]
            if named & set(share.numbers) or not self.uncaptured(number):
                continue
            goods = [amount for picked, amount in parts if any(picked in bearer.numbers for bearer in share.bearers)]
            amount = share.due(sum(goods))
            if amount:
                sentences.append(
                    f"{_called(share)} of {show(share.ordered, currency)} is not in this capture: the share of these "
                    f"goods is {show(amount, currency)}. Name the line as well to capture it with them."
                )
        return sentences

    def stays_as_it_is(self, new: Mapping[int, Line | None]) -> list[str]:
        """Name the lines of the whole order that new goods lines, by number, leave as they are. None: the line goes."""
        sentences: list[str] = []
        for share in self._plan():
            if new.keys() & set(share.numbers) or share.form.get("type") in GIVEN_BACK_ELSEWHERE:
                continue
            numbers = [number for bearer in share.bearers for number in bearer.numbers]
            old = [self._stored[number - 1] for number in numbers]
            now = [new.get(number, self._stored[number - 1]) for number in numbers]
            before = sum(total_of(line) or 0 for line in old)
            after = sum(total_of(line) or 0 for line in now if line is not None)
            fitting = share_of(share.total, after, before) if before > 0 <= after else share.total
            if fitting != share.total:
                stays, would = show(share.total, self._order.currency), show(fitting, self._order.currency)
                sentences.append(
                    f"{_called(share)} stays at {stays}; in proportion to the goods it would be {would}: change "
                    "that line as well if it should follow."
                )
        return sentences

    def _plan(self) -> Shares:
        """The lines of the whole order as they will be borne once everything is captured."""
        plan = Shares()
        for number, line in enumerate(self._stored, start=1):
            if is_of_the_order(line):
                plan.order(number, line)
                plan.take(line)
        plan.belong([Goods(goods.numbers, goods.stored, list(goods.stored)) for goods in self.goods])
        return plan

    # A refund in Kustom's own format

    def must_be_left(self, lines: Sequence[Line], argument: str, amount: int = 0) -> list[str]:
        """Refuse goods in lines of a refund that are not captured or are refunded already. ACTION_NOT_ALLOWED.

        So is an `amount`, in minor units, above what is left because shares are missing. Returns warnings: for lines
        that could not be compared, that pay more than was captured, and for shares that are missing. Lines of the whole
        order are kept by amount: their quantity says nothing.
        """
        if self.silent:
            return ["Captures of this order name no lines, so it was not checked what is refunded already."]
        warnings: list[str] = []
        payments: list[_Payment] = []
        numbers: list[int] = []
        named: list[OrderShare] = []
        for position, line in enumerate(lines):
            if line.get("type") == RETURN_FEE:
                continue
            share = self._share_of(line)
            if share is not None:
                named.append(share)
            found = [] if share is not None else self._goods_in(line)
            if not found:
                if self._identity.is_doubtful(line):
                    warnings.append(
                        f"Order line {position + 1} may be one of several lines of the order: it was not checked what "
                        "is refunded of it already."
                    )
                continue
            goods, where = self._goods[found[0]], f"{argument}[{position}]"
            if self.is_unclear(goods):
                warnings.append(
                    f"Order line {position + 1} may be one of several lines of the order: it was not checked what is "
                    "refunded of it already."
                )
                continue
            pays_for = line.get("quantity") or int((total_of(line) or 0) > 0)  # what is paid for is one piece at least
            self._must_be_left(goods, found[0], pays_for, where, f"{where}.quantity")
            payments.append(self._payment(goods, line))
            numbers.append(found[0])
            if payments[-1].rest < 0 and goods.is_priced:
                pays, left = payments[-1].amount, payments[-1].amount + payments[-1].rest
                warnings.append(
                    f"Order line {position + 1} pays {show(pays, self._order.currency)} for goods of which "
                    f"{show(left, self._order.currency)} are left."
                )
        missing = self._missing_shares(payments, named)
        left = self._unreturned
        if missing and amount > left > 0:
            raise _refused(
                f"{show(amount, self._order.currency)} is asked for, and {show(left, self._order.currency)} are left "
                "to refund.",
                argument,
                f"{' '.join(missing)} {self._by_lines(numbers, payments, left)}",
            )
        return warnings + missing

    def _by_lines(self, numbers: Sequence[int], payments: Sequence[_Payment], left: int) -> str:
        """The call by line numbers that refunds these goods, where one pays at most `left`, in minor units."""
        picks: dict[int, int] = {}
        for number, payment in zip(numbers, payments, strict=True):
            picks[number] = picks.get(number, 0) + payment.quantity
        try:
            pays = Refundable(self._order).refund([*picks.items()], {}).amount
        except ToolError:
            pays = 0
        if not 0 < pays <= left or len(picks) > _ALIKE_SHOWN:
            return f"With all that was refunded before, {show(left, self._order.currency)} can go back. {BY_AMOUNT}"
        named = ", ".join(f'{{"line": {number}, "quantity": {quantity}}}' for number, quantity in picks.items())
        return f"Call again with lines [{named}] instead of order_lines and amount."

    def priced_without_share(self, amount: int) -> list[str]:
        """Say that an amount, in minor units, is what goods cost before their share of discounts and the like."""
        for goods in self.goods:
            units, borne = goods.units, self.shares.borne_by(goods)
            if not (borne and goods.is_priced and goods.left) or self.is_unclear(goods):
                continue
            for count in {goods.left, 1}:
                base, worth = (share_of(whole, count, goods.left) for whole in (units.base, units.worth))
                pays = worth + sum(share.owed(base) for share in borne)
                if worth == amount != pays <= self._unreturned:
                    return [
                        f"{show(amount, self._order.currency)} is what {count} of line {goods.numbers[0]} cost without "
                        f"the share of lines of the whole order: with lines {show(pays, self._order.currency)} goes "
                        "back."
                    ]
        return []

    def _missing_shares(self, payments: Sequence[_Payment], named: Sequence[OrderShare]) -> list[str]:
        sentences: list[str] = []
        for share in self.shares:
            more = sum(payment.base for payment in payments if any(one is payment.goods for one in share.bearers))
            if more and share.owed(more) and share not in named:
                figure = show(share.owed(more), self._order.currency)
                sentences.append(
                    f"{_called(share)} belongs to the whole order and is not in order_lines: the share of these goods "
                    f"is {figure}. With lines the server adds it."
                )
        return sentences

    # Lines that must stay in an order

    def must_keep(self, changes: Sequence[tuple[int, int | float]], argument: str) -> None:
        """Refuse new quantities of lines, by their numbers, that are below what captures hold. ACTION_NOT_ALLOWED."""
        new: dict[int, int | float] = {
            number: line.get("quantity") or 0 for number, line in enumerate(self._stored, start=1)
        }
        new |= dict(changes)
        for position, (number, _) in enumerate(changes):
            goods = self._goods.get(number)
            if goods is None:
                continue
            least = min(goods.captured, goods.ordered)
            if least and sum(new[twin] for twin in goods.numbers) < least:
                raise _kept(least, goods.numbers, f"{argument}[{position}].quantity")
        kept = [{**line, "quantity": new[number]} for number, line in enumerate(self._stored, start=1)]
        self.must_keep_all(kept, argument)

    def must_keep_all(self, lines: Sequence[Mapping[str, Json]], argument: str) -> None:
        """Refuse a new list that holds less of an article, on all its lines, than captures do. ACTION_NOT_ALLOWED.

        By the article and not by the line, because the lines of a new list may have new prices and names.
        """
        held, now, new = (
            _articles(lines)
            for lines in (
                [line for capture in self._order.captures for line in _plain(capture.order_lines)],
                self._stored,
                lines,
            )
        )
        for article, captured in held.items():
            least = min(captured, now.get(article, 0))
            if new.get(article, 0) < least:
                numbers = [number for number, line in enumerate(self._stored, start=1) if _article(line) == article]
                raise _kept(least, numbers, argument)

    # The view for a model

    def view(self) -> list[dict[str, Json]]:
        """The captured, refunded and left part of each line: quantities, the price of one unit, the amount left to pay.

        `amount` is what a refund of all that is left of a line would pay by its number, its shares taken off. Where a
        refund by its number would be refused `by_lines` is false, and `left_amount` says what is left where that is
        known. Minor units; nothing that somebody typed.
        """
        return [self._seen(number) for number in range(1, len(self._stored) + 1)]

    def _seen(self, number: int) -> dict[str, Json]:
        goods = self._goods.get(number)
        if goods is None:
            share = self.shares.numbered(number)
            assert share is not None  # every line is one or the other
            figures = {"captured_amount": share.total, "refunded_amount": share.given}
            return {"line": number, "by_share": True, **figures, "left_amount": share.total - share.given}
        captured, refunded, back = self._captured.get(number, 0), goods.refunded, goods.refunded
        for twin in goods.numbers:  # which of those that are alike came back makes no difference
            back = refunded if twin == goods.numbers[-1] else min(self._captured.get(twin, 0), refunded)
            refunded -= back
            if twin == number:
                break
        seen: dict[str, Json] = {"line": number, "captured": captured, "refunded": back}
        if len(goods.numbers) > 1:
            others = [other for other in goods.numbers if other != number]
            seen["together_with"] = others[:_ALIKE_SHOWN]
            if others[_ALIKE_SHOWN:]:
                seen["alike_left_out"] = len(others) - _ALIKE_SHOWN
        if self.is_unclear(goods) or (self.silent and not goods.held) or not goods.is_countable:
            return seen | {"by_lines": False}
        seen["left"] = goods.left
        if not goods.left or not goods.is_priced:
            return seen
        if goods.units.is_even:
            seen["unit_price"] = goods.total // _whole(goods.captured)
        base, worth = goods.units.base, goods.units.worth
        share = sum(share.owed(base) for share in self.shares.borne_by(goods))
        amount = max(0, worth + share)
        left = max(0, self._unreturned)
        if amount > left or (worth and not self._identity.knows(goods.line(goods.left, worth, None), number)):
            return seen | {"by_lines": False, "left_amount": min(amount, left)}
        return seen | ({"share": share} if share else {}) | {"amount": amount}

    # Helpers

    @property
    def _unreturned(self) -> int:
        """What the order has left to refund, in minor units, whatever goods it is for."""
        return self._order.captured_amount - self._order.refunded_amount

    def _hold(self) -> list[Goods]:
        """Count what captures hold. Returns captured goods that are no line of the order, or may be several."""
        strangers: list[Goods] = []
        lines = [line for capture in self._order.captures for line in _plain(capture.order_lines)]
        for line in [*lines, *(self._stored if self.whole else ())]:
            if is_of_the_order(line):
                share = self.shares.take(line)
                for number in share.numbers[:1]:
                    self._captured[number] = self._captured.get(number, 0) + (line.get("quantity") or 0)
                continue
            found = self._identity.find(line)
            if not found:
                strangers.append(Goods((), (line,), [line]))
                continue
            goods = self._goods[found[0]]
            goods.held.append(line)
            self._identity.learn(found[0], line)
            for number, count in self._spread(line, found):
                self._captured[number] = self._captured.get(number, 0) + count
        return strangers

    def _spread(self, line: Line, found: Sequence[int]) -> Iterator[tuple[int, int | float]]:
        """The quantity of a captured line, on lines of the order that are alike: each as far as it has room.

        A line that nothing was captured of, with the same quantity and total, takes it first; the last takes the rest.
        """

        def is_same(number: int) -> bool:
            stored = self._stored[number - 1]
            same = stored.get("quantity") == line.get("quantity") and total_of(stored) == total_of(line)
            return same and not self._captured.get(number)

        ordered = sorted(found, key=lambda number: not is_same(number))
        rest: int | float = line.get("quantity") or 0
        for number in ordered[:-1]:
            room = (self._stored[number - 1].get("quantity") or 0) - self._captured.get(number, 0)
            count = max(0, min(room, rest))
            yield number, count
            rest -= count
        yield ordered[-1], rest

    def _must_be_left(self, goods: Goods, number: int, quantity: int, line_at: str, quantity_at: str) -> None:
        captured, left = goods.captured, goods.left
        if self.is_unclear(goods):
            raise _refused(
                f"It cannot be told what was captured or refunded of line {number}: other lines have its reference "
                "or name at another price.",
                line_at,
                BY_AMOUNT,
            )
        if not goods.is_countable:
            raise _refused(
                f"Line {number} has a quantity that is no whole number, so no part of it can be counted.",
                quantity_at,
                f"Up to {show(max(0, goods.units.worth), self._order.currency)} of it are left. {BY_AMOUNT}",
            )
        if quantity <= left:
            return
        if self.silent and not captured:
            raise _refused(
                f"Captures of this order name no lines, so what they hold of line {number} is not known.",
                line_at,
                BY_AMOUNT,
            )
        if not captured:
            hint = UNCAPTURED if self._order.remaining_authorized_amount else BY_AMOUNT
            raise _refused(f"No capture holds line {number}: 0 of it are left to refund.", line_at, hint)
        back = goods.refunded
        refunded = f"{back} of them refunded already" if back else "none of them refunded"
        more = ", and captures that name no lines may hold more" if self.silent else ""
        raise _refused(
            f"{left} of line {number} {'is' if left == 1 else 'are'} left to refund: {captured} captured, "
            f"{refunded}{more}.",
            quantity_at,
            self._instead(left, back=bool(back)),
        )

    def _instead(self, left: int, *, back: bool) -> str:
        """The calls that would do where more is asked for than is left of a line."""
        if self.silent:
            return BY_AMOUNT
        rest = [f"Send quantity {left} or less for this line."] if left else []
        if back:
            rest.append(SECOND)
        elif self._order.remaining_authorized_amount:
            rest.append(UNCAPTURED)
        return " ".join(rest)


def _take_the_rest(part: Line, goods: Goods) -> None:
    """Give the last units of a line what the captures before have left, as far as rounding may have left it."""
    for name in ("total_amount", "total_tax_amount"):
        figures = [
            [total_of(line) if name == "total_amount" else line.get(name) for line in lines]
            for lines in (goods.stored, goods.held)
        ]
        if name not in part or any(figure is None for figure in (*figures[0], *figures[1])):
            continue
        left = sum(cast("list[int]", figures[0])) - sum(cast("list[int]", figures[1]))
        difference = left - part[name]
        if difference and abs(difference) <= goods.ordered:
            part[name] = left
            if name == "total_amount" and part.get("total_discount_amount"):
                part["total_discount_amount"] = max(0, part["total_discount_amount"] - difference)


def _is_whole(order: Order, lines: Sequence[Line]) -> bool:
    totals = [total_of(line) for line in lines]
    known = [total for total in totals if total is not None]
    return (
        bool(order.captured_amount)
        and not any(capture.order_lines for capture in order.captures)
        and len(known) == len(totals)
        and order.captured_amount == order.order_amount == order.original_order_amount == sum(known)
    )


def _plain(lines: Sequence[OrderLine]) -> list[Line]:
    return [line.model_dump(by_alias=True, exclude_none=True) for line in lines]


def _in_time(refunds: Sequence[Refund]) -> Sequence[Refund]:
    """Refunds, the earliest first; as they come where one does not tell its time."""
    try:
        return sorted(refunds, key=lambda refund: datetime.fromisoformat(refund.refunded_at or "").timestamp())
    except ValueError:
        return refunds


def _quantity(lines: Iterable[Line]) -> int | float:
    return sum(line.get("quantity") or 0 for line in lines)


def _whole(quantity: int | float) -> int:
    return int(quantity)


def _have_one_price(parts: Sequence[tuple[int, int | float]]) -> bool:
    """Whether parts, each with total and quantity, were captured at one price.

    Prices a piece may differ by a minor unit, or each total by one, which is what it takes to round a part of a line.
    """
    prices = [Fraction(total) / Fraction(quantity) for total, quantity in parts]
    if not prices or max(prices) - min(prices) <= 1:
        return True
    lowest = max(Fraction(total - 1) / Fraction(quantity) for total, quantity in parts)
    return lowest <= min(Fraction(total + 1) / Fraction(quantity) for total, quantity in parts)


def _article(line: Mapping[str, Json]) -> str:
    return str(line.get("reference") or line.get("name") or "")


def _articles(lines: Iterable[Mapping[str, Json]]) -> dict[str, int | float]:
    """Number of units of each article."""
    counted: dict[str, int | float] = {}
    for line in lines:
        counted[_article(line)] = counted.get(_article(line), 0) + (line.get("quantity") or 0)
    return counted


def _called(share: OrderShare) -> str:
    """A line of the whole order by number and type, never by its name."""
    kind = str(share.form.get("type") or "").replace("_", " ")
    named = f" ({kind})" if is_of_the_order({"type": share.form.get("type")}) else ""
    return f"Line {share.numbers[0]}{named}" if share.numbers else f"A line of a capture{named}"


def _goes_along(number: int, priced: bool, where: str) -> str:
    if priced:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"Line {number} belongs to the whole order and has no price of its own to pay back.",
            field=f"{where}.total_amount",
            next_step="Name the goods: their share of it goes with them.",
        )
    return f"Line {number} belongs to the whole order: the share of the goods that are named goes with them, no more."


def _kept(least: int | float, numbers: Sequence[int], where: str) -> ToolError:
    called = f"line {numbers[0]}" if len(numbers) == 1 else f"lines {', '.join(map(str, numbers))} together"
    return _refused(
        f"Captures hold {least} of {called}, so at least {least} must stay in the order.",
        where,
        "Captured goods are not taken off but refunded, with kustom_refund_order. Ask the person first.",
    )


def _refused(sentence: str, where: str, next_step: str) -> ToolError:
    return ToolError(Code.ACTION_NOT_ALLOWED, sentence, field=where, next_step=next_step)
