"""A guard in front of an HTTP endpoint: exact hosts and origins, and limits in bytes and seconds for a body.

Browsers can be made to send requests to a server in their own network under a name that an attacker controls; the Host
and Origin headers show it. They are compared whole: the SDK's own check accepts any value that begins with a permitted
name and a colon. The limit in seconds ends a body that comes as a trickle to hold a connection open.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from typing import Any

import anyio
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES = 4 * 1024 * 1024
BODY_SECONDS = 15.0


class _RequestRefused(Exception):
    """The end of a request, raised with its response."""

    def __init__(self, status: int, sentence: str) -> None:
        self.response = PlainTextResponse(f"{sentence}\n", status)


class RequestGuard:
    """An ASGI app in front of another. `hosts` and `origins`: the exact header values that pass."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: frozenset[str],
        origins: Container[str],
        body_bytes: int = BODY_BYTES,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins
        self._bytes = body_bytes
        self._seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_noting_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            self._check(Headers(scope=scope))
            await self._app(scope, self._limited(receive), send_noting_start)
        except _RequestRefused as refused:
            if not started:
                await _closing(refused.response)(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            raise _RequestRefused(
                421, "This server does not answer to this Host (KUSTOM_HTTP_HOSTS lists those it does)."
            )
        if origins and (len(origins) > 1 or origins[0].lower() not in self._origins):
            raise _RequestRefused(
                403, "Requests from this Origin are refused (KUSTOM_HTTP_ORIGINS lists those that are not)."
            )
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()):
            raise _RequestRefused(400, "Content-Length is not a number.")
        if len(length) > 12 or int(length) > self._bytes:
            raise self._too_large()

    def _limited(self, receive: Receive) -> Callable[[], Awaitable[Any]]:
        """Limit `receive` in bytes and seconds until the body has ended."""
        received = 0
        until: float | None = None
        complete = False

        async def limited() -> Message:
            nonlocal received, until, complete
            if complete:
                return await receive()
            until = until or anyio.current_time() + self._seconds
            with anyio.move_on_after(until - anyio.current_time()) as scope:
                message = await receive()
                received += len(message.get("body", b""))
                complete = not message.get("more_body", False)
                if received > self._bytes:
                    raise self._too_large()
                return message
            assert scope.cancelled_caught
            raise _RequestRefused(408, "The body of the request took too long.")

        return limited

    def _too_large(self) -> _RequestRefused:
        return _RequestRefused(413, f"A request has at most {self._bytes} bytes.")


def _closing(response: Response) -> Response:
    """Mark a response so that the connection closes: the rest of the request is not read."""
    response.headers["connection"] = "close"
    return response
