"""The real server behind bearer authentication, over real HTTP on loopback: uvicorn, the SDK's app, and the sandbox."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import httpx2 as httpx
import uvicorn
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kustom_mcp.app.app import App
from kustom_mcp.calls.policy import PRINCIPAL, Principal
from kustom_mcp.settings.environment import load
from kustom_mcp.transport.http.access import access_for
from kustom_mcp.transport.http.app import listen, web_app
from tests.support.conversation import Mode
from tests.support.unhurried import PATIENCE


@dataclass
class Served:
    """A running server: its URL, what it runs, and who called it."""

    url: str
    app: App
    callers: list[Principal] = field(default_factory=list[Principal])
    headers: list[list[bytes]] = field(default_factory=list[list[bytes]])

    def noting(self, app: ASGIApp) -> ASGIApp:
        """The app, with a note of whom it let in, and of what was left of their headers."""

        async def noted(scope: Scope, receive: Receive, send: Send) -> None:
            async def answered(message: Message) -> None:
                if message["type"] == "http.response.start" and PRINCIPAL in scope:
                    self.callers.append(scope[PRINCIPAL])
                    self.headers.append([name for name, _ in scope["headers"]])
                await send(message)

            await app(scope, receive, answered)

        return noted

    @asynccontextmanager
    async def client(
        self, mode: Mode = "auto", *, token: str = "", auth: httpx.Auth | None = None
    ) -> AsyncGenerator[Client]:
        """An SDK client with this token, or this way of getting one."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with (
            httpx.AsyncClient(headers=headers, auth=auth, timeout=PATIENCE, trust_env=False) as http,
            Client(streamable_http_client(self.url, http_client=http), mode=mode) as client,
        ):
            yield client


@asynccontextmanager
async def serving(
    listening: socket.socket, issuer: httpx.AsyncBaseTransport | None = None, /, **environ: str
) -> AsyncGenerator[Served]:
    """A server with these settings on a bound socket. `issuer` replaces the way to one."""
    read = load(environ).settings
    served = Served(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", App.of(read))
    async with access_for(read, transport=issuer) as access:
        web = web_app(served.app, listening.getsockname()[1], access)
        running = uvicorn.Server(uvicorn.Config(served.noting(web), log_config=None, ws="none"))
        with anyio.fail_after(PATIENCE):
            task = asyncio.create_task(running.serve(sockets=[listening]))
            try:
                yield served
            finally:
                running.should_exit = True
                await task
                listening.close()


def bound() -> socket.socket:
    """A listening socket on loopback: its port is known, and callers wait in it, before anything is built."""
    return listen("127.0.0.1", 0)
