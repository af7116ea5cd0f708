"""The metadata of this protected resource (RFC 9728): where callers get a token, in a document and in refusals.

The document is public, because it is read by those who have no token yet. Its address stands in every refusal, so that
a host finds the issuer by itself. `resource` is what a host asks a token for: KUSTOM_OAUTH_AUDIENCE where that is a
URL, else the address that the caller used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from kustom_mcp.settings import validators
from kustom_mcp.settings.settings import Settings
from kustom_mcp.transport.oauth.tokens import SCOPES, Access

MCP_PATH: Final = "/mcp"
WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
NAME: Final = "Kustom order management"

_HOST = re.compile(r"[0-9a-z.-]+(?::\d{1,5})?|\[[0-9a-f:.]+\](?::\d{1,5})?")


class Resource:
    """This server as something that tokens are for. `audience` as configured; "" where tokens come from no issuer."""

    def __init__(self, audience: str) -> None:
        is_url = re.fullmatch(r"https?://[!-~]+", audience) and not re.search(r"[\"\\#@{}]", audience)
        self._url = audience if is_url and validators.host_of(audience) else ""

    def identifier(self, scope: Mapping[str, Any]) -> str:
        """The identifier that a host asks a token for. `scope`: of ASGI, its Host header checked already."""
        return self._url or f"{_origin(scope)}{MCP_PATH}"

    def document_url(self, scope: Mapping[str, Any]) -> str:
        """The address of the document: the well-known path between host and path of the identifier."""
        parts = urlsplit(self.identifier(scope))
        return f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path.rstrip('/')}"

    def paths(self) -> list[str]:
        """Every path that the document is found under; the last only where a proxy shows this server elsewhere."""
        own = urlsplit(self._url).path.rstrip("/")
        return list(dict.fromkeys([WELL_KNOWN + MCP_PATH, WELL_KNOWN, WELL_KNOWN + own]))


def challenge(parts: Mapping[str, str]) -> str:
    """The value of WWW-Authenticate (RFC 6750, RFC 9728)."""
    return ("Bearer " + ", ".join(f'{name}="{value}"' for name, value in parts.items())).rstrip()


def metadata_routes(settings: Settings, access: Access | None, *, middleware: Sequence[Middleware] = ()) -> list[Route]:
    """The routes of the document; none where tokens come from no issuer. `middleware` checks the Host."""
    if access is None or not access.issued:
        return []
    resource = Resource(settings.oauth_audience)

    async def document(request: Request) -> JSONResponse:
        found = {
            "resource": resource.identifier(request.scope),
            "authorization_servers": [await access.issuer()],
            "scopes_supported": list(SCOPES),
            "bearer_methods_supported": ["header"],
            "resource_name": NAME,
        }
        headers = {"access-control-allow-origin": "*", "cache-control": "max-age=300", "vary": "host"}
        return JSONResponse(found, headers=headers)

    return [Route(path, document, methods=["GET"], middleware=middleware) for path in resource.paths()]


def _origin(scope: Mapping[str, Any]) -> str:
    """Scheme and host that the caller used. TLS ends in front of this server, unless it is on the caller's machine."""
    hosts = [value.decode("latin-1").lower() for name, value in scope.get("headers", ()) if name == b"host"]
    host = hosts[0] if len(hosts) == 1 and _HOST.fullmatch(hosts[0]) else "localhost"
    return f"{'http' if validators.is_loopback(validators.host_of(f'http://{host}')) else 'https'}://{host}"
