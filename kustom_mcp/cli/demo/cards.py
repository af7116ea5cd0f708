"""`kustom-mcp demo --card`: the cards of the demo orders in a browser, without any host.

A host in a page, as small as it can be, on loopback: it shows the card as hosts do, in a frame of its own that reaches
nothing, and passes on what the card asks for to the real server, a process of its own with the embedded sandbox. What
a host would give to the assistant stands beside the card. Nobody else is answered: the address holds a random part,
and other names of this machine, and pages of other origins, are refused.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
import threading
import webbrowser
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, Final

import anyio
from anyio.from_thread import BlockingPortal
from mcp.client import Client
from mcp.client.extension import advertise
from mcp.client.stdio import StdioServerParameters
from mcp.types import TextResourceContents

from kustom_mcp.calls.card import EXTENSION, ORDER_CARD, PAGE_TYPE

HOST: Final = "127.0.0.1"
MOST_BYTES: Final = 100_000
"""Of a request: the arguments of one call."""
SETTINGS: Final = {"KUSTOM_CONFIRM": "card", "KUSTOM_TOOLS": "all"}
"""The settings of the server besides those of every demo."""

_TOWEL: dict[str, Any] = {
    "order_id": "captured-sek",
    "lines": [{"line": 1, "quantity": 1}],
    "reason": "Torn at the seam",
}
_MOVED: dict[str, Any] = {
    "order_id": "authorized-sek",
    "shipping_address": {"street_address": "Storgatan 5", "postal_code": "22222", "city": "Lund"},
}
_VIEWS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("All orders", "kustom_find_orders", {"min_remaining": 0, "limit": 50}),
    ("To capture", "kustom_find_orders", {"order_by": "expires_at", "min_remaining": 1}),
    ("Approve: a refund", "kustom_refund_order", _TOWEL),
    ("Approve: another address", "kustom_update_customer_details", _MOVED),
    ("Approve: a cancellation", "kustom_cancel_order", {"order_id": "expiring-soon-sek"}),
    ("The journal", "kustom_list_activity", {}),
    ("Payouts", "kustom_list_payouts", {}),
)
_NAMES = re.compile(r"^\| [0-9a-f-]{36} \| ([a-z0-9-]+) \|", re.MULTILINE)
_SAFE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_POLICY = "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; connect-src 'self'; frame-src 'self'"
_CARD_POLICY = "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"


async def show(server: StdioServerParameters) -> None:
    """Serve the cards until cancelled, and say where."""
    can = (advertise(EXTENSION, {"mimeTypes": [PAGE_TYPE]}),)
    async with Client(server, extensions=can) as client, BlockingPortal() as portal:
        site = _Site(await _texts(client), await _views(client), client, portal)
        web = ThreadingHTTPServer((HOST, 0), site.handler())
        web.daemon_threads = True
        site.port = web.server_address[1]
        threading.Thread(target=web.serve_forever, daemon=True).start()
        try:
            print(f"The cards of the demo orders: {site.address}")
            print("They are invented, and no money moves. Ctrl-C ends it.", flush=True)
            if sys.stdout.isatty():
                webbrowser.open(site.address)
            await anyio.sleep_forever()
        finally:
            web.shutdown()
            web.server_close()


async def _texts(client: Client) -> str:
    (page,) = (await client.read_resource(ORDER_CARD)).contents
    assert isinstance(page, TextResourceContents)
    return page.text


async def _views(client: Client) -> list[tuple[str, str, dict[str, Any]]]:
    """All that can be looked at: a title, the tool, and its arguments."""
    (orders,) = (await client.read_resource("kustom://reference/demo-orders")).contents
    assert isinstance(orders, TextResourceContents)
    return [*_VIEWS, *((name, "kustom_get_order", {"order_id": name}) for name in _NAMES.findall(orders.text))]


class _Site:
    """The parts of the page, and the way to the server."""

    def __init__(self, card: str, views: Sequence[Any], client: Client, portal: BlockingPortal) -> None:
        self.key = secrets.token_urlsafe(16)
        self.port = 0
        self._card, self._views, self._client, self._portal = card, views, client, portal

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}/{self.key}/"

    def handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(*site.page(self.headers.get("Host"), self.path))

            def do_POST(self) -> None:
                length = self.headers.get("Content-Length", "")
                if not (length.isascii() and length.isdecimal() and int(length) <= MOST_BYTES):
                    return self.answer(413, "text/plain", "Too much.", {})
                body = self.rfile.read(int(length))
                self.answer(*site.called(self.headers.get("Host"), self.headers.get("Origin"), self.path, body))
                return None

            def answer(self, status: int, kind: str, text: str, headers: dict[str, str]) -> None:
                content = text.encode()
                self.send_response(status)
                always = {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(content))}
                for name, value in (always | _SAFE | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def page(self, host: str | None, path: str) -> tuple[int, str, str, dict[str, str]]:
        """A page of the site: the host, or the card."""
        if host != f"{HOST}:{self.port}" or path not in (f"/{self.key}/", f"/{self.key}/card"):
            return 404, "text/plain", "Not found.", {}
        if path.endswith("/card"):
            return 200, "text/html", self._card, {"Content-Security-Policy": _CARD_POLICY}
        nonce = secrets.token_urlsafe(16)
        text = files("kustom_mcp").joinpath("data", "demo.html").read_text(encoding="utf-8")
        views = json.dumps(self._views).replace("<", "\\u003c")
        text = text.replace('nonce=""', f'nonce="{nonce}"').replace("const VIEWS = [];", f"const VIEWS = {views};")
        return 200, "text/html", text, {"Content-Security-Policy": _POLICY.format(nonce)}

    def called(
        self, host: str | None, origin: str | None, path: str, body: bytes
    ) -> tuple[int, str, str, dict[str, str]]:
        """The result of a tool that the page or the card calls."""
        here = f"{HOST}:{self.port}"
        if host != here or origin != f"http://{here}" or path != f"/{self.key}/call":
            return 404, "text/plain", "Not found.", {}
        try:
            asked = json.loads(body)
            name, arguments = str(asked["name"]), dict(asked["arguments"])
        except (ValueError, KeyError, TypeError):
            return 400, "text/plain", "This is no call.", {}
        try:
            result = self._portal.call(self._client.call_tool, name, arguments)
        except Exception as error:  # told to the page, which goes on
            return 502, "text/plain", type(error).__name__, {}
        return 200, "application/json", result.model_dump_json(by_alias=True, exclude_none=True), {}
