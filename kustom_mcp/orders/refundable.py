"""The lines of an order as captures and refunds have them: captured, refunded and left, with price and tax.

The one place that knows it. Refunds are priced from what was captured and was not refunded, never from the order's
present lines, which may have been changed since. Captures and refunds repeat the lines of the order in the words of
whoever made them, so a line is recognised by what it is (reference or name, type, price, tax) and not by the reference
alone: one article may stand on two lines. Where two lines at different prices fit, nothing is guessed: both are
`unclear`, and only an amount can be refunded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import cast

from kustom_mcp.api.models import Order, OrderLine
from kustom_mcp.money import show, tax_of
from kustom_mcp.orders.line_amounts import Line, part_of, stored_lines, total_of
from kustom_mcp.schema.result import Code, Json, ToolError

RETURN_FEE = "return_fee"
_TELLING = ("type", "name", "unit_price", "tax_rate")

WHOLE = (
    "The captures name no lines, but together they are the whole order: its lines count as captured, at the order's "
    "prices."
)
BY_AMOUNT = "Ask the person how much is to be paid, and send refunded_amount without lines."
SECOND = f"A second payment for the same goods, or one of goodwill, goes by amount. {BY_AMOUNT}"
UNCAPTURED = (
    "Only what is captured can be refunded. Goods that are not are taken off with kustom_update_order_amount, or "
    "released. Ask the person first."
)


@dataclass(slots=True)
class LineState:
    """One line of the order, with its lines in captures (`held`) and in refunds (`returned`).

    `ordered` is the quantity of the order's line as it stands now. `unclear`: a capture or a refund has a line that
    may be this one or another one at another price.
    """

    number: int
    ordered: int
    held: list[Line] = field(default_factory=list[Line])
    returned: list[Line] = field(default_factory=list[Line])
    unclear: bool = False

    @property
    def captured(self) -> int:
        """The captured quantity."""
        return _quantity(self.held)

    @property
    def refunded(self) -> int:
        """The quantity that was paid back."""
        return _quantity(self.returned)

    @property
    def left(self) -> int:
        """The captured quantity that was not paid back."""
        return max(0, self.captured - self.refunded)

    def remainder(self) -> Line | None:
        """The rest as one line, at the captured price less refunds; None where captures name no price.

        It is worth no more than its dearest units cost, but for what rounding left. `total_amount` is always there, tax
        where captures name it.
        """
        totals = [total_of(line) for line in self.held]
        known = [total for total in totals if total is not None]
        if len(known) < len(totals) or not self.captured:
            return None
        line: Line = {**self.held[0], "quantity": self.left, "total_amount": self._left_amount(sum(known))}
        if len(self.held) == 1 and not self.returned:
            return line
        line.pop("total_discount_amount", None)
        price: int | None = line.get("unit_price")
        if price is not None:
            discount = self.left * price - line["total_amount"]
            if discount > self.left or any("total_discount_amount" in held for held in self.held):
                line["total_discount_amount"] = max(0, discount)
        taxes = [held.get("total_tax_amount") for held in self.held]
        line.pop("total_tax_amount", None)
        if None not in taxes:
            line["total_tax_amount"] = self._left_tax(line["total_amount"], sum(known), sum(cast("list[int]", taxes)))
        return line

    @property
    def even(self) -> bool:
        """Whether every captured unit costs the same, to a minor unit."""
        prices = [price for price, _ in self._prices()]
        return not prices or max(prices) - min(prices) <= 1

    def _left_amount(self, captured: int) -> int:
        sign = -1 if captured < 0 else 1
        left, most = sign * (captured - self._paid(captured)), self._dearest(sign)
        rounded_off = self.refunded  # at most a minor unit apiece: the last takes what rounding left
        return sign * max(0, left if left <= most + rounded_off else most)

    def _left_tax(self, left: int, captured: int, tax: int) -> int:
        """The rest of the captured tax; in proportion where the rest of the amount is not the plain difference."""
        if left == captured - self._paid(captured):
            return tax - sum(map(_tax, self.returned))
        return round(Fraction(tax * left, captured))

    def _paid(self, captured: int) -> int:
        """The refunded amount in minor units; by the captured price where a line has none."""
        price = Fraction(captured, self.captured)
        totals = ((total_of(line), line.get("quantity") or 0) for line in self.returned)
        return sum(round(price * quantity) if total is None else total for total, quantity in totals)

    def _dearest(self, sign: int) -> int:
        """The price of the dearest units, as many as are left, rounded up."""
        cost, missing = Fraction(0), self.left
        for price, quantity in sorted(((sign * price, quantity) for price, quantity in self._prices()), reverse=True):
            count = min(quantity, missing)
            cost += price * count
            missing -= count
        return -(-cost.numerator // cost.denominator)

    def _prices(self) -> Iterator[tuple[Fraction, int]]:
        """The price of a unit, and the quantity, of each captured line."""
        counted = ((line.get("quantity") or 0, total_of(line) or 0) for line in self.held)
        return ((Fraction(total, quantity), quantity) for quantity, total in counted if quantity)


class Refundable:
    """The lines of an order, with the captured and the refunded part of each.

    `whole`: no capture names lines, but together they are the whole order, which never changed. `silent`: captures
    that name no lines hold something, and it cannot be said what.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._lines = stored_lines(order)
        self.lines = [LineState(number, line.get("quantity") or 0) for number, line in enumerate(self._lines, start=1)]
        self._by_reference: dict[str, list[tuple[LineState, Line]]] = {}
        self._by_name: dict[str, list[tuple[LineState, Line]]] = {}
        self._twins = _twins(self._lines)
        for standing, line in zip(self.lines, self._lines, strict=True):
            self._know(standing, line)
        self.whole = _is_whole(order, self._lines)
        unnamed = [capture for capture in order.captures if not capture.order_lines]
        self.silent = not self.whole and bool(unnamed or (order.captured_amount and not order.captures))
        if self.whole:
            for standing, line in zip(self.lines, self._lines, strict=True):
                standing.held.append(line)
        for capture in order.captures:
            self._hold(_plain(capture.order_lines))
        for refund in order.refunds:
            self.pay_back(_plain(refund.order_lines))

    def captured(self) -> dict[int, int]:
        """The captured quantity of each line of which there is any, by its number."""
        return {standing.number: standing.captured for standing in self.lines if standing.captured}

    def pay_back(self, lines: Iterable[Line]) -> None:
        """Count these lines as refunded."""
        for line in lines:
            if line.get("type") == RETURN_FEE:
                continue
            found = self._fitting(line)
            for standing, part in _spread(line, found, lambda standing: standing.captured - standing.refunded):
                standing.returned.append(part)

    def must_be_left(self, lines: Sequence[Line], argument: str) -> list[str]:
        """Count these lines of a refund, and refuse goods that are not captured or are refunded already.

        ACTION_NOT_ALLOWED with what is left. Returns warnings for lines that could not be compared. Discounts are
        kept by amount: their quantity says nothing.
        """
        if self.silent:
            return ["Captures of this order name no lines, so it was not checked what is refunded already."]
        unchecked: list[int] = []
        for position, line in enumerate(lines):
            found = [] if line.get("type") == RETURN_FEE or (total_of(line) or 0) < 0 else self._fitting(line)
            if found:
                standing = self._with_twins(found[0].number)
                if standing.unclear:
                    unchecked.append(position + 1)
                else:
                    where = f"{argument}[{position}]"
                    self._must_be_left(standing, line.get("quantity") or 0, where, f"{where}.quantity")
            elif any(standing.unclear for standing, _ in self._akin(line)):
                unchecked.append(position + 1)
            self.pay_back([line])
        return [
            f"Order line {number} may be one of several lines of the order: it was not checked what is refunded of it "
            "already."
            for number in unchecked
        ]

    def refund(self, number: int, quantity: int, where: str) -> tuple[Line, Line]:
        """All that is left of a line of the order, and the part that refunds so many; these count as refunded then.

        ACTION_NOT_ALLOWED where so many are not left, or nobody can say at what price; `where` is the argument, for the
        error. Lines that are alike in everything are one: which of them came back makes no difference.
        """
        standing = self._with_twins(number)
        self._must_be_left(standing, quantity, f"{where}.line", f"{where}.quantity")
        remainder = standing.remainder()
        if remainder is None:
            raise _refused(f"The captures say no price for line {number}.", f"{where}.line", BY_AMOUNT)
        if quantity < standing.left and not standing.even:
            raise _refused(
                f"Line {number} was captured at different prices, so what some of the {standing.left} that are left "
                "cost cannot be told.",
                f"{where}.quantity",
                BY_AMOUNT,
            )
        if not remainder["total_amount"] and any(total_of(line) for line in standing.held):
            nothing = show(0, self._order.currency)
            raise _refused(f"{nothing} of line {number} is left to refund.", f"{where}.line", SECOND)
        part = part_of(remainder, 0, quantity)
        self.pay_back([part])
        return remainder, part

    def must_keep(self, changes: Sequence[tuple[int, int]], argument: str) -> None:
        """Refuse new quantities of lines, by their numbers, that are below what captures hold. ACTION_NOT_ALLOWED."""
        new = {standing.number: standing.ordered for standing in self.lines} | dict(changes)
        for position, (number, _) in enumerate(changes):
            twins = self._twins[number - 1]
            standing = self._with_twins(number)
            least = min(standing.captured, standing.ordered)
            if least and sum(new[twin] for twin in twins) < least:
                raise _kept(least, twins, f"{argument}[{position}].quantity")
        kept = [{**line, "quantity": new[number]} for number, line in enumerate(self._lines, start=1)]
        self.must_keep_all(kept, argument)

    def must_keep_all(self, lines: Sequence[Mapping[str, Json]], argument: str) -> None:
        """Refuse a new list that holds less of an article, on all its lines, than captures do. ACTION_NOT_ALLOWED.

        By the article and not by the line, because the lines of a new list may have new prices and names.
        """
        held, now, new = (
            _articles(lines)
            for lines in (
                [line for capture in self._order.captures for line in _plain(capture.order_lines)],
                self._lines,
                lines,
            )
        )
        for article, captured in held.items():
            least = min(captured, now.get(article, 0))
            if new.get(article, 0) < least:
                numbers = [number for number, line in enumerate(self._lines, start=1) if _article(line) == article]
                raise _kept(least, numbers, argument)

    def _must_be_left(self, standing: LineState, quantity: int, line_at: str, quantity_at: str) -> None:
        number, captured, left = standing.number, standing.captured, standing.left
        if standing.unclear:
            raise _refused(
                f"It cannot be told what was captured or refunded of line {number}: other lines have its reference "
                "or name at another price.",
                line_at,
                BY_AMOUNT,
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
        refunded = f"{standing.refunded} of them refunded already" if standing.refunded else "none of them refunded"
        more = ", and captures that name no lines may hold more" if self.silent else ""
        raise _refused(
            f"{left} of line {number} {'is' if left == 1 else 'are'} left to refund: {captured} captured, "
            f"{refunded}{more}.",
            quantity_at,
            BY_AMOUNT if self.silent else SECOND if standing.refunded else UNCAPTURED,
        )

    def _with_twins(self, number: int) -> LineState:
        """A line of the order together with those that are alike in everything."""
        alike = [self.lines[twin - 1] for twin in self._twins[number - 1]]
        return LineState(
            number,
            sum(one.ordered for one in alike),
            [line for one in alike for line in one.held],
            [line for one in alike for line in one.returned],
            any(one.unclear for one in alike),
        )

    def _hold(self, lines: Iterable[Line]) -> None:
        for line in lines:
            found = self._fitting(line)
            for standing, part in _spread(line, found, lambda standing: standing.ordered - standing.captured):
                standing.held.append(part)
                self._know(standing, part)

    def _know(self, standing: LineState, line: Line) -> None:
        for name, known in (("reference", self._by_reference), ("name", self._by_name)):
            if line.get(name):
                known.setdefault(line[name], []).append((standing, line))

    def _fitting(self, line: Line) -> list[LineState]:
        """The lines of the order that `line` may be: one, or several that are alike; none where that is unclear."""
        agreed: dict[int, int] = {}
        kin: dict[int, LineState] = {}
        for standing, form in self._akin(line):
            kin[standing.number] = standing
            agreement = _agreement(form, line)
            if agreement is not None:
                agreed[standing.number] = max(agreement, agreed.get(standing.number, 0))
        best = max(agreed.values(), default=0)
        found = [kin[number] for number, agreement in sorted(agreed.items()) if agreement == best]
        found = found or [kin[number] for number in sorted(kin)]
        if not found or {standing.number for standing in found} <= set(self._twins[found[0].number - 1]):
            whole = [one for one in found if not one.held and _same_whole(self._lines[one.number - 1], line)]
            return [*whole, *(one for one in found if one not in whole)]
        for standing in found:
            standing.unclear = True
        return []

    def _akin(self, line: Line) -> Iterator[tuple[LineState, Line]]:
        """Every known form of a line that has the reference of `line`, or its name where one of the two has none."""
        reference, name = line.get("reference"), line.get("name")
        if reference:
            yield from self._by_reference.get(reference, ())
        if name:
            yield from (
                (standing, form)
                for standing, form in self._by_name.get(name, ())
                if not (reference and form.get("reference"))
            )


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


def _twins(lines: Sequence[Line]) -> list[list[int]]:
    """For each line the numbers of those that are alike in everything but quantity, its own among them."""
    groups: dict[tuple[Json, ...], list[list[int]]] = {}
    belongs: list[list[int]] = []
    group: list[int] | None
    for number, line in enumerate(lines, start=1):
        alike = groups.setdefault((line.get("reference"), *(line.get(name) for name in _TELLING)), [])
        group = next((group for group in alike if _near(_cost(lines[group[0] - 1]), _cost(line))), None)
        if group is None:
            group = []
            alike.append(group)
        group.append(number)
        belongs.append(group)
    return belongs


def _agreement(form: Line, line: Line) -> int | None:
    """Count the equal distinguishing fields of two lines; None where one differs. An absent field fits."""
    said = [(form[name], line[name]) for name in _TELLING if name in form and name in line]
    costs = _cost(form), _cost(line)
    if any(one != other for one, other in said) or not _near(*costs):
        return None
    return len(said) + (None not in costs)


def _cost(line: Line) -> Fraction | None:
    """The price of a unit, less discount; None where the line does not tell."""
    total = total_of(line)
    return Fraction(total, line["quantity"]) if total is not None and line.get("quantity") else None


def _near(one: Fraction | None, other: Fraction | None) -> bool:
    """Compare to a minor unit, which rounding may make of a part. An absent value is near to every other."""
    return one is None or other is None or abs(one - other) <= 1


def _same_whole(stored: Line, line: Line) -> bool:
    return stored.get("quantity") == line.get("quantity") and total_of(stored) == total_of(line)


def _spread(
    line: Line, found: Sequence[LineState], room: Callable[[LineState], int]
) -> Iterator[tuple[LineState, Line]]:
    """A line, divided among lines of the order that are alike: each as far as it has room, the last takes the rest."""
    quantity: int = line.get("quantity") or 0
    start = 0
    for standing in found[:-1]:
        count = max(0, min(room(standing), quantity - start))
        if count:
            yield standing, _part(line, start, start + count)
            start += count
    if found and (start < quantity or not quantity):
        yield found[-1], _part(line, start, quantity)


def _part(line: Line, start: int, end: int) -> Line:
    if end - start == (line.get("quantity") or 0):
        return line
    return part_of(line, start, end) if total_of(line) is not None else {**line, "quantity": end - start}


def _quantity(lines: Iterable[Line]) -> int:
    return sum(line.get("quantity") or 0 for line in lines)


def _tax(line: Line) -> int:
    tax: int | None = line.get("total_tax_amount")
    return tax_of(total_of(line) or 0, max(0, line.get("tax_rate") or 0)) if tax is None else tax


def _article(line: Mapping[str, Json]) -> str:
    return str(line.get("reference") or line.get("name") or "")


def _articles(lines: Iterable[Mapping[str, Json]]) -> dict[str, int]:
    """How many of each article there are."""
    counted: dict[str, int] = {}
    for line in lines:
        counted[_article(line)] = counted.get(_article(line), 0) + (line.get("quantity") or 0)
    return counted


def _kept(least: int, numbers: Sequence[int], where: str) -> ToolError:
    called = f"line {numbers[0]}" if len(numbers) == 1 else f"lines {', '.join(map(str, numbers))} together"
    return _refused(
        f"Captures hold {least} of {called}, so at least {least} must stay in the order.",
        where,
        "Captured goods are not taken off but refunded, with kustom_refund_order. Ask the person first.",
    )


def _refused(sentence: str, where: str, next_step: str) -> ToolError:
    return ToolError(Code.ACTION_NOT_ALLOWED, sentence, field=where, next_step=next_step)
