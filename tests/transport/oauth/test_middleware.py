"""Bearer authentication of the MCP endpoint: who is let in, what the others are told, and what the endpoint sees."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2 as httpx
import pytest
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from kustom_mcp.calls.policy import PRINCIPAL, Principal
from kustom_mcp.settings.environment import load
from kustom_mcp.transport.http.access import access_for
from kustom_mcp.transport.oauth.middleware import MAX_BODY, WITHHELD, BearerAuth
from tests.transport.oauth.issuing import (
    AUDIENCE,
    ISSUER,
    METADATA,
    ORDER,
    SUBJECT,
    Site,
    claims,
    jwk,
    rsa_key,
    settings,
    token,
)

WRITING = {"kustom_refund_order", "kustom_cancel_order"}
DOCUMENT = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
STATIC = {"KUSTOM_HTTP_TOKEN": "letmein"}
ISSUED = {"KUSTOM_OAUTH_ISSUER": ISSUER, "KUSTOM_OAUTH_AUDIENCE": AUDIENCE}
Headers = list[tuple[str, str]]


class Behind:
    """An app behind bearer authentication: keeps what it was given, and says that it was reached."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.bodies: list[bytes] = []
        self.tokens: list[AccessToken | None] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "http":
            self.bodies.append(await Request(scope, receive).body())
            self.tokens.append(get_access_token())
            await JSONResponse({"reached": True})(scope, receive, send)


@asynccontextmanager
async def guarded(
    environ: Mapping[str, str] = ISSUED, site: Site | None = None
) -> AsyncGenerator[tuple[httpx.AsyncClient, Behind]]:
    """A client in front of it, and what stands behind."""
    behind, read = Behind(), load(environ).settings
    async with access_for(read, transport=(site or Site.of(jwk(rsa_key()))).transport) as access:
        assert access is not None
        app = BearerAuth(behind, access, writing=WRITING, audience=read.oauth_audience)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://mcp.example.com") as client:
            yield client, behind


def bearer(value: str) -> dict[str, str]:
    return {"authorization": f"Bearer {value}"}


def call(tool: object, method: str = "tools/call") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": tool, "arguments": {"order_id": ORDER}}}


def refused(answer: httpx.Response, behind: Behind) -> tuple[int, str]:
    """Status and challenge of an answer that let nothing through."""
    assert behind.scopes == []
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.headers["www-authenticate"]


OTHER_WAYS: list[Headers] = [
    [],
    [("authorization", "Basic YTpi")],
    [("authorization", "")],
    [("authorization", "DPoP x")],
]


@pytest.mark.parametrize("headers", OTHER_WAYS)
async def test_who_sends_no_token_is_told_where_to_get_one(headers: Headers) -> None:
    async with guarded() as (client, behind):
        answer = await client.post("/mcp", headers=headers)
    assert refused(answer, behind) == (401, f'Bearer resource_metadata="{DOCUMENT}", scope="orders:read"')
    said = "A bearer token is needed in the Authorization header."
    error = {"code": -32600, "message": said, "data": {"error": "unauthorized"}}
    assert answer.json() == {"jsonrpc": "2.0", "id": None, "error": error}


@pytest.mark.parametrize("headers", OTHER_WAYS)
async def test_with_a_static_token_there_is_nowhere_to_get_one(headers: Headers) -> None:
    async with guarded(STATIC) as (client, behind):
        answer = await client.post("/mcp", headers=headers)
    assert refused(answer, behind) == (401, "Bearer")


async def test_a_wrong_static_token_is_invalid() -> None:
    async with guarded(STATIC) as (client, behind):
        answer = await client.post("/mcp", headers=bearer("letmeout"))
    said = "The token is not the one that this server expects."
    assert refused(answer, behind) == (401, f'Bearer error="invalid_token", error_description="{said}"')


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "PUT"])
async def test_no_method_passes_without_a_token(method: str) -> None:
    async with guarded() as (client, behind):
        answer = await client.request(method, "/mcp", params={"access_token": token()})
    assert refused(answer, behind)[0] == 401


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", f"Bearer {token()}"), ("authorization", f"Bearer {token()}")],
        [("authorization", "Basic YTpi"), ("authorization", f"Bearer {token()}")],
        [("authorization", f"Bearer {token()}, Bearer {token()}")],
        [("authorization", f"Bearer{token()}")],
        [("authorization", "Bearer")],
        [("authorization", "Bearer a b")],
    ],
)
async def test_one_token_in_one_header_or_none(headers: Headers) -> None:
    async with guarded() as (client, behind):
        answer = await client.post("/mcp", headers=headers)
    said = "One Authorization header with one bearer token is needed."
    assert refused(answer, behind) == (
        401,
        f'Bearer error="invalid_token", error_description="{said}", resource_metadata="{DOCUMENT}", '
        'scope="orders:read"',
    )


