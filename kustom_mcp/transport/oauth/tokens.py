"""Bearer tokens over HTTP: a value becomes a Grant, or is refused with a reason.

Either one static token with all rights, or access tokens that the configured issuer signed for this server. What a
token claims beyond that can only take rights away, and a claim that cannot be read refuses the whole token: narrowed to
nothing it would look as if the merchant had no orders, and the misconfiguration behind it would stay.

Of a token the journal keeps one claim, as the name of the person (KUSTOM_OAUTH_PERSON); nothing else of it leaves this
module. Codes, sessions and limits are bound to a digest of issuer and subject, which no setting changes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import jwt
from pydantic import SecretStr

from kustom_mcp.calls.policy import Principal
from kustom_mcp.settings.private_toml import NAME, texts
from kustom_mcp.text import clean
from kustom_mcp.transport.oauth.algorithms import ALGORITHMS, SigningKey
from kustom_mcp.transport.oauth.issuer import same_issuer

READ: Final = "orders:read"
WRITE: Final = "orders:write"
SCOPES: Final = (READ, WRITE)

LONGEST_TOKEN: Final = 16 * 1024
MOST_ORDERS: Final = 256
"""Order ids in one token. More would not fit into the longest token anyway."""
MOST_SHOPS: Final = 256
LEEWAY_SECONDS: Final = 30
PERSON: Final = ("oid", "sub", "client_id", "azp")
"""The claims that may hold the person where no setting names one. The first is Entra's, whose `sub` differs from one
application to the next; the last two are of a program that calls for itself."""
LONGEST_NAME: Final = 200
HASHES: Final = ("at_hash", "c_hash", "s_hash")
"""Claims that only an ID token has: it tells a client who somebody is, and gives no access to anything."""

_TOKEN = re.compile(r"[!-~]+")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_WRONG: Final[Mapping[type[Exception], str]] = {
    jwt.ExpiredSignatureError: "The access token has expired.",
    jwt.ImmatureSignatureError: "The access token is not valid yet.",
    jwt.InvalidAudienceError: "The access token is for another audience than KUSTOM_OAUTH_AUDIENCE.",
    jwt.InvalidIssuerError: "The access token is from another issuer than KUSTOM_OAUTH_ISSUER.",
    jwt.MissingRequiredClaimError: "The access token lacks one of the claims exp, iss and aud.",
    jwt.InvalidSignatureError: "The signature of the access token is wrong.",
}
NOT_A_TOKEN: Final = "This is not a JWT access token as this server takes them."


class TokenRefused(Exception):
    """The bearer value is refused. The text is a sentence for the caller, and repeats nothing of the value."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The rights of a good bearer value. `client` and `issuer` bind sessions, as digest and as name."""

    principal: Principal
    scopes: tuple[str, ...]
    client: str
    issuer: str | None = None
    expires_at: int | None = None


class Access(Protocol):
    """The decision who may call. `issued`: whether tokens come from an issuer, so that callers can be told where."""

    issued: bool

    async def grant(self, token: str) -> Grant:
        """The rights of this value. TokenRefused, or KeysUnavailable when it cannot be checked now."""
        ...

    async def issuer(self) -> str:
        """The issuer's name as it writes it; "" without one."""
        ...


class StaticToken:
    """One token for all callers, with all rights. Compared on digests, so that neither length nor time tells."""

    issued = False

    def __init__(self, token: SecretStr) -> None:
        self._digest = hashlib.sha256(token.get_secret_value().encode()).digest()

    async def grant(self, token: str) -> Grant:
        if not hmac.compare_digest(hashlib.sha256(token.encode()).digest(), self._digest):
            raise TokenRefused("The token is not the one that this server expects.")
        return Grant(Principal("token", identity="http-token", source="token"), SCOPES, "http-token")

    async def issuer(self) -> str:
        return ""


class Keys(Protocol):
    """A source of the issuer's keys, as `KeySet` is one."""

    async def find(self, kid: str | None, algorithm: str) -> SigningKey | None: ...
    async def issuer(self) -> str | None: ...


