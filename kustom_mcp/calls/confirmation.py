"""The gate: a person between the model and the money.

A gated operation shows a person a `Proposal`: by a form of the host, by a preview whose code comes back with the second
call, by the order card, or by a flag that the operator trusts. By each of these means an approval pins what was
approved (`TokenClaims`), and `judge` compares it with the order as it is now: untouched, already done, or changed.

`accept` is not yes: only a form that comes back accepted with `approve: true` is. A host that cannot ask gets codes, or
nothing at all when the operator wants a person.
"""

from __future__ import annotations

import copy
import getpass
import json
import os
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import anyio
from mcp import MCPError
from mcp.server import ServerRequestContext
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, ElicitResult
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from kustom_mcp.api.models import Capture, Order, Refund
from kustom_mcp.api.reconcile import Landed
from kustom_mcp.app.app import App
from kustom_mcp.calls.policy import Policy, Principal
from kustom_mcp.calls.token import NO_TRACE, Figures, Purpose, TokenClaims, TokenError, TokenSealer, derive, digest
from kustom_mcp.money import plain, show
from kustom_mcp.orders.entries import EntryKind, id_of, sent_by, time_of
from kustom_mcp.schema.result import Code, Json, Result, ToolError
from kustom_mcp.state.intents import Intent
from kustom_mcp.text import alike

Facts = Any
"""A JSON value that stands for a part of an order's state."""

Contradicted = Callable[[Order], bool]
"""A test whether an order, read after a 2xx, shows that the write was not done; never so where no read shows it."""

Mode = Literal["auto", "code", "form", "card", "flag"]
ANSWER = "approve"
_NO_FORMS = frozenset({METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR, 0})
"""The errors by which a host says that it cannot show a form. Any other may have been a person's doing."""
QUICKEST = 0.5
"""Seconds that a person needs at least to read a question and answer it."""
BETWEEN_LOOKS = 1.0
"""Seconds between two looks whether an answer to an open form would still count."""
RESOLVING_SECONDS = 24 * 3600
SANDBOX_SECRET = b"kustom-mcp's embedded sandbox, where no money moves"
"""The secret of every embedded sandbox, so that a client that starts a process for each call can still confirm."""
_SHORTEST_TAIL = 40
"""Characters of the sealed part of a code, at least."""
_NO_CODE = "This is not a code of this server: a preview gives one, which is sent back as it stands there."
_ELSEWHERE = (
    "This is not a code of this server: another one gave it, or this one to somebody else, or it was cut or changed on "
    "the way (servers without a common store take each other's codes with the same KUSTOM_KEYS)."
)
SEE_CODE_MODE = "If no question was shown, the operator of this server can set KUSTOM_CONFIRM=code."


@dataclass(frozen=True, kw_only=True)
class Watch:
    """The parts of an order that an operation depends on, and those that show its effect afterwards.

    `shows` is None when no read shows the effect. `entry`: the kind of entry that the operation makes, if any: its
    effect is then recognised by that entry, and never by a sum. `recurs`: the starting state can come back (900 -> 1000
    -> 900), so that the same request on the same facts may be a new intent.
    """

    depends: Callable[[Order], Facts]
    shows: Callable[[Order], Facts] | None = None
    entry: EntryKind | None = None
    recurs: bool = False


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A write before its approval: the facts that a person decides on, and the request that would be sent.

    `action` is the first word of a code. `amount` in minor units. `effect` and `afterwards` are our own sentences.
    `expects` is what `Watch.shows` gives once it has happened. `details`: all that `body` would send, in sentences
    (`kustom_mcp.orders.details`), made where the question is; a tool gives what is told and not sent, such as a reason.
    """

    action: str
    effect: str
    afterwards: str = ""
    amount: int | None = None
    currency: str = ""
    expects: Facts = None
    body: Mapping[str, Json] | None = None
    changes: Sequence[Mapping[str, Json]] = ()
    warnings: Sequence[str] = ()
    details: Sequence[str] = ()

    def question(self) -> str:
        """The question to a person, without time and random value, so that an old answer never fits a new state."""
        shown = [self._said(change) for change in self.changes if not _in_details(change["field"])]
        notes = [f"Note: {text}" for text in self.warnings]
        paragraphs = [self.effect, *self.details, *shown, *notes, self.afterwards]
        return "\n".join(line for line in paragraphs if line)

    def _said(self, change: Mapping[str, Json]) -> str:
        """A change in words, amounts in major units."""
        before, after = change["before"], change["after"]
        if change["field"].endswith("amount"):
            before, after = show(before, self.currency), show(after, self.currency)
        return f"{change['field'].replace('_', ' ')}: {before} -> {after}"

    def form(self) -> dict[str, Json]:
        """The form's schema: one box that must be ticked."""
        box = {"type": "boolean", "title": f"Yes, {self.action.replace('-', ' ')}", "default": False}
        return {"type": "object", "properties": {ANSWER: box}, "required": [ANSWER]}