async def test_a_bad_token_is_refused_and_stays_out_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bad = token(exp=1)
    async with guarded() as (client, behind):
        answer = await client.post("/mcp", headers=bearer(bad))
    said = "The access token has expired."
    assert refused(answer, behind) == (
        401,
        f'Bearer error="invalid_token", error_description="{said}", resource_metadata="{DOCUMENT}", '
        'scope="orders:read"',
    )
    assert f"A request was refused: {said}" in caplog.messages
    for secret in (bad, *bad.split("."), SUBJECT):
        assert secret not in caplog.text
        assert secret not in answer.text


async def test_while_the_issuer_is_down_the_answer_is_later_and_not_no() -> None:
    async with guarded(site=Site({METADATA: httpx.ConnectError("down")})) as (client, behind):
        answer = await client.post("/mcp", headers=bearer(token()))
    assert (answer.status_code, answer.headers["retry-after"], behind.scopes) == (503, "10", [])
    assert "www-authenticate" not in answer.headers
    assert answer.json()["error"]["data"] == {"error": "temporarily_unavailable"}


@pytest.mark.parametrize("scope", [None, "", "openid", "orders:write"])
async def test_without_the_scope_to_read_nothing_is_open(scope: str | None) -> None:
    async with guarded() as (client, behind):
        answer = await client.post("/mcp", headers=bearer(token(scope=scope)), json=call("kustom_get_order"))
    said = "The access token lacks a scope. Needed: orders:read. Nothing was sent."
    assert refused(answer, behind) == (
        403,
        f'Bearer error="insufficient_scope", error_description="{said}", resource_metadata="{DOCUMENT}", '
        'scope="orders:read"',
    )


def twice(first: str, second: str) -> bytes:
    """A call that names its tool twice; readers take the second."""
    return json.dumps(call("@")).replace('"@"', f'"{first}", "name": "{second}"').encode()


REFUND = call("kustom_refund_order")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(json.dumps(REFUND).encode(), id="a call"),
        pytest.param(json.dumps([call("kustom_get_order"), REFUND]).encode(), id="in a batch"),
        pytest.param(json.dumps(REFUND).replace("refund", "\\u0072efund").encode(), id="escaped"),
        pytest.param(b"\n \t" + json.dumps(REFUND).encode(), id="after white space"),
        pytest.param(json.dumps(REFUND).encode("utf-16"), id="UTF-16"),
        pytest.param(b"\xef\xbb\xbf" + json.dumps(REFUND).encode(), id="after a byte order mark"),
        pytest.param(json.dumps(REFUND).replace(ORDER, "\\ud800").encode(), id="with half a character"),
        pytest.param(twice("kustom_get_order", "kustom_refund_order"), id="named twice"),
    ],
)
async def test_a_token_for_reading_calls_no_tool_that_writes(body: bytes) -> None:
    headers = {**bearer(token(scope="orders:read")), "mcp-name": "kustom_get_order", "mcp-method": "tools/call"}
    async with guarded() as (client, behind):
        answer = await client.post("/mcp", headers=headers, content=body)
    said = "The access token lacks a scope. Needed: orders:read orders:write. Nothing was sent."
    assert refused(answer, behind) == (
        403,
        f'Bearer error="insufficient_scope", error_description="{said}", resource_metadata="{DOCUMENT}", '
        'scope="orders:read orders:write"',
    )
    assert answer.json()["error"] == {"code": -32600, "message": said, "data": {"error": "insufficient_scope"}}


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(call("kustom_get_order")).encode(),
        json.dumps(call("kustom_refund_order", "tools/list")).encode(),
        json.dumps(call("kustom_refund_order_")).encode(),
        json.dumps(call(["kustom_refund_order"])).encode(),
        json.dumps({"method": "tools/call"}).encode(),
        json.dumps({"method": "tools/call", "params": ["kustom_refund_order"]}).encode(),
        b"7",
        b"{",
        b"[" * 100_000,
        b"",
        b" " * MAX_BODY,
    ],
    ids=range(11),
)
async def test_what_calls_no_such_tool_passes_as_it_was_sent(body: bytes) -> None:
    async with guarded() as (client, behind):
        answer = await client.post("/mcp", headers=bearer(token(scope="orders:read")), content=body)
    assert (answer.json(), behind.bodies) == ({"reached": True}, [body])


