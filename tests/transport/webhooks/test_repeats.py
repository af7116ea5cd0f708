"""Repeats of one event: told by its `webhook-id`, whichever replica hears it, for as long as Kustom repeats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from kustom_mcp.app.app import App
from kustom_mcp.book import hints, repeats
from kustom_mcp.book.hints import Hint
from kustom_mcp.book.repeats import digest
from kustom_mcp.book.sqlite import SqliteBook
from kustom_mcp.book.writing import account_number
from kustom_mcp.settings.environment import load
from kustom_mcp.transport.webhooks.events import WebhookEvent
from kustom_mcp.transport.webhooks.queue import EventQueue, QueueFull
from tests.book.writers import SANDBOX
from tests.support.unhurried import PATIENCE
from tests.transport.webhooks.hearing import HOOKED

ORDERS = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(3)]


def event(order: str, name: str) -> WebhookEvent:
    return WebhookEvent(Hint(order, "webhook", verified=True), created=True, repeat=digest(name))


async def asked(app: App, questions: Callable[[Any, int], Any]) -> Any:
    return await app.book.ask(questions)


async def test_one_event_is_kept_once_by_replicas_of_one_store(tmp_path: Path) -> None:
    def app() -> App:
        return App.of(load({**HOOKED, "KUSTOM_STATE_DIR": str(tmp_path)}).settings)

    one, other = app(), app()
    with anyio.fail_after(PATIENCE):
        async with one.lifespan(), other.lifespan():
            here, there = EventQueue(one), EventQueue(other)
            async with here.opened(), there.opened():
                assert await here.put(event(ORDERS[0], "kevt_1"))
                assert not await here.put(event(ORDERS[0], "kevt_1"))
                assert not await there.put(event(ORDERS[1], "kevt_1")), "the id tells, and nothing else"
                assert await there.put(event(ORDERS[1], "kevt_2"))
                pushed = WebhookEvent(Hint(ORDERS[2], "push"))
                assert await here.put(pushed)
                assert await here.put(pushed), "a push has no id"
                rows = await asked(one, lambda tx, _: tx.rows("SELECT order_id, verified FROM book_hints ORDER BY 1"))
    assert rows == [(ORDERS[0], 1), (ORDERS[1], 1), (ORDERS[2], 0)]


async def test_an_event_for_which_there_was_no_room_is_not_taken_for_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App.of(load(HOOKED).settings)
    monkeypatch.setitem(hints.MOST, True, 1)
    with anyio.fail_after(PATIENCE):
        async with app.lifespan():
            queue = EventQueue(app)
            far = {"account": 1, "order": ORDERS[2]}
            async with queue.opened():
                await app.book.change(
                    lambda tx, _: tx.rows(
                        "INSERT INTO book_hints VALUES (:account, :order, 'webhook', 1, 0, 1, 9999999999999, 0, 0)", far
                    )
                )
                with pytest.raises(QueueFull):
                    await queue.put(event(ORDERS[0], "kevt_1"))
                await app.book.change(lambda tx, _: tx.rows("DELETE FROM book_hints"))
                assert await queue.put(event(ORDERS[0], "kevt_1"))


def test_ids_are_forgotten_after_their_time() -> None:
    database = SqliteBook(None)
    account = database.write(lambda tx: account_number(tx, SANDBOX))
    names = [digest("kevt_1"), digest("x" * 256)]
    database.write(lambda tx: repeats.remember(tx, account, names[:1], 10))
    database.write(lambda tx: repeats.remember(tx, account, names, 20))
    assert database.read(lambda tx: repeats.known(tx, account, names)) == set(names)
    assert database.read(lambda tx: repeats.known(tx, account + 1, names)) == set()
    database.write(lambda tx: repeats.forget_before(tx, account, 11))
    assert database.read(lambda tx: repeats.known(tx, account, names)) == set(names[1:])
    database.close()
