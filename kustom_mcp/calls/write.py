"""One tool call: what a tool's function can do, in the order it does it.

    order = await call.order(order_id, watch)        read it; settle what an earlier approval or open intent left
    approved = await call.approval(proposal)         an approval, or the question (which ends this round)
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

from mcp.server import ServerRequestContext

from kustom_mcp.api import order_rules as rules
from kustom_mcp.api.endpoint import Approved, Authority, NeedsNone, Write
from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.errors import OmsError, OutcomeUnknown
from kustom_mcp.api.models import Order
from kustom_mcp.api.reconcile import Landed, Settle, Written
from kustom_mcp.app.app import Busy
from kustom_mcp.calls.attempt import Asked, Declined, Done, Round, StillUnknown
from kustom_mcp.calls.card import shows_cards
from kustom_mcp.calls.confirmation import (
    SETTLING_SECONDS,
    Answer,
    Ask,
    Contradicted,
    Gate,
    Proposal,
    Watch,
    ask,
    can_ask,
    is_modern,
    judge,
)
from kustom_mcp.calls.journal import RECORD_SECONDS, Ledger
from kustom_mcp.calls.messages import (
    NOT_AS_SENT,
    NOT_READ_AGAIN,
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
)
from kustom_mcp.calls.read import Reading
from kustom_mcp.calls.spans import step
from kustom_mcp.calls.token import NO_TRACE, Pledge, Purpose, digest
from kustom_mcp.money import show
from kustom_mcp.orders import facts as view
from kustom_mcp.orders.details import details
from kustom_mcp.schema.arguments import as_json
from kustom_mcp.schema.result import Code, Json, Result, ToolError

LEAST_SECONDS_FOR_A_WRITE = 5.0
FIRST_PAUSE = 0.25
"""Seconds before an order that does not show a 2xx is read again; each further pause is twice as long."""
CREATED = 201
"""The one status that speaks by the entry that it names."""


class Call(Reading):
    """One call of one tool."""

    def __init__(self, gate: Gate, context: ServerRequestContext[Any, Any], asked: Asked) -> None:
        super().__init__(gate, context, asked.principal)
        self.sent = False
        """Whether a write has left, or may have."""
        self._asked = asked
        self._round: Round | None = None
        self._pledge: Pledge | None = None
        self._after: Order | None = None
        """The order as it was read last after a write that was answered with a 2xx."""
        self._read_after = False

    @cached_property
    def _ledger(self) -> Ledger:
        """What binds and records a write. A call that only reads needs none, and does not pay for it."""
        return Ledger(self.app, self._asked.tool, self._asked.who, as_json(self._asked.arguments))

    async def order(self, order_id: str, watch: Watch | Callable[[Order], Watch] | None = None) -> Order:
        """The order, if it is in scope. With a `watch` this call is a write: what an earlier one left is settled first.
        A function is given where what to watch depends on what Kustom returns."""
        if watch is None:
            return await super().order(order_id)
        self.require_scope(order_id)
        self._round = Round(self.gate, self._ledger, self._caller, self._asked)
        try:
            await self._round.admit()
        except Declined:
            await self._decline()
        if self._round.commits:
            await self._take_turn(order_id)
        return await self._held(self._round, order_id, watch)

    def require(self, endpoint: Write, order: Order, amount: int | None = None, *, field: str | None = None) -> None:
        """Refuse what Kustom documents as impossible for this order. ToolError ACTION_NOT_ALLOWED."""
        verdict = rules.verdict(endpoint.name, order, amount)
        if verdict.refused_here:
            self._current()[0].insist()
            most = rules.max_amount(endpoint.name, order) if amount is not None else None
            raise not_allowed(verdict, show(most, order.currency) if most else None, field)

    async def approval(self, proposal: Proposal) -> Approved:
        """An approval of exactly this, or the end of this round: a question, a preview, a refusal."""
        gate, order = self._current()
        if gate.commits:
            self._pledge = gate.pledge or self._new_pledge(proposal, Purpose.CODE)
            return Approved(self._pledge.key, gate.means)
        return await self._preview(gate, order, self._detailed(order, proposal))

    def _detailed(self, order: Order, proposal: Proposal) -> Proposal:
        """The proposal with all that it would send, and no more warnings than a person reads."""
        tool, arguments = self._asked.tool, self._asked.arguments
        ids = {name: str(arguments[name]) for name in ("order_id", "capture_id") if name in arguments}
        told = details(tool, proposal.action, ids, proposal.body or {}, order, self.app.settings.pii)
        return replace(proposal, details=told, warnings=few(proposal.warnings))

    @step("preview")
    async def _preview(self, gate: Round, order: Order, proposal: Proposal) -> Approved:
        asks = self.gate.mode in ("auto", "form") and can_ask(self.context)
        if (self.gate.mode == "form" and not asks) or (self.gate.mode == "card" and not shows_cards(self.context)):
            raise nobody_to_ask(self.gate.mode)
        overdue = view.overdue(self._asked.tool, order, self.app.now())
        if overdue:
            proposal = replace(proposal, warnings=[overdue, *proposal.warnings])
        key = self._new_pledge(proposal, Purpose.CODE).key
        await self.policy.room_today(key, proposal.body, order.currency, self.app.wall())
        if gate.objection is not None:
            if await gate.in_doubt() is not None:
                raise gate.objection  # `stopped` says the rest: no preview hides that it may have been done
            self._leave(proposal, gate.objection)
        if not asks:
            self._leave(proposal, None)
        self._ledger.note("question", means="form")
        pledge = self._new_pledge(proposal, Purpose.FORM)
        if is_modern(self.context):
            raise Ask(proposal, gate.code(pledge)["code"])
        return await self._ask_and_wait(order, proposal, pledge)

    def unasked(self, proposal: Proposal, because: str) -> NeedsNone:
        """The declared reason for needing no approval, with the key of this intent."""
        self._pledge = self._current()[0].pledge or self._new_pledge(proposal, Purpose.SETTLE)
        return NeedsNone(self._pledge.key, because)

    def already(self, summary: str) -> NoReturn:
        """Answer that things are so already. The summary does not claim that it was us."""
        self._current()[0].insist()
        self._done(summary)

    @step("commit")
    async def write(
        self,
        endpoint: Write,
        authority: Authority,
        body: Mapping[str, Json] | None = None,
        *,
        contradicted: Contradicted | None,
        settle: Settle | None = None,
        entry: str | None = None,
        **ids: str,
    ) -> Written:
        """The one write: recorded before it leaves, finished although the caller leaves, settled when in doubt.

        `contradicted`: whether the order, read afterwards, shows that a 2xx did nothing; None where no order would show
        it. `entry`: what besides the order may be missing.
        """
        gate, order = self._current()
        assert self._pledge is not None
        self.policy.require(self._asked.tool)
        async with self.policy.counted(self._caller, self._pledge.key, body, order.currency, self.app.wall()):
            try:
                written = await self._send(endpoint, authority, body, settle, entry, ids)
            except ToolError as failure:
                if gate.doubts(self._pledge):  # what was sent before may have moved the money that is reserved
                    self._unknown(self._pledge, Doubt(stopped=failure))
                raise
            await self._conclude(written, contradicted)
            return written

    async def _send(
        self,
        endpoint: Write,
        authority: Authority,
        body: Mapping[str, Json] | None,
        settle: Settle | None,
        entry: str | None,
        ids: Mapping[str, str],
    ) -> Written:
        """The write, when its money is reserved. A ToolError from here means that nothing was done."""
        gate, order = self._current()
        assert self._pledge is not None
        seconds = max(LEAST_SECONDS_FOR_A_WRITE, self._deadline - self.app.clock())
        try:
            with self.app.shielded(seconds + RECORD_SECONDS) as scope:
                await self._ledger.begin(self._pledge, gate.head, authority, self.app.wall() + SETTLING_SECONDS)
                self.sent = True
                self.app.book.doubt(order.order_id)
                written = await self.app.client.write(
                    endpoint,
                    authority,
                    deadline=self.app.clock() + seconds,
                    body=body,
                    settle=settle or (self._look if gate.watch.shows else None),
                    before_send=None,
                    **ids,
                )
        except Busy:
            raise shutting_down() from None
        except OutcomeUnknown as error:
            stopped = self._failure(error.stopped, writing=True, entry=entry) if error.stopped else None
            self._unknown(self._pledge, Doubt(error, stopped))
        except OmsError as error:
            failure = self._failure(error, writing=True, entry=entry)
            if self._ledger.doubted or gate.doubts(self._pledge):  # what was sent before may be done all the same
                self._unknown(self._pledge, Doubt(stopped=failure))
            await self._ledger.end(self._pledge, failure.ends, error=failure.code.value)
            self.sent = False
            raise failure from None
        finally:
            self.app.book.doubt(order.order_id)  # what was read meanwhile may be from before
        if scope.cancelled_caught:
            self._unknown(self._pledge, Doubt())
        return written

    async def _conclude(self, written: Written, contradicted: Contradicted | None) -> None:
        """Write a write down as done, unless the order contradicts its 2xx. An entry that is named speaks for itself:
        a new one was made, one of before is the stored answer to an earlier write."""
        _, before = self._current()
        assert self._pledge is not None
        named = written.new_id if written.status == CREATED else None
        facts: dict[str, Json] = {"status": written.status, "settled": written.settled}
        for kind, id, at in _entries(before):
            if named is not None and id == named:
                await self._ledger.done(self._pledge, "already_applied", self.gate.ttl, **facts)
                raise Answer(stored_answer(kind, named, at, self.facts(before)))
        if contradicted is not None and named is None and not written.settled and not await self._shows(contradicted):
            self.app.book.doubt(before.order_id)  # it may show later
            self._unknown(self._pledge, Doubt(contradicted=written.status))
        await self._ledger.done(self._pledge, "applied", self.gate.ttl, **facts)

    async def _shows(self, contradicted: Contradicted) -> bool:
        """Read the order until it no longer contradicts a 2xx, for five seconds. An order that cannot be read does not
        contradict it; one that did, and cannot be read any more, does. This belongs to the write: it goes on although
        the caller left."""
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
        """Read the order once more after the write; what was read before stays where that fails."""
        _, before = self._current()
        self._read_after = True
        with contextlib.suppress(ToolError):
            self._after = await self.read(GET_ORDER, order_id=before.order_id)

    async def applied(
        self, summary: str, *, warnings: tuple[str, ...] = (), next_step: str | None = None
    ) -> tuple[Result, Order | None]:
        """The result of a write that happened, and the order afterwards if it could be read."""
        gate, before = self._current()
        assert self._pledge is not None
        notes = list(warnings)
        if not self._read_after:
            await self._read_afterwards()
        after = self._after
        if after is None:
            notes.append(NOT_READ_AGAIN)
            return Result("applied", summary, warnings=notes, next_step=next_step), None
        if gate.watch.shows and self._pledge.after not in (NO_TRACE, digest(gate.watch.shows(after))):
            notes.append(NOT_AS_SENT)
        changes = view.difference(before, after)
        whole = f"{summary} {view.summary(after, self.app.now())}"
        return Result("applied", whole, self.facts(after), None, changes, warnings=notes, next_step=next_step), after

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments that were sent, checked."""
        return self._asked.arguments

    @property
    def change(self) -> ToolError | None:
        """That the order has changed since this was approved, when it has: it goes before what does not fit it now."""
        objection = self._round.objection if self._round else None
        return objection if objection is not None and objection.code is Code.STATE_CHANGED else None

    def in_doubt(self) -> dict[str, Json] | None:
        """The code that settles a write after a crash of ours."""
        return self._current()[0].settling_code(self._pledge) if self.sent and self._pledge else None

    def note_refusal(self, failure: ToolError) -> None:
        """Write a refused or failed write down."""
        if self._round is not None:
            self._ledger.note("refused", error=failure.code.value)

    async def stopped(self, failure: ToolError) -> Result:
        """The answer of a write that this failure ended. Where the very call was sent before and has no outcome, the
        failure says nothing about that sending, so the answer is `unknown`."""
        gate = self._round or Round(self.gate, self._ledger, self._caller, self._asked)
        hidden = self.policy.hidden_by(str(self._asked.arguments["order_id"])) is not None
        left = None
        if failure.ends != "unknown":
            with contextlib.suppress(ToolError):  # records that cannot be read say nothing of what was sent before
                left = await gate.in_doubt(own=hidden)
        if left is None:
            return failure.result()
        pledge, gate.head = left
        self._ledger.note("outcome", outcome="unknown", key=str(pledge.key), cause=failure.code.value)
        barred = failure.code is Code.NOT_PERMITTED or self.gate.expired(pledge) is not None
        return outcome_unknown(
            Doubt(stopped=failure),
            None if barred else gate.settling_code(pledge),
            readable=pledge.after != NO_TRACE,
            repeats=not barred,
            order=None,
        )

    def _current(self) -> tuple[Round, Order]:
        """The round and the order; a tool that writes has read the order with a watch first."""
        assert self._round is not None
        assert self.before is not None
        return self._round, self.before

    def _done(self, summary: str) -> NoReturn:
        assert self.before is not None
        raise Answer(already_applied(summary, self.facts(self.before)))

    async def _held(self, gate: Round, order_id: str, watch: Watch | Callable[[Order], Watch]) -> Order:
        """The order as it is now, after it was compared with what this call brought."""
        try:
            while True:
                order = self.before = await self.read(GET_ORDER, order_id=order_id)
                gate.watch = watch if isinstance(watch, Watch) else watch(order)
                if await gate.hold_to(order):
                    return order
        except Done as done:
            self._done(str(done))
        except StillUnknown as unknown:
            assert gate.pledge is not None
            self._unknown(gate.pledge, Doubt(stopped=unknown.why))

    def _new_pledge(self, proposal: Proposal, purpose: Purpose) -> Pledge:
        gate, order = self._current()
        return gate.propose(self._asked.tool, order, proposal, purpose)

    def _leave(self, proposal: Proposal, objection: ToolError | None) -> NoReturn:
        """End this round with a preview, and with a code where this host gets codes."""
        gate, order = self._current()
        mode, card = self.gate.mode, self._asked.card
        confirm: dict[str, Json] | None = (
            {"tool": self._asked.tool, "state": gate.state(order)} if mode == "card" else None
        )
        if card or mode == "code" or (mode == "auto" and not can_ask(self.context)):
            confirm = gate.code(self._new_pledge(proposal, Purpose.CARD if card else Purpose.CODE))
        self._ledger.note("preview", error=objection.code.value if objection else None, means=mode)
        raise Answer(preview(proposal, self.facts(order), confirm, objection, mode, by_card=card is not None))

    async def _ask_and_wait(self, order: Order, proposal: Proposal, pledge: Pledge) -> Approved:
        """Handshake era: the person answers within this call. Then the order is read again, in its turn."""
        gate, _ = self._current()
        asked_at = self.app.clock()
        yes = await ask(self.context, proposal, self.gate.ttl)
        self._deadline += self.app.clock() - asked_at
        if not yes:
            await self._decline()
        self.policy.require(self._asked.tool)
        await self._take_turn(order.order_id)
        gate.pledge = pledge
        await self._held(gate, order.order_id, gate.watch)
        if gate.objection is not None:
            raise gate.objection  # the proposal was about the order as it was: there is nothing fresh to preview
        self._pledge = pledge
        return Approved(pledge.key, "form")

    async def _decline(self) -> NoReturn:
        self._ledger.note("declined", means="card" if self._asked.card else "form")
        order = self.facts(self.before) if self.before else None
        in_doubt = self._round is not None and await self._round.in_doubt() is not None
        raise Answer(declined(order, by_card=self._asked.card is not None, in_doubt=in_doubt))

    @step("settle")
    async def _look(self) -> Landed:
        """Read the order and see whether the effect is there: how a write in doubt is settled."""
        gate, before = self._current()
        assert self._pledge is not None
        deadline = self.app.clock() + LEAST_SECONDS_FOR_A_WRITE
        order = await self.app.client.read(GET_ORDER, deadline=deadline, order_id=before.order_id)
        return judge(self._pledge, gate.watch, order)

    def _unknown(self, pledge: Pledge, doubt: Doubt) -> NoReturn:
        """Say that nobody knows, and give the code that settles it."""
        gate, before = self._current()
        self._ledger.note("outcome", outcome="unknown", key=str(pledge.key), cause=doubt.cause)
        confirm = gate.settling_code(pledge)
        readable, order = gate.watch.shows is not None, self.facts(self._after or before)
        raise Answer(outcome_unknown(doubt, confirm, readable=readable, repeats=True, order=order))


def _entries(order: Order) -> Iterator[tuple[str, str | None, str | None]]:
    """The captures and refunds of an order: what each is, its id and its time."""
    yield from (("capture", capture.capture_id, capture.captured_at) for capture in order.captures)
    yield from (("refund", refund.refund_id, refund.refunded_at) for refund in order.refunds)
