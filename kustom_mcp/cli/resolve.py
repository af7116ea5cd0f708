"""`kustom-mcp resolve [ORDER_ID]`: find out what became of writes in doubt, or close them by hand.

It looks at the orders as the tool `kustom_resolve_order` does, and sends no write. `--as done|not-done` closes the
writes in doubt on one order after a look at the Kustom portal, with the reason in the journal: the only way out where
an entry cannot be told.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import anyio

from kustom_mcp.app.app import App
from kustom_mcp.calls.confirmation import operating_user
from kustom_mcp.calls.doubt import in_words
from kustom_mcp.cli.program import shown
from kustom_mcp.settings.settings import ConfigError, Settings
from kustom_mcp.state.audit_log import AuditLog, AuditUnavailable
from kustom_mcp.state.intents import Intent, Intents
from kustom_mcp.text import clean

if TYPE_CHECKING:
    from kustom_mcp.cli.shop_writes import ShopOf
    from kustom_mcp.settings.shops_file import ShopsFile

OPEN, USAGE = 1, 2
BY_HAND = {"done": "done", "not-done": "not_done"}


def run(settings: Settings, order_id: str | None, how: str | None = None, reason: str | None = None) -> int:
    """Print what became of each write in doubt, and return 1 where some are left. ConfigError."""
    _check_by_hand(order_id, how, reason)
    app = App.of(settings)
    try:
        left = _unresolved(app, order_id)
        if how is not None and order_id is not None:
            return _close(app.intents, app.audit, left, order_id, BY_HAND[how], str(reason).strip())
        if not left:
            print("No write is in doubt." if order_id is None else "No write on this order is in doubt.")
            return 0
        orders = list(dict.fromkeys(intent.order_id for intent in left))
        return OPEN if anyio.run(_look, app, orders) else 0
    except AuditUnavailable:
        print(f"kustom-mcp: resolve: {app.intents.place} cannot be read or written", file=sys.stderr)
        return OPEN
    finally:
        app.records.close()


def run_shops(
    file: ShopsFile,
    settings: Settings,
    name: str | None,
    order_id: str | None,
    how: str | None = None,
    reason: str | None = None,
) -> int:
    """As `run`, for all shops or the one that is named. A write of a shop that the file does not have any more can be
    closed by hand only. ConfigError."""
    from kustom_mcp.cli.shop_writes import shop_records

    _check_by_hand(order_id, how, reason)
    left = 0
    with shop_records(file, settings) as records:
        try:
            found = [(one, shop) for one, shop in records.chosen(name) if order_id in (None, one.order_id)]
            accounts: dict[str, tuple[ShopOf, list[Intent]]] = {}
            for intent, shop in found:
                accounts.setdefault(intent.account, (shop, []))[1].append(intent)
            if how is not None and len(accounts) > 1:
                named = " and ".join(shop.words for shop, _ in accounts.values())
                raise ConfigError("--shop", f"Writes on this order are in doubt in {named}: name one of them.")
            if not found:
                print("No write is in doubt." if order_id is None else "No write on this order is in doubt.")
            for shop, mine in accounts.values():
                print(f"{shop.words}:")
                if shop.shop is not None:
                    left += run(shop.shop.settings, order_id, how, reason)
                elif how is not None and order_id is not None:
                    _close(records.intents, records.audit, mine, order_id, BY_HAND[how], str(reason).strip())
                else:
                    left += len(mine)
                    _name_those_without_shop(mine, shop)
        except AuditUnavailable:
            print(f"kustom-mcp: resolve: {records.intents.place} cannot be read or written", file=sys.stderr)
            return OPEN
    return OPEN if left else 0


def _name_those_without_shop(left: Sequence[Intent], shop: ShopOf) -> None:
    for intent in left:
        print(f"Order {clean(intent.order_id, 64)}: {in_words(intent, _currency(intent))}, is in doubt.")
    command = shown("resolve", "ORDER_ID", "--shop", shop.name, "--as", "done", "--reason", "TEXT")
    print(
        "  KUSTOM_SHOPS_FILE does not have this shop now, so its orders cannot be read: put it back, or look in the "
        f"Kustom portal and close each: {command} (or --as not-done)"
    )


def _check_by_hand(order_id: str | None, how: str | None, reason: str | None) -> None:
    if how is not None and (order_id is None or not (reason and reason.strip())):
        raise ConfigError("--as", "It closes the writes of one order by hand: give ORDER_ID and --reason.")


def _unresolved(app: App, order_id: str | None) -> list[Intent]:
    found = app.intents.unresolved(app.account)
    return [intent for intent in found if order_id is None or intent.order_id == order_id]


def _close(intents: Intents, audit: AuditLog, left: Sequence[Intent], order_id: str, outcome: str, reason: str) -> int:
    """Close what is in doubt on an order by hand, and say so."""
    if not left:
        print("No write on this order is in doubt, so there is nothing to close.")
        return 0
    who = operating_user()
    for intent in left:
        facts = {"closed_by": who, "closed_because": clean(reason, 200)}
        intents.close(intent.account, intent.key, outcome, facts=facts)
        with suppress(AuditUnavailable):
            line = {"event": "outcome", "account": intent.account, "tool": intent.tool, "key": intent.key}
            audit.record(line | {"outcome": outcome, "by_hand": True, **facts})
        said = "done" if outcome == "done" else "not done"
        print(f"Closed as {said}: {in_words(intent, _currency(intent))} on order {order_id}.")
    return 0


def _currency(intent: Intent) -> str:
    return str(intent.content.get("currency") or "")


async def _look(app: App, orders: Sequence[str]) -> int:
    """Look at each order through the server's own tool, print what it says, and count what is left."""
    from mcp import Client

    from kustom_mcp.server.handlers import build_server

    left = 0
    async with Client(build_server(app)) as client:
        for order_id in orders:
            told = await client.call_tool("kustom_resolve_order", {"order_id": order_id})
            answer = cast("dict[str, Any]", told.structured_content or {})
            print(f"Order {clean(order_id, 64)}: {answer.get('summary')}")
            if answer.get("outcome") != "ok":
                left += 1
                continue
            for write in answer.get("writes", []):
                left += write["state"] in ("absent", "uncertain", "not_readable")
                print(f"  {_said(write)}")
    return left


def _said(write: Mapping[str, Any]) -> str:
    meaning = {
        "done": "done: it is on the order",
        "absent": "not there: the same call sends it again, with its code where it has one",
        "uncertain": "cannot be told: look in the Kustom portal, then close it with --as done or --as not-done",
        "not_readable": "cannot be read through the API: look in the Kustom portal",
        "not_seen": "not seen for a day, or closed as not done",
        "never_known": "never known",
    }
    return f"{write['operation']} of {write['since']} for {write['asked_by']}: {meaning[write['state']]}"
