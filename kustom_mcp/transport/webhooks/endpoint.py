"""POST /hooks/kustom/<secret path>, with or without an order's id behind it: the answer to each webhook and push.

    404  another path: the same answer as for any unknown path
    405  another method
    421, 403, 413, 408   from the request guard: another Host or Origin, over 64 KiB, too slow
    400  neither an event nor a push, or a push with an invalid order id
    401  a webhook without a good signature, where KUSTOM_HOOKS_SECRET is set
    503  it could not be stored; Kustom sends it again
    200  it was stored, now or before, or is about no order of this merchant
    200  nothing can come of it, and Kustom would send the same for days: an event without a valid order id, and what is
         signed and no event. The log has it

A push has no signature, with KUSTOM_HOOKS_SECRET or without: Kustom signs none. It is taken as a hint and followed
after all signed ones: a forged one causes a read in the background. No answer tells whether an order exists. A signed
event whose `webhook-id` was stored already, by this replica or another, is not stored again. An event that is refused
for its signature may have been Kustom's all the same, so the book is incomplete from then on, unless the event says
that it is another merchant's: see `book.completeness`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Container, Iterable

from pydantic import SecretStr
from standardwebhooks import Webhook
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kustom_mcp.app.app import App
from kustom_mcp.book.completeness import WEBHOOK
from kustom_mcp.settings.environment import HooksFile
from kustom_mcp.transport.http.request_guard import RequestGuard
from kustom_mcp.transport.webhooks.events import (
    PUSH,
    UnnamedOrder,
    UnreadableEvent,
    is_foreign,
    pushed,
    read_push,
    read_webhook,
)
from kustom_mcp.transport.webhooks.queue import EventQueue, QueueFull, RepeatedWarnings
from kustom_mcp.transport.webhooks.signature import signed_id

PATHS = ("/hooks/kustom/{path}", "/hooks/kustom/{path}/{rest:path}")
BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0
REMEMBERED = 20_000  # signed events

_ANSWERS = {
    "accepted": (200, "ok"),
    "repeated": (200, "ok"),
    "ignored": (200, "ok"),
    "unnamed": (200, "ok"),
    "unusable": (200, "ok"),
    "not_understood": (400, "This is neither an event nor a push that names an order."),
    "unsigned": (401, "The signature is missing or wrong."),
    "no_room": (503, "Not now."),
}
_WARNINGS = {
    "not_understood": "a webhook or push was refused: it is neither an event nor does it name an order",
    "unusable": "a signed webhook is no event that can be read, so nothing came of it",
    "unsigned": "a webhook was refused: no good signature in `webhook-signature` for a secret of KUSTOM_HOOKS_SECRET, "
    "or a time in `webhook-timestamp` that is over five minutes from this machine's clock",
    "no_room": "a webhook or push could not be kept; whoever sent it is told to come again",
}
_NAMES_NO_ORDER = (
    "a webhook ({}) names no order, so nothing came of it: look in the Kustom portal for the order that it was about"
)


class _Unsigned(Exception):
    """A webhook without a good signature."""


def webhook_routes(
    secret: SecretStr | None, inside: ASGIApp | None, *, hosts: frozenset[str], origins: Container[str]
) -> list[Route]:
    """The route, where there is a secret path. `inside`: takes the webhooks behind it."""
    if secret is None or inside is None:
        return []
    guarded = RequestGuard(inside, hosts=hosts, origins=origins, body_bytes=BODY_BYTES, body_seconds=BODY_SECONDS)
    endpoint = SecretPath(guarded, secret.get_secret_value())
    return [Route(path, endpoint) for path in PATHS]


class SecretPath:
    """An ASGI app in front of another, which answers 404 unless the request names the secret path, and not merely with
    a slash behind it."""

    def __init__(self, inside: ASGIApp, path: str) -> None:
        self._inside = inside
        self._path = _digest(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = scope["path_params"]
        if not hmac.compare_digest(_digest(named["path"]), self._path) or named.get("rest") == "":
            raise HTTPException(404)
        if scope["method"] != "POST":
            raise HTTPException(405, headers={"allow": "POST"})
        await self._inside(scope, receive, send)


class WebhookEndpoint:
    """The ASGI app behind the request guard and the secret path."""

    def __init__(self, app: App, queue: EventQueue) -> None:
        self._telemetry = app.telemetry
        self._queue = queue
        self._merchant = app.settings.merchant
        self._secrets = HooksFile(app.settings)
        self._warnings = RepeatedWarnings(app.clock)
        self._kept: OrderedDict[str, None] = OrderedDict()
        """Signed events that were stored, the oldest first: what the store knows too, without asking it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        ids = pushed(request.query_params.multi_items(), request.path_params.get("rest", ""))
        kind = PUSH if ids else WEBHOOK
        try:
            body = await request.body()
            if kind == PUSH:
                await self._queue.put(read_push(ids))
                result = "accepted"
            else:
                result = await self._event(body, request.headers.items())
        except UnreadableEvent:
            result = "not_understood"
        except _Unsigned:
            result = "unsigned"
        except QueueFull:
            result = "no_room"
        except ClientDisconnect:
            return
        self._telemetry.webhook(kind, result)
        if result in _WARNINGS:
            self._warnings.warn(_WARNINGS[result])
        status, text = _ANSWERS[result]
        await PlainTextResponse(f"{text}\n", status)(scope, receive, send)

    def verifies(self, body: bytes, headers: Iterable[tuple[str, str]]) -> bool:
        """Return whether one of the secrets signed a webhook."""
        return signed_id(body, headers, self._keys()) is not None

    def _keys(self) -> list[Webhook]:
        return [Webhook(secret.get_secret_value()) for secret in self._secrets()]

    async def _event(self, body: bytes, headers: Iterable[tuple[str, str]]) -> str:
        """Take a webhook and return a key of _ANSWERS. UnreadableEvent, QueueFull, _Unsigned."""
        secrets = self._keys()
        name = signed_id(body, headers, secrets)
        if secrets and name is None:
            if not is_foreign(body, self._merchant):
                self._queue.note_gap()
            raise _Unsigned
        try:
            event = read_webhook(body, name, self._merchant)
        except UnreadableEvent as error:
            return self._lost(error, signed=name is not None)
        if event.hint is None:
            return "ignored"
        if event.repeat in self._kept:
            return "repeated"
        new = await self._queue.put(event)
        if event.repeat is not None:
            self._kept[event.repeat] = None
            if len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
        return "accepted" if new else "repeated"

    def _lost(self, error: UnreadableEvent, *, signed: bool) -> str:
        """Note an event that nothing can come of. Returns a key of _ANSWERS. UnreadableEvent where it may be none."""
        if isinstance(error, UnnamedOrder):
            if not error.disputed:  # of an order that may be none of those that are known
                self._queue.lose()
            self._warnings.warn(_NAMES_NO_ORDER.format(error.kind))
            return "unnamed"
        self._queue.lose()
        if not signed:
            raise error
        return "unusable"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
