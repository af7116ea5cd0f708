"""Access of callers over HTTP, put together from the settings.

People of the people file come beside the static token or the issuer. A bearer value that is nobody's in the file goes
to those, which say what is wrong with it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from kustom_mcp.settings import validators
from kustom_mcp.settings.people import PeopleFile
from kustom_mcp.settings.settings import ConfigError, Settings
from kustom_mcp.transport.http.customer_tokens import PREFIX
from kustom_mcp.transport.http.people import People
from kustom_mcp.transport.oauth.issuer import Issuer
from kustom_mcp.transport.oauth.jwks import KeySet
from kustom_mcp.transport.oauth.tokens import Access, Grant, IssuedTokens, StaticToken, TokenRefused

if TYPE_CHECKING:
    import httpx2 as httpx


class Grants(Protocol):
    """Customer tokens, as far as they are read."""

    def grant(self, token: str) -> Grant: ...


class Callers:
    """The callers of a server. `people`: those of the people file, None without one. `rest`: the static token, or the
    issuer."""

    def __init__(self, people: People | None, rest: Access | None) -> None:
        self.people = people
        self.issued = rest is not None and rest.issued
        self.together = people is None and not self.issued
        """Whether all callers have one token, and so no pace of their own."""
        self._rest = rest
        self._customers: Grants | None = None

    def admit_customers(self, tokens: Grants) -> None:
        """Take customer tokens, too: they are signed with the key ring, which is known once there is a store."""
        self._customers = tokens

    async def grant(self, token: str) -> Grant:
        """The rights of a bearer value. TokenRefused, KeysUnavailable."""
        if self._customers is not None and token.startswith(PREFIX):
            return self._customers.grant(token)
        found = self.people.grant(token) if self.people else None
        if found is not None:
            return found
        if self._rest is None:
            raise TokenRefused("The token is not one that this server knows, or it has ended.")
        grant = await self._rest.grant(token)
        if self.people is not None and self.people.by_name(grant.principal.name) is not None:
            raise TokenRefused("The access token names its person like one in KUSTOM_PEOPLE_FILE.")
        return grant

    async def issuer(self) -> str:
        return await self._rest.issuer() if self._rest else ""


def require_access(settings: Settings, host: str) -> None:
    """Raise ConfigError when an HTTP server on this address would be open to other machines."""
    some = settings.http_token is not None or settings.people_file is not None or settings.oauth_issuer
    if not some and not validators.is_loopback(host.lower()):
        needed = "Other machines can reach this address, so this, KUSTOM_PEOPLE_FILE or KUSTOM_OAUTH_ISSUER is needed."
        raise ConfigError("KUSTOM_HTTP_TOKEN", needed)


@asynccontextmanager
async def access_for(
    settings: Settings, *, shops: Collection[str] | None = None, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncGenerator[Callers | None]:
    """Open access as the settings have it, for as long as the server runs. None: every caller that reaches it.

    `shops`: the names of the shops, where there are several. `transport` replaces the network to the issuer, in tests.
    ConfigError where the people file cannot be used.
    """
    people = People(PeopleFile(settings.people_file, shops)) if settings.people_file else None
    if settings.http_token is not None:
        yield Callers(people, StaticToken(settings.http_token))
    elif settings.oauth_issuer:
        async with _issued(settings, transport) as tokens:
            yield Callers(people, tokens)
    elif people is not None:
        yield Callers(people, None)
    else:
        yield None


@asynccontextmanager
async def _issued(settings: Settings, transport: httpx.AsyncBaseTransport | None) -> AsyncGenerator[IssuedTokens]:
    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    async with (
        Issuer(settings.oauth_issuer, keys_url=settings.oauth_jwks_url, transport=transport, proxy=proxy) as issuer,
        KeySet(issuer.read) as keys,
    ):
        yield IssuedTokens(
            keys,
            issuer=settings.oauth_issuer,
            audience=settings.oauth_audience,
            person=settings.oauth_person,
            narrowed=settings.oauth_require == "orders",
        )
