"""A listener for webhooks, for as long as `check --playground` tries things: where `serve --http` would hear them.

It answers a webhook with a good signature like the server does, with 200, and every other with 401, and keeps what was
heard. Nothing is read or written for it.
"""

from __future__ import annotations

import hmac
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

import anyio
from standardwebhooks import Webhook

from kustom_mcp.settings.settings import ConfigError, Settings
from kustom_mcp.transport.webhooks.endpoint import BODY_BYTES
from kustom_mcp.transport.webhooks.signature import signed_id

HEARING_SECONDS: Final = 120
_KINDS: Final = ("order.created", "capture.created", "refund.created", "dispute.created")
_IDS: Final = ("order_id", "capture_id", "refund_id", "dispute_id")


@dataclass(frozen=True)
class HeardWebhook:
    """One delivery: whether its signature is good, its `webhook-id`, and its body where that is an object."""

    is_signed: bool
    name: str
    body: dict[str, Any]

    @property
    def signature(self) -> str:
        """The way in which it was signed, in our words."""
        if not self.is_signed:
            return "not signed with a secret of KUSTOM_HOOKS_SECRET"
        return f"signed, webhook-id {'is' if self.name == self.body.get('id') else 'is not'} the event's id"

    @property
    def content(self) -> str:
        """The kind of the event and the names of the ids in its data, none of their values."""
        given = self.body.get("data")
        data = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        kind = self.body.get("type")
        named = [name for name in _IDS if data.get(name)]
        return f"{kind if kind in _KINDS else 'another kind'} with {', '.join(named) or 'no id'}"


@dataclass
class WebhookListener:
    """An ASGI app that hears webhooks on the path of `serve --http`."""

    settings: Settings
    heard: list[HeardWebhook] = field(default_factory=list[HeardWebhook])
    _news: anyio.Event = field(default_factory=anyio.Event)

    async def wait(self, kind: str) -> HeardWebhook | None:
        """Return the first webhook of this kind, however it is signed; None where none comes in time."""
        with anyio.move_on_after(HEARING_SECONDS):
            while True:
                found = next((one for one in self.heard if one.body.get("type") == kind), None)
                if found is not None:
                    return found
                await self._news.wait()
        return None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        status = await self._answer(scope, receive)
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def _answer(self, scope: Any, receive: Any) -> int:
        path = self.settings.hooks_path
        wanted = f"/hooks/kustom/{path.get_secret_value() if path else ''}"
        if scope["method"] != "POST" or not hmac.compare_digest(scope["path"].encode(), wanted.encode()):
            return 404
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > BODY_BYTES:
                return 413
            if not message.get("more_body", False):
                break
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        heard = self._read(body, headers)
        self.heard.append(heard)
        self._news.set()
        self._news = anyio.Event()
        return 200 if heard.is_signed else 401

    def _read(self, body: bytes, headers: list[tuple[str, str]]) -> HeardWebhook:
        secrets = [Webhook(secret.get_secret_value()) for secret in self.settings.hooks_secret]
        name = signed_id(body, headers, secrets)
        try:
            told = json.loads(body)
        except (ValueError, RecursionError):
            told = None
        object_ = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
        return HeardWebhook(name is not None, name or "", object_)


@asynccontextmanager
async def listening(settings: Settings, port: int) -> AsyncGenerator[WebhookListener | None]:
    """Listen on loopback at the port while the block runs; nothing, None, without path and secret. ConfigError."""
    if settings.hooks_path is None or not settings.hooks_secret:
        yield None
        return
    import uvicorn

    try:
        socket_ = socket.create_server(("127.0.0.1", port))
    except OSError:
        raise ConfigError(
            "--port", f"Port {port} is taken: stop the server that webhooks reach there, until this has ended."
        ) from None
    listener = WebhookListener(settings)
    server = uvicorn.Server(
        uvicorn.Config(listener, lifespan="off", ws="none", log_config=None, access_log=False, server_header=False)
    )
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve, [socket_])
        try:
            yield listener
        finally:
            server.should_exit = True
