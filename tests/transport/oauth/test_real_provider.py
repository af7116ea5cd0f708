"""Against a real OpenID provider, that we did not write: `oidc-provider` on loopback, in a Node process of its own.

It is installed into the user's cache once. Where it cannot be had these tests are skipped, but never in CI.
"""

from __future__ import annotations

import queue
import socket
import subprocess
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

from tests.support.conversation import MODES, Mode, demo
from tests.support.npm import installed, node
from tests.support.unhurried import PATIENCE
from tests.transport.oauth.serving_with_tokens import Served, bound, serving

pytestmark = pytest.mark.real_clock

PACKAGE = "oidc-provider@9.13.3"
SCRIPT = Path(__file__).parent / "provider.mjs"


@pytest.fixture(scope="module")
def listening() -> Iterator[socket.socket]:
    """The address at which our server will listen: the resource has to be known to the provider before."""
    with bound() as found:
        yield found


@pytest.fixture(scope="module")
def issuer(listening: socket.socket) -> Iterator[str]:
    program, npm = node()
    resource = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
    command = [program, str(SCRIPT), str(installed(npm, PACKAGE)), resource, demo("authorized-sek")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        told, out = queue.Queue[str](), process.stdout
        assert out is not None
        threading.Thread(target=lambda: told.put(out.readline()), daemon=True).start()
        try:
            found = told.get(timeout=PATIENCE).strip()
            assert found, "The provider ended at once."
            yield found
        finally:
            process.kill()


@asynccontextmanager
async def ours(listening: socket.socket, issuer: str, **more: str) -> AsyncGenerator[Served]:
    resource = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
    copy = listening.dup()  # the server closes what it is given
    async with serving(copy, KUSTOM_OAUTH_ISSUER=issuer, KUSTOM_OAUTH_AUDIENCE=resource, **more) as served:
        yield served


async def issued(issuer: str, client: str, **more: str) -> str:
    """An access token for this client, straight from the provider."""
    form = {"grant_type": "client_credentials", "scope": "orders:read orders:write", **more}
    if client == "reader":
        form["scope"] = "orders:read"
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as http:
        answer = await http.post(f"{issuer}/token", data=form, auth=(client, f"{client}-secret"))
    found: dict[str, Any] = answer.json()
    assert "access_token" in found, found
    return found["access_token"]


class Memory:
    """The store of tokens of the SDK's client."""

    tokens: OAuthToken | None = None
    info: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.info

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.info = client_info


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_finds_its_way_to_a_token_and_from_there_to_a_wider_one(
    mode: Mode, listening: socket.socket, issuer: str
) -> None:
    async with ours(listening, issuer) as served:
        auth = ClientCredentialsOAuthProvider(served.url, Memory(), "writer", "writer-secret", issuer=issuer)
        async with served.client(mode, auth=auth) as client:
            read = await client.call_tool("kustom_get_order", {"order_id": demo("authorized-sek")})
            asked = list(served.callers)
            preview = await client.call_tool("kustom_cancel_order", {"order_id": demo("authorized-sek")})
    assert read.structured_content is not None
    assert read.structured_content["outcome"] == "ok"
    assert preview.structured_content is not None
    assert preview.structured_content["outcome"] == "confirmation_required"
    (reader,) = set(asked)
    assert set(served.callers) == {reader, replace(reader, writes=True)}
    assert (reader.writes, reader.orders) == (False, None)
    assert not any(b"authorization" in names for names in served.headers)


async def test_a_token_for_reading_reads_and_does_not_write(listening: socket.socket, issuer: str) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "kustom_cancel_order"}}
    token = await issued(issuer, "reader")
    async with ours(listening, issuer) as served, served.client(token=token) as client:
        answer = await client.call_tool("kustom_get_order", {"order_id": demo("authorized-sek")})
        assert answer.structured_content is not None
        assert answer.structured_content["outcome"] == "ok"
        async with httpx.AsyncClient(
            timeout=PATIENCE, trust_env=False, headers={"authorization": f"Bearer {token}"}
        ) as http:
            refused = await http.post(served.url, json=call)
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    assert 'scope="orders:read orders:write"' in refused.headers["www-authenticate"]
    assert {caller.writes for caller in served.callers} == {False}


async def test_the_claim_that_narrows_arrives(listening: socket.socket, issuer: str) -> None:
    async with (
        ours(listening, issuer) as served,
        served.client(token=await issued(issuer, "narrow")) as client,
    ):
        own = await client.call_tool("kustom_get_order", {"order_id": demo("authorized-sek")})
        other = await client.call_tool("kustom_get_order", {"order_id": demo("captured-sek")})
    assert own.structured_content is not None
    assert own.structured_content["outcome"] == "ok"
    assert other.structured_content is not None
    assert other.structured_content["error"]["code"] == "NOT_FOUND"
    (caller,) = set(served.callers)
    assert (caller.writes, caller.orders) == (True, {demo("authorized-sek")})


async def test_a_subject_has_one_name_and_each_its_own(listening: socket.socket, issuer: str) -> None:
    names: list[set[str]] = []
    for _ in range(2):  # as two replicas would
        async with ours(listening, issuer) as served:
            for client in ("writer", "reader"):
                async with served.client(token=await issued(issuer, client)) as connected:
                    await connected.list_tools()
        names.append({caller.name for caller in served.callers})
    assert names[0] == names[1]
    assert len(names[0]) == 2


async def test_a_token_for_another_server_is_refused(listening: socket.socket, issuer: str) -> None:
    token = await issued(issuer, "stranger")
    headers = {"authorization": f"Bearer {token}"}
    async with (
        ours(listening, issuer) as served,
        httpx.AsyncClient(timeout=PATIENCE, trust_env=False, headers=headers) as http,
    ):
        refused = await http.post(served.url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
        where = refused.headers["www-authenticate"].partition('resource_metadata="')[2].partition('"')[0]
        document = await http.get(where)
    assert refused.status_code == 401
    assert refused.json()["error"]["message"].startswith("The access token is for another audience")
    assert document.json()["authorization_servers"] == [issuer]
    assert document.json()["resource"] == served.url
    assert served.callers == []
