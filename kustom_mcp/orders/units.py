"""The units of one line that may still come back, and what is left to pay for them.

A price reduction pays a part of some units and leaves them where they are: they lie on top then, worth what is left,
and come back before the others. So no unit is ever paid more than it cost, and all of them together exactly that.
"""

from __future__ import annotations

from dataclasses import dataclass

from kustom_mcp.orders.line_amounts import share_of


@dataclass(slots=True, eq=False)
class _Pile:
    """Units that were captured at one price. `base` and `worth` as in `Units`."""

    quantity: int
    base: int
    worth: int
    paid: bool = False
    """Whether they were paid with other units: their cost has been counted as come back."""


class Units:
    """Units in piles: a quantity, what it was captured for (`base`) and what is left of that (`worth`), minor units."""

    def __init__(self) -> None:
        self._piles: list[_Pile] = []

    @property
    def left(self) -> int:
        """The number of units."""
        return sum(pile.quantity for pile in self._piles)

    @property
    def worth(self) -> int:
        """The minor units that are left to pay for all units."""
        return sum(pile.worth for pile in self._piles)

    @property
    def base(self) -> int:
        """The minor units that all units were captured for."""
        return sum(pile.base for pile in self._piles)

    @property
    def is_even(self) -> bool:
        """Whether the cost of some of them can be told: all were captured at one price, to a minor unit."""
        prices = [pile.base / pile.quantity for pile in self._piles if not pile.paid]
        return not prices or max(prices) - min(prices) <= 1

    def put(self, quantity: int, base: int, worth: int) -> None:
        """Put units on top."""
        if quantity:
            self._piles.append(_Pile(quantity, base, worth))

    def take(self, quantity: int) -> tuple[int, int]:
        """Take units from the top. Returns what they were captured for, and what is left of that."""
        base = worth = 0
        while quantity and self._piles:
            pile = self._piles[-1]
            count = min(quantity, pile.quantity)
            shares = share_of(pile.base, count, pile.quantity), share_of(pile.worth, count, pile.quantity)
            base, worth, quantity = base + shares[0], worth + shares[1], quantity - count
            if count == pile.quantity:
                self._piles.pop()
            else:
                pile.quantity, pile.base, pile.worth = (
                    pile.quantity - count,
                    pile.base - shares[0],
                    pile.worth - shares[1],
                )
        return base, worth

    def pay(self, amount: int) -> int:
        """Pay more for units that came back than was left of them, or less (below 0): the next ones bear it.

        Returns what is still too much when there are no more units.
        """
        for pile in reversed(self._piles):
            paid = min(amount, pile.worth)
            pile.worth -= paid
            amount -= paid
        return max(0, amount)

    def take_paid(self) -> tuple[int, int]:
        """Take the units that had a price and of which nothing is left to pay: their number, and what they cost."""
        paid = [pile for pile in self._piles if pile.base and not pile.worth]
        self._piles = [pile for pile in self._piles if pile not in paid]
        return sum(pile.quantity for pile in paid), sum(pile.base for pile in paid)

    def put_under(self, quantity: int, base: int) -> None:
        """Put units of which nothing is left to pay at the bottom: those that cost something come back before.

        A `base` of 0: their cost has been counted as come back.
        """
        if quantity:
            self._piles.insert(0, _Pile(quantity, base, 0, paid=not base))
