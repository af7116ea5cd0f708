"""The door in front of the real server, with the SDK's own client, in both eras of the protocol."""

from __future__ import annotations

import httpx2 as httpx
import pytest

from kustom_mcp.principal import Principal
from tests.access.serving import bound, serving
from tests.conversation import MODES, Mode, demo


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_with_the_token_works_as_ever(mode: Mode) -> None:
    async with serving(bound(), KUSTOM_HTTP_TOKEN="letmein") as served, served.client(mode, token="letmein") as client:
        answer = await client.call_tool("kustom_cancel_order", {"order_id": demo("authorized-sek")})
    assert answer.structured_content is not None
    assert answer.structured_content["outcome"] == "confirmation_required"
    assert set(served.callers) == {Principal("http-token")}
    assert not any(b"authorization" in names for names in served.headers)


async def test_a_request_without_it_reaches_nothing() -> None:
    async with serving(bound(), KUSTOM_HTTP_TOKEN="letmein") as served, httpx.AsyncClient(trust_env=False) as http:
        for headers in ({}, {"authorization": "Bearer letmeout"}):
            answer = await http.post(served.url, headers=headers, json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
            assert answer.status_code == 401
    assert served.callers == []
