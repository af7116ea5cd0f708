"""Bearer authentication in front of the MCP endpoint: a request without a good token ends here.

A request that passes carries a Principal, and the user that the SDK binds sessions and `requestState` to; the token
itself is removed, so that no later code can log it or send it on. Where an issuer gives the tokens, tools that write
are refused here already, because a host can ask its user for a wider token on a 403, and on a tool result it cannot.
The tools refuse them once more.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Iterator
from typing import Any, Final, cast

from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.types import INVALID_REQUEST
from starlette.authentication import AuthCredentials
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kustom_mcp.calls.policy import PRINCIPAL
from kustom_mcp.schema.result import NOTHING_SENT
from kustom_mcp.transport.oauth.jwks import INTERVAL, KeysUnavailable
from kustom_mcp.transport.oauth.metadata import Resource, challenge
from kustom_mcp.transport.oauth.tokens import READ, SCOPES, Access, Grant, TokenRefused

MAX_BODY: Final = 4 * 1024 * 1024
WITHHELD: Final = "withheld"
"""The text in place of the token where the SDK would keep it."""

_BEARER = re.compile(r"bearer +([!-~]+) *", re.IGNORECASE)

log = logging.getLogger(__name__)


def bearer(scope: Scope) -> str | None:
    """The bearer token of a request that has exactly one Authorization header, with exactly that in it."""
    sent = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
    token = _BEARER.fullmatch(sent[0]) if len(sent) == 1 else None
    return token[1] if token else None


class BearerAuth:
    """ASGI middleware. `writing`: the names of the tools that need `orders:write`; `audience` as configured."""

    def __init__(self, app: ASGIApp, access: Access, *, writing: Collection[str], audience: str = "") -> None:
        self._app = AuthContextMiddleware(app)
        self._access = access
        self._writing = frozenset(writing)
        self._resource = Resource(audience)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            answer, receive = await self._judged(scope, receive)
            await (answer or self._app)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _judged(self, scope: Scope, receive: Receive) -> tuple[JSONResponse | None, Receive]:
        """Judge a request: the response that ends it, or None, and the `receive` to go on with."""
        sent = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        if not any(value[:6].lower() == "bearer" for value in sent):
            return self._refusal(scope, 401, "A bearer token is needed in the Authorization header."), receive
        token = bearer(scope)
        if token is None:
            said = "One Authorization header with one bearer token is needed."
            return self._refusal(scope, 401, said, "invalid_token"), receive
        try:
            grant = await self._access.grant(token)
        except TokenRefused as refused:
            log.info("A request was refused: %s", refused)
            return self._refusal(scope, 401, str(refused), "invalid_token"), receive
        except KeysUnavailable:
            return _unavailable(), receive
        from_issuer = grant.principal.source == "issuer"
        if READ not in grant.scopes:
            return self._too_narrow(scope, READ) if from_issuer else self._may_not_read(scope), receive
        if from_issuer and not grant.principal.writes and scope["method"] == "POST":
            body = await _whole(receive)
            if body is None:
                return _too_long(), receive
            if any(name in self._writing for name in _tools_called(body)):
                return self._too_narrow(scope, " ".join(SCOPES)), receive
            receive = _again(body, receive)
        _admit(scope, grant)
        return None, receive

    def _too_narrow(self, scope: Scope, needed: str) -> JSONResponse:
        said = f"The access token lacks a scope. Needed: {needed}. {NOTHING_SENT}"
        return self._refusal(scope, 403, said, "insufficient_scope", needed)

    def _may_not_read(self, scope: Scope) -> JSONResponse:
        said = "The caller may not read orders (`may` in KUSTOM_PEOPLE_FILE). Nothing was sent."
        return self._refusal(scope, 403, said, "insufficient_scope")

    def _refusal(self, scope: Scope, status: int, said: str, error: str = "", needed: str = READ) -> JSONResponse:
        """A response with 401 or 403. `error` is left out where the caller sent no token (RFC 6750, 3.1)."""
        found = {"error": error, "error_description": said} if error else {}
        if self._access.issued:
            found |= {"resource_metadata": self._resource.document_url(scope), "scope": needed}
        headers = {"www-authenticate": challenge(found), "cache-control": "no-store"}
        return JSONResponse(_body(error or "unauthorized", said), status, headers)


def _body(error: str, said: str) -> dict[str, Any]:
    """The body of a refusal: an error of JSON-RPC without an id, which clients pass on; from a bare status they make a
    sentence of their own that says nothing."""
    refused = {"code": INVALID_REQUEST, "message": said, "data": {"error": error}}
    return {"jsonrpc": "2.0", "id": None, "error": refused}


def _unavailable() -> JSONResponse:
    said = f"Whether the access token is good cannot be told now: its issuer does not answer. {NOTHING_SENT}"
    headers = {"retry-after": str(int(INTERVAL)), "cache-control": "no-store"}
    return JSONResponse(_body("temporarily_unavailable", said), 503, headers)


def _too_long() -> JSONResponse:
    said = f"The request is longer than {MAX_BODY} bytes. {NOTHING_SENT}"
    return JSONResponse(_body("invalid_request", said), 413, {"connection": "close"})


def _admit(scope: Scope, grant: Grant) -> None:
    """Put the caller into the scope, for the tools and for the SDK, and remove the token."""
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
    scope[PRINCIPAL] = grant.principal
    scope["auth"] = AuthCredentials(grant.scopes)
    scope["user"] = AuthenticatedUser(
        AccessToken(
            token=WITHHELD,
            client_id=grant.client,
            scopes=list(grant.scopes),
            expires_at=grant.expires_at,
            subject=grant.principal.identity,
            claims={"iss": grant.issuer} if grant.issuer else None,
        )
    )


async def _whole(receive: Receive) -> bytes | None:
    """The body of a request; None when it is too long, empty when the caller left before its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more, and then what comes after it."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed


def _tools_called(body: bytes) -> Iterator[str]:
    """The name of every tool that a body calls.

    Of the readers of JSON that follow, none accepts more than this one: a body that it cannot read calls no tool.
    """
    try:
        found = cast("object", json.loads(body))
    except (ValueError, RecursionError):
        return
    for message in cast("list[object]", found) if isinstance(found, list) else [found]:
        if isinstance(message, dict):
            yield from _called(cast("dict[str, Any]", message))


def _called(message: dict[str, Any]) -> Iterator[str]:
    params = message.get("params")
    if message.get("method") == "tools/call" and isinstance(params, dict):
        name = cast("dict[str, Any]", params).get("name")
        if isinstance(name, str):
            yield name
