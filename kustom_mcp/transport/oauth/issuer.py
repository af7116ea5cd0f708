"""The issuer of access tokens, asked over HTTP: its metadata, and the keys that it signs with.

The address of the keys is a setting, or stands in the issuer's metadata, which count only when they name the configured
issuer: otherwise whoever can answer at a well-known address could bring keys of their own. Nothing is followed and
nothing is believed beyond that: no redirects, bounded time and size, verified TLS, no proxy but the configured one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Final, Self, cast
from urllib.parse import urlsplit

import anyio
import httpx2 as httpx

from kustom_mcp.settings import validators
from kustom_mcp.transport.oauth.algorithms import SigningKey, signing_keys

MAX_BODY: Final = 256 * 1024
ONE_REQUEST_SECONDS: Final = 5.0
ALL_SECONDS: Final = 10.0
"""Metadata and keys together. Callers wait for this when there are no keys yet."""

_URL = re.compile(r"https?://[^\s@#\\]{1,2000}")


class IssuerError(Exception):
    """The issuer could not be asked, or its answer cannot be used. The text says why, in words of ours."""


@dataclass(frozen=True, slots=True)
class Published:
    """The issuer's own name, exactly as it writes it, and its keys that may sign."""

    issuer: str
    keys: tuple[SigningKey, ...]


class Issuer:
    """One issuer. An async context manager. `keys_url` saves looking for it; `transport` replaces the network."""

    def __init__(
        self,
        name: str,
        *,
        keys_url: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
        proxy: str | None = None,
    ) -> None:
        self.name = name
        self._keys_url = keys_url
        self._transport = transport
        self._proxy = None if validators.is_loopback(validators.host_of(name)) else proxy
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        self._http = httpx.AsyncClient(
            headers={"accept": "application/json", "accept-encoding": "identity"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            transport=self._transport,
            proxy=self._proxy,
            timeout=httpx.Timeout(ONE_REQUEST_SECONDS),
            limits=httpx.Limits(max_connections=2, max_keepalive_connections=0),
            verify=self._transport is not None or httpx.create_ssl_context(trust_env=False),
            follow_redirects=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def read(self) -> Published:
        """Ask for the keys now. IssuerError when they cannot be had."""
        try:
            with anyio.fail_after(ALL_SECONDS):
                name, keys_url = (self.name, self._keys_url) if self._keys_url else await self._metadata()
                document = await self._get(keys_url)
        except TimeoutError:
            raise IssuerError("the issuer did not answer in time") from None
        if document is None:
            raise IssuerError("the issuer's key set is not where it should be")
        try:
            return Published(name, signing_keys(document))
        except ValueError as error:
            raise IssuerError(f"the issuer's key set cannot be used: {error}") from None

    async def _metadata(self) -> tuple[str, str]:
        """The issuer's name as it writes it, and the address of its keys."""
        strangers = False
        for url in _well_known(self.name):
            document = await self._get(url)
            if not isinstance(document, dict):
                continue
            metadata = cast("dict[str, object]", document)
            name, keys_url = metadata.get("issuer"), metadata.get("jwks_uri")
            if not isinstance(name, str) or not same_issuer(name, self.name):
                strangers = True
            elif isinstance(keys_url, str) and self._may_be_asked(keys_url):
                return name, keys_url
        if strangers:
            raise IssuerError("the metadata found there name another issuer; KUSTOM_OAUTH_ISSUER must equal theirs")
        raise IssuerError("no metadata with the address of its keys were found; KUSTOM_OAUTH_JWKS_URL can name it")

    def _may_be_asked(self, url: str) -> bool:
        """Return whether an address from the issuer is https, or on this machine where the issuer is as well."""
        loopback = self.name.startswith("http://") and validators.is_loopback(validators.host_of(url))
        return bool(_URL.fullmatch(url) and validators.host_of(url)) and (url.startswith("https://") or loopback)

    async def _get(self, url: str) -> object:
        """A JSON document; None when there is none at this address. IssuerError when the line is at fault."""
        if self._http is None:
            raise RuntimeError("The issuer is asked inside `async with` only.")
        body = bytearray()
        try:
            async with self._http.stream("GET", url) as response:
                if response.status_code >= 500:
                    raise IssuerError(f"the issuer answered {response.status_code}")
                if response.status_code != 200:
                    return None
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MAX_BODY:
                        raise IssuerError("an answer of the issuer is too long")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise IssuerError(f"the issuer could not be reached ({type(error).__name__})") from None
        try:
            return cast("object", json.loads(body))
        except (ValueError, RecursionError):
            return None


def same_issuer(one: str, other: str) -> bool:
    """Compare to the letter, but for one slash at the end: settings lose it, and some providers write it."""
    return one.removesuffix("/") == other.removesuffix("/")


def _well_known(issuer: str) -> list[str]:
    """The addresses where metadata may be: OpenID Connect appends to the issuer, RFC 8414 inserts before its path."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    oidc, oauth = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
    places = [f"{path}{oidc}", f"{oauth}{path}", f"{oidc}{path}", f"{path}{oauth}"]
    return [origin + place for place in dict.fromkeys(places)]
