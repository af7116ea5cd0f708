"""One round of the gate: what an earlier round, or a process that died, has left for this call.

A confirmation code, a form's answer that came back, or an open intent on disk each hold a pledge. The round opens it,
and holds it to the order as it is now: untouched (go on), done (say so), changed (object, with a fresh preview).

A write that was sent before and has no outcome is in doubt until its effect is found. Whatever stops a call that
repeats it - a setting, a limit, a changed order, a code that has expired - stops that call only: `in_doubt` is what the
answer has to say then, and no answer says that nothing was done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mcp.types import CallToolRequestParams

from kustom_mcp.api.endpoint import Means
from kustom_mcp.api.models import Order
from kustom_mcp.api.reconcile import Landed
from kustom_mcp.calls.card import Answered
from kustom_mcp.calls.confirmation import ANSWER, SETTLING_SECONDS, Gate, Proposal, Watch, figures, head, is_yes, judge
from kustom_mcp.calls.journal import Ledger
from kustom_mcp.calls.messages import not_as_previewed, state_changed, unreadable, used_up
from kustom_mcp.calls.policy import Principal
from kustom_mcp.calls.token import NO_TRACE, Pledge, Purpose, digest, intent_key
from kustom_mcp.schema.result import Code, Json, ToolError


@dataclass(frozen=True)
class Asked:
    """What a host asked for. `arguments`: those that were sent, checked; `confirm`: as it came, unchecked.

    `who`: the caller, and the host's name, for the record. `card`: what the order card sent, when it was the card.
    """

    principal: Principal
    tool: str
    gated: bool
    params: CallToolRequestParams
    who: Mapping[str, str]
    arguments: Mapping[str, Any]
    confirm: object
    card: Answered | None = None


class Declined(Exception):
    """The person did not say yes."""


class Done(Exception):
    """There is nothing left to do. `str()` says why, without claiming that it was us."""


class StillUnknown(Exception):
    """An earlier write of this intent cannot be settled by looking. `why` it is not sent again."""

    def __init__(self, why: ToolError) -> None:
        super().__init__(why)
        self.why = why


class Round:
    """What this call may do: `commits` when it may write, `objection` when what it brought is not good enough."""

    def __init__(self, gate: Gate, ledger: Ledger, caller: str, asked: Asked) -> None:
        self.gate = gate
        self.watch = Watch(depends=lambda _: None)
        self.pledge: Pledge | None = None
        self.head = ""
        self.means: Means = "code"
        self.commits = False
        self.objection: ToolError | None = None
        self._ledger = ledger
        self._asked = asked
        self._gated = asked.gated
        self._caller = caller
        self._doubt: tuple[Pledge, str] | None = None
        self._previewed: str | None = None
        self._by_card = asked.card is not None
        self._read_again = False

    async def admit(self) -> None:
        """A write. An open intent of the identical call is settled first. Raises Declined when the answer that came
        back is not a yes."""
        asked, params, confirm = self._asked, self._asked.params, self._asked.confirm
        if not asked.gated:
            self.commits = True
            await self._settle()
        elif self.gate.mode == "flag":
            await self._admit_flag(confirm)
        elif self.gate.mode == "card":
            await self._admit_card(confirm, asked.card)
        elif params.request_state is not None:
            await self._redeem(params.request_state, frozenset({Purpose.FORM}), "form")
            if self.pledge is not None and not is_yes((params.input_responses or {}).get(ANSWER)):
                raise Declined
        elif confirm is not None:
            codes = {Purpose.SETTLE} if self.gate.mode == "form" else {Purpose.SETTLE, Purpose.CODE}
            await self._redeem(confirm, frozenset(codes), "code")
        else:
            await self._settle()

    async def in_doubt(self, *, own: bool = False) -> tuple[Pledge, str] | None:
        """The pledge and the head of this very call where it was sent before and nobody knows what came of it: its open
        intent, or a code that settles one. `own`: only where this caller made that call. ToolError where records cannot
        be read."""
        said = None
        if isinstance(self._asked.confirm, str):
            with contextlib.suppress(ToolError):
                said = self._opened(self._asked.confirm, frozenset({Purpose.SETTLE}))
        try:
            left = self._doubt or await self._ledger.open_intent(own=own) or said
            settled = left is not None and self._gated and await self._ledger.carried_out(left[0])
        except ToolError:
            if said is None:
                raise
            return said  # what cannot be read does not say that it was settled
        return None if settled else left

    def doubts(self, pledge: Pledge | None) -> bool:
        """Whether this pledge is known to have been sent before, without an outcome."""
        return pledge is not None and self._doubt is not None and self._doubt[0].key == pledge.key

    async def hold_to(self, order: Order) -> bool:
        """Compare what was brought with the order as it is now. False where it has to be read again: another process
        may have carried this approval out since. Raises Done or StillUnknown."""
        pledge = self.pledge
        if pledge is None:
            if self._previewed not in (None, self.state(order)):
                raise not_as_previewed()
            await self._hold_to_repeats()
            return True
        landed = judge(pledge, self.watch, order)
        if self.means == "settle" and self.watch.shows is not None:
            self.gate.app.telemetry.found(landed.value)
        used = self._gated and await self._ledger.carried_out(pledge)
        if landed is Landed.PRESENT:
            await self._ledger.done(pledge, "already_applied", self.gate.ttl)
            raise Done("The order is exactly as this would leave it.")
        if used and self.watch.shows is None:
            raise Done("This approval has been carried out already.")
        in_doubt = not used and (pledge.purpose is Purpose.SETTLE or await self._ledger.in_doubt(pledge))
        self._doubt = (pledge, self.head) if in_doubt else None
        changed = state_changed(pledge.figures, figures(order), order.currency) if landed is Landed.UNCLEAR else None
        barred = unreadable() if self.watch.shows is None else changed
        if in_doubt and barred is not None:
            raise StillUnknown(barred)
        if changed is not None:
            self._object(changed)
        elif used and not self._read_again:
            self._read_again = True
            return False
        elif used:
            self._object(used_up())
        return True

    def state(self, order: Order) -> str:
        """What stands for this call on the order as it is. It proves nothing and opens nothing: the order card shows it
        to have the same call previewed again only as long as nothing has changed."""
        return digest([self._ledger.binding.hex(), self.watch.depends(order)]).hex()

    def insist(self) -> None:
        """An approval was for the order as it was: what the same arguments mean for the order as it is answers
        nothing."""
        if self.objection is not None and self.objection.code is Code.STATE_CHANGED:
            raise self.objection

    def propose(self, tool: str, order: Order, proposal: Proposal, purpose: Purpose) -> Pledge:
        """A new pledge for this proposal on this state. An open intent of the same call keeps its key."""
        depends = self.watch.depends(order)
        self.head = head(proposal, order)
        salt = self.gate.salt() if self.watch.recurs else b""
        ids = {name: value for name, value in self._ledger.arguments.items() if name in ("order_id", "capture_id")}
        facts: tuple[Json, ...] = (self.gate.app.account.name, tool, ids, proposal.body, depends)
        key = self.pledge.key if self.pledge else intent_key(*facts, salt=salt)
        unread = self.watch.shows is None or proposal.expects is None
        lifetime = SETTLING_SECONDS if purpose is Purpose.SETTLE else self.gate.ttl
        return Pledge(
            purpose,
            int(self.gate.app.wall()) + lifetime,
            key,
            self._ledger.binding,
            digest(depends),
            NO_TRACE if unread else digest(proposal.expects),
            figures(order),
        )

    def code(self, pledge: Pledge) -> dict[str, Json]:
        """The pledge as a code for this caller."""
        return self.gate.seal(self.head, pledge, self._caller)

    def settling_code(self, pledge: Pledge) -> dict[str, Json] | None:
        """A code for the same intent, to be settled within a day and for nothing else. None where no code can help."""
        if not self._gated or self.gate.mode == "flag" or (self.gate.mode == "card" and not self._by_card):
            return None
        if pledge.purpose is not Purpose.SETTLE:
            pledge = replace(pledge, purpose=Purpose.SETTLE, expires=int(self.gate.app.wall()) + SETTLING_SECONDS)
        return self.code(pledge)

    async def _admit_flag(self, confirm: object) -> None:
        if confirm is not None and not isinstance(confirm, bool):
            raise ToolError(Code.INVALID_ARGUMENT, "confirm is true or false here. Nothing was sent.", field="confirm")
        if confirm:
            self.commits, self.means = True, "flag"
            await self._settle()

    async def _admit_card(self, confirm: object, card: Answered | None) -> None:
        """Only the order card has codes. Whatever else comes as `confirm` is none."""
        if card is not None and card.approve is False:
            raise Declined
        self._previewed = card.state if card else None
        if confirm is not None:
            await self._redeem(confirm, frozenset({Purpose.CARD, Purpose.SETTLE} if card else ()), "card")
        else:
            await self._settle()

    async def _hold_to_repeats(self) -> None:
        """A flag comes without a code, so a repeat is told by the call. Where the order shows what happened and can be
        changed back, the order tells better."""
        by_order = self.watch.recurs and self.watch.shows is not None
        if self.means == "flag" and not by_order and await self._ledger.repeated():
            raise Done("An identical call was carried out, or found done, a short while ago.")

    async def _settle(self) -> None:
        self._take_up(await self._ledger.open_intent())

    def _take_up(self, left: tuple[Pledge, str] | None) -> None:
        """Settle what was left without an outcome, if anything was, before anything else is done."""
        if left is not None:
            self._doubt = left
            self.pledge, self.head = left
            self.means = "settle"

    async def _redeem(self, code: object, purposes: frozenset[Purpose], means: Means) -> None:
        try:
            pledge, self.head = self._opened(code, purposes)
            expired = self.gate.expired(pledge)
            if expired is not None:
                raise expired
        except ToolError as objection:
            # Whatever it brought, a write of this very call that is in doubt is settled before anything is asked anew.
            self.objection = objection
            self._take_up(await self.in_doubt())
            return
        self.pledge = pledge
        self.commits = True
        self.means = "settle" if self.pledge.purpose is Purpose.SETTLE else means

    def _opened(self, code: object, purposes: frozenset[Purpose]) -> tuple[Pledge, str]:
        """The pledge inside a code and the code's head. ToolError."""
        pledge = self.gate.opened(code, self._caller, purposes, self._ledger.binding)
        return pledge, str(code).rpartition(".")[0]

    def _object(self, objection: ToolError) -> None:
        self.objection, self.pledge, self.commits = objection, None, False
