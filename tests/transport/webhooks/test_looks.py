"""A webhook about an order is a reason to look for its writes in doubt."""

from __future__ import annotations

from collections.abc import Set

import anyio
import httpx2 as httpx
import pytest

from kustom_mcp.app.app import App
from kustom_mcp.calls.doubt_checker import DoubtChecker
from kustom_mcp.settings.environment import load
from kustom_mcp.transport.http.app import web_app
from tests.support.conversation import demo
from tests.support.unhurried import PATIENCE
from tests.transport.webhooks.hearing import HOOKED, HOOKS, signed, told


async def test_a_server_looks_by_itself_and_at_an_order_that_kustom_speaks_of(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Set[str]] = []
    named = anyio.Event()
    order_id = demo("captured-sek")

    async def look(_: DoubtChecker, orders: Set[str]) -> None:
        looks.append(orders)
        if orders:
            named.set()

    monkeypatch.setattr(DoubtChecker, "look", look)
    web = web_app(App.of(load(HOOKED).settings), 8080, None)
    body = told("order.created", order_id)
    with anyio.fail_after(PATIENCE):
        async with (
            web.router.lifespan_context(web),
            httpx.AsyncClient(transport=httpx.ASGITransport(web), base_url="http://127.0.0.1:8080") as http,
        ):
            assert (await http.post(HOOKS, content=body, headers=signed(body))).status_code == 200
            await named.wait()
    assert {order_id} in looks