async def test_a_body_too_long_to_look_at_goes_no_further() -> None:
    async with guarded() as (client, behind):
        answer = await client.post("/mcp", headers=bearer(token(scope="orders:read")), content=b" " * (MAX_BODY + 1))
    assert (answer.status_code, behind.scopes) == (413, [])


async def test_with_the_scope_to_write_the_body_is_not_looked_at() -> None:
    async with guarded() as (client, behind):
        await client.post("/mcp", headers=bearer(token()), json=REFUND)
        await client.post("/mcp", headers=bearer(token()), content=b"{")
    assert [json.loads(behind.bodies[0]), behind.bodies[1]] == [REFUND, b"{"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
async def test_those_behind_know_who_calls_but_not_the_token(scheme: str) -> None:
    expires = claims()["exp"]
    value = token(scope="openid orders:read", kustom_orders=[ORDER], exp=expires)
    async with guarded() as (client, behind):
        headers = {"authorization": f"{scheme} {value}", "x-other": "kept"}
        assert (await client.get("/mcp", headers=headers)).status_code == 200
    (scope,) = behind.scopes
    principal = scope[PRINCIPAL]
    assert principal == Principal(
        SUBJECT, writes=False, orders=frozenset({ORDER}), identity=principal.identity, source="issuer"
    )
    assert scope["auth"].scopes == ["openid", "orders:read"]
    user = scope["user"]
    assert isinstance(user, AuthenticatedUser)
    assert behind.tokens == [user.access_token]
    assert user.access_token == AccessToken(
        token=WITHHELD,
        client_id=user.access_token.client_id,
        scopes=["openid", "orders:read"],
        expires_at=expires,
        subject=principal.identity,
        claims={"iss": ISSUER},
    )
    assert (b"x-other", b"kept") in scope["headers"]
    assert scope.pop(PRINCIPAL) == principal  # the one place with the name of the person
    everything = repr(scope)
    assert not [part for part in (value, SUBJECT, "chat") if part in everything]


async def test_the_static_token_lets_its_callers_write() -> None:
    async with guarded(STATIC) as (client, behind):
        await client.post("/mcp", headers=bearer("letmein"), json=REFUND)
    assert behind.scopes[0][PRINCIPAL] == Principal("token", identity="http-token", source="token")
    assert "letmein" not in repr(behind.scopes)
    assert get_access_token() is None


async def test_behind_a_proxy_that_hides_its_name_the_address_of_the_request_counts() -> None:
    async with guarded({**ISSUED, "KUSTOM_OAUTH_AUDIENCE": "kustom-mcp"}) as (client, _):
        answers = [
            (await client.post("/mcp", headers={"host": host})).headers["www-authenticate"].split('"')[1]
            for host in ("shop.example:8443", "127.0.0.1:8080", "[::1]:8080", 'x", evil="')
        ]
    path = "/.well-known/oauth-protected-resource/mcp"
    assert answers == [
        f"https://shop.example:8443{path}",
        f"http://127.0.0.1:8080{path}",
        f"http://[::1]:8080{path}",
        f"http://localhost{path}",
    ]


async def test_only_http_is_served() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    behind = Behind()
    async with access_for(settings(), transport=Site.of(jwk(rsa_key())).transport) as access:
        assert access is not None
        app = BearerAuth(behind, access, writing=WRITING)
        await app({"type": "lifespan"}, receive, send)
        await app({"type": "websocket", "headers": []}, receive, send)
    assert [scope["type"] for scope in behind.scopes] == ["lifespan"]
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_caller_who_leaves_while_sending_is_not_waited_for() -> None:
    parts: list[Message] = [
        {"type": "http.request", "body": b'{"method"', "more_body": True},
        {"type": "http.disconnect"},
        {"type": "http.disconnect"},
    ]
    headers = [(b"authorization", f"Bearer {token(scope='orders:read')}".encode())]

    async def receive() -> Message:
        return parts.pop(0)

    async def send(_: Message) -> None:
        pass

    behind = Behind()
    async with access_for(settings(), transport=Site.of(jwk(rsa_key())).transport) as access:
        assert access is not None
        app = BearerAuth(behind, access, writing=WRITING)
        await app({"type": "http", "method": "POST", "path": "/mcp", "headers": headers}, receive, send)
    assert behind.bodies == [b""]
