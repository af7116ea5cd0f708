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
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from math import ceil
from typing import Any, NoReturn
from uuid import UUID

from mcp.server import ServerRequestContext

from kustom_mcp.api import order_rules as rules
from kustom_mcp.api.endpoint import Approved, Authority, NeedsNone, Write
from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.errors import OmsError, OutcomeUnknown
from kustom_mcp.api.models import AMOUNTS, Order
from kustom_mcp.api.reconcile import EffectCheck, Landed, Written, resend_without_looking
from kustom_mcp.app.app import Busy
from kustom_mcp.calls.advice import plain
from kustom_mcp.calls.attempt import Attempt, CallRequest, Declined, Done, StillUnknown
from kustom_mcp.calls.card import shows_cards
from kustom_mcp.calls.confirmation import (
    QUICKEST,
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
)
from kustom_mcp.calls.doubt import (
    REMEMBERED,
    State,
    entries_before,
    in_words,
    is_done,
    look,
    operation_of,
    record_in,
    refuses,
)
from kustom_mcp.calls.journal import RECORD_SECONDS, Journal
from kustom_mcp.calls.messages import (
    CLOSED,
    DISPUTED,
    NOBODY_TOLD,
    NOT_AS_SENT,
    NOT_KNOWN_TO_BE_DISPUTED,
    NOT_READ_AGAIN,
    REHEARSAL,
    REHEARSED,
    SHOWING_SECONDS,
    Doubt,
    already_applied,
    carried_out_before,
    declined,
    few,
    given_up,
    nobody_to_ask,
    not_allowed,
    not_shown_yet,
    outcome_unknown,
    preview,
    shop_changed,
    shutting_down,
    slept,
    still_running,
    stored_answer,
    unresolved,
    used_up,
    write_in_doubt,
)
from kustom_mcp.calls.read import ReadCall
from kustom_mcp.calls.spans import traced
from kustom_mcp.calls.token import NO_TRACE, Purpose, TokenClaims, digest
from kustom_mcp.calls.upstream_errors import writing
from kustom_mcp.money import show
from kustom_mcp.orders import facts as order_facts
from kustom_mcp.orders.details import details
from kustom_mcp.orders.entries import id_of, reference_of
from kustom_mcp.schema.arguments import as_json
from kustom_mcp.schema.result import Code, Json, Result, ToolError
from kustom_mcp.state.intents import GIVEN_UP, AlreadySent, Intent
from kustom_mcp.state.spending_limits import Reservation
from kustom_mcp.text import quoted

_JOURNALLED = frozenset({*AMOUNTS, "status", "merchant_reference1", "merchant_reference2"})
"""The fields whose values before and after a write the journal keeps: none that holds personal data."""
LEAST_SECONDS_FOR_A_WRITE = 5.0
LEASE_PATIENCE = 10.0
"""Seconds that a call waits for the lease of another process."""
LEASE_PAUSE = 0.1
LEASE_MARGIN = 5.0
FIRST_PAUSE = 0.25
"""Seconds before an order that does not show a 2xx is read again; each further pause is twice as long."""
_NOT_READ = frozenset({Code.BUSY, Code.RATE_LIMITED, Code.UPSTREAM_UNAVAILABLE, Code.UPSTREAM_PROTOCOL})
"""Failures after which the order is not known, but what the records say of the approval is."""
CREATED = 201
"""The one status that speaks by the entry that it names."""


