"""`kustom-mcp book status`: the contents of the order book, its place, and the age of its readings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kustom_mcp.app.app import App
from kustom_mcp.book.entry import stamp
from kustom_mcp.book.sqlite import FILE
from kustom_mcp.book.status import BookStatus, book_status
from kustom_mcp.cli.book.runner import patiently, result
from kustom_mcp.cli.program import shown

_UNITS = ("bytes", "kB", "MB", "GB")


async def report(app: App, max_age: int, *, as_json: bool, say: Callable[[str], None] = result) -> int:
    """Print the state of the book. `max_age`: seconds after which an open order counts as stale. BookUnavailable."""
    book, before = app.book, int((app.wall() - max_age) * 1000)
    scope = app.settings.order_scope
    found, size = BookStatus(), 0
    if await book.exists():
        found = await patiently(lambda: book.ask(lambda tx, account: book_status(tx, account, before, scope)))
        size = await patiently(book.size)
    if as_json:
        say(json.dumps(_as_json(app, found, size), indent=2))
    else:
        for line in _as_text(app, found, size, max_age):
            say(line)
    return 0


def _place(app: App) -> str:
    state = app.settings.state_path
    return app.book.place if app.store is not None or state is None else str(state / "book" / FILE)


def _as_json(app: App, found: BookStatus, size: int) -> dict[str, Any]:
    settings = app.settings
    return {
        "environment": settings.environment,
        "merchant": app.account.merchant,
        "place": _place(app),
        "bytes": size,
        "days_kept": settings.book_days,
        "orders": found.orders,
        "open": found.open,
        "stale": found.stale,
        "in_doubt": found.in_doubt,
        "oldest_read": stamp(found.oldest_read),
        "newest_read": stamp(found.newest_read),
        "by_status": dict(found.by_status.most_common()),
        "by_currency": dict(found.by_currency.most_common()),
        "by_source": dict(found.by_source.most_common()),
        "unfinished_imports": [
            {"file_digest": one.file, "done_to_line": one.done, "rejected": one.rejected, "at": stamp(one.at)}
            for one in found.imports
        ],
    }


def _as_text(app: App, found: BookStatus, size: int, max_age: int) -> list[str]:
    settings = app.settings
    scoped = " within KUSTOM_ORDER_SCOPE" if settings.order_scope is not None else ""
    lines = [f"The order book of {app.account.title}: {_many(found.orders, 'order')}{scoped}, {found.open:,} open"]
    rows = [
        ("place", f"{_place(app)}{f' ({_bytes(size)})' if size else ''}"),
        ("kept", f"{_many(settings.book_days, 'day')} after its creation (KUSTOM_BOOK_DAYS)"),
    ]
    if found.orders:
        rows += [
            ("read", f"oldest {_when(found.oldest_read)}, newest {_when(found.newest_read)}"),
            ("stale", _stale(found, max_age)),
            ("status", _counted(found.by_status)),
            ("currency", _counted(found.by_currency)),
            ("source", _counted(found.by_source)),
        ]
    rows += [
        ("import", f"unfinished: done to line {one.done:,} of a file, {_when(one.at)}; import it again to go on")
        for one in found.imports
    ]
    return lines + [f"  {name:<9} {text}" for name, text in rows]


def _stale(found: BookStatus, max_age: int) -> str:
    if not found.stale:
        return "none"
    old = found.stale - found.in_doubt
    parts = [f"{_many(old, 'open order')} read more than {_many(max_age, 'second')} ago"] if old else []
    parts += [f"{_many(found.in_doubt, 'order')} that may have changed"] if found.in_doubt else []
    return f"{', '.join(parts)}: {shown('book', 'sync')}"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name or 'unknown'} {count:,}" for name, count in counts.most_common())


def _many(count: int, unit: str) -> str:
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def _when(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment / 1000, UTC):%Y-%m-%d %H:%M} UTC" if moment else "never"


def _bytes(size: float) -> str:
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} {_UNITS[-1]}"