class IssuedTokens:
    """JWT access tokens (RFC 9068 and what came before it) of one issuer, for one audience."""

    issued = True

    def __init__(self, keys: Keys, *, issuer: str, audience: str, person: str = "", narrowed: bool = False) -> None:
        """`person`: the claim with the name of the person. `narrowed`: a token must list the orders that it is for."""
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._person = person
        self._narrowed = narrowed

    async def issuer(self) -> str:
        return await self._keys.issuer() or self._issuer

    async def grant(self, token: str) -> Grant:
        header = _header(token)
        algorithm, kid = str(header["alg"]), header.get("kid")
        key = await self._keys.find(kid, algorithm)
        if key is None:
            raise TokenRefused("The access token is signed with a key that KUSTOM_OAUTH_ISSUER does not publish.")
        try:
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[algorithm],
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(_WRONG.get(type(error), NOT_A_TOKEN)) from None
        issuer = claims["iss"]
        if not isinstance(issuer, str) or not same_issuer(issuer, self._issuer):
            raise TokenRefused(_WRONG[jwt.InvalidIssuerError])
        _require_access_token(header, claims)
        scopes = _scopes(claims)
        client = claims.get("client_id", claims.get("azp"))
        by_client = self._digest("client", client) if isinstance(client, str) and client else None
        who = self._digest("subject", claims["sub"]) if claims.get("sub") else by_client
        if who is None:
            raise TokenRefused("The access token names no subject.")
        orders = _orders(claims)
        if self._narrowed and orders is None:
            raise TokenRefused("The access token lacks the claim kustom_orders, which KUSTOM_OAUTH_REQUIRE asks for.")
        name = _person(claims, (self._person,) if self._person else PERSON)
        principal = Principal(
            name, writes=WRITE in scopes, orders=orders, identity=who, source="issuer", shops=_shops(claims)
        )
        return Grant(principal, scopes, by_client or who, self._issuer, int(claims["exp"]))

    def _digest(self, kind: str, value: str) -> str:
        """An identity: the same for every token of a subject, in every process."""
        text = json.dumps([self._issuer.removesuffix("/"), kind, value])
        return f"token-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def _header(token: str) -> dict[str, Any]:
    """The header of a token that may be worth checking. Keys and addresses of keys in it are never looked at."""
    if len(token) > LONGEST_TOKEN:
        raise TokenRefused("The access token is too long.")
    try:
        header = jwt.get_unverified_header(token) if _TOKEN.fullmatch(token) else {}
    except jwt.PyJWTError:
        header = {}
    if header.get("alg") not in list(ALGORITHMS) or "crit" in header:
        raise TokenRefused(NOT_A_TOKEN)
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in ("at+jwt", "jwt"):
        raise TokenRefused("This JWT is not an access token.")
    return header


def _require_access_token(header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
    """Refuse what is good for something else: an ID token, or a token that is bound to a key of its holder."""
    marked = header.get("typ", "").lower().endswith("at+jwt")
    identity = claims.get("typ") == "ID" or claims.get("token_use", "access") != "access"
    # Some issuers repeat the nonce in access tokens; theirs carry scopes, and an ID token carries none.
    nonce = "nonce" in claims and not ("scope" in claims or "scp" in claims)
    if not marked and (identity or nonce or any(claim in claims for claim in HASHES)):
        raise TokenRefused("This is an ID token; an access token is needed.")
    if "cnf" in claims:
        raise TokenRefused(
            "The access token is bound to a key of its holder, which cannot be checked as a bearer token."
        )
    if not all(type(claims.get(claim, 0)) in (int, float) for claim in ("exp", "nbf", "iat")):
        raise TokenRefused(NOT_A_TOKEN)


def _scopes(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The scopes of a token, from `scope` or else `scp`; each is a list, or a string with spaces."""
    given = claims.get("scope", claims.get("scp", ""))
    found = given.split(" ") if isinstance(given, str) else given
    if not isinstance(found, list) or not all(isinstance(scope, str) for scope in cast("list[object]", found)):
        raise TokenRefused("The scopes of the access token cannot be read.")
    return tuple(scope for scope in cast("list[str]", found) if scope)


def _person(claims: Mapping[str, Any], names: Sequence[str]) -> str:
    """The name of the person: the first of these claims that the token has."""
    given: object = next((claims[name] for name in names if claims.get(name)), None)
    if not isinstance(given, str) or not 0 < len(given) <= LONGEST_NAME or clean(given, LONGEST_NAME) != given:
        raise TokenRefused("The claim with the name of the person (KUSTOM_OAUTH_PERSON) is missing or cannot be read.")
    return given


def _shops(claims: Mapping[str, Any]) -> frozenset[str] | None:
    """The shops that exist for the caller: all without the claim."""
    if "kustom_shops" not in claims:
        return None
    given = texts(claims["kustom_shops"])
    if given is None or len(given) > MOST_SHOPS or not all(map(NAME.fullmatch, given)):
        raise TokenRefused("The claim kustom_shops of the access token is not a list of names of shops.")
    return frozenset(given)


def _orders(claims: Mapping[str, Any]) -> frozenset[str] | None:
    """The orders that exist for the caller: all without the claim, else exactly those that it lists."""
    if "kustom_orders" not in claims:
        return None
    given: object = claims["kustom_orders"]
    if isinstance(given, list) and len(cast("list[object]", given)) <= MOST_ORDERS:
        ids = [order.lower() for order in cast("list[object]", given) if isinstance(order, str)]
        if len(ids) == len(cast("list[object]", given)) and all(map(_UUID.fullmatch, ids)):
            return frozenset(ids)
    raise TokenRefused(f"The claim kustom_orders of the access token is not a list of at most {MOST_ORDERS} order ids.")
