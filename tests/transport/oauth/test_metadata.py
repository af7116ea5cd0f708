"""The document that says what this server is to those who hand out tokens (RFC 9728)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2 as httpx
import pytest
from starlette.applications import Starlette

from kustom_mcp.settings.environment import load
from kustom_mcp.transport.http.access import access_for
from kustom_mcp.transport.oauth.metadata import WELL_KNOWN, Resource, metadata_routes
from tests.transport.oauth.issuing import AUDIENCE, ISSUER, KEYS, METADATA, Site, settings

DOCUMENT = {
    "resource": AUDIENCE,
    "authorization_servers": [ISSUER],
    "scopes_supported": ["orders:read", "orders:write"],
    "bearer_methods_supported": ["header"],
    "resource_name": "Kustom order management",
}


@asynccontextmanager
async def served(site: Site | None = None, **more: str) -> AsyncGenerator[httpx.AsyncClient]:
    read = settings(**more)
    async with access_for(read, transport=(site or Site.of()).transport) as access:
        app = Starlette(routes=metadata_routes(read, access))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://mcp.example.com") as client:
            yield client


@pytest.mark.parametrize("path", [WELL_KNOWN, f"{WELL_KNOWN}/mcp"])
async def test_the_document_is_public(path: str) -> None:
    async with served() as client:
        answer = await client.get(path)
        assert (await client.post(path)).status_code == 405
    assert (answer.status_code, answer.json()) == (200, DOCUMENT)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


async def test_the_issuer_is_named_as_it_names_itself() -> None:
    site = Site({METADATA: {"issuer": f"{ISSUER}/", "jwks_uri": KEYS}, KEYS: {"keys": []}})
    async with served(site) as client:
        assert (await client.get(WELL_KNOWN)).json()["authorization_servers"] == [f"{ISSUER}/"]


async def test_while_the_issuer_is_down_it_is_named_as_configured() -> None:
    async with served(Site()) as client:
        assert (await client.get(WELL_KNOWN)).json() == DOCUMENT


@pytest.mark.parametrize(
    ("host", "resource"),
    [
        ("mcp.example.com", "https://mcp.example.com/mcp"),
        ("MCP.example.com:8443", "https://mcp.example.com:8443/mcp"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/mcp"),
        ("localhost", "http://localhost/mcp"),
    ],
)
async def test_without_a_url_as_audience_the_address_that_was_used_is_the_resource(host: str, resource: str) -> None:
    async with served(KUSTOM_OAUTH_AUDIENCE="kustom-mcp") as client:
        assert (await client.get(WELL_KNOWN, headers={"host": host})).json() == {**DOCUMENT, "resource": resource}


async def test_a_resource_that_a_proxy_shows_elsewhere_has_its_document_there_too() -> None:
    audience = "https://shop.example.com/tools/kustom"
    async with served(KUSTOM_OAUTH_AUDIENCE=audience) as client:
        answer = await client.get(f"{WELL_KNOWN}/tools/kustom")
    assert answer.json() == {**DOCUMENT, "resource": audience}
    where = Resource(audience).document_url({"headers": []})
    assert where == f"https://shop.example.com{WELL_KNOWN}/tools/kustom"


@pytest.mark.parametrize(
    "audience", ['https://x/"', "https://x/{y}", "https://u@x/", "https://x/#y", "https://x/ y", "ftp://x/", "https://"]
)
def test_an_audience_that_is_no_plain_url_is_not_shown_as_one(audience: str) -> None:
    assert Resource(audience).identifier({"headers": [(b"host", b"a.example")]}) == "https://a.example/mcp"


async def test_without_an_issuer_there_is_no_document() -> None:
    read = load({"KUSTOM_HTTP_TOKEN": "letmein"}).settings
    async with access_for(read) as access:
        assert metadata_routes(read, access) == []
    assert metadata_routes(load({}).settings, None) == []
