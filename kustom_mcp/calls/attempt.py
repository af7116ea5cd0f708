"""One attempt at a write: takes up the approval, or the open intent, that an earlier attempt left for this call.

A confirmation code, a form's answer that came back, and an open intent on disk each hold the claims of one approval.
The attempt compares them with the order as it is now: untouched (go on), done (say so), changed (object, with a fresh
preview).

A write that was sent before and has no outcome is in doubt until its effect is found. A setting, a limit, a changed
order or an expired code stops only the call that repeats it: the answer then states the doubt (`in_doubt`), and never
that nothing was done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from mcp.types import CallToolRequestParams

from kustom_mcp.api.endpoint import Means
from kustom_mcp.api.models import Capture, Order, Refund
from kustom_mcp.api.reconcile import Landed
from kustom_mcp.calls.card import CardAnswer
from kustom_mcp.calls.confirmation import (
    ANSWER,
    QUICKEST,
    RESOLVING_SECONDS,
    Gate,
    Proposal,
    Watch,
    asked_before,
    figures,
    head,
    is_yes,
    judge,
    made,
)
from kustom_mcp.calls.doubt import Found, State, look, too_old
from kustom_mcp.calls.journal import Journal
from kustom_mcp.calls.messages import (
    CLOSED,
    TOO_LATE,
    entry_there,
    not_as_previewed,
    not_shown_yet,
    state_changed,
    uncertain,
    unreadable,
    used_up,
)
from kustom_mcp.calls.policy import Principal
from kustom_mcp.calls.token import NO_TRACE, Purpose, TokenClaims, digest, intent_key
from kustom_mcp.money import show
from kustom_mcp.orders.entries import id_of, sent_by, time_of
from kustom_mcp.schema.result import Code, Json, ToolError
from kustom_mcp.state.intents import Intent

_SEEN = {
    State.DONE: Landed.PRESENT,
    State.ABSENT: Landed.ABSENT,
    State.UNCERTAIN: Landed.UNCLEAR,
    State.NOT_READABLE: Landed.UNCLEAR,
}


@dataclass(frozen=True)
class CallRequest:
    """The call of a tool as it came. `arguments`: those that were sent, checked; `confirm`: unchecked.

    `who`: the caller, and the host's name, for the record. `card`: the order card's answer, when the card called.
    """

    principal: Principal
    tool: str
    gated: bool
    params: CallToolRequestParams
    who: Mapping[str, str]
    arguments: Mapping[str, Any]
    confirm: object
    card: CardAnswer | None = None


class Declined(Exception):
    """The answer is not a yes. `by_person`: False where it came faster than a person can give one."""

    def __init__(self, *, by_person: bool = True) -> None:
        super().__init__()
        self.by_person = by_person


class Done(Exception):
    """The effect is there already. `str()` says so, without claiming that this server caused it.

    `next_step`: how to do it once more, for operations that may be wanted twice.
    """

    def __init__(self, why: str, next_step: str | None = None, *, applied: bool = False) -> None:
        super().__init__(why)
        self.next_step = next_step
        self.applied = applied
        """Whether it is known to be the effect of this very wish, which was in doubt."""


class StillUnknown(Exception):
    """Reading the order cannot resolve an earlier write of this intent. `why`: the reason not to send it again."""

    def __init__(self, why: ToolError, *, repeats: bool = True) -> None:
        super().__init__(why)
        self.why = why
        self.repeats = repeats
        """Whether a code may still send it: not while an entry is there that cannot be told."""


class Attempt:
    """The state of one attempt. `commits`: it may write. `objection`: why the approval that it brought is no good."""

    def __init__(self, gate: Gate, journal: Journal, caller: str, request: CallRequest) -> None:
        self.gate = gate
        self.watch = Watch(depends=lambda _: None)
        self.claims: TokenClaims | None = None
        self.head = ""
        self.means: Means = "code"
        self.commits = False
        self.objection: ToolError | None = None
        self.unanswered = False
        """Whether the host came back from a question without any answer: it cannot ask."""
        self._journal = journal
        self._request = request
        self._gated = request.gated
        self._caller = caller
        self.pinned = False
        """Whether the call brought an approval: a code, or the answer to a form, that pins its intent."""
        self._doubt: tuple[TokenClaims, str] | None = None
        self._previewed: str | None = None
        self._by_card = request.card is not None

    async def admit(self) -> None:
        """Read the approval that the call brought, or else the open intent of the identical call. Raises Declined."""
        request, params, confirm = self._request, self._request.params, self._request.confirm
        if not request.gated:
            self.commits = True
            self.resolve_first()
        elif self.gate.mode == "flag":
            await self._admit_flag(confirm)
        elif self.gate.mode == "card":
            await self._admit_card(confirm, request.card)
        elif params.request_state is not None and ANSWER not in (params.input_responses or {}):
            self.unanswered = True
            self.resolve_first()
        elif params.request_state is not None:
            state, asked_at = asked_before(params.request_state)
            await self._redeem(state, frozenset({Purpose.FORM}), "form")
            if self.claims is not None and not is_yes((params.input_responses or {}).get(ANSWER)):
                raise Declined(by_person=self.gate.app.wall() - asked_at > QUICKEST)
        elif confirm is not None:
            codes = set[Purpose]() if self.gate.mode == "form" else {Purpose.RESOLVE, Purpose.CODE}
            await self._redeem(confirm, frozenset(codes), "code")
        else:
            self.resolve_first()

    def in_doubt(self, *, by_code_only: bool = False) -> tuple[TokenClaims, str] | None:
        """The claims and the head of an earlier sending of this very call whose outcome is unknown, or None.

        From its open intent, or from a code that resolves one. `by_code_only`: the order is not this caller's.
        """
        if self._doubt is not None and not by_code_only:
            return self._doubt
        by_code = None
        if isinstance(self._request.confirm, str) and self.gate.mode != "form":
            with contextlib.suppress(ToolError):
                by_code = self._open(self._request.confirm, frozenset({Purpose.RESOLVE, Purpose.CODE}))
                intent = self._journal.of_key(by_code[0].key)
                if by_code[0].purpose is Purpose.CODE and (intent is None or not intent.unresolved):
                    by_code = None
        same = None if by_code_only else self._journal.same()
        left = self._journal.claims_of(same) if same else by_code
        resolved = left is not None and self._journal.has_outcome(left[0].key)
        return None if resolved else left

    @property
    def carried_out(self) -> bool:
        """Whether the approval that the call brought was carried out, by the records alone."""
        return self.pinned and self.claims is not None and self._journal.carried_out(self.claims.key) is not None

    def is_in_doubt(self, claims: TokenClaims | None) -> bool:
        """Return whether these claims belong to a write that was sent before and has no outcome."""
        return claims is not None and self._doubt is not None and self._doubt[0].key == claims.key

    async def compare(self, order: Order) -> None:
        """Compare the approval with the order as it is now. Raises Done or StillUnknown."""
        claims = self.claims
        if claims is None:
            if self._previewed not in (None, self.state(order)):
                raise not_as_previewed()
            self._refuse_repeat()
            return
        intent = self._journal.of_key(claims.key)
        if intent is not None and intent.unresolved:
            await self._compare_doubt(claims, intent, order)
            return
        await self._compare_approval(claims, intent, order)

    async def _compare_approval(self, claims: TokenClaims, intent: Intent | None, order: Order) -> None:
        """Compare an approval whose write is not in doubt. Raises Done."""
        used = self._journal.carried_out(claims.key) if self._gated else None
        taken = {other.entry for other in self._journal.intents if other.entry and other is not intent}
        landed = judge(claims, self.watch, order, self._journal.arguments, taken)
        if landed is Landed.PRESENT:
            if intent is None:
                await self._journal.record_used(claims, order)
            raise self._done(claims, order, taken)
        if used is not None and self.watch.shows is None:
            raise Done("This approval has been carried out already.")
        if landed is Landed.UNCLEAR:
            self._object(state_changed(claims.figures, figures(order), order.currency))
        elif used is not None and not self.watch.recurs:
            raise Done(*not_shown_yet(used.entry, entry=self.watch.entry and self.watch.entry.value))
        elif used is not None and self._as_left(claims, order):
            raise self._done(claims, order, taken)
        elif used is not None or self._journal.given_up(claims.key):
            self._object(used_up() if used is not None else used_up(CLOSED))
        elif claims.purpose is Purpose.RESOLVE and intent is None:
            self._doubt = (claims, self.head)  # its record is elsewhere: only the code tells

    def _as_left(self, claims: TokenClaims, order: Order) -> bool:
        """Return whether the order is as the approval leaves it: also where it was so before, which nobody is told."""
        return self.watch.shows is not None and digest(self.watch.shows(order)) == claims.after

    async def _compare_doubt(self, claims: TokenClaims, intent: Intent, order: Order) -> None:
        """Look for the effect of a write in doubt, and go on only where it is absent and nothing else has changed."""
        self._doubt = (claims, self.head)
        await self._journal.adopt(intent)
        kept = self.gate.unsealed(intent)
        body = kept.body if kept is not None else self._journal.arguments
        found = look(intent, body, self.watch, order, self._journal.intents)
        self.gate.app.telemetry.found(_SEEN[found.state].value)
        if found.state is State.DONE:
            await self._journal.record_outcome(intent.key, "applied", entry=found.entry and id_of(found.entry))
            raise self._found_done(claims, order, found)
        if found.state is State.NOT_READABLE:
            raise StillUnknown(unreadable(), repeats=False)
        changed = state_changed(claims.figures, figures(order), order.currency)
        if found.state is State.UNCERTAIN:
            entry = found.entry
            raise StillUnknown(uncertain(id_of(entry), time_of(entry)) if entry else changed, repeats=False)
        if too_old(intent, self.gate.app.wall()):
            if self.pinned or not intent.looks:  # one look more, and it is given up
                await self._journal.record_look(intent)
                raise StillUnknown(self.objection or used_up(TOO_LATE), repeats=False)
            await self._journal.record_outcome(intent.key, "not_seen")
            self._doubt = self.claims = None
        elif digest(self.watch.depends(order)) != claims.before:
            raise StillUnknown(changed)
        elif not self.commits:
            await self._journal.record_look(intent)

    def _found_done(self, claims: TokenClaims, order: Order, found: Found) -> Done:
        """Say that a write in doubt is found done. To the wish itself it is `applied`; to a code, there already."""
        done = self._done(claims, order, set(), found.entry)
        applied = not self._gated or (self.gate.mode in ("form", "card", "flag") and not self.pinned)
        return Done(str(done), done.next_step, applied=applied)

    def _done(
        self, claims: TokenClaims, order: Order, taken: Collection[str], entry: Capture | Refund | None = None
    ) -> Done:
        """Say that the effect is there, and name the entry that shows it."""
        kind = self.watch.entry
        if kind and claims.amount and entry is None:
            entry = made(claims, kind, order, self._journal.arguments, taken)
        if kind is None or entry is None:
            return Done("The order is exactly as this would leave it.")
        return Done(*entry_there(kind.value, show(claims.amount, order.currency), id_of(entry), time_of(entry)))

    def state(self, order: Order) -> str:
        """A digest of this call and of the order as it is.

        It approves nothing: with it the order card has the same call previewed, as long as the order has not changed.
        """
        return digest([self._journal.binding.hex(), self.watch.depends(order)]).hex()

    def require_unchanged(self) -> None:
        """Raise STATE_CHANGED if the order changed since it was approved."""
        if self.objection is not None and self.objection.code is Code.STATE_CHANGED:
            raise self.objection

    def propose(self, tool: str, order: Order, proposal: Proposal, purpose: Purpose) -> TokenClaims:
        """The claims of a new approval of this proposal. An open intent of the same call keeps its key."""
        depends = self.watch.depends(order)
        self.head = head(proposal, order)
        salt = self.gate.salt() if self.watch.recurs else b""
        ids = {name: value for name, value in self._journal.arguments.items() if name in ("order_id", "capture_id")}
        facts: tuple[Json, ...] = (self.gate.app.account.name, tool, ids, proposal.body, depends)
        key = self.claims.key if self.claims else self._new_key(facts, salt)
        unread = self.watch.shows is None or proposal.expects is None
        lifetime = RESOLVING_SECONDS if purpose is Purpose.RESOLVE else self.gate.ttl
        return TokenClaims(
            purpose,
            int(self.gate.app.wall()) + lifetime,
            key,
            self._journal.binding,
            digest(depends),
            NO_TRACE if unread else digest(proposal.expects),
            figures(order),
            *self._entries(order, proposal, key),
        )

    def _new_key(self, facts: tuple[Json, ...], salt: bytes) -> UUID:
        """The key of this wish. One that was given up keeps its key to itself: the number of those is the next salt."""
        number = 0
        key = intent_key(*facts, salt=salt)
        while self._journal.given_up(key):
            number += 1
            key = intent_key(*facts, salt=salt + b"%d" % number)
        return key

    def _entries(self, order: Order, proposal: Proposal, key: UUID) -> tuple[int, int]:
        """The amount of the entry that this makes, and the number of entries like it before; 0 where it makes none."""
        if self.watch.entry is None or proposal.amount is None:
            return 0, 0
        sent = sent_by(self.watch.entry, proposal.amount, key, proposal.body or {})
        taken = {other.entry for other in self._journal.intents if other.entry}
        return proposal.amount, len([entry for entry in sent.found(order) if id_of(entry) not in taken])

    def code(self, claims: TokenClaims) -> dict[str, Json]:
        """Seal the claims as a code for this caller."""
        return self.gate.seal(self.head, claims, self._caller)

    def resolving_code(self, claims: TokenClaims) -> dict[str, Json] | None:
        """A code that only resolves the same intent, within a day. None in modes where the caller gets no codes."""
        mode = self.gate.mode
        if not self._gated or mode in ("flag", "form") or (mode == "card" and not self._by_card):
            return None
        if claims.purpose is not Purpose.RESOLVE:
            claims = replace(claims, purpose=Purpose.RESOLVE, expires=int(self.gate.app.wall()) + RESOLVING_SECONDS)
        return self.code(claims)

    async def _admit_flag(self, confirm: object) -> None:
        if confirm is not None and not isinstance(confirm, bool):
            raise ToolError(
                Code.INVALID_ARGUMENT,
                "confirm is true or false here.",
                field="confirm",
                next_step="Call again without confirm for a preview, and with confirm: true once the person has agreed "
                "to that.",
            )
        if confirm:
            self.commits, self.means = True, "flag"
            self.resolve_first()
        else:
            self.resolve_first()

    async def _admit_card(self, confirm: object, card: CardAnswer | None) -> None:
        """Admit a call in the mode `card`: only the order card has codes, so any other `confirm` is invalid."""
        if card is not None and card.approve is False:
            raise Declined
        self._previewed = card.state if card else None
        if confirm is not None:
            await self._redeem(confirm, frozenset({Purpose.CARD, Purpose.RESOLVE} if card else ()), "card")
        else:
            self.resolve_first()

    def _refuse_repeat(self) -> None:
        """Raise Done for a repeat by flag: it has no code, so an identical call a short while ago counts as the same.

        Not where the order shows the effect and can be changed back: then the order decides.
        """
        by_order = self.watch.recurs and self.watch.shows is not None
        if self.means == "flag" and not by_order and self._journal.repeated(self.gate.ttl):
            raise Done("An identical call was carried out, or found done, a short while ago.")

    def look_again(self) -> None:
        """Take up the same write in doubt, if another process has left one while this call waited for its turn."""
        if self.claims is None and self.objection is None:
            self.resolve_first()

    def resolve_first(self) -> None:
        """Make the same write in doubt, where there is one, the subject of this attempt."""
        same = self._journal.same()
        if same is not None:
            self._resolve(self._journal.claims_of(same))

    def _resolve(self, left: tuple[TokenClaims, str] | None) -> None:
        if left is not None:
            self._doubt = left
            self.claims, self.head = left
            self.means = "settle"

    async def _redeem(self, code: object, purposes: frozenset[Purpose], means: Means) -> None:
        try:
            claims, self.head = self._open(code, purposes)
            self.pinned = True
            expired = self.gate.expired(claims)
            if expired is not None:
                raise expired
        except ToolError as objection:
            # A write of this very call that is in doubt is resolved before anything is asked anew.
            self.objection = objection
            self._resolve(self.in_doubt())
            return
        self.claims = claims
        self.commits = True
        self.means = "settle" if self.claims.purpose is Purpose.RESOLVE else means

    def _open(self, code: object, purposes: frozenset[Purpose]) -> tuple[TokenClaims, str]:
        """Open a code into its claims and its head. ToolError."""
        claims = self.gate.open(code, self._caller, purposes, self._journal.binding)
        return claims, str(code).rpartition(".")[0]

    def _object(self, objection: ToolError) -> None:
        self.objection, self.claims, self.commits = objection, None, False
