"""Customer tokens: what a chatbot's back end gets for a customer who has shown whose order it is.

A token is `kmc_` and a JWT, signed with a key that is derived from the key ring, so that every replica takes it and
nothing is kept of it. It names the person for whose back end it was made, by which of that person's tokens, and the
orders. It can do no more than that person may at this moment, and ends with that person, with that token, and with
the key.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import jwt

from kustom_mcp.calls.policy import Principal
from kustom_mcp.calls.token import derive
from kustom_mcp.settings.people import ListedPerson
from kustom_mcp.transport.http.people import People
from kustom_mcp.transport.oauth.tokens import READ, WRITE, Grant, TokenRefused

PREFIX: Final = "kmc_"
SECONDS: Final = 900
RIGHT: Final = "customers"
_TOKEN: Final = re.compile(rf"{PREFIX}[0-9A-Za-z_-]{{1,200}}\.[0-9A-Za-z_-]{{1,8000}}\.[0-9A-Za-z_-]{{43}}")
_ISSUER: Final = "kustom-mcp"
_ALGORITHM: Final = "HS256"
_CLAIMS: Final = ["iss", "aud", "sub", "by", "exp", "orders", "write"]


class CustomerTokens:
    """The signing and reading of customer tokens. `secrets`: the key ring, newest first; `account`: the merchant's
    account, at which alone a token is good; `wall`: unix seconds."""

    def __init__(
        self,
        secrets: Sequence[bytes],
        account: str,
        people: People,
        wall: Callable[[], float] = time.time,
        *,
        shop: str = "",
    ) -> None:
        self._keys = [derive(secret, "customer-token") for secret in secrets]
        self._account = account
        self._people = people
        self._wall = wall
        self._shop = shop
        """The name of the shop, of several."""

    def issue(self, person: ListedPerson, bearer: str, orders: Collection[str]) -> str:
        """Sign a token for these orders, for the back end that came with this bearer token of this person."""
        claims = {
            "iss": _ISSUER,
            "aud": self._account,
            "sub": person.name,
            "by": _mark(hashlib.sha256(bearer.encode()).hexdigest()),
            "exp": int(self._wall()) + SECONDS,
            "orders": sorted(orders),
            "write": "write" in person.may,
        }
        return PREFIX + jwt.encode(claims, self._keys[0], algorithm=_ALGORITHM)

    def grant(self, token: str) -> Grant:
        """The rights of a customer token. TokenRefused."""
        claims = self._claims(token)

        def renew() -> Principal | None:
            return self._principal(claims, renew)

        principal = self._principal(claims, renew)
        if principal is None:
            raise TokenRefused("The customer token is not good any more: ask for a new one.")
        scopes = (READ, WRITE) if principal.writes else (READ,)
        return Grant(principal, scopes, principal.identity, expires_at=claims["exp"])

    def _claims(self, token: str) -> dict[str, Any]:
        for key in self._keys if _TOKEN.fullmatch(token) else ():
            try:
                return jwt.decode(
                    token.removeprefix(PREFIX),
                    key,
                    algorithms=[_ALGORITHM],
                    audience=self._account,
                    issuer=_ISSUER,
                    options={"require": _CLAIMS, "verify_exp": False},  # by the clock that has signed it, below
                )
            except jwt.PyJWTError:
                continue
        raise TokenRefused("This is not a customer token of this server.")

    def _principal(self, claims: dict[str, Any], renew: Callable[[], Principal | None]) -> Principal | None:
        """The customer with the rights of this moment; None where the token has ended."""
        person = self._people.by_name(claims["sub"])
        if person is None or RIGHT not in person.may or self._wall() >= claims["exp"]:
            return None
        if claims["by"] not in map(_mark, person.tokens):
            return None
        if self._shop and person.shops is not None and self._shop not in person.shops:
            return None
        named = frozenset[str](claims["orders"])
        return Principal(
            f"customer of {person.name}",
            writes=claims["write"] and "write" in person.may,
            orders=named if person.orders is None else named & person.orders,
            identity=f"customer:{person.name}:{hashlib.sha256(','.join(sorted(named)).encode()).hexdigest()[:20]}",
            source="customer",
            shops=frozenset({self._shop}) if self._shop else person.shops,
            max_amount=person.max_amount,
            renew=renew,
        )


def _mark(digest: str) -> str:
    """A mark of a person's token, from its digest: enough to tell two of them, and no help to anybody."""
    return hashlib.sha256(digest.encode()).hexdigest()[:16]
