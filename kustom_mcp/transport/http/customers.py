"""POST /customer-tokens: a customer token for the orders that a customer has shown to be theirs.

    {"reference" or "order_id", "email" or "postal_code"}    with the token of a person that has `customers`

    200  {"access_token", "expires_in", "orders"}
    404  one fixed body for everything else: no such order, another's, too many tries, a request that cannot be read
    405  another method
    401, 403  the caller is no person of the people file, or has not `customers`
    421, 403, 413, 408   from the request guard

Nobody can tell an order of another customer from one that does not exist: every answer has the same body, comes after
whole half seconds, and where no order is known one that cannot exist is read from Kustom in its place. A wrong proof
counts for the reference and for each order behind it, so that neither spelling nor replica gives more tries.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Any, Final, cast
from uuid import uuid4

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from kustom_mcp.api import identifiers
from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.errors import NotFound, OmsError
from kustom_mcp.app.app import App
from kustom_mcp.app.fair_queue import QueueTimeout
from kustom_mcp.book import BookUnavailable
from kustom_mcp.book.references import LONGEST as LONGEST_REFERENCE
from kustom_mcp.book.references import folded
from kustom_mcp.calls.policy import ALL_SHOPS
from kustom_mcp.calls.token import derive
from kustom_mcp.orders.customer import LONGEST, fits
from kustom_mcp.schema.parsing import says_nothing
from kustom_mcp.settings.people import ListedPerson
from kustom_mcp.state.audit_log import AuditUnavailable
from kustom_mcp.state.database import StoreBusy, StoreUnavailable
from kustom_mcp.state.spending_limits import LimitsBusy, LimitsUnavailable, RateExceeded
from kustom_mcp.state.threads import in_thread
from kustom_mcp.state.tries import Tries
from kustom_mcp.tools.search import learn
from kustom_mcp.transport.http.customer_tokens import RIGHT, SECONDS, CustomerTokens
from kustom_mcp.transport.http.people import People, identity
from kustom_mcp.transport.oauth.middleware import bearer

PATH: Final = "/customer-tokens"
BODY_BYTES: Final = 16 * 1024
FAILURES: Final = 5
"""Wrong proofs an hour for a reference, and for an order."""
A_MINUTE: Final = 30
"""Requests a minute of one person."""
MOST_ORDERS: Final = 20
"""Orders with one reference that are looked at, the newest first."""
STEP: Final = 0.5
"""Seconds: every answer comes after a whole number of these."""
READ_SECONDS: Final = 10.0

NOT_FOUND: Final = {
    "error": "not_found",
    "error_description": "No order here fits. Send reference or order_id, and email or postal_code, as on the order. "
    "After five wrong tries for a reference wait an hour; thirty requests a minute are answered.",
}
_FIELDS: Final = {
    "reference": LONGEST_REFERENCE,
    "order_id": 200,
    "email": LONGEST,
    "postal_code": LONGEST,
    "shop": 32,
}
"""The fields of a request, each with its longest text."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Proof:
    """A request as it was sent: one of the first two, and what is to agree with the order."""

    reference: str | None
    order_id: str | None
    email: str | None
    postal_code: str | None
    shop: str


@dataclass(frozen=True, eq=False)
class TokenIssuer:
    """An account that gives tokens for its orders. `known`: False where it stands for a shop that there is not, and is
    asked for an order that cannot exist."""

    app: App
    tokens: CustomerTokens
    known: bool = True


Issuers = Callable[[ListedPerson, str], Awaitable[Sequence[TokenIssuer]]]
"""The accounts that are asked for a person who names a shop, or "" for none."""


class _NoToken(Exception):
    """No token is given. The text is a word for the journal."""