class Call(ReadCall):
    """One call of one tool."""

    def __init__(self, gate: Gate, context: ServerRequestContext[Any, Any], request: CallRequest) -> None:
        super().__init__(gate, request.principal)
        self.context = context
        self.sent = False
        """Whether a write has left this process, or may have."""
        self.shops: Mapping[str, Call] = {}
        """The calls for each shop, of a call that is about several; empty for one that is about one."""
        self.find_shop: Callable[[str], Awaitable[Call]] | None = None
        """Finds the call of the shop that knows an order. ToolError."""
        self._request = request
        self._attempt: Attempt | None = None
        self._claims: TokenClaims | None = None
        self._body: Mapping[str, Json] | None = None
        self._proposal: Proposal | None = None
        self._lease: tuple[str, str] | None = None
        """The order whose lease this call holds, and the name by which it holds it."""
        self._lease_ends = 0.0
        self._taken: Reservation | None = None
        """The money that this call has reserved."""
        self._after: Order | None = None
        """The order as it was read last after a write that was answered with a 2xx."""
        self._read_after = False
        self._intent: Intent | None = None
        self._found_entry: str | None = None
        """The id of the entry by which a look has found the write done."""
        self._uncertain = False
        """Whether an entry is there that may be that of this write, and cannot be told."""

    @cached_property
    def _journal(self) -> Journal:
        """The journal of a write. A call that only reads needs none, and does not pay for it."""
        return Journal(self.app, self._request.tool, self._request.who, as_json(self._request.arguments))

    def over_shops(self) -> Mapping[str, Call]:
        """The calls that this one consists of, by the name of the shop; itself, without a name, for one shop."""
        return self.shops or {"": self}

    async def in_shop_of(self, order_id: str) -> Call:
        """The call for the shop that knows an order. ToolError."""
        return self if self.find_shop is None else await self.find_shop(order_id)

    @property
    def shop(self) -> str:
        """The name of its shop; "" where the server has one."""
        return self.app.shop.name if self.app.shop else ""

    async def order(
        self, order_id: str, watch: Watch | Callable[[Order], Watch] | None = None, *, for_row: bool = False
    ) -> Order:
        """The order, if it is in scope. With a `watch` this call is a write, and an earlier one in doubt comes first.

        `watch` is a function where it depends on what Kustom returns.
        """
        if watch is None:
            return await super().order(order_id, for_row=for_row)
        self.require_scope(order_id)
        attempt = self._attempt = Attempt(self.gate, self._journal, self._caller, self._request)
        await self._load_for_write(order_id)
        try:
            await attempt.admit()
        except Declined as declined:
            self._decline(by_person=declined.by_person)
        if attempt.commits:
            self.urgent = True
            self.policy.require_sending()
            await self._take_turn(order_id)
            attempt.look_again()
        return await self._compared(attempt, order_id, watch)

    async def _load_for_write(self, order_id: str) -> None:
        """Read what was sent for an order, and by the identical call of an earlier version. ToolError."""
        await self.load(order_id, sorted(self._journal.digests))
        self._journal.intents = self.intents

    async def _take_turn(self, order_id: str) -> None:
        """Wait for the order's turn in this process, and among all that share the store; then read what was sent."""
        await super()._take_turn(order_id)
        if self.app.intents.blocks:
            await self._take_lease(order_id)
        await self._load_for_write(order_id)

    async def _take_lease(self, order_id: str) -> None:
        """Take the lease on an order, for as long as this call may last. ToolError BUSY."""
        holder = secrets.token_hex(8)
        until = min(self._deadline, self.app.clock() + LEASE_PATIENCE)
        while True:
            seconds = max(self.time_left, LEAST_SECONDS_FOR_A_WRITE) + RECORD_SECONDS + LEASE_MARGIN
            began = self.app.boottime()
            taken = await self._journal.hold(order_id, holder, seconds)
            if not taken:
                self._lease, self._lease_ends = (order_id, holder), began + seconds
                return
            left = until - self.app.clock()
            if left <= 0:
                raise still_running(ceil(taken))
            await self.app.sleep(min(LEASE_PAUSE, left))

    async def __aexit__(self, *_: object) -> None:
        if self._lease is not None:
            await self._journal.release(*self._lease)
        await super().__aexit__()

    def require(self, endpoint: Write, order: Order, amount: int | None = None, *, field: str | None = None) -> None:
        """Raise ACTION_NOT_ALLOWED where Kustom documents the operation as impossible for this order."""
        verdict = rules.verdict(endpoint.name, order, amount)
        if verdict.refused_here:
            self._current()[0].require_unchanged()
            most = rules.max_amount(endpoint.name, order) if amount is not None else None
            tools = [self.policy.tool_for(operation) for operation in verdict.alternatives]
            usable = [tool for tool in tools if self.policy.listed(tool)]
            anything = bool(self.facts(order)["can"])
            most_said = show(most, order.currency) if most else None
            raise not_allowed(verdict, usable, most_said, field, anything=anything)

    async def approval(self, proposal: Proposal) -> Approved:
        """Return an approval of exactly this proposal, or end the call with a question, a preview or a refusal."""
        attempt, order = self._current()
        self._proposal = proposal
        if attempt.commits:
            self._claims = attempt.claims or self._new_claims(proposal, Purpose.CODE)
            return Approved(self._claims.key, attempt.means)
        return await self._preview(attempt, order, self._detailed(order, proposal))

    def _detailed(self, order: Order, proposal: Proposal) -> Proposal:
        """Complete a proposal with all that it would send."""
        tool, arguments = self._request.tool, self._request.arguments
        body = self._marked(proposal.body or {}, self._new_claims(proposal, Purpose.CODE).key)
        ids = {name: str(arguments[name]) for name in ("order_id", "capture_id") if name in arguments}
        told = details(tool, proposal.action, ids, body, order, self.app.settings.pii)
        told[1:1] = proposal.details  # what is for the approver, and not sent
        if self.app.shop is not None:
            told.insert(0, f"Shop: {quoted(self.app.shop.title, 60)}, {self.app.settings.environment}.")
        rehearsal = plain(REHEARSAL) if self.policy.for_customer else REHEARSAL
        effect = f"{rehearsal} {proposal.effect}" if self.policy.rehearses else proposal.effect
        return replace(proposal, effect=effect, details=told)

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
            raise self.policy.no_form_for_customer() or nobody_to_ask(self.gate.mode, self.policy.code_instead)
        proposal = replace(proposal, warnings=few(self._warnings(order, proposal)))
        key = self._new_claims(proposal, Purpose.CODE).key
        await self.policy.room_today(key, proposal.body, order.currency, self.app.wall(), self.app.client.ahead)
        if attempt.objection is not None:
            if attempt.in_doubt() is not None:
                raise attempt.objection  # `stopped` says the rest: no preview hides that it may have been done
            self._end_with_preview(proposal, attempt.objection)
        if not asks:
            self._end_with_preview(proposal, None)
        self._journal.note("question", means="form")
        claims = self._new_claims(proposal, Purpose.FORM)
        if is_modern(self.context):
            raise Ask(proposal, asked(attempt.code(claims)["code"], self.app.wall()))
        return await self._ask_and_wait(order, proposal, claims)

    def _warnings(self, order: Order, proposal: Proposal) -> list[str]:
        """The warnings of a preview, the gravest first: those of the order and its writes, then those of the tool."""
        overdue = order_facts.overdue(self.policy.operation(self._request.tool), order, self.app.now())
        return [
            *self._earlier_writes(order),
            *self._dispute(),
            *([overdue] if overdue else ()),
            *order_facts.unheard_of(order),
            *proposal.warnings,
            self._elsewhere() or NOBODY_TOLD,
        ]

    def _elsewhere(self) -> str | None:
        """A warning where people of this shop do this in another system."""
        words = self.app.shop.elsewhere.get(operation_of(self._request.tool)) if self.app.shop else None
        return words and f"In this shop people do this elsewhere: {words}. Nothing is told there: do it there as well."

    def _dispute(self) -> list[str]:
        """The warning of a dispute that a signed webhook told of once. A book that fails stops no write."""
        return [NOT_KNOWN_TO_BE_DISPUTED] if self.disputed is None else [DISPUTED] * self.disputed

    def _earlier_writes(self, order: Order) -> list[str]:
        """The warnings of writes on this order that are in doubt, and of those like this one that were given up."""
        now, tool = self.app.wall(), self._request.tool
        own = self._current()[0].claims
        found = [
            unresolved(in_words(self.as_told(intent), order.currency))
            for intent in self.doubts
            if own is None or str(own.key) != intent.key
        ]
        given_up_here = [
            given_up(in_words(self.as_told(intent), order.currency), str(intent.outcome))
            for intent in self.intents
            if intent.outcome in GIVEN_UP and intent.tool == tool and now - (intent.closed or 0.0) < REMEMBERED
        ]
        return found + given_up_here

    def unasked(self, proposal: Proposal, because: str) -> NeedsNone:
        """The declared reason for needing no approval, with the key of this intent."""
        self._proposal = proposal
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
        attempt, _ = self._current()
        assert self._claims is not None
        self._body = body = None if body is None else self._marked(body, self._claims.key)
        self.policy.require(self._request.tool)
        self.policy.require_sending()
        try:
            written = await self._send(endpoint, authority, body, check_effect, entry, ids)
        except ToolError as failure:
            if attempt.is_in_doubt(self._claims):  # what was sent before may have moved the money that is reserved
                self._unknown(self._claims, Doubt(stopped=failure))
            if failure.ends in ("not_sent", "rejected"):
                await self.policy.give_back(self._taken)
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
                await self._begin(authority, body, harmless=check_effect is resend_without_looking)
                self.sent = True
                self.app.book.doubt(order.order_id)
                written = await self.app.client.write(
                    endpoint,
                    authority,
                    deadline=self.app.clock() + seconds,
                    body=body,
                    check_effect=check_effect or (self._look if attempt.watch.shows else None),
                    before_send=lambda: self._require_lease(seconds),
                    **ids,
                )
        except Busy:
            raise shutting_down() from None
        except AlreadySent as earlier:
            self._end_as_sent_already(earlier.intent)
        except _LeaseEnded:
            await self._outcome("not_sent", error=Code.BUSY.value)
            self.sent = False
            raise slept() from None
        except OutcomeUnknown as error:
            stopped = self._failure(error.stopped, writing=writing(endpoint), entry=entry) if error.stopped else None
            self._unknown(self._claims, Doubt(error, stopped))
        except OmsError as error:
            failure = self._failure(error, writing=writing(endpoint), entry=entry)
            if attempt.is_in_doubt(self._claims):  # what was sent before may be done all the same
                self._unknown(self._claims, Doubt(stopped=failure))
            upstream = failure.upstream.correlation_id if failure.upstream else None
            facts = {"error": failure.code.value, "correlation_id": upstream}
            await self._outcome(failure.ends, **{name: fact for name, fact in facts.items() if fact})
            self.sent = False
            raise failure from None
        finally:
            self.app.book.doubt(order.order_id)  # a read meanwhile may be from before
        if scope.cancelled_caught:
            self._unknown(self._claims, Doubt())
        return written

    async def _begin(self, authority: Authority, body: Mapping[str, Json] | None, *, harmless: bool) -> None:
        """Put the intent on disk, and reserve the money that it moves, in one transaction. AlreadySent, ToolError."""
        attempt, order = self._current()
        assert self._claims is not None
        move = self.policy.move(self._claims.key, body, order.currency)
        proposal = self._proposal
        assert proposal is not None
        changes = [change for change in proposal.changes if change["field"] in _JOURNALLED]
        content: dict[str, Json] = {
            "head": attempt.head,
            "currency": order.currency,
            **entries_before(attempt.watch.entry, order, self._claims.amount),
            "worth": proposal.amount,
            "was": {change["field"]: change["before"] for change in changes},
            "becomes": {change["field"]: change["after"] for change in changes},
        }
        if isinstance(authority, Approved):
            content |= {"means": authority.means, "approved_by": self._request.principal.name}
        if (body or {}).get("reference"):
            content["reference"] = (body or {})["reference"]
        arguments = self._journal.arguments
        intent = self._journal.intent(
            self._claims, order.order_id, content, self.gate.sealed(self._claims.key, arguments, body)
        )
        with self.policy.refusals(move):
            await self._journal.begin(
                intent,
                authority,
                self.policy.taking(self._caller, move, self.app.wall(), self.app.client.ahead),
                harmless=harmless,
            )
        self._taken, self._intent = move, intent

    async def _require_lease(self, seconds: float) -> None:
        """Make sure right before the first byte that nobody else may write to the order until this write has ended.

        By a clock that runs while the machine sleeps.
        """
        if self._lease is not None and self.app.boottime() + seconds > self._lease_ends:
            raise _LeaseEnded

    def _end_as_sent_already(self, intent: Intent) -> NoReturn:
        """End the call: another process has sent this very intent since the records were read."""
        attempt, _ = self._current()
        assert self._claims is not None
        if is_done(intent):
            attempt.require_unchanged()
            self._end_as_done(*not_shown_yet(intent.entry, entry=attempt.watch.entry and attempt.watch.entry.value))
        if intent.unresolved:
            self._unknown(self._claims, Doubt(stopped=still_running()))
        raise used_up(CLOSED)

    async def _outcome(self, outcome: str, entry: str | None = None, **facts: Json) -> None:
        """Record the outcome of this call's write, and end its lease."""
        assert self._claims is not None
        lease, self._lease = self._lease, None
        told = {name: facts[name] for name in ("correlation_id", "error") if facts.get(name)}
        await self._journal.record_outcome(
            str(self._claims.key), outcome, holder=lease, entry=entry, told=told, **facts
        )

    async def _conclude(self, written: Written, contradicted: Contradicted | None) -> None:
        """Record a write as done, unless the order contradicts its 2xx.

        An entry that the answer names is proof: a new one was made, one of before is the stored answer to an earlier
        write.
        """
        _, before = self._current()
        assert self._claims is not None
        named = written.new_id if written.status == CREATED else None
        facts: dict[str, Json] = {"status": written.status, "settled": written.resolved}
        if written.correlation_id:
            facts["correlation_id"] = written.correlation_id
        for kind, id, at in _entries(before):
            if named is not None and id == named:
                await self._outcome("already_applied", named, **facts)
                raise Answer(stored_answer(kind, named, at, self.facts(before)))
        if contradicted is not None and named is None and not written.resolved and not await self._shows(contradicted):
            self.app.book.doubt(before.order_id)  # it may show later
            self._unknown(self._claims, Doubt(contradicted=written.status))
        await self._outcome("applied", written.new_id or self._found_entry, **facts)

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
        order_id = str(self._request.arguments["order_id"])
        hidden = self.policy.hidden_by(order_id) is not None
        left = None
        if failure.ends != "unknown":
            if self._attempt is None:
                with contextlib.suppress(ToolError):  # records that cannot be read say nothing of what was sent before
                    await self._load_for_write(order_id)
            left = attempt.in_doubt(by_code_only=hidden)
        if left is None:
            unread = failure.code in _NOT_READ and attempt.carried_out and not hidden
            return carried_out_before() if unread else failure.result()
        claims, attempt.head = left
        self._journal.note("outcome", outcome="unknown", key=str(claims.key), cause=failure.code.value)
        barred = failure.code is Code.NOT_PERMITTED or self.gate.expired(claims) is not None
        return self._outcome_unknown(
            attempt, claims, Doubt(stopped=failure), readable=claims.after != NO_TRACE, repeats=not barred, order=None
        )

    def _outcome_unknown(
        self,
        attempt: Attempt,
        claims: TokenClaims,
        doubt: Doubt,
        *,
        readable: bool,
        repeats: bool,
        order: Mapping[str, Json] | None,
    ) -> Result:
        """The answer `unknown`, with the code and the call that send it again where they may."""
        confirm = attempt.resolving_code(claims) if repeats and readable else None
        same_call = not self._request.gated or self.gate.mode == "flag"
        repeat = {"tool": self._request.tool, "arguments": dict(self._journal.arguments)}
        return outcome_unknown(
            doubt,
            confirm,
            readable=readable,
            repeats=repeats,
            order=order,
            repeat=repeat if self.gate.mode in ("auto", "code") else None,
            same_call=same_call,
        )

    def _current(self) -> tuple[Attempt, Order]:
        """The attempt and the order; a tool that writes has read the order with a watch first."""
        assert self._attempt is not None
        assert self.before is not None
        return self._attempt, self.before

    def _end_as_done(self, summary: str, next_step: str | None = None, *, applied: bool = False) -> NoReturn:
        """End the call: the effect is there. `applied`: by this very wish, which was in doubt until now."""
        assert self.before is not None
        told = {"next_step": next_step} if next_step else {}
        result = already_applied(summary, self.facts(self.before), **told)
        if applied:
            result.outcome = "applied"
        raise Answer(result)

    async def _compared(self, attempt: Attempt, order_id: str, watch: Watch | Callable[[Order], Watch]) -> Order:
        """Read the order, and compare it with the approval that this call brought."""
        order = self.before = await self.read_beside(order_id, [self.learn_dispute])
        attempt.watch = watch if isinstance(watch, Watch) else watch(order)
        try:
            await attempt.compare(order)
        except Done as done:
            self._end_as_done(str(done), done.next_step, applied=done.applied)
        except StillUnknown as unknown:
            assert attempt.claims is not None
            await self.find_out(order, but=str(attempt.claims.key))
            if self._looks_only(attempt):
                await self._refuse_same(attempt, order, repeats=unknown.repeats)
            self._unknown(attempt.claims, Doubt(stopped=unknown.why), repeats=unknown.repeats)
        own = attempt.claims.key if attempt.claims else None
        await self.find_out(order, but=str(own) if own else None)
        if own is not None and attempt.is_in_doubt(attempt.claims) and self._looks_only(attempt):
            await self._refuse_same(attempt, order, repeats=True)
        self._refuse_in_doubt(order)
        return order

    def _looks_only(self, attempt: Attempt) -> bool:
        """Whether the identical call of a write in doubt only looks: it brought no code that pins it."""
        return self._request.gated and self.gate.mode in ("auto", "code") and not attempt.pinned

    async def _refuse_same(self, attempt: Attempt, order: Order, *, repeats: bool) -> NoReturn:
        """End the identical call of a write in doubt with WRITE_IN_DOUBT, and the code that may send it again."""
        intent = self._journal.same()
        assert intent is not None
        self._journal.note("refused", error=Code.WRITE_IN_DOUBT.value)
        self.doubts = [*self.doubts, intent]
        unclear = State.NOT_READABLE if attempt.watch.shows is None else State.UNCERTAIN
        state, repeat, confirm = (await self.way_out(intent, order)) if repeats else (unclear, None, None)
        self._end_in_doubt(intent, order, same=True, state=state, repeat=repeat, confirm=confirm)

    def _refuse_in_doubt(self, order: Order) -> None:
        """Refuse a write while another is in doubt that it must not come on top of."""
        operation, capture = self.policy.operation(self._request.tool), self._request.arguments.get("capture_id")
        own = self._current()[0].claims
        for intent in self.doubts:
            doubtful = self.policy.operations.get(intent.tool, "")
            arguments = record_in(intent.content, "arguments")
            other_capture = doubtful == "extendDueDate" and arguments.get("capture_id") != capture
            if refuses(doubtful, operation) and not other_capture and (own is None or str(own.key) != intent.key):
                self._journal.note("refused", error=Code.WRITE_IN_DOUBT.value)
                self._end_in_doubt(intent, order, same=False)

    def _end_in_doubt(
        self,
        intent: Intent,
        order: Order,
        *,
        same: bool,
        state: State = State.ABSENT,
        repeat: Mapping[str, Json] | None = None,
        confirm: Mapping[str, Json] | None = None,
    ) -> NoReturn:
        raise Answer(
            write_in_doubt(
                in_words(self.as_told(intent), order.currency),
                same=same,
                uncertain=state is State.UNCERTAIN,
                never_read=state is State.NOT_READABLE,
                repeat=repeat,
                confirm=confirm,
                order=self.facts(order),
            )
        )

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
        shown = preview(proposal, self.facts(order), confirm, objection, mode, by_card=card is not None)
        if self.policy.rehearses:
            shown.next_step = REHEARSED
        raise Answer(shown)

    async def _ask_and_wait(self, order: Order, proposal: Proposal, claims: TokenClaims) -> Approved:
        """Ask the person within this call, in the handshake era, and read the order again in its turn."""
        attempt, _ = self._current()
        asked_at = self.app.clock()
        try:
            yes = await ask(self.context, proposal, self.gate.ttl, self._barred if self.context.request else None)
        except CannotAsk:
            if self.gate.mode == "form":
                raise self.policy.no_form_for_customer() or nobody_to_ask("form", self.policy.code_instead) from None
            attempt.unanswered = True
            self._end_with_preview(proposal, None)
        waited = self.app.clock() - asked_at
        self._deadline += waited
        self._require_open()
        if not yes:
            self._decline(by_person=waited > QUICKEST)
        self.urgent = True
        self.policy.require_sending()
        await self._take_turn(order.order_id)
        attempt.claims = claims
        await self._compared(attempt, order.order_id, attempt.watch)
        if attempt.objection is not None:
            raise attempt.objection  # the proposal was about the order as it was: there is nothing fresh to preview
        self._claims = claims
        return Approved(claims.key, "form")

    def _require_open(self) -> None:
        """Raise a ToolError where the answer to an open form would count no more."""
        if self.app.draining:
            raise shutting_down()
        if not self.app.is_current():
            raise shop_changed()
        self.policy.require(self._request.tool)

    def _barred(self) -> bool:
        try:
            self._require_open()
        except ToolError:
            return True
        return False

    def _decline(self, *, by_person: bool) -> NoReturn:
        self._journal.note("declined", means="card" if self._request.card else "form")
        order = self.facts(self.before) if self.before else None
        in_doubt = self._attempt is not None and self._attempt.in_doubt() is not None
        by_card = self._request.card is not None
        raise Answer(declined(order, by_card=by_card, in_doubt=in_doubt, by_person=by_person))

    @traced("settle")
    async def _look(self) -> Landed:
        """Read the order and find the effect in it, to resolve a write in doubt."""
        attempt, before = self._current()
        assert self._intent is not None
        deadline = self.app.clock() + LEAST_SECONDS_FOR_A_WRITE
        order = await self.app.client.read_for_write(GET_ORDER, deadline=deadline, order_id=before.order_id)
        found = look(self._intent, self._body or {}, attempt.watch, order, self.intents)
        if found.state is State.DONE:
            self._found_entry = found.entry and id_of(found.entry)
            return Landed.PRESENT
        unchanged = digest(attempt.watch.depends(order)) == digest(attempt.watch.depends(before))
        self._uncertain = found.state is State.UNCERTAIN
        return Landed.ABSENT if found.state is State.ABSENT and unchanged else Landed.UNCLEAR

    def _unknown(self, claims: TokenClaims, doubt: Doubt, *, repeats: bool = True) -> NoReturn:
        """End the call with `unknown`, and with the code that resolves it."""
        attempt, before = self._current()
        self._journal.note("outcome", outcome="unknown", key=str(claims.key), cause=doubt.cause)
        shown = self._intent if self._intent is not None else self._journal.of_key(claims.key)
        if shown is not None and shown.key not in [intent.key for intent in self.doubts]:
            self.doubts = [*self.doubts, replace(shown, sent=shown.sent or self.app.wall())]
        raise Answer(
            self._outcome_unknown(
                attempt,
                claims,
                doubt,
                readable=attempt.watch.shows is not None,
                repeats=repeats and not self._uncertain,
                order=self.facts(self._after or before),
            )
        )


class _LeaseEnded(Exception):
    """The lease on the order ends before the write would."""


def _entries(order: Order) -> Iterator[tuple[str, str | None, str | None]]:
    """The captures and refunds of an order: the kind of each, its id and its time."""
    yield from (("capture", capture.capture_id, capture.captured_at) for capture in order.captures)
    yield from (("refund", refund.refund_id, refund.refunded_at) for refund in order.refunds)
