"""An order in answers of bounded size: lines a page at a time, entries as far as they fit, and the number left out.

Orders have hundreds of lines, and captures repeat them. A page has the same lines in `order_lines` and in `refundable`,
so that what is left of a line stands beside its name.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Final

from kustom_mcp.api.models import Capture, Order
from kustom_mcp.orders.refundable import Refundable
from kustom_mcp.orders.third_party import Pii, capture_view, third_party
from kustom_mcp.schema.result import Json, compact

LINES_AT_A_TIME: Final = 50
MOST_BYTES: Final = 34_000
"""The bytes of all typed texts and `refundable` together: an answer has 40,000 bytes at most, with the facts."""

USUAL_BYTES: Final = 2_650
"""Of an order where nothing more was asked for, with the facts: an answer has 2,800, and the names of its parts and of
the shop, and a next step, are in them, too. LEAST_LINES are always shown."""
LEAST_LINES: Final = 5
LIST_BYTES: Final = 8_800
"""The bytes of a list of captures, with the facts: an answer has 9,000."""

_BESIDE: Final = MOST_BYTES // 2
"""The bytes of the lines, where entries with lines of their own are to be shown beside them."""
_ENTRIES: Final = ("captures", "refunds", "shipping_info")


@dataclass(frozen=True)
class Page:
    """One page of an order: `typed` and, where it was asked for, `refundable`; `end` is the line before the next page.

    `end` is None where no line comes after it.
    """

    typed: dict[str, Json]
    refundable: list[dict[str, Json]] | None
    end: int | None


def page(order: Order, include: Set[str], pii: Pii, start: int = 0, *, beside: Json = None) -> Page:
    """Show an order from the line after `start` on. Counts of what is left out end in `_left_out`.

    `beside`: the facts of the same answer, with which an order that nothing more was asked of keeps to USUAL_BYTES.
    """
    paged = bool(include & {"lines", "refundable"})
    rows = Refundable(order).view() if "refundable" in include else None
    shown = slice(start, start + LINES_AT_A_TIME) if paged else None
    view = third_party(order, include, pii, shown)
    cut = [name for name in ("order_lines", *_ENTRIES) if view.get(name)]
    if not paged and cut == ["order_lines"]:  # a few short lines, as they are in most answers
        if not include:
            _fit_lines(view, len(order.order_lines), USUAL_BYTES - _size(beside))
        return Page(view, rows, None)
    room = MOST_BYTES - _size({name: value for name, value in view.items() if name not in cut})
    if not paged:
        _fit_entries(view, cut[1:], room - _size(view["order_lines"]))
        return Page(view, rows, None)
    lines: list[Json] = view["order_lines"]
    beside = rows[shown] if rows is not None and shown is not None else [None] * len(lines)
    most = min(room, _BESIDE) if len(cut) > 1 else room
    count = _fitting([[line, row] for line, row in zip(lines, beside, strict=True)], most) or 1
    end = start + len(lines[:count])
    view["order_lines"] = lines[:count]
    _note(view, "lines", len(order.order_lines) - len(lines[:count]))
    rows = None if rows is None else rows[start:end]
    _fit_entries(view, cut[1:], room - _size(view["order_lines"]) - _size(rows))
    return Page(view, rows, end if end < len(order.order_lines) else None)


def captures_page(captures: Sequence[Capture], beside: Json) -> dict[str, Json]:
    """The captures of an order with their goods, as far as they fit into a list beside the facts."""
    view: dict[str, Json] = {"captures": [capture_view(capture) for capture in captures]}
    _fit_entries(view, ["captures"], max(0, LIST_BYTES - _size(beside)))
    return view


def capture_page(capture: Capture) -> dict[str, Json]:
    """One capture with its goods and as many of its shipments as fit into an answer."""
    view = capture_view(capture)
    if "shipping_info" in view:
        _fit_entries(view, ["shipping_info"], MOST_BYTES - _size({**view, "shipping_info": []}))
    return view


def _fit_lines(view: dict[str, Json], count: int, room: int) -> None:
    """Keep the lines that fit beside the rest of what is shown of an order of `count` lines, but LEAST_LINES anyhow."""
    lines: list[Json] = view["order_lines"]
    left = room - _size({**view, "order_lines": [], "lines_left_out": count})
    view["order_lines"] = lines[: max(LEAST_LINES, _fitting(lines, left))]
    _note(view, "lines", count - len(view["order_lines"]))


def _fit_entries(view: dict[str, Json], names: Sequence[str], room: int) -> None:
    """Keep the entries of each list that fit into so many bytes, the last one with a part of its lines."""
    for place, name in enumerate(names):
        entries: list[dict[str, Json]] = view[name]
        share = room // (len(names) - place)
        count = _fitting(entries, share)
        kept = entries[:count]
        left = share - sum(map(_size, kept))
        if count < len(entries) and entries[count].get("order_lines"):
            part = _with_fewer_lines(entries[count], left)
            kept += [part] if part else []
        view[name] = kept
        _note(view, name, len(entries) - len(kept))
        room -= _size(kept)


def _with_fewer_lines(entry: dict[str, Json], room: int) -> dict[str, Json] | None:
    """An entry with as many of its lines as fit into so many bytes; None where it does not fit without any."""
    lines: list[Json] = entry["order_lines"]
    missing: int = entry.get("lines_left_out", 0) + len(lines)
    none: list[Json] = []
    bare = entry | {"order_lines": none, "lines_left_out": missing}
    left = room - _size(bare)
    if left < 0:
        return None
    kept = lines[: _fitting(lines, left)]
    return bare | {"order_lines": kept, "lines_left_out": missing - len(kept)}


def _note(view: dict[str, Json], name: str, count: int) -> None:
    view.pop(f"{name}_left_out", None)
    if count:
        view[f"{name}_left_out"] = count


def _fitting(values: Sequence[Json], room: int) -> int:
    """How many of the first values fit into so many bytes."""
    for count, value in enumerate(values):
        room -= _size(value) + 1
        if room < 0:
            return count
    return len(values)


def _size(value: Json) -> int:
    return len(compact(value).encode())
