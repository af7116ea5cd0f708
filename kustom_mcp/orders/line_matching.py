"""Lines that somebody sent in Kustom's own format, completed from the order as Kustom holds it.

A model copies lines from our view, which is cleaned and shortened, and leaves fields out. Kustom replaces the whole
list with what arrives. So what was left out is taken from the stored line, and a text that is our view of a stored
text becomes the stored text again. Amounts and quantities are never taken over: a figure that nobody sent must not
move money.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from kustom_mcp.api.models import Order
from kustom_mcp.orders.line_amounts import Line, stored_lines, telling
from kustom_mcp.orders.third_party import cleaned, cut_forms
from kustom_mcp.schema.result import Code, Json, ToolError

NEVER_INHERITED = frozenset({"quantity", "unit_price", "total_amount", "total_tax_amount", "total_discount_amount"})
"""The fields that must be sent; the tax rate is a rate, not an amount, and is inherited."""

_IDENTIFYING = ("reference", "name")


def inherit(order: Order, order_lines: Sequence[Mapping[str, Json]]) -> list[Line]:
    """`order_lines` as they go to Kustom. A null counts as left out.

    A line whose reference is that of exactly one stored line gets the fields left out. Any line's texts that equal
    our cleaned or shortened view of the stored ones are sent as stored; where several stored lines look alike, the
    one that agrees in most fields is meant, then the first that no other line took. INVALID_ARGUMENT where a
    shortened text fits lines that differ. A line that says the same as the stored one is sent as stored: that it
    leaves a discount of 0 out is no change.
    """
    held = _Held(stored_lines(order))
    complete: list[Line] = []
    for position, given in enumerate(order_lines):
        line = {name: value for name, value in given.items() if value is not None}
        match = held.by_reference(line.get("reference"))
        if match is not None:
            held.free.discard(match)
            complete.append(_merged(line, held.lines[match]))
            continue
        match = held.alike(line, position)
        complete.append(line if match is None else _merged(line, held.lines[match], only_sent=True))
    return complete


class _Held:
    """The stored lines, found by the values that a model may have seen."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.free = set(range(len(lines)))
        self._views: dict[int, Line] = {}
        self._references: dict[str, set[int]] = {}
        self._names: dict[str, list[int]] = {}
        for index, line in enumerate(lines):
            reference, name = _text(line, "reference"), _text(line, "name")
            for form in _forms(reference):
                self._references.setdefault(form, set()).add(index)
            for form in _forms(name):
                self._names.setdefault(form, []).append(index)

    def by_reference(self, reference: Json) -> int | None:
        """The one stored line with this reference or this view of it: two that look the same to a model are two."""
        found = self._references.get(reference, ()) if reference and isinstance(reference, str) else ()
        return next(iter(found)) if len(found) == 1 else None

    def alike(self, line: Line, position: int) -> int | None:
        """The stored line that `line` looks like, by the texts that identify one, then by all that it says."""
        if position in self.free and self._named(line, position) and self._told(line, position):
            match = position
        else:
            references = self._references.get(_text(line, "reference"), ())
            found = [index for index in self._names.get(_text(line, "name"), ()) if index in references]
            exact = [index for index in found if self._named(line, index)]
            if found and not exact and len({_identity(self.lines[index]) for index in found}) > 1:
                raise ToolError(
                    Code.INVALID_ARGUMENT,
                    f"The texts of order line {position + 1} are shortened, and several lines of the order fit them.",
                    field=f"order_lines[{position}]",
                    next_step="Read the order with include lines and send the whole texts, or use line_changes.",
                )
            if not found:
                return None
            match = max(exact or found, key=lambda index: (self._agreement(line, index), index in self.free, -index))
        self.free.discard(match)
        return match

    def _view(self, index: int) -> Line:
        if index not in self._views:
            self._views[index] = cast("Line", cleaned(self.lines[index]))
        return self._views[index]

    def _named(self, line: Line, index: int) -> bool:
        """Return whether `line` has the stored line's name and reference, uncut."""
        view, stored = self._view(index), self.lines[index]
        return all(_text(line, name) in (_text(view, name), _text(stored, name)) for name in _IDENTIFYING)

    def _told(self, line: Line, index: int) -> bool:
        """Return whether each text in `line` is the stored value, or the one that a model saw."""
        view, stored = self._view(index), self.lines[index]
        return all(
            isinstance(value, int) or value in (view.get(name), stored.get(name)) for name, value in line.items()
        )

    def _agreement(self, line: Line, index: int) -> int:
        """Count the fields of `line` that are those that a model saw of the stored line."""
        view = self._view(index)
        return sum(view.get(name) == value for name, value in line.items())


def _merged(sent: Line, stored: Line, *, only_sent: bool = False) -> Line:
    """`sent` over `stored`, in the stored order of fields."""
    line: Line = {}
    for name, value in stored.items():
        if name in sent:
            line[name] = _restored(sent[name], value)
        elif not only_sent and name not in NEVER_INHERITED:
            line[name] = value
    line |= {name: value for name, value in sent.items() if name not in line}
    return dict(stored) if telling(line) == telling(stored) else line


def _restored(sent: Json, stored: Json) -> Json:
    if isinstance(sent, str) and isinstance(stored, str):
        return stored if sent in _forms(stored) else sent
    if sent == cleaned(stored):
        return stored
    if isinstance(sent, dict) and isinstance(stored, dict):
        before = cast("dict[str, Json]", stored)
        after = cast("dict[str, Json]", sent)
        return {name: _restored(value, before.get(name)) for name, value in after.items()}
    return cast("Json", sent)


def _forms(text: str) -> set[str]:
    """A stored text, and all that a model may have seen of it."""
    return {text, cleaned(text), *cut_forms(text)}


def _identity(line: Line) -> tuple[str, ...]:
    return tuple(_text(line, name) for name in _IDENTIFYING)


def _text(line: Line, name: str) -> str:
    value = line.get(name)
    return value if isinstance(value, str) else ""