class CustomerEndpoint:
    """An ASGI app that answers requests for customer tokens. `app` keeps the counts, which are the server's, and
    `issuers` gives the tokens; `secret`: the newest of the key ring."""

    def __init__(self, app: App, people: People, issuers: Issuers, secret: bytes) -> None:
        self._app = app
        self._counted_with = app.account.name if app.shop is None else ALL_SHOPS
        self._people = people
        self._issuers = issuers
        self._tries = Tries(app.records)
        self._digests = derive(secret, "customer-tries")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await Response("Method Not Allowed", 405, {"allow": "POST"})(scope, receive, send)
            return
        began = anyio.current_time()
        with self._app.running():
            try:
                answer = await self._answer(Request(scope, receive))
            except ClientDisconnect:
                return
            past = anyio.current_time() - began
            await self._app.sleep((floor(past / STEP) + 1) * STEP - past)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        token = bearer(request.scope)
        person = None if token is None else self._people.by_token(token)
        if token is None or person is None:
            return _refusal(401, "invalid_token", "The token of a person in KUSTOM_PEOPLE_FILE is needed.")
        if RIGHT not in person.may:
            await self._record(person, {"outcome": "refused", "why": "may_not"})
            said = f'The caller may not ask for customer tokens (`may` with "{RIGHT}" in KUSTOM_PEOPLE_FILE).'
            return _refusal(403, "insufficient_scope", said)
        told: dict[str, Any] = {}
        try:
            issuer, orders = await self._proven(person, await request.body(), told)
        except _NoToken as refused:
            await self._record(person, {"outcome": "refused", "why": str(refused), **told})
            return _not_found()
        if not await self._record(person, {"outcome": "given", "orders": orders, **told}):
            return _not_found()
        found = {
            "access_token": issuer.tokens.issue(person, token, orders),
            "expires_in": SECONDS,
            "orders": orders,
        }
        return JSONResponse(found, headers={"cache-control": "no-store"})

    async def _proven(self, person: ListedPerson, body: bytes, told: dict[str, Any]) -> tuple[TokenIssuer, list[str]]:
        """Return the orders that fit, the newest first, and their account. `told`: facts for the journal. _NoToken."""
        try:
            await self._keep_pace(person)
            proof = self._read(body)
            if proof is None:
                raise _NoToken("unreadable")
            told["asked"] = self._digest(proof.reference or proof.order_id or "")
            asked = await self._issuers(person, proof.shop)
            if len(asked) == 1 and asked[0].known:
                told |= _about(asked[0].app)
            issuer, orders = await self._fitting(person, proof, asked)
            told |= _about(issuer.app)
            return issuer, orders
        except (BookUnavailable, StoreBusy, StoreUnavailable, LimitsBusy, LimitsUnavailable) as error:
            log.warning("no customer token can be given now (%s)", type(error).__name__)
            raise _NoToken("unavailable") from None

    async def _keep_pace(self, person: ListedPerson) -> None:
        who, now = f"{self._counted_with}/customer tokens for {person.name}", self._app.wall()
        try:
            await in_thread(lambda: self._app.limits.take(who, A_MINUTE, None, now))
        except RateExceeded:
            raise _NoToken("too_fast") from None

    def _read(self, body: bytes) -> _Proof | None:
        """Read the body of a request; None where it is no such request. An empty text counts as not given."""
        try:
            given = cast("object", json.loads(body))
        except (ValueError, RecursionError):
            return None
        if not isinstance(given, dict):
            return None
        fields = {name: value for name, value in cast("dict[str, object]", given).items() if not says_nothing(value)}
        if not all(isinstance(text, str) and len(text) <= _FIELDS.get(name, 0) for name, text in fields.items()):
            return None
        texts = cast("dict[str, str]", fields)
        if ("reference" in texts) == ("order_id" in texts) or not {"email", "postal_code"} & {*texts}:
            return None
        try:
            order_id = self._order_id(texts["order_id"].strip()) if "order_id" in texts else None
        except identifiers.IdentifierError:
            return None
        reference = texts.get("reference")
        if reference is not None and not folded(reference):
            return None
        return _Proof(reference, order_id, texts.get("email"), texts.get("postal_code"), texts.get("shop", "").strip())

    def _order_id(self, text: str) -> str:
        if self._app.settings.sandboxed:
            from kustom_mcp.app.sandbox import ids_for_names

            text = ids_for_names({"order_id": text})["order_id"]
        return identifiers.order_id(text)

    @staticmethod
    async def _candidates(app: App, person: ListedPerson, proof: _Proof) -> list[str]:
        """The orders of an account that are meant, of those that this person may see at all."""
        configured = app.settings.order_scope
        scopes = [scope for scope in (configured, person.orders) if scope is not None]
        scope = frozenset[str].intersection(*scopes) if scopes else None
        if proof.order_id is not None:
            return [proof.order_id] if scope is None or proof.order_id in scope else []
        from kustom_mcp.book.search import called

        book, reference = app.book, proof.reference or ""
        if not book.on:
            raise _NoToken("no_book")
        await learn(app, READ_SECONDS)
        found = await book.ask(lambda tx, account: called(tx, account, reference, scope))
        return found[:MOST_ORDERS]

    async def _fitting(
        self, person: ListedPerson, proof: _Proof, asked: Sequence[TokenIssuer]
    ) -> tuple[TokenIssuer, list[str]]:
        """Read the orders, and return those that fit. Counted as a failure before, and taken back if it was none."""
        candidates = {one: await self._candidates(one.app, person, proof) if one.known else [] for one in asked}
        ids = {order_id for some in candidates.values() for order_id in some}
        named = {f"reference {folded(proof.reference)}"} if proof.reference else set[str]()
        meant = {proof.order_id} if proof.order_id else set[str]()
        subjects = sorted(self._digest(text) for text in named | {f"order {order_id}" for order_id in ids | meant})
        now = self._app.wall()
        name = await in_thread(lambda: self._tries.take(subjects, FAILURES, now))
        if name is None:
            raise _NoToken("too_many_failures")
        fitting, compared, failed = await self._compared(person, proof, candidates)
        if fitting or not compared:
            await in_thread(lambda: self._tries.take_back(name, subjects))
        if not fitting:
            raise _NoToken("unavailable" if failed and not compared else "no_fit" if ids else "unknown")
        if len(fitting) > 1:  # a token is for one account: the shop must be named
            raise _NoToken("several_shops")
        ((issuer, found),) = fitting.items()
        return issuer, [order_id for order_id in candidates[issuer] if order_id in found]

    @staticmethod
    async def _compared(
        person: ListedPerson, proof: _Proof, candidates: Mapping[TokenIssuer, Sequence[str]]
    ) -> tuple[dict[TokenIssuer, set[str]], int, bool]:
        """Read the orders: those that fit, how many were compared, and whether a read failed. An account without
        candidates is asked for an order that cannot exist."""
        fitting: dict[TokenIssuer, set[str]] = {}
        compared, failed = 0, False

        async def read(one: TokenIssuer, order_id: str) -> None:
            nonlocal compared, failed
            app = one.app
            try:
                async with app.concurrency.slot(identity(person), within=READ_SECONDS):
                    asked = app.wall()
                    end = app.clock() + READ_SECONDS
                    order = await app.client.read(GET_ORDER, deadline=end, order_id=order_id)
            except NotFound:
                compared += 1
            except (OmsError, QueueTimeout):
                failed = True
            else:
                app.book.note(order, read_at=asked)
                compared += 1
                if fits(order, proof.email, proof.postal_code):
                    fitting.setdefault(one, set()).add(order_id)

        async with anyio.create_task_group() as group:
            for one, some in candidates.items():
                for order_id in some or [str(uuid4())]:
                    group.start_soon(read, one, order_id)
        return fitting, compared, failed

    def _digest(self, text: str) -> str:
        """A keyed digest of what was asked for: the journal and the counts tell two of them, and no more."""
        about = f"{self._counted_with}\x00{text}".encode("utf-8", "surrogatepass")
        return hmac.new(self._digests, about, hashlib.sha256).hexdigest()[:32]

    async def _record(self, person: ListedPerson, facts: dict[str, Any]) -> bool:
        """Write an answer into the journal. False where it cannot be written: then no token is given."""
        whose = _about(self._app) if self._app.shop is None else {}
        line = {"event": "customer_token", **whose, "caller": person.name, **facts}
        try:
            await in_thread(lambda: self._app.audit.record(line))
        except AuditUnavailable:
            log.warning("the audit file cannot be written, so no customer token is given")
            return False
        return True


def _about(app: App) -> dict[str, str]:
    """The account, and the shop by its title, as the journal has them."""
    return {"account": app.account.name} | ({"shop": app.shop.title} if app.shop else {})


def _not_found() -> Response:
    return JSONResponse(NOT_FOUND, 404, {"cache-control": "no-store"})


def _refusal(status: int, error: str, said: str) -> Response:
    headers = {"www-authenticate": f'Bearer error="{error}"', "cache-control": "no-store"}
    return JSONResponse({"error": error, "error_description": said}, status, headers)
