"""The HTTP connection to one Kustom account: credentials, trust, and nothing from the environment.

No proxy, no netrc, no certificate bundle comes from there, so that a variable set for another program cannot send
credentials elsewhere. Redirects are not followed, cookies are not kept, compression is not asked for, TLS is always
verified.
"""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx2 as httpx
from pydantic import SecretStr

from kustom_mcp.api.redaction import Redactor
from kustom_mcp.api.send import AttemptResult

KEPT: Final = httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=30.0)
FRESH: Final = httpx.Limits(max_connections=64, max_keepalive_connections=0)
"""The limits for writes, each on a connection of its own: nothing that an earlier answer left behind can pass for its
answer, and it never finds that the other side has just closed the connection."""
_LOOPBACK = re.compile(r"localhost|::1|127(?:\.\d{1,3}){3}", re.IGNORECASE)
KEYS_REMEMBERED: Final = 3
"""The number of keys that answers are searched for: one that is on its way may still repeat the key of before."""


@dataclass(frozen=True)
class ApiConnection:
    """The address, the credentials and the route to Kustom. `repr` shows neither name nor key.

    `api_key` is asked for every request, because it may change while we run. `transport` replaces the network, `proxy`
    is the only way to a proxy; loopback never goes through one, where plain http would show it the key.
    """

    base_url: str
    username: str = field(repr=False)
    api_key: Callable[[], SecretStr] = field(repr=False)
    transport: httpx.AsyncBaseTransport | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    user_agent: str = "kustom-mcp"
    _used: dict[str, Redactor] = field(default_factory=dict[str, Redactor], init=False, repr=False)
    """A redactor for each of the keys that were used last."""

    def base(self) -> httpx.URL:
        """Return the base URL, checked: http or https, a host and perhaps a path. ValueError does not repeat the
        value."""
        try:
            url = httpx.URL(self.base_url)
        except httpx.InvalidURL:
            raise ValueError("The base URL is not a URL.") from None
        if url.scheme not in ("https", "http") or not url.host or url.userinfo or url.query or url.fragment:
            raise ValueError("The base URL must be http or https with a host, without user, query or fragment.")
        return url

    def open(self) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
        """Return a client for reads and one for writes, with the same trusted certificates."""
        # Once, and only where there is a network: reading the certificates takes its time.
        trust = self.transport is not None or httpx.create_ssl_context(trust_env=False)
        return self._client(trust, KEPT), self._client(trust, FRESH)

    def _client(self, trust: ssl.SSLContext | bool, limits: httpx.Limits) -> httpx.AsyncClient:
        """Return a client that puts the credentials into every request."""
        return httpx.AsyncClient(
            auth=self._signed,
            headers={
                "accept": "application/json",
                "accept-encoding": "identity",
                "user-agent": self.user_agent,
            },
            # A jar that accepts nothing: the API needs no cookies, and state that nobody asked for is not kept.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            transport=self.transport,
            proxy=None if _LOOPBACK.fullmatch(self.base().host.rstrip(".")) else self.proxy,
            limits=limits,
            verify=trust,
            follow_redirects=False,
            trust_env=False,
        )

    def _signed(self, request: httpx.Request) -> httpx.Request:
        """Add the credentials to a request: ordinary Basic of `username:key` (K)."""
        key = self.api_key().get_secret_value()
        pair = f"{self.username}:{key}".encode()
        if key not in self._used:
            self._used[key] = Redactor(self.username, key)
            for old in [*self._used][:-KEYS_REMEMBERED]:
                del self._used[old]
        request.headers["authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
        return request

    def redacted(self, attempt: AttemptResult) -> AttemptResult:
        """Return the result without any repetition of the credentials that were sent lately."""
        for redactor in self._used.values():
            attempt = redactor.redacted(attempt)
        return attempt
