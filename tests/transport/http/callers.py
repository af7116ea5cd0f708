"""The server with somebody in front of it who says who is calling, in process: one app, many callers, 2026-07-28."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2 as httpx
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from kustom_mcp.app.app import App
from kustom_mcp.app.sandbox import SandboxTransport
from kustom_mcp.app.telemetry import SILENT, Telemetry
from kustom_mcp.calls.card import EXTENSION, PAGE_TYPE
from kustom_mcp.calls.policy import PRINCIPAL, Principal
from kustom_mcp.server.handlers import build_server
from kustom_mcp.settings.environment import load
from kustom_mcp.simulator.app import Simulator
from tests.support.advice import Listed
from tests.support.conversation import demo
from tests.support.oracles import held_to_the_truth
from tests.support.unhurried import PATIENCE
from tests.transport.pipe import call, request

TOWEL = demo("captured-sek")


class Callers:
    """The server with somebody in front of it who says who is calling: the header `who` names a principal."""

    def __init__(self, app: App, simulator: Simulator, principals: dict[str, Principal]) -> None:
        self.app = app
        self.simulator = simulator
        self._principals = principals
        self._listed = Listed(self._tools)
        self._manager = StreamableHTTPSessionManager(build_server(app), json_response=True)

    def admit(self, who: str, principal: Principal) -> None:
        """Know one more caller."""
        self._listed.forget(who)
        self._principals[who] = principal

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        who = dict(scope["headers"]).get(b"who", b"").decode()
        if who in self._principals:
            scope[PRINCIPAL] = self._principals[who]
        await self._manager.asgi_app(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[httpx.AsyncClient]:
        async with self._manager.run(), httpx.AsyncClient(transport=httpx.ASGITransport(self)) as http:
            self._http = http
            yield http
        held_to_the_truth(self.simulator)

    async def ask(self, who: str, method: str, params: Any, *, forms: bool = True, cards: bool = False) -> Any:
        """The answer to a request of this caller, whose host has forms or has not, or cards."""
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28", "who": who}
        headers |= {"mcp-method": method, "mcp-name": params.get("name") or params.get("uri") or ""}
        body = request(1, method, params, "2026-07-28")
        if not forms or cards:
            can = {"extensions": {EXTENSION: {"mimeTypes": [PAGE_TYPE]}}} if cards else {}
            meta = body["params"]["_meta"]
            body["params"]["_meta"] = {**meta, "io.modelcontextprotocol/clientCapabilities": can}
        answer = (await self._http.post("http://test/mcp", headers=headers, json=body)).json()
        content = answer.get("result", {}).get("structuredContent")
        if content is not None and who in self._principals:
            await self._listed.hold(who, params["name"], content, customer=self._principals[who].source == "customer")
        return answer

    async def _tools(self, who: str) -> Any:
        return (await self.ask(who, "tools/list", {}))["result"]["tools"]

    async def call(self, who: str, tool: str, arguments: Any, *, forms: bool = True) -> Any:
        """Call a tool, named without its prefix; its structured content."""
        params = call(1, tool, arguments)["params"]
        return (await self.ask(who, "tools/call", params, forms=forms))["result"]["structuredContent"]

    @property
    def writes(self) -> int:
        return sum(seen.method != "GET" for seen in self.simulator.requests)


@asynccontextmanager
async def callers(
    simulator: Simulator | None = None, telemetry: Telemetry = SILENT, /, **settings: str
) -> AsyncGenerator[Callers]:
    simulator = simulator or Simulator()
    app = App.of(
        load(settings).settings,
        simulator=simulator,
        transport=SandboxTransport(simulator),
        clock=anyio.current_time,
        telemetry=telemetry,
    )
    known = {
        "all": Principal("all"),
        "other": Principal("other"),
        "reader": Principal("reader", writes=False, source="issuer"),
        "customer": Principal("customer", orders=frozenset({TOWEL})),
        "nobody": Principal("nobody", orders=frozenset()),
    }
    one = Callers(app, simulator, known)
    with anyio.fail_after(PATIENCE):
        async with one.running():
            yield one
