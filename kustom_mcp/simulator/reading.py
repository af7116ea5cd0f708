"""An order as reads show it, which is not always as it is stored: `Switches.effect` and `Switches.entries` decide."""

from copy import deepcopy
from datetime import timedelta
from typing import Any, Final, cast

from kustom_mcp.simulator.drafts import Json
from kustom_mcp.simulator.store import OrderStore, StoredOrder

ENTRIES: Final = {"captures": "capture_id", "refunds": "refund_id"}
"""The lists of entries in an order, each with the name of an entry's id."""


def note_write(store: OrderStore, record: StoredOrder, before: Json) -> None:
    """Keep an order as it was before a write, for the reads that do not see the write yet."""
    if record.order != before:
        record.before.append((store.now(), before))


def snapshot(store: OrderStore, record: StoredOrder) -> Json | None:
    """Copy an order before a write; None where reads see writes at once."""
    return deepcopy(record.order) if store.switches.late_by else None


def visible(store: OrderStore, record: StoredOrder) -> Json:
    """Return the order with the writes that reads see by now, its entries as they were sent."""
    newest = store.now() - timedelta(seconds=store.switches.late_by)
    while record.before and record.before[0][0] <= newest:
        record.before.pop(0)
    return record.before[0][1] if record.before else record.order


def shown(store: OrderStore, record: StoredOrder) -> Json:
    """Return the order as a read shows it."""
    order = visible(store, record)
    return order | {name: shown_entries(store, order, name) for name in ENTRIES}


def shown_entries(store: OrderStore, order: Json, name: str) -> list[Json]:
    """Return the captures or the refunds of an order as a read shows them."""
    entries = [shown_entry(store, entry) for entry in order[name]]
    return entries[::-1] if store.switches.entries == "reordered" else entries


def shown_entry(store: OrderStore, entry: Json) -> Json:
    """Return one capture or refund as a read shows it."""
    match store.switches.entries:
        case "trimmed":
            return cast(Json, _trimmed(entry))
        case "without_lines":
            return {name: value for name, value in entry.items() if name != "order_lines"}
        case "without_id":
            return {name: value for name, value in entry.items() if name not in ENTRIES.values()}
        case "reordered":
            return entry | {name: entry[name][::-1] for name in ("order_lines", "shipping_info") if name in entry}
        case _:
            return entry


def _trimmed(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, dict):
        return {name: _trimmed(content) for name, content in cast(Json, value).items()}
    if isinstance(value, list):
        return [_trimmed(content) for content in cast("list[Any]", value)]
    return value
