"""A server of several shops in one process, each with a sandbox of its own, and callers with rights of their own.

Every shop believes that its sandbox is the playground of its merchant.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from kustom_mcp.app.app import App
from kustom_mcp.app.sandbox import SandboxTransport
from kustom_mcp.app.shops import Shops
from kustom_mcp.app.telemetry import SILENT, Telemetry
from kustom_mcp.calls.card import EXTENSION, PAGE_TYPE
from kustom_mcp.calls.policy import PRINCIPAL, Principal
from kustom_mcp.server.handlers import build_server
from kustom_mcp.settings.environment import load
from kustom_mcp.settings.shops_file import Shop
from kustom_mcp.simulator.app import API_KEY, Simulator
from kustom_mcp.simulator.shops import orders_of
from tests.support.advice import Listed
from tests.support.oracles import held_to_the_truth
from tests.transport.pipe import call, request

KEY = {"KEY": API_KEY}
OPERATOR = Principal("operator")


def table(name: str, lines: str = "") -> str:
    """The table of a shop, with a merchant id and an address made from its name."""
    account = f'merchant = "M{name.upper()}"\nenvironment = "playground"\napi_url = "http://127.0.0.1:1/{name}"'
    return f'[shops.{name}]\ntitle = "Hem {name.title()}"\n{account}\napi_key_env = "KEY"\n{lines}\n'


class SeveralShops:
    """The server. `simulators`: the sandbox of each shop; `broken`: shops whose address does not answer."""

    def __init__(
        self, folder: Path, tables: Mapping[str, str], settings: Mapping[str, str], telemetry: Telemetry = SILENT
    ) -> None:
        self.file = folder / "shops.toml"
        self.simulators: dict[str, Simulator] = {}
        self.broken: set[str] = set()
        self.principals: dict[str, Principal] = {"operator": OPERATOR}
        self.write(tables)
        environ = {"KUSTOM_SHOPS_FILE": str(self.file), "KUSTOM_STATE_DIR": str(folder / "state"), **KEY, **settings}
        loaded = load(environ)
        assert loaded.shops is not None
        self._telemetry = telemetry
        self.shops = Shops(loaded.shops, loaded.settings, telemetry=telemetry, make=self._app, clock=lambda: self.time)
        self.time = 0.0
        self._listed = Listed(self._tools)
        self._manager = StreamableHTTPSessionManager(build_server(self.shops), json_response=True)

    def write(self, tables: Mapping[str, str]) -> None:
        """Write the shops file."""
        self.file.write_text("".join(table(name, lines) for name, lines in tables.items()))
        self.file.chmod(0o600)

    def _app(self, shop: Shop, beside: App | None) -> App:
        simulator = self.simulators.setdefault(shop.name, Simulator())
        transport = _Line(simulator, lambda: shop.name in self.broken)
        return App.of(shop.settings, transport=transport, shop=shop, beside=beside, telemetry=self._telemetry)

    def app(self, name: str) -> App:
        return self.shops.now()[name].app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        who = dict(scope["headers"]).get(b"who", b"").decode()
        scope[PRINCIPAL] = self.principals[who]
        await self._manager.asgi_app(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[SeveralShops]:
        async with self._manager.run(), httpx.AsyncClient(transport=httpx.ASGITransport(self)) as http:
            self._http = http
            yield self
        for simulator in self.simulators.values():
            held_to_the_truth(simulator)

    async def ask(self, method: str, params: Any, *, who: str = "operator", cards: bool = False) -> Any:
        """The answer to a request of this caller, whose host has no forms."""
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28", "who": who}
        headers |= {"mcp-method": method, "mcp-name": params.get("name") or params.get("uri") or ""}
        body = request(1, method, params, "2026-07-28")
        can = {"extensions": {EXTENSION: {"mimeTypes": [PAGE_TYPE]}}} if cards else {}
        meta = body["params"]["_meta"]  # of all requests: it is not changed
        body["params"]["_meta"] = {**meta, "io.modelcontextprotocol/clientCapabilities": can}
        answer = (await self._http.post("http://test/mcp", headers=headers, json=body)).json()
        content = answer.get("result", {}).get("structuredContent")
        if content is not None:
            await self._listed.hold(who, params["name"], content, customer=self.principals[who].source == "customer")
        return answer

    async def _tools(self, who: str) -> Any:
        return (await self.ask("tools/list", {}, who=who))["result"]["tools"]

    async def call(self, tool: str, *, who: str = "operator", cards: bool = False, **arguments: Any) -> dict[str, Any]:
        """Call a tool, named without its prefix; its structured content."""
        params = call(1, tool, {name.rstrip("_"): value for name, value in arguments.items()})["params"]
        answer = await self.ask("tools/call", params, who=who, cards=cards)
        result: dict[str, Any] = answer["result"]
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
        return result["structuredContent"]

    def seen(self, name: str) -> list[str]:
        """The requests that a shop got, as METHOD STATUS; forgotten with this."""
        log = self.simulators[name].requests
        told = [f"{one.method} {one.status}" for one in log]
        log.clear()
        return told


def of_their_own(shops: SeveralShops) -> SeveralShops:
    """Give each shop the orders of the built-in one of its name."""
    for name, simulator in shops.simulators.items():
        fresh = Simulator(seeds=orders_of(name))
        simulator.store, simulator.seeds = fresh.store, fresh.seeds
    return shops


class _Line(httpx.AsyncBaseTransport):
    """The line to a sandbox, which may be down."""

    def __init__(self, simulator: Simulator, down: Any) -> None:
        self._inside = SandboxTransport(simulator)
        self._down = down

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._down():
            raise httpx.ConnectError("The line is down.", request=request)
        path = "/" + request.url.raw_path.decode().split("/", 2)[2]
        request.url = request.url.copy_with(raw_path=path.encode())
        return await self._inside.handle_async_request(request)


@asynccontextmanager
async def several_shops(
    folder: Path,
    tables: Mapping[str, str] | None = None,
    *,
    telemetry: Telemetry = SILENT,
    settings: Mapping[str, str] | None = None,
    **more: str,
) -> AsyncGenerator[SeveralShops]:
    """A running server of these shops; of two twins without a list: the same orders under the same ids."""
    shops = SeveralShops(
        folder, tables if tables is not None else {"sweden": "", "norway": ""}, {**(settings or {}), **more}, telemetry
    )
    async with shops.running():
        yield shops