def _in_details(field: str) -> bool:
    """Return whether `details` hold this change already: a line of the order, a part of an address."""
    return "." in field or field.startswith("line ")


class Answer(Exception):
    """The end of a call, raised with its result: a preview, a refusal by a person, or `already_applied`."""

    def __init__(self, result: Result) -> None:
        self.result = result


class CannotAsk(Exception):
    """The host declared forms and cannot show one: nobody was asked."""


class Ask(Exception):
    """The end of the first of two requests of a 2026-07-28 call, raised with the question: it must come back with the
    person's answer."""

    def __init__(self, proposal: Proposal, state: str) -> None:
        self.proposal = proposal
        self.state = state


def can_ask(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Return whether this client declared forms and this connection can carry the question."""
    capabilities = ctx.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    if elicitation is None or (elicitation.form is None and elicitation.url is not None):
        return False
    return is_modern(ctx) or ctx.session.can_send_request


def is_modern(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Return whether this connection speaks the 2026-07-28 protocol."""
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS


def is_yes(answer: object) -> bool:
    """Return whether an answer is an explicit yes: accepted, with the box ticked."""
    return isinstance(answer, ElicitResult) and answer.action == "accept" and (answer.content or {}).get(ANSWER) is True


def figures(order: Order) -> Figures:
    """The status and amounts of an order, for a code."""
    return Figures(
        order.status,
        order.order_amount,
        order.captured_amount,
        order.refunded_amount,
        order.remaining_authorized_amount,
    )


def head(proposal: Proposal, order: Order) -> str:
    """The readable part of a code: operation, amount, first group of the order id."""
    amount = "" if proposal.amount is None else f"{plain(proposal.amount, order.currency)}-"
    return f"{proposal.action}-{amount}{order.order_id[:8]}"


def judge(
    claims: TokenClaims, watch: Watch, order: Order, sent: Mapping[str, Any], taken: Collection[str] = ()
) -> Landed:
    """Find the effect of an approval in the order. `taken`: the ids of entries that other intents have made.

    ABSENT: it is as before; PRESENT: the entry is there, or, for an operation that makes none, the order is exactly as
    the write would leave it. `sent`: the request, or the arguments of its call.
    """
    if digest(watch.depends(order)) == claims.before:
        return Landed.ABSENT
    if watch.entry is not None and claims.amount:
        return Landed.PRESENT if made(claims, watch.entry, order, sent, taken) else Landed.UNCLEAR
    if watch.shows is not None and claims.after != NO_TRACE and digest(watch.shows(order)) == claims.after:
        return Landed.PRESENT
    return Landed.UNCLEAR


def made(
    claims: TokenClaims, kind: EntryKind, order: Order, sent: Mapping[str, Any], taken: Collection[str] = ()
) -> Capture | Refund | None:
    """Find the entry that this approval has made: one more looks like it than before."""
    like = sent_by(kind, claims.amount, claims.key, sent).found(order)
    found = [entry for entry in like if id_of(entry) not in taken]
    return max(found, key=lambda entry: time_of(entry) or "") if len(found) > claims.alike else None


def unset(wanted: Mapping[str, str], before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Return whether every field that was set still has its old value.

    A field is not compared when it was not returned before, or would read the same after trimming and normalising.
    """
    telling = [name for name, value in wanted.items() if name in before and not alike(value, before[name])]
    return bool(telling) and all(now.get(name) == before[name] for name in telling)


async def ask(
    ctx: ServerRequestContext[Any, Any], proposal: Proposal, seconds: float, barred: Callable[[], bool] | None = None
) -> bool:
    """Ask the person over a handshake connection and wait for `seconds`. False too when the host is late or answers
    with nonsense. CannotAsk when it cannot show the form after all.

    `barred`, looked at each second: whether a yes would count no more; nobody waits for an answer then. Over HTTP it
    could not even arrive from a caller whose token has ended.
    """
    yes, cannot = False, False
    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as group:
            if barred is not None:
                group.start_soon(_cancel_when, barred, group.cancel_scope)
            try:
                answer = await ctx.session.elicit_form(proposal.question(), proposal.form(), ctx.request_id)
                yes = is_yes(answer)
            except MCPError as error:
                cannot = error.code in _NO_FORMS
            except ValidationError:
                pass
            group.cancel_scope.cancel()
    if cannot:
        raise CannotAsk
    return yes


async def _cancel_when(ended: Callable[[], bool], scope: anyio.CancelScope) -> None:
    while True:
        if ended():
            scope.cancel()
        await anyio.sleep(BETWEEN_LOOKS)


def asked(code: str, at: float) -> str:
    """The state of a question that comes back with its answer. `at`: unix seconds."""
    return f"{at:.3f} {code}"


def asked_before(state: str) -> tuple[str, float]:
    """The code in the state of a question, and when it was asked, in unix seconds."""
    at, _, code = state.rpartition(" ")
    return code, float(at or 0)  # the version before wrote no time


def operating_user() -> str:
    """The name of the user who runs this process: the caller on stdio."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid()) if hasattr(os, "getuid") else "local"


def key_ring(app: App) -> list[bytes]:
    """The secrets that seal and sign, newest first: those of KUSTOM_KEYS, or the one of the store."""
    if app.settings.keys:
        return [key.get_secret_value().encode() for key in app.settings.keys]
    return [SANDBOX_SECRET if app.settings.sandboxed else app.secret]


@dataclass(frozen=True)
class KeptCall:
    """The call of a write in doubt, from its record: its arguments, and the body that was sent."""

    arguments: Mapping[str, Any]
    body: Mapping[str, Any]


WatchOf = Callable[[str, Mapping[str, Any], Order], Awaitable[Watch | None]]
"""A function that finds what a tool watches, from its name, its arguments and the order."""


async def _no_watch(tool: str, arguments: Mapping[str, Any], order: Order) -> Watch | None:
    return None


class Gate:
    """The gate of one server: its mode, its ring of keys, and the sealing and opening of approvals.

    `watch_of` finds what the tool of a write in doubt watches; the server, which knows the tools, sets it.
    """

    def __init__(self, app: App, policy: Policy) -> None:
        self.watch_of: WatchOf = _no_watch
        settings = app.settings
        self.app = app
        self.policy = policy
        self.mode: Mode = settings.confirm
        self.ttl = settings.confirm_ttl
        self.secrets = key_ring(app)
        self._sealer = TokenSealer(self.secrets, bound_to=app.account.name)

    def for_caller(self, principal: Principal) -> Gate:
        """The gate as it is for this caller: a customer answers forms, and never gets a code or a card."""
        if principal.source != "customer" or self.mode in ("form", "flag"):
            return self
        gate = copy.copy(self)
        gate.mode = "form"
        return gate

    @staticmethod
    def salt() -> bytes:
        """A random part of a key, where the same request on the same facts may be a new intent."""
        return secrets.token_bytes(16)

    def state_keys(self) -> list[bytes]:
        """The keys that seal `requestState`: derived from the same secrets as those of codes, under another label."""
        return [derive(secret, "request-state") for secret in self.secrets]

    def sealed(self, key: UUID, arguments: Mapping[str, Any], body: Mapping[str, Any] | None) -> str:
        """Seal the call of a write, for as long as its outcome is not known."""
        kept = json.dumps({"arguments": arguments, "body": body or {}}, separators=(",", ":"))
        return self._sealer.seal_text(kept, about=str(key))

    def unsealed(self, intent: Intent) -> KeptCall | None:
        """Open the call of a write in doubt; None where it was kept by another ring, or by version 0.1."""
        try:
            kept = json.loads(self._sealer.open_text(intent.sealed or "", about=intent.key))
        except (TokenError, ValueError):
            return None
        return KeptCall(kept["arguments"], kept["body"])

    def card_seals(self) -> list[str]:
        """The seals in the pages of order cards, newest first, by which this server recognises its own card."""
        return [derive(secret, "order-card").hex() for secret in self.secrets]

    def seal(self, head: str, claims: TokenClaims, caller: str) -> dict[str, Json]:
        """The `confirm` part of a result: a code for these claims, and its expiry."""
        expires_at = datetime.fromtimestamp(claims.expires, UTC).isoformat()
        return {"code": self._sealer.seal(head, claims, caller=caller), "expires_at": expires_at}

    def open(self, code: object, caller: str, purposes: frozenset[Purpose], arguments: bytes) -> TokenClaims:
        """Open a code, expired or not. ToolError CONFIRMATION_INVALID or CONFIRMATION_MISMATCH."""
        try:
            claims = self._sealer.open(code, caller=caller) if isinstance(code, str) else None
        except TokenError:
            claims = None
        if claims is None or claims.purpose not in purposes:
            looks_like_one = isinstance(code, str) and len(code.rpartition(".")[2]) > _SHORTEST_TAIL
            raise ToolError(Code.CONFIRMATION_INVALID, _ELSEWHERE if looks_like_one else _NO_CODE, field="confirm")
        if claims.arguments != arguments:
            raise ToolError(
                Code.CONFIRMATION_MISMATCH,
                "This code was given for another call: operation, order or arguments differ.",
                field="confirm",
            )
        return claims

    def expired(self, claims: TokenClaims) -> ToolError | None:
        """The error for expired claims; None while they are valid."""
        if claims.expires > self.app.wall():
            return None
        return ToolError(Code.CONFIRMATION_EXPIRED, "This code has expired.", field="confirm")
