"""Which line of the order a line of a capture or a refund is: recognised by what it is, never by its reference alone.

Captures and refunds repeat the lines of the order in the words of whoever made them, and one article may stand on two
lines. So a line is compared by reference or name, then by type, price and tax. Lines that are alike in everything but
quantity are one. Where lines at different prices fit, nothing is guessed: all of them are `unclear`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from kustom_mcp.orders.line_amounts import Line, total_of
from kustom_mcp.schema.result import Json
from kustom_mcp.text import letters_and_digits

_TELLING = ("type", "name", "unit_price", "tax_rate")


@dataclass(frozen=True)
class _Form:
    """One way in which lines were written, with what a unit costs, and the numbers of all lines written like it."""

    line: Line
    cost: Fraction | None
    numbers: list[int] = field(default_factory=list[int])


_Forms = dict[str, dict[tuple[Json, ...], _Form]]


class Identity:
    """The lines of an order by number, and every form of them that captures have shown. `lines` are not changed."""

    def __init__(self, lines: Mapping[int, Line]) -> None:
        self._lines = lines
        self._by_reference: _Forms = {}
        self._by_name: _Forms = {}
        self._resembling: _Forms = {}
        """By the letters and digits of the reference, for lines whose reference is none of the order's as it stands."""
        self.twins = _twins(lines)
        """For each number those of the lines that are alike in everything but quantity, its own among them."""
        self.unclear: set[int] = set()
        """Lines that some line may be, or another one at another price."""
        for number, line in lines.items():
            self.learn(number, line)

    def learn(self, number: int, line: Line) -> None:
        """Remember another form of a line: it may have been captured at another price."""
        cost = _cost(line)
        written = (cost, line.get("reference"), *((name in line, line.get(name)) for name in _TELLING))
        reference, name = line.get("reference"), line.get("name")
        keys = (self._by_reference, reference), (self._resembling, _key(reference)), (self._by_name, name)
        for known, key in keys:
            if key:
                known.setdefault(key, {}).setdefault(written, _Form(line, cost)).numbers.append(number)

    def find(self, line: Line) -> list[int]:
        """The lines that `line` may be: one, or several that are alike; none where it is unknown or unclear."""
        found = self._found(line)
        if found and not set(found) <= set(self.twins[found[0]]):
            self.unclear.update(found)
            return []
        return found

    def knows(self, line: Line, number: int) -> bool:
        """Return whether `line` would be recognised as the line with this number, or one that is alike."""
        found = self._found(line)
        return bool(found) and set(found) <= set(self.twins[number])

    def _found(self, line: Line) -> list[int]:
        cost = _cost(line)
        akin = [(form, _agreement(form, line, cost)) for form in self._akin(line)]
        best = max((agreement or 0 for _, agreement in akin), default=0)
        return _numbers(form for form, agreement in akin if agreement == best) or _numbers(form for form, _ in akin)

    def is_doubtful(self, line: Line) -> bool:
        """Whether `line` may be a line of the order of which nothing is certain."""
        return any(not self.unclear.isdisjoint(form.numbers) for form in self._akin(line))

    def _akin(self, line: Line) -> Iterator[_Form]:
        """Every known form of a line that has the reference of `line`, or its name where one of the two has none.

        Where none has it as it is written, one that differs in case, blanks, hyphens and the like is the same.
        """
        reference, name = line.get("reference"), line.get("name")
        if reference:
            yield from (self._by_reference.get(reference) or self._resembling.get(_key(reference), {})).values()
        if name:
            for form in self._by_name.get(name, {}).values():
                if not (reference and form.line.get("reference")):
                    yield form


def _key(reference: str | None) -> str:
    return letters_and_digits(reference or "")


def _numbers(forms: Iterable[_Form]) -> list[int]:
    return sorted({number for form in forms for number in form.numbers})


def _twins(lines: Mapping[int, Line]) -> dict[int, list[int]]:
    groups: dict[tuple[Json, ...], list[list[int]]] = {}
    belongs: dict[int, list[int]] = {}
    group: list[int] | None
    for number, line in lines.items():
        alike = groups.setdefault((line.get("reference"), *(line.get(name) for name in _TELLING)), [])
        cost = _cost(line)
        group = next((group for group in alike if any(_near(_cost(lines[other]), cost) for other in group)), None)
        if group is None:
            group = []
            alike.append(group)
        group.append(number)
        belongs[number] = group
    return belongs


def _agreement(form: _Form, line: Line, cost: Fraction | None) -> int | None:
    """Count the equal distinguishing fields of two lines; None where one differs. An absent field fits.

    The same unit price at a lower cost may be a part of it, paid back as a price reduction: it fits, and counts less.
    """
    said = [(form.line[name], line[name]) for name in _TELLING if name in form.line and name in line]
    if any(one != other for one, other in said):
        return None
    costs = form.cost, cost
    if _near(*costs):
        return len(said) + (None not in costs)
    priced = "unit_price" in form.line and "unit_price" in line and None not in costs
    return len(said) if priced and abs(costs[1] or 0) < abs(costs[0] or 0) else None


def _cost(line: Line) -> Fraction | None:
    """The price of a unit, less discount; None where the line does not tell."""
    total, quantity = total_of(line), line.get("quantity")
    return Fraction(total) / Fraction(quantity) if total is not None and quantity else None


def _near(one: Fraction | None, other: Fraction | None) -> bool:
    """Compare to a minor unit, which rounding may make of a part. An absent value is near to every other."""
    return one is None or other is None or abs(one - other) <= 1
