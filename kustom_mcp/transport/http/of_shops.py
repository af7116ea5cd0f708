"""What `serve --http` does for each of several shops: looks at writes in doubt, webhooks and customer tokens.

A request about one shop is handed to what a server of that shop alone would have for it. A webhook names its merchant,
a request for a customer token its shop; a push names neither, and is a hint for all of them.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup, TaskStatus
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kustom_mcp.app.app import App
from kustom_mcp.app.shops import Shops
from kustom_mcp.calls.confirmation import key_ring
from kustom_mcp.server.handlers import doubt_checker_of
from kustom_mcp.server.shops import shop_named
from kustom_mcp.settings.people import ListedPerson
from kustom_mcp.transport.http.customer_tokens import CustomerTokens
from kustom_mcp.transport.http.customers import CustomerEndpoint, TokenIssuer
from kustom_mcp.transport.http.people import People
from kustom_mcp.transport.oauth.tokens import Grant, TokenRefused
from kustom_mcp.transport.webhooks.endpoint import WebhookEndpoint
from kustom_mcp.transport.webhooks.events import merchant_of, pushed
from kustom_mcp.transport.webhooks.queue import EventQueue

log = logging.getLogger(__name__)

EVERY = 15.0
"""Seconds between two looks whether there are other shops."""


@dataclass(frozen=True)
class _Served:
    """The part of one shop. `webhooks` is None where the server takes none."""

    app: App
    webhooks: WebhookEndpoint | None


class ShopServices:
    """The services of all shops, for as long as the server runs. `hooks`: whether it takes webhooks."""

    def __init__(self, shops: Shops, *, hooks: bool) -> None:
        self._shops = shops
        self._hooks = hooks
        self.webhooks: ASGIApp | None = self._webhook if hooks else None
        self._served: dict[str, _Served] = {}
        self._group: TaskGroup | None = None
        self._changing = anyio.Lock()

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Serve every shop, those too that come while the server runs. Use inside the lifespan of the shops."""
        async with anyio.create_task_group() as group:
            self._group = group
            await self.refresh()
            group.start_soon(self._watch)
            yield
            group.cancel_scope.cancel()

    async def _watch(self) -> None:
        while True:
            await anyio.sleep(EVERY)
            await self.refresh()

    async def refresh(self) -> None:
        """Serve the shops that there are now."""
        assert self._group is not None
        async with self._changing:
            for name, one in self._shops.now().items():
                known = self._served.get(name)
                if known is None or known.app is not one.app:
                    try:
                        self._served[name] = await self._group.start(self._serve, name)
                    except Exception:
                        log.exception("the shop %s cannot be served now; the others go on", name)

    async def _serve(self, name: str, *, task_status: TaskStatus[_Served]) -> None:
        one = self._shops.now()[name]
        app = await self._shops.opened(one)
        doubt_checker = doubt_checker_of(app)
        async with AsyncExitStack() as stack:
            webhooks: WebhookEndpoint | None = None
            if self._hooks:
                queue = EventQueue(app, doubt_checker.note)
                await stack.enter_async_context(queue.opened())
                webhooks = WebhookEndpoint(app, queue)
            group = await stack.enter_async_context(anyio.create_task_group())
            group.start_soon(doubt_checker.run)
            task_status.started(_Served(app, webhooks))
            await one.retired()
            group.cancel_scope.cancel()

    async def _webhook(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a webhook to the shop whose merchant it names, and a push to all of them."""
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        await self.refresh()
        served = {name: self._served[name] for name in self._shops.now() if name in self._served}
        taking = {name: one.webhooks for name, one in served.items() if one.webhooks}
        if not taking:
            await PlainTextResponse("come again\n", 503)(scope, receive, send)
        elif pushed(request.query_params.multi_items(), request.path_params.get("rest", "")):
            for endpoint in list(taking.values())[:-1]:
                await endpoint(scope, _replayed(body), _unsent)
            await list(taking.values())[-1](scope, _replayed(body), send)
        elif (merchant := merchant_of(body)) is None:
            await PlainTextResponse("This names no merchant.\n", 400)(scope, receive, send)
        else:
            of = [one for name, one in taking.items() if served[name].app.settings.merchant.upper() == merchant]
            # A merchant has an account in each environment, under one id.
            signed = [one for one in of if one.verifies(body, request.headers.items())]
            if of:
                await (signed or of)[0](scope, _replayed(body), send)
            else:  # of a merchant that is none of ours
                await PlainTextResponse("ok\n")(scope, receive, send)


class ShopCustomers:
    """Customer tokens of all shops, each good in one. Without the name of a shop all of that person are asked."""

    def __init__(self, shops: Shops, people: People) -> None:
        self._shops = shops
        self._people = people

    def _tokens(self, name: str, app: App) -> CustomerTokens:
        return CustomerTokens(key_ring(app), app.account.name, self._people, lambda: app.wall(), shop=name)

    def grant(self, token: str) -> Grant:
        """The rights of a customer token. TokenRefused."""
        for name, one in self._shops.now().items():
            with contextlib.suppress(TokenRefused):
                return self._tokens(name, one.app).grant(token)
        raise TokenRefused("This is not a customer token of this server.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        keeper = self._shops.keeper
        endpoint = CustomerEndpoint(keeper, self._people, self._issuers, key_ring(keeper)[0])
        await endpoint(scope, receive, send)

    async def _issuers(self, person: ListedPerson, shop: str) -> list[TokenIssuer]:
        """The shops that are asked. Where there is none of this name one of that person stands for it, so that the
        answer takes as long."""
        seen = {name: one for name, one in self._shops.now().items() if person.shops is None or name in person.shops}
        name = shop_named(shop, seen) if shop else None
        asked = list(seen.values()) if not shop else [seen[name]] if name else list(seen.values())[:1]
        known = not shop or name is not None
        return [TokenIssuer(await self._shops.opened(one), self._tokens(one.name, one.app), known) for one in asked]


def _replayed(body: bytes) -> Receive:
    """The body of a request that has been read, once more."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return left.pop() if left else {"type": "http.disconnect"}

    return receive


async def _unsent(message: Message) -> None:
    """Send nothing: one answer is enough."""
