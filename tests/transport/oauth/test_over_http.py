"""Bearer authentication in front of the real server, with the SDK's own client, in both eras of the protocol."""

from __future__ import annotations

import httpx2 as httpx
import pytest

from kustom_mcp.calls.policy import Principal
from kustom_mcp.transport.http.app import SESSIONS_OF_ONE
from tests.support.conversation import MODES, Mode, demo
from tests.transport.oauth.issuing import AUDIENCE, ISSUER, Site, jwk, rsa_key, token
from tests.transport.oauth.serving_with_tokens import bound, serving

HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}}


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_with_the_token_works_as_ever(mode: Mode) -> None:
    async with serving(bound(), KUSTOM_HTTP_TOKEN="letmein") as served, served.client(mode, token="letmein") as client:
        answer = await client.call_tool("kustom_cancel_order", {"order_id": demo("authorized-sek")})
    assert answer.structured_content is not None
    assert answer.structured_content["outcome"] == "confirmation_required"
    assert set(served.callers) == {Principal("token", identity="http-token", source="token")}
    assert not any(b"authorization" in names for names in served.headers)


async def test_one_caller_cannot_open_sessions_without_end_and_another_is_not_slowed() -> None:
    opening = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
    issuer = Site.of(jwk(rsa_key())).transport
    async with (
        serving(bound(), issuer, KUSTOM_OAUTH_ISSUER=ISSUER, KUSTOM_OAUTH_AUDIENCE=AUDIENCE) as served,
        httpx.AsyncClient(trust_env=False) as http,
    ):

        async def opened(subject: str) -> httpx.Response:
            headers = {"authorization": f"Bearer {token(sub=subject)}", "accept": "application/json, text/event-stream"}
            return await http.post(served.url, headers=headers, json=opening)

        flood = [(await opened("flood")).status_code for _ in range(int(SESSIONS_OF_ONE[1]) + 1)]
        refused, calm = await opened("flood"), await opened("calm")
    assert flood == [200] * int(SESSIONS_OF_ONE[1]) + [429]
    assert 0 < int(refused.headers["retry-after"]) <= 10
    assert calm.status_code == 200


async def test_a_request_without_it_reaches_nothing() -> None:
    async with serving(bound(), KUSTOM_HTTP_TOKEN="letmein") as served, httpx.AsyncClient(trust_env=False) as http:
        for headers in ({}, {"authorization": "Bearer letmeout"}):
            answer = await http.post(served.url, headers=headers, json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
            assert answer.status_code == 401
    assert served.callers == []
