"""What `serve --http` does for each of several shops: looks at writes in doubt, webhooks and customer tokens.

A request about one shop is handed to what a server of that shop alone would have for it. A webhook names its merchant,
a request for a customer token its shop; a push names neither, and is a hint for all of them.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import cast

import anyio
from anyio.abc import TaskGroup, TaskStatus
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kustom_mcp.app.app import App
from kustom_mcp.app.shops import Shops
from kustom_mcp.calls.confirmation import key_ring
from kustom_mcp.server.handlers import lookout_of
from kustom_mcp.settings.people import ListedPerson
from kustom_mcp.transport.http.customer_tokens import CustomerTokens
from kustom_mcp.transport.http.customers import CustomerEndpoint
from kustom_mcp.transport.http.people import People
from kustom_mcp.transport.oauth.middleware import bearer
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
        lookout = lookout_of(app)
        async with AsyncExitStack() as stack:
            webhooks: WebhookEndpoint | None = None
            if self._hooks:
                queue = EventQueue(app, lookout.name)
                await stack.enter_async_context(queue.opened())
                webhooks = WebhookEndpoint(app, queue)
            group = await stack.enter_async_context(anyio.create_task_group())
            group.start_soon(lookout.run)
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
    """Customer tokens of all shops: asked for with the name of a shop, and good in that one alone."""

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
        """Hand a request to the shop that it names; without a name to the only one of that person."""
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            return
        token = bearer(scope)
        person = None if token is None else self._people.by_token(token)
        name = self._named(body, person)
        shops = self._shops.now()
        app = await self._shops.opened(shops[name or next(iter(shops))])
        tokens = self._tokens(app.shop.name if app.shop else "", app)
        endpoint = CustomerEndpoint(app, self._people, tokens, key_ring(app)[0])
        await endpoint(scope, _replayed(body if name else b"{}"), send)  # which is answered as any that does not fit

    def _named(self, body: bytes, person: ListedPerson | None) -> str | None:
        shops = self._shops.now() if person is not None else {}
        seen = [name for name in shops if person is None or person.shops is None or name in person.shops]
        try:
            given = cast("object", json.loads(body))
        except (ValueError, RecursionError):
            return None
        wanted = cast("Mapping[str, object]", given).get("shop") if isinstance(given, dict) else None
        if wanted in (None, ""):
            return seen[0] if len(seen) == 1 else None
        return wanted if isinstance(wanted, str) and wanted in seen else None


def _replayed(body: bytes) -> Receive:
    """The body of a request that has been read, once more."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return left.pop() if left else {"type": "http.disconnect"}

    return receive


async def _unsent(message: Message) -> None:
    """Send nothing: one answer is enough."""
