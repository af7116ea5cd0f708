"""MCP over Streamable HTTP: the SDK's session manager behind a request guard, health checks, and an orderly shutdown.

One endpoint serves both eras. Without sessions (KUSTOM_HTTP_SESSIONS=off) any replica can answer any request; a client
of the handshake era then gets codes, because nothing could carry a question back to it.

Shutdown: a signal turns readiness off, and no more writes are started; calls that run may finish within KUSTOM_DRAIN;
then the server ends. A second signal ends it at once.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
from collections.abc import AsyncGenerator, Collection, Generator
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn
from mcp.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kustom_mcp.app.app import App
from kustom_mcp.app.fair_queue import ALL_CALLS, RateLimiter
from kustom_mcp.calls.confirmation import key_ring, operating_user
from kustom_mcp.calls.policy import PRINCIPAL, Principal
from kustom_mcp.server.handlers import Serving, build_server, doubt_checker_of
from kustom_mcp.settings.people import ListedPerson
from kustom_mcp.tools.catalog import CATALOG
from kustom_mcp.transport.http.access import Callers, access_for
from kustom_mcp.transport.http.customer_tokens import CustomerTokens
from kustom_mcp.transport.http.customers import BODY_BYTES, CustomerEndpoint, TokenIssuer
from kustom_mcp.transport.http.customers import PATH as CUSTOMERS
from kustom_mcp.transport.http.people import People
from kustom_mcp.transport.http.request_guard import RequestGuard
from kustom_mcp.transport.oauth.metadata import metadata_routes
from kustom_mcp.transport.oauth.middleware import BearerAuth
from kustom_mcp.transport.shutdown import end_on_signals
from kustom_mcp.transport.webhooks.endpoint import WebhookEndpoint, webhook_routes
from kustom_mcp.transport.webhooks.queue import EventQueue

if TYPE_CHECKING:
    from kustom_mcp.transport.http.of_shops import ShopServices

PATH = "/mcp"
WRITING = frozenset(name for name, tool in CATALOG.items() if tool.writes)
MAX_SESSIONS = 2000
IDLE_SECONDS = 900.0
SESSIONS_OF_ONE = (0.1, 30.0)
"""New sessions a second, and at once: a single caller cannot fill MAX_SESSIONS before the first ones time out."""
SESSIONS_OF_ALL = (20.0, 500.0)
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_LAST_WORDS = 0.2
"""Seconds after the drain limit for a write that was cut to say so."""
_HANG_UP = 1.0
"""Seconds for answers to leave and for open streams to be closed."""
_FLUSH_SECONDS = 1.5
"""Seconds for telemetry to hand over what it holds."""
_ASKED_BY_BROWSERS = [
    "Authorization",
    "Content-Type",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Protocol-Version",
    "Mcp-Session-Id",
]
_SHOWN_TO_BROWSERS = ["Mcp-Session-Id", "Retry-After", "WWW-Authenticate"]

log = logging.getLogger(__name__)


class LoopbackOrigins:
    """The origins of this machine's own pages: a program that serves one can call this server anyway."""

    PATTERN = re.compile(rf"http://(?:{'|'.join(map(re.escape, LOOPBACK))})(?::[0-9]{{1,5}})?")

    def __contains__(self, origin: object) -> bool:
        return isinstance(origin, str) and self.PATTERN.fullmatch(origin) is not None


