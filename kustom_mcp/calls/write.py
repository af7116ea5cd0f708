"""A tool call that may write: the steps of a tool's function, in their order.

    order = await call.order(order_id, watch)        read it; resolve what an earlier approval or open intent left
    approved = await call.approval(proposal)         an approval, or the question (which ends this call)
    written = await call.write(ENDPOINT, approved)   the one write, with its key, recorded before it leaves
    return await call.applied(written, ...)          read again and say what changed

A function that skips a step does not type-check: `write` takes what only `approval` (or a declared reason for needing
none) produces.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, NoReturn
from uuid import UUID

from mcp.server import ServerRequestContext

from kustom_mcp.api import order_rules as rules
from kustom_mcp.api.endpoint import Approved, Authority, NeedsNone, Write
from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.errors import OmsError, OutcomeUnknown
from kustom_mcp.api.models import Order
from kustom_mcp.api.reconcile import EffectCheck, Landed, Written
from kustom_mcp.app.app import Busy
from kustom_mcp.calls.attempt import Attempt, CallRequest, Declined, Done, StillUnknown
from kustom_mcp.calls.card import shows_cards
from kustom_mcp.calls.confirmation import (
    QUICKEST,
    RESOLVING_SECONDS,
    Answer,
    Ask,
    CannotAsk,
    Contradicted,
    Gate,
    Proposal,
    Watch,
    ask,
    asked,
    can_ask,
    is_modern,
    judge,
)
from kustom_mcp.calls.journal import RECORD_SECONDS, Journal
from kustom_mcp.calls.messages import (
    NOT_AS_SENT,
    NOT_READ_AGAIN,
    REHEARSAL,
    SHOWING_SECONDS,
    Doubt,
    already_applied,
    declined,
    few,
    nobody_to_ask,
    not_allowed,
    outcome_unknown,
    preview,
    shutting_down,
    stored_answer,
    unresolved,
)
from kustom_mcp.calls.read import ReadCall
from kustom_mcp.calls.spans import traced
from kustom_mcp.calls.token import NO_TRACE, Purpose, TokenClaims, digest
from kustom_mcp.money import show
from kustom_mcp.orders import facts as order_facts
from kustom_mcp.orders.details import details
from kustom_mcp.orders.entries import reference_of
from kustom_mcp.schema.arguments import as_json
from kustom_mcp.schema.result import Code, Json, Result, ToolError

LEAST_SECONDS_FOR_A_WRITE = 5.0
FIRST_PAUSE = 0.25
"""Seconds before an order that does not show a 2xx is read again; each further pause is twice as long."""
CREATED = 201
"""The one status that speaks by the entry that it names."""


class Call(ReadCall):
    """One call of one tool."""

    def __init__(self, gate: Gate, context: ServerRequestContext[Any, Any], request: CallRequest) -> None:
        super().__init__(gate, context, request.principal)
        self.sent = False
        """Whether a write has left this process, or may have."""
        self._request = request
        self._attempt: Attempt | None = None
        self._claims: TokenClaims | None = None
        self._body: Mapping[str, Json] | None = None
        self._after: Order | None = None
        """The order as it was read last after a write that was answered with a 2xx."""
        self._read_after = False

    @cached_property
    def _journal(self) -> Journal:
        """The journal of a write. A call that only reads needs none, and does not pay for it."""
        return Journal(self.app, self._request.tool, self._request.who, as_json(self._request.arguments))

    async def order(self, order_id: str, watch: Watch | Callable[[Order], Watch] | None = None) -> Order:
        """The order, if it is in scope. With a `watch` this call is a write, and an earlier one in doubt comes first.

        `watch` is a function where it depends on what Kustom returns.
        """
        if watch is None:
            return await super().order(order_id)
        self.require_scope(order_id)
        self._attempt = Attempt(self.gate, self._journal, self._caller, self._request)
        try:
            await self._attempt.admit()
        except Declined as declined:
            await self._decline(by_person=declined.by_person)
        if self._attempt.commits:
            self.policy.require_sending()
            await self._take_turn(order_id)
        return await self._compared(self._attempt, order_id, watch)

    def require(self, endpoint: Write, order: Order, amount: int | None = None, *, field: str | None = None) -> None:
        """Raise ACTION_NOT_ALLOWED where Kustom documents the operation as impossible for this order."""
        verdict = rules.verdict(endpoint.name, order, amount)
        if verdict.refused_here:
            self._current()[0].require_unchanged()
            most = rules.max_amount(endpoint.name, order) if amount is not None else None
            tools = [self.policy.tool_for(operation) for operation in verdict.alternatives]
            raise not_allowed(verdict, tools, show(most, order.currency) if most else None, field)

    async def approval(self, proposal: Proposal) -> Approved:
        """Return an approval of exactly this proposal, or end the call with a question, a preview or a refusal."""
        attempt, order = self._current()
        if attempt.commits:
            self._claims = attempt.claims or self._new_claims(proposal, Purpose.CODE)
            return Approved(self._claims.key, attempt.means)
        return await self._preview(attempt, order, self._detailed(order, proposal))

    def _detailed(self, order: Order, proposal: Proposal) -> Proposal:
        """Complete a proposal with all that it would send, and cut its warnings to as many as a person reads."""
        tool, arguments = self._request.tool, self._request.arguments
        body = self._marked(proposal.body or {}, self._new_claims(proposal, Purpose.CODE).key)
        ids = {name: str(arguments[name]) for name in ("order_id", "capture_id") if name in arguments}
        told = details(tool, proposal.action, ids, body, order, self.app.settings.pii)
        told[1:1] = proposal.details  # what is for the approver, and not sent
        effect = f"{REHEARSAL} {proposal.effect}" if self.policy.rehearses else proposal.effect
        return replace(proposal, effect=effect, details=told, warnings=few(proposal.warnings))

    def _marked(self, body: Mapping[str, Json], key: UUID) -> Mapping[str, Json]:
        """The request, with a reference of ours if its entry would have none.

        The reference tells the entry of this request from that of an equal one.
        """
        if self._current()[0].watch.entry is None or body.get("reference"):
            return body
        return {**body, "reference": reference_of(key)}

    @traced("preview")
    async def _preview(self, attempt: Attempt, order: Order, proposal: Proposal) -> Approved:
        asks = self.gate.mode in ("auto", "form") and can_ask(self.context) and not attempt.unanswered
        if (self.gate.mode == "form" and not asks) or (self.gate.mode == "card" and not shows_cards(self.context)):
            raise nobody_to_ask(self.gate.mode)
        overdue = order_facts.overdue(self.policy.operation(self._request.tool), order, self.app.now())
        if overdue:
            proposal = replace(proposal, warnings=[overdue, *proposal.warnings])
        for tool, amount in await self._journal.unresolved(order.order_id):
            proposal = replace(proposal, warnings=[unresolved(tool, amount, order.currency), *proposal.warnings])
        key = self._new_claims(proposal, Purpose.CODE).key
        await self.policy.room_today(key, proposal.body, order.currency, self.app.wall())
        if attempt.objection is not None:
            if await attempt.in_doubt() is not None:
                raise attempt.objection  # `stopped` says the rest: no preview hides that it may have been done
            self._end_with_preview(proposal, attempt.objection)
        if not asks:
            self._end_with_preview(proposal, None)
        self._journal.note("question", means="form")
        claims = self._new_claims(proposal, Purpose.FORM)
        if is_modern(self.context):
            raise Ask(proposal, asked(attempt.code(claims)["code"], self.app.wall()))
        return await self._ask_and_wait(order, proposal, claims)

    def unasked(self, proposal: Proposal, because: str) -> NeedsNone:
        """The declared reason for needing no approval, with the key of this intent."""
        self._claims = self._current()[0].claims or self._new_claims(proposal, Purpose.RESOLVE)
        return NeedsNone(self._claims.key, because)

    def already(self, summary: str) -> NoReturn:
        """End the call with `already_applied`. The summary does not claim that this server did it."""
        self._current()[0].require_unchanged()
        self._end_as_done(summary)

    @traced("commit")
    async def write(
        self,
        endpoint: Write,
        authority: Authority,
        body: Mapping[str, Json] | None = None,
        *,
        contradicted: Contradicted | None,
        check_effect: EffectCheck | None = None,
        entry: str | None = None,
        **ids: str,
    ) -> Written:
        """Send the one write: recorded before it leaves, finished although the caller leaves, resolved when in doubt.

        `contradicted`: tells whether the order, read afterwards, shows that a 2xx did nothing; None where no order
        would show it. `entry`: the kind of entry that may be missing besides the order.
        """
        attempt, order = self._current()
        assert self._claims is not None
        self._body = body = None if body is None else self._marked(body, self._claims.key)
        self.policy.require(self._request.tool)
        self.policy.require_sending()
        async with self.policy.counted(self._caller, self._claims.key, body, order.currency, self.app.wall()):
            try:
                written = await self._send(endpoint, authority, body, check_effect, entry, ids)
            except ToolError as failure:
                if attempt.is_in_doubt(self._claims):  # what was sent before may have moved the money that is reserved
                    self._unknown(self._claims, Doubt(stopped=failure))
                raise
            await self._conclude(written, contradicted)
            return written

    async def _send(
        self,
        endpoint: Write,
        authority: Authority,
        body: Mapping[str, Json] | None,
        check_effect: EffectCheck | None,
        entry: str | None,
        ids: Mapping[str, str],
    ) -> Written:
        """Send the write after its money is reserved. A ToolError from here means that nothing was done."""
        attempt, order = self._current()
        assert self._claims is not None
        seconds = max(LEAST_SECONDS_FOR_A_WRITE, self._deadline - self.app.clock())
        try:
            with self.app.shielded(seconds + RECORD_SECONDS) as scope:
                await self._journal.begin(self._claims, attempt.head, authority, self.app.wall() + RESOLVING_SECONDS)
                self.sent = True
                self.app.book.doubt(order.order_id)
                written = await self.app.client.write(
                    endpoint,
                    authority,
                    deadline=self.app.clock() + seconds,
                    body=body,
                    check_effect=check_effect or (self._look if attempt.watch.shows else None),
                    before_send=None,
                    **ids,
                )
        except Busy:
            raise shutting_down() from None
        except OutcomeUnknown as error:
            stopped = self._failure(error.stopped, writing=True, entry=entry) if error.stopped else None
            self._unknown(self._claims, Doubt(error, stopped))
        except OmsError as error:
            failure = self._failure(error, writing=True, entry=entry)
            if self._journal.doubted or attempt.is_in_doubt(
                self._claims
            ):  # what was sent before may be done all the same
                self._unknown(self._claims, Doubt(stopped=failure))
            await self._journal.record_outcome(self._claims, failure.ends, error=failure.code.value)
            self.sent = False
            raise failure from None
        finally:
            self.app.book.doubt(order.order_id)  # a read meanwhile may be from before
        if scope.cancelled_caught:
            self._unknown(self._claims, Doubt())
        return written

    async def _conclude(self, written: Written, contradicted: Contradicted | None) -> None:
        """Record a write as done, unless the order contradicts its 2xx.

        An entry that the answer names is proof: a new one was made, one of before is the stored answer to an earlier
        write.
        """
        _, before = self._current()
        assert self._claims is not None
        named = written.new_id if written.status == CREATED else None
        facts: dict[str, Json] = {"status": written.status, "settled": written.resolved}
        for kind, id, at in _entries(before):
            if named is not None and id == named:
                await self._journal.record_done(self._claims, "already_applied", self.gate.ttl, **facts)
                raise Answer(stored_answer(kind, named, at, self.facts(before)))
        if contradicted is not None and named is None and not written.resolved and not await self._shows(contradicted):
            self.app.book.doubt(before.order_id)  # it may show later
            self._unknown(self._claims, Doubt(contradicted=written.status))
        await self._journal.record_done(self._claims, "applied", self.gate.ttl, **facts)

    async def _shows(self, contradicted: Contradicted) -> bool:
        """Read the order until it no longer contradicts a 2xx, for five seconds; goes on although the caller left.

        An order that cannot be read does not contradict it; one that did, and cannot be read any more, does.
        """
        until = min(self.app.clock() + SHOWING_SECONDS, self._deadline)
        pause = FIRST_PAUSE
        with self.app.finishing(max(self.time_left, 0.0) + RECORD_SECONDS):
            await self._read_afterwards()
            while self._after is not None and contradicted(self._after):
                left = until - self.app.clock()
                if left <= 0:
                    break
                await self.app.sleep(min(pause, left))
                pause *= 2
                await self._read_afterwards()
        return self._after is None or not contradicted(self._after)

    async def _read_afterwards(self) -> None:
        """Read the order once more after the write; on failure the earlier reading stays."""
        _, before = self._current()
        self._read_after = True
        with contextlib.suppress(ToolError):
            self._after = await self.read(GET_ORDER, order_id=before.order_id)

    async def applied(
        self, summary: str, *, warnings: tuple[str, ...] = (), next_step: str | None = None
    ) -> tuple[Result, Order | None]:
        """The result of a write that happened, and the order afterwards if it could be read."""
        attempt, before = self._current()
        assert self._claims is not None
        notes = list(warnings)
        if not self._read_after:
            await self._read_afterwards()
        after = self._after
        if after is None:
            notes.append(NOT_READ_AGAIN)
            return Result("applied", summary, warnings=notes, next_step=next_step), None
        if attempt.watch.shows and self._claims.after not in (NO_TRACE, digest(attempt.watch.shows(after))):
            notes.append(NOT_AS_SENT)
        changes = order_facts.difference(before, after)
        whole = f"{summary} {order_facts.summary(after, self.app.now())}"
        return Result("applied", whole, self.facts(after), None, changes, warnings=notes, next_step=next_step), after

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments that were sent, checked."""
        return self._request.arguments

    @property
    def change(self) -> ToolError | None:
        """STATE_CHANGED when the order changed since it was approved; it precedes errors about the present order."""
        objection = self._attempt.objection if self._attempt else None
        return objection if objection is not None and objection.code is Code.STATE_CHANGED else None

    def in_doubt(self) -> dict[str, Json] | None:
        """The code that resolves a write after a crash of this server."""
        return self._current()[0].resolving_code(self._claims) if self.sent and self._claims else None

    def note_refusal(self, failure: ToolError) -> None:
        """Record a refused or failed write."""
        if self._attempt is not None:
            self._journal.note("refused", error=failure.code.value)

    async def stopped(self, failure: ToolError) -> Result:
        """The answer of a write that a failure ended: `unknown` when the very call was sent before without an outcome,
        because the failure tells nothing about that sending."""
        attempt = self._attempt or Attempt(self.gate, self._journal, self._caller, self._request)
        hidden = self.policy.hidden_by(str(self._request.arguments["order_id"])) is not None
        left = None
        if failure.ends != "unknown":
            with contextlib.suppress(ToolError):  # records that cannot be read say nothing of what was sent before
                left = await attempt.in_doubt(own=hidden)
        if left is None:
            return failure.result()
        claims, attempt.head = left
        self._journal.note("outcome", outcome="unknown", key=str(claims.key), cause=failure.code.value)
        barred = failure.code is Code.NOT_PERMITTED or self.gate.expired(claims) is not None
        return outcome_unknown(
            Doubt(stopped=failure),
            None if barred else attempt.resolving_code(claims),
            readable=claims.after != NO_TRACE,
            repeats=not barred,
            order=None,
        )

    def _current(self) -> tuple[Attempt, Order]:
        """The attempt and the order; a tool that writes has read the order with a watch first."""
        assert self._attempt is not None
        assert self.before is not None
        return self._attempt, self.before

    def _end_as_done(self, summary: str, next_step: str | None = None) -> NoReturn:
        assert self.before is not None
        told = {"next_step": next_step} if next_step else {}
        raise Answer(already_applied(summary, self.facts(self.before), **told))

    async def _compared(self, attempt: Attempt, order_id: str, watch: Watch | Callable[[Order], Watch]) -> Order:
        """Read the order, and compare it with the approval that this call brought."""
        try:
            while True:
                order = self.before = await self.read(GET_ORDER, order_id=order_id)
                attempt.watch = watch if isinstance(watch, Watch) else watch(order)
                if await attempt.compare(order):
                    return order
        except Done as done:
            self._end_as_done(str(done), done.next_step)
        except StillUnknown as unknown:
            assert attempt.claims is not None
            self._unknown(attempt.claims, Doubt(stopped=unknown.why))

    def _new_claims(self, proposal: Proposal, purpose: Purpose) -> TokenClaims:
        attempt, order = self._current()
        return attempt.propose(self._request.tool, order, proposal, purpose)

    def _end_with_preview(self, proposal: Proposal, objection: ToolError | None) -> NoReturn:
        """End this call with a preview, and with a code where this host gets codes."""
        attempt, order = self._current()
        mode, card = self.gate.mode, self._request.card
        confirm: dict[str, Json] | None = (
            {"tool": self._request.tool, "state": attempt.state(order)} if mode == "card" else None
        )
        asks = can_ask(self.context) and not attempt.unanswered
        if card or mode == "code" or (mode == "auto" and not asks):
            confirm = attempt.code(self._new_claims(proposal, Purpose.CARD if card else Purpose.CODE))
        self._journal.note("preview", error=objection.code.value if objection else None, means=mode)
        raise Answer(preview(proposal, self.facts(order), confirm, objection, mode, by_card=card is not None))

    async def _ask_and_wait(self, order: Order, proposal: Proposal, claims: TokenClaims) -> Approved:
        """Ask the person within this call, in the handshake era, and read the order again in its turn."""
        attempt, _ = self._current()
        asked_at = self.app.clock()
        try:
            yes = await ask(self.context, proposal, self.gate.ttl)
        except CannotAsk:
            if self.gate.mode == "form":
                raise nobody_to_ask("form") from None
            attempt.unanswered = True
            self._end_with_preview(proposal, None)
        waited = self.app.clock() - asked_at
        self._deadline += waited
        if not yes:
            await self._decline(by_person=waited > QUICKEST)
        self.policy.require(self._request.tool)
        self.policy.require_sending()
        await self._take_turn(order.order_id)
        attempt.claims = claims
        await self._compared(attempt, order.order_id, attempt.watch)
        if attempt.objection is not None:
            raise attempt.objection  # the proposal was about the order as it was: there is nothing fresh to preview
        self._claims = claims
        return Approved(claims.key, "form")

    async def _decline(self, *, by_person: bool) -> NoReturn:
        self._journal.note("declined", means="card" if self._request.card else "form")
        order = self.facts(self.before) if self.before else None
        in_doubt = self._attempt is not None and await self._attempt.in_doubt() is not None
        by_card = self._request.card is not None
        raise Answer(declined(order, by_card=by_card, in_doubt=in_doubt, by_person=by_person))

    @traced("settle")
    async def _look(self) -> Landed:
        """Read the order and find the effect in it, to resolve a write in doubt."""
        attempt, before = self._current()
        assert self._claims is not None
        deadline = self.app.clock() + LEAST_SECONDS_FOR_A_WRITE
        order = await self.app.client.read(GET_ORDER, deadline=deadline, order_id=before.order_id)
        return judge(self._claims, attempt.watch, order, self._body or {})

    def _unknown(self, claims: TokenClaims, doubt: Doubt) -> NoReturn:
        """End the call with `unknown`, and with the code that resolves it."""
        attempt, before = self._current()
        self._journal.note("outcome", outcome="unknown", key=str(claims.key), cause=doubt.cause)
        confirm = attempt.resolving_code(claims)
        readable, order = attempt.watch.shows is not None, self.facts(self._after or before)
        raise Answer(outcome_unknown(doubt, confirm, readable=readable, repeats=True, order=order))


def _entries(order: Order) -> Iterator[tuple[str, str | None, str | None]]:
    """The captures and refunds of an order: the kind of each, its id and its time."""
    yield from (("capture", capture.capture_id, capture.captured_at) for capture in order.captures)
    yield from (("refund", refund.refund_id, refund.refunded_at) for refund in order.refunds)
