"""Metrics of webhooks: kinds and what became of them, and nothing that was sent."""

from __future__ import annotations

import anyio
import httpx2 as httpx

from kustom_mcp.app.app import App
from kustom_mcp.settings.environment import load
from kustom_mcp.transport.http.app import web_app
from tests.app.test_telemetry import Watcher
from tests.support.conversation import demo
from tests.support.unhurried import PATIENCE
from tests.transport.webhooks.hearing import HOOKED, HOOKS, signed, told

TOWEL = demo("captured-sek")
BODY = told("order.created", TOWEL)


async def test_hooks_are_counted_by_what_became_of_them() -> None:
    watcher = Watcher()
    web = web_app(App.of(load(HOOKED).settings, telemetry=watcher.telemetry), 8080, None)
    good = signed(BODY)
    with anyio.fail_after(PATIENCE):
        async with (
            web.router.lifespan_context(web),
            httpx.AsyncClient(transport=httpx.ASGITransport(web), base_url="http://127.0.0.1:8080") as http,
        ):
            statuses = [
                (await http.post(HOOKS, content=BODY, headers=headers)).status_code for headers in (good, good, {})
            ]
            other = told("something.else", TOWEL)
            for sent in (other, b"{}"):
                answer = await http.post(HOOKS, content=sent, headers=signed(sent))
                statuses.append(answer.status_code)
            statuses += [(await http.post(HOOKS, params={"order_id": named})).status_code for named in (TOWEL, "7")]
    assert statuses == [200, 200, 401, 200, 200, 200, 400]
    assert watcher.metrics()["kustom.hooks"] == {
        "push accepted": 1,
        "push not_understood": 1,
        "webhook accepted": 1,
        "webhook ignored": 1,
        "webhook repeated": 1,
        "webhook unsigned": 1,
        "webhook unusable": 1,
    }