def web_app(app: Serving, port: int, access: Callers | None, server: Server[Any] | None = None) -> Starlette:
    """The ASGI app of a server that listens on this port. `access`: who may call; `server`: one built already."""
    settings = app.settings
    manager = StreamableHTTPSessionManager(
        app=server or build_server(app, names_shops=False),
        stateless=settings.http_sessions == "off",
        # The request guard checks hosts and origins; what is left of this check is the content type.
        security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        session_idle_timeout=IDLE_SECONDS,
        max_sessions=MAX_SESSIONS,
    )
    origins = frozenset(settings.http_origins) or LoopbackOrigins()
    hosts = frozenset(settings.http_hosts or (f"{host}:{port}" for host in LOOPBACK))

    def guarded(endpoint: ASGIApp) -> ASGIApp:
        shared = CORSMiddleware(
            endpoint,
            allow_origins=settings.http_origins,
            allow_origin_regex=None if settings.http_origins else LoopbackOrigins.PATTERN.pattern,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=_ASKED_BY_BROWSERS,
            expose_headers=_SHOWN_TO_BROWSERS,
        )
        return RequestGuard(shared, hosts=hosts, origins=origins)

    async def ready(_: Request) -> Response:
        because = await _not_ready(app)
        failing = {} if isinstance(app, App) else app.failing()
        degraded = {"degraded": [f"shop {name}: {why}" for name, why in failing.items()]} if failing else {}
        return JSONResponse({"ready": not because, "because": because, **degraded}, 503 if because else 200)

    async def alive(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    customers: list[Route] = []
    if access is not None and access.people is not None:
        asking = _customers(app, access, access.people)
        customers = [Route(CUSTOMERS, RequestGuard(asking, hosts=hosts, origins=origins, body_bytes=BODY_BYTES))]
    services = _services(app)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with manager.run(), services.opened():
            yield

    if access is None:
        endpoint: ASGIApp = _LocalOperator(manager.asgi_app)
    else:
        # One static token is everybody's, so it has no pace of its own; nor has this machine without a token.
        app.rate_limiter = RateLimiter(each=ALL_CALLS) if access.together else RateLimiter()
        app.callers_differ = True
        several = not access.together and settings.http_sessions == "on"
        inside = _SessionPace(manager.asgi_app) if several else manager.asgi_app
        endpoint = BearerAuth(inside, access, writing=WRITING, audience=settings.oauth_audience)
    mcp_endpoint = guarded(endpoint)
    routes = [
        *(Route(path, mcp_endpoint) for path in (PATH, f"{PATH}/")),  # people and hosts put a slash behind it
        *customers,
        *metadata_routes(settings, access, middleware=[Middleware(RequestGuard, hosts=hosts, origins=origins)]),
        *webhook_routes(settings.hooks_path, services.webhooks, hosts=hosts, origins=origins),
        Route("/healthz", alive),
        Route("/readyz", ready),
    ]
    web = Starlette(routes=routes, lifespan=lifespan)
    web.router.redirect_slashes = False  # nobody is sent anywhere
    return web


class _Services:
    """What a server of one account does besides answering calls: looks at writes in doubt, and webhooks."""

    def __init__(self, app: App) -> None:
        self._doubt_checker = doubt_checker_of(app)
        self._queue = EventQueue(app, self._doubt_checker.note) if app.settings.hooks_path else None
        self.webhooks: ASGIApp | None = WebhookEndpoint(app, self._queue) if self._queue else None

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        async with (
            self._queue.opened() if self._queue else contextlib.nullcontext(),
            anyio.create_task_group() as group,
        ):
            group.start_soon(self._doubt_checker.run)
            yield
            group.cancel_scope.cancel()


def _services(app: Serving) -> _Services | ShopServices:
    if isinstance(app, App):
        return _Services(app)
    from kustom_mcp.transport.http.of_shops import ShopServices

    return ShopServices(app, hooks=app.settings.hooks_path is not None)


def _customers(app: Serving, access: Callers, people: People) -> ASGIApp:
    """The endpoint of customer tokens, whose tokens are taken from now on."""
    if isinstance(app, App):
        ring = key_ring(app)
        tokens = CustomerTokens(ring, app.account.name, people, lambda: app.wall())
        access.admit_customers(tokens)

        async def alone(person: ListedPerson, shop: str) -> list[TokenIssuer]:
            return [TokenIssuer(app, tokens)]

        return CustomerEndpoint(app, people, alone, ring[0])
    from kustom_mcp.transport.http.of_shops import ShopCustomers

    customers = ShopCustomers(app, people)
    access.admit_customers(customers)
    return customers


async def _not_ready(app: Serving) -> list[str]:
    """The reasons to send no requests here now. The settings are valid, or nothing would run."""
    because: list[str] = []
    if app.draining:
        because.append("shutting down")
    if not await app.store_writable():
        because.append("the store cannot be written")
    return because


class _SessionPace:
    """An ASGI app that limits how fast one caller opens sessions of the handshake era, of which MAX_SESSIONS exist."""

    def __init__(self, endpoint: ASGIApp) -> None:
        self._endpoint = endpoint
        self._pace = RateLimiter(each=SESSIONS_OF_ONE, together=SESSIONS_OF_ALL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if scope["method"] == "POST" and "mcp-session-id" not in headers:
            version = headers.get("mcp-protocol-version")
            handshake = version in (None, *HANDSHAKE_PROTOCOL_VERSIONS)
            wait = self._pace.wait(scope[PRINCIPAL].identity) if handshake else 0.0
            if wait:
                refused = PlainTextResponse("Sessions are opened too fast.\n", 429, {"retry-after": str(ceil(wait))})
                await refused(scope, receive, send)
                return
        await self._endpoint(scope, receive, send)


class _LocalOperator:
    """An ASGI app that takes each caller for the operator: without token and issuer only this machine can connect."""

    def __init__(self, endpoint: ASGIApp) -> None:
        self._endpoint = endpoint
        self._operator = Principal(operating_user())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[PRINCIPAL] = self._operator
        await self._endpoint(scope, receive, send)


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket; port 0 is any free one. OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only then: without, an answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except BaseException:
        listener.close()
        raise
    return listener


async def serve_http(
    app: Serving,
    listener: socket.socket,
    built: Server[Any] | None = None,
    *,
    shops: Collection[str] | None = None,
) -> None:
    """Serve until a signal comes. `built`: a server that was built already. `shops`: their names, where there are
    several."""
    async with access_for(app.settings, shops=shops) as access:
        await _serve(app, listener, web_app(app, listener.getsockname()[1], access, built))


async def _serve(app: Serving, listener: socket.socket, web: Starlette) -> None:
    config = uvicorn.Config(
        web,
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_HANG_UP,  # pyright: ignore[reportArgumentType]
    )
    server = _Server(config)
    async with anyio.create_task_group() as group:
        group.start_soon(end_on_signals, partial(_drain, app, server))
        await server.serve(sockets=[listener])
        await app.flush_telemetry(_FLUSH_SECONDS)
        group.cancel_scope.cancel()


class _Server(uvicorn.Server):
    """uvicorn without its own handling of signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def _drain(app: Serving, server: uvicorn.Server) -> None:
    seconds = app.settings.drain
    app.drain(seconds)
    with anyio.move_on_after(seconds + _LAST_WORDS):
        await app.idle()
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # streams that it must cut are no news
    server.should_exit = True
