"""An issuer for tests: keys made here, tokens signed with them, and its site as a transport with a table of answers."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx2 as httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from kustom_mcp.settings.environment import load
from kustom_mcp.settings.settings import Settings
from kustom_mcp.transport.http.access import access_for
from kustom_mcp.transport.oauth.tokens import Access

ISSUER = "https://login.example.com"
AUDIENCE = "https://mcp.example.com/mcp"
METADATA = f"{ISSUER}/.well-known/openid-configuration"
KEYS = f"{ISSUER}/keys"
SUBJECT = "anna@example.com"
ORDER = "7849fd84-6a5c-4d33-8c3a-9f3b1f1f0001"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def rsa_key(name: str = "one", bits: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key; the same for the same name."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key(curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve())


@cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def jwk(key: PrivateKey, kid: str | None = "k1", **more: Any) -> dict[str, Any]:
    """The public half of a key, as an issuer publishes it. None leaves a member out."""
    if isinstance(key, rsa.RSAPrivateKey):
        found = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        found = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        found = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    found = {name: value for name, value in found.items() if name != "key_ops"}
    return {name: value for name, value in {**found, "kid": kid, **more}.items() if value is not None}


def claims(**more: Any) -> dict[str, Any]:
    """Claims of a good access token. None leaves a claim out."""
    now = int(time.time())
    usual = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": SUBJECT,
        "client_id": "chat",
        "scope": "orders:read orders:write",
        "iat": now,
        "exp": now + 300,
    }
    return {name: value for name, value in {**usual, **more}.items() if value is not None}


def token(
    key: PrivateKey | None = None,
    alg: str = "RS256",
    header: Mapping[str, Any] | None = None,
    **more: Any,
) -> str:
    """A signed token: good, but for what is given. A header of None is left out."""
    headers = {"kid": "k1", "typ": "at+jwt", **(header or {})}
    typ = headers["typ"] or None
    headers = {name: value for name, value in headers.items() if value is not None} | {"typ": typ}
    payload = json.dumps(claims(**more)).encode()  # as it is: what encodes whole tokens corrects some claims
    return jwt.PyJWS().encode(payload, key or rsa_key(), alg, headers)


def part(value: object) -> str:
    """A part of a JWT: JSON, base64url without padding."""
    return encoded(json.dumps(value).encode())


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass
class Site:
    """Answers at the issuer's addresses: a JSON value, raw bytes, a status, or an error of the line."""

    answers: dict[str, object] = field(default_factory=dict[str, object])
    asked: list[str] = field(default_factory=list[str])
    requests: list[httpx.Request] = field(default_factory=list[httpx.Request])

    @classmethod
    def of(cls, *keys: dict[str, Any]) -> Site:
        """A site with metadata and these keys."""
        return cls({METADATA: {"issuer": ISSUER, "jwks_uri": KEYS}, KEYS: {"keys": list(keys)}})

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        self.requests.append(request)
        found = self.answers.get(str(request.url), 404)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, int):
            return httpx.Response(found, headers={"location": KEYS}, stream=httpx.ByteStream(b""))
        body = found if isinstance(found, bytes) else json.dumps(found).encode()
        return httpx.Response(200, stream=httpx.ByteStream(body))


def settings(**more: str) -> Settings:
    """Settings with the issuer, and more: `settings(KUSTOM_OAUTH_JWKS_URL=...)`. An empty value is not set."""
    return load({"KUSTOM_OAUTH_ISSUER": ISSUER, "KUSTOM_OAUTH_AUDIENCE": AUDIENCE, **more}).settings


@asynccontextmanager
async def admitting(site: Site | None = None, **more: str) -> AsyncGenerator[Access]:
    """Access by these settings, with the issuer's site as its network."""
    site = site or Site.of(jwk(rsa_key()))
    async with access_for(settings(**more), transport=site.transport) as access:
        assert access is not None
        yield access
