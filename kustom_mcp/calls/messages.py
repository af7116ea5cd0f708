"""The sentences of the gate: previews, refusals by a person, results of an earlier call, unknown outcomes.

Kept apart from the flow, because a tired person reads them, and they are changed for other reasons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kustom_mcp.api.errors import OutcomeUnknown
from kustom_mcp.api.order_rules import OPERATIONS, Verdict
from kustom_mcp.calls.confirmation import SEE_CODE_MODE, Mode, Proposal
from kustom_mcp.calls.token import STATUSES, Figures
from kustom_mcp.money import show
from kustom_mcp.schema.result import Code, Json, Result, ToolError, Upstream
from kustom_mcp.text import clean

MOST_WARNINGS = 5
"""Warnings of one preview, the gravest first; a person reads no more."""

SHOW_AND_REPEAT = (
    "Show the person this preview and ask. If they agree, repeat exactly this call with confirm set to confirm.code; "
    "if not, do nothing."
)
SHOW_AND_FLAG = "If this is what is wanted, repeat exactly this call with confirm: true."
WAIT_FOR_CARD = (
    "The person decides in the order card that the host shows with this answer; you cannot. Do not repeat the call: "
    "wait, then read the order to see what was done."
)
SHOW_AND_ASK = "Repeat exactly this call without confirm: the person will be asked."


SHOWING_SECONDS = 5.0
"""Seconds for which an order is read again that contradicts a 2xx."""
NOT_READ_AGAIN = "It was done, but the order could not be read again afterwards: read it before acting further."
NOT_AS_SENT = "Kustom accepted this, but the order read right afterwards does not show it exactly as sent."


REHEARSAL = "Nothing will be sent: this server only previews (KUSTOM_WRITES=preview)."
REHEARSED = "Show the person this preview. It ends here: nothing is sent, with confirm or without."


def preview(
    proposal: Proposal,
    order: Mapping[str, Json],
    confirm: Mapping[str, Json] | None,
    objection: ToolError | None,
    mode: Mode,
    *,
    by_card: bool = False,
) -> Result:
    """The preview of a proposal. With an objection it is an error that carries a fresh preview."""
    effect = f"{proposal.effect} {proposal.afterwards}".strip()
    if objection is None:
        result = Result("confirmation_required", f"Not done yet. {effect}")
    else:
        result = objection.result()
        result.summary = f"{objection.message} {effect}"
    result.order = order
    result.changes = proposal.changes
    result.details = proposal.details
    result.warnings = proposal.warnings
    result.confirm = {**confirm, **_for_card(proposal)} if confirm and by_card else confirm
    result.next_step = SHOW_AND_REPEAT if confirm else SHOW_AND_FLAG if mode == "flag" else SHOW_AND_ASK
    if mode == "card":
        result.next_step = WAIT_FOR_CARD
    return result


def _for_card(proposal: Proposal) -> dict[str, Json]:
    """The facts that a card needs besides a preview: those that only a form says elsewhere."""
    facts: dict[str, Json] = {"action": proposal.action, "effect": proposal.effect, "afterwards": proposal.afterwards}
    if proposal.amount is not None:
        facts["amount"] = proposal.amount
    return facts


def unresolved(write: str) -> str:
    """The warning of a write on the order that was sent and has no outcome. `write`: it in words."""
    return (
        f"An earlier {write}, has no outcome: it may have been done. kustom_resolve_order finds out what became of it."
    )


def given_up(write: str, how: str) -> str:
    """The warning of a write on the order that was closed without being found. `how`: its state."""
    why = {
        "not_seen": "was not seen on the order for a day and was given up",
        "not_done": "was closed by hand as not done",
        "never_known": "can never be read back, so nobody knows whether it was done",
    }
    return f"An earlier {write}, {why[how]}. If it appears after all, this is a second one."


_BY_HAND = (
    "Do not send it again. Ask the person to look in the Kustom portal; the operator can then close it with the "
    "command `resolve` of kustom-mcp."
)


def write_in_doubt(
    write: str,
    *,
    same: bool,
    uncertain: bool,
    never_read: bool,
    confirm: Mapping[str, Json] | None,
    repeat: Mapping[str, Json] | None,
    order: Mapping[str, Json],
) -> Result:
    """WRITE_IN_DOUBT: an earlier write on the order has no outcome. `same`: it is the identical call; `uncertain`: an
    entry may be that of it; `never_read`: no read would show it."""
    if repeat is not None:
        next_step = (
            "It was not found on the order. Ask the person: to send it again make the call in `repeat` with confirm "
            "set to confirm.code; it looks once more, and is done at most once."
        )
    elif never_read:
        next_step = f"No read of the order shows this effect. {_BY_HAND}"
    elif uncertain:
        next_step = f"An entry on the order may be it, and cannot be told. {_BY_HAND}"
    else:
        next_step = (
            "Call kustom_resolve_order with this order_id: it finds out what became of it, and gives the call that "
            "sends it again if it was not done. Tell the person that it is not certain yet."
        )
    this = f"This was sent before ({write}), and" if same else f"An earlier {write}, is in doubt:"
    result = ToolError(
        Code.WRITE_IN_DOUBT,
        f"{this} nobody knows yet whether it was done.",
        closing="Nothing was sent now.",
        next_step=next_step,
    ).result()
    result.confirm, result.repeat, result.order = confirm, repeat, order
    return result


def records_unavailable(place: str) -> ToolError:
    """AUDIT_UNAVAILABLE: the records that a write needs cannot be read or written."""
    return ToolError(
        Code.AUDIT_UNAVAILABLE,
        "This server cannot write or read its own records, so it sends no writes.",
        next_step=f"Tell the operator that {place} cannot be used; reading orders still works.",
    )


def journal_unavailable(place: str) -> ToolError:
    """AUDIT_UNAVAILABLE: the journal cannot be read, so nothing is said of what is in it."""
    return ToolError(
        Code.AUDIT_UNAVAILABLE,
        "The journal cannot be read now, so nobody can say what is in it.",
        next_step=f"Try again in a minute. If it stays so, tell the operator that {place} cannot be used.",
    )


def slept() -> ToolError:
    """BUSY: the time in which this call alone may write to the order is over before the request left."""
    return ToolError(
        Code.BUSY,
        "Too much time passed between taking the order's turn and sending; this machine may have slept.",
        next_step="Read the order, then repeat the call.",
    )


DISPUTED = "Kustom reported a dispute on this order: look at it in the Kustom portal before anything is done."
NOT_KNOWN_TO_BE_DISPUTED = (
    "Whether Kustom reported a dispute on this order is not known: the order book cannot be read now."
)
NOBODY_TOLD = "The carrier and the shop's own platform (WooCommerce, an ERP) are not told: do the same there."


def few(warnings: Sequence[str]) -> Sequence[str]:
    """Cut warnings, the gravest first, to as many as a person reads, none twice; the last line counts the others."""
    once = list(dict.fromkeys(warnings))
    left = len(once) - MOST_WARNINGS
    return [*once[:MOST_WARNINGS], f"and {left} more: look at the order before you say yes."] if left > 0 else once


def declined(order: Mapping[str, Json] | None, *, by_card: bool, in_doubt: bool, by_person: bool) -> Result:
    """The answer without an explicit yes. `in_doubt`: the same was sent before, with an unknown outcome; `by_person`:
    False where the answer came faster than a person can give one."""
    if in_doubt:
        return Result(
            "declined",
            "This was not approved again, so nothing more was sent. It was sent before, and nobody knows yet whether "
            "it happened.",
            order,
            next_step="Read the order to see whether it happened, and tell the person that it is not certain yet.",
        )
    if not by_person:
        return Result(
            "declined",
            "The question was answered with no within half a second, which no person does: the host answered by "
            "itself. Nothing was sent.",
            order,
            next_step=f"Ask the person whether a question was shown. {SEE_CODE_MODE} Do not try again before.",
        )
    return Result(
        "declined",
        "This was not approved, so nothing was sent.",
        order,
        next_step="Nothing was changed; ask again only if the person wants to."
        if by_card
        else f"Tell the person that nothing was changed; ask again only if they want to. {SEE_CODE_MODE}",
    )


_ANOTHER = "If another {} is wanted, ask the person, and send it with another reference."


def already_applied(
    summary: str, order: Mapping[str, Json], *, next_step: str = "There is nothing left to do."
) -> Result:
    """The answer when the effect is there already. It does not claim who caused it."""
    return Result("already_applied", f"{summary} Nothing was sent by this call.", order, next_step=next_step)


def carried_out_before() -> Result:
    """The answer to an approval that was carried out, when the order cannot be read now."""
    return Result(
        "already_applied",
        "This approval was carried out already. Nothing was sent by this call. The order could not be read just now.",
        next_step="Read the order in a moment to see it as it is now.",
    )


def entry_there(kind: str, amount: str, id: str | None, at: str | None) -> tuple[str, str]:
    """The summary and the next step where the capture or refund is on the order already. `amount` in words."""
    which = " ".join([*([clean(id, 64)] if id else []), *([f"of {clean(at, 40)}"] if at else [])])
    there = f"The {kind} of {amount} is on the order{f': {kind} {which}' if which else ''}."
    return there, _ANOTHER.format(kind)


def state_changed(before: Figures, now: Figures, currency: str) -> ToolError:
    """STATE_CHANGED since the approval, with the difference in status and amounts in words."""
    differences: list[str] = []
    # A code holds a status by its number, so one that we don't know is as good as none.
    was, is_now = before.status, now.status if now.status in STATUSES else ""
    if was != is_now:
        differences.append(f"status {was or 'unknown'} -> {is_now or 'unknown'}")
    for name in ("order_amount", "captured_amount", "refunded_amount", "remaining_authorized_amount"):
        was, is_now = getattr(before, name), getattr(now, name)
        if was != is_now:
            differences.append(f"{name} {show(was, currency)} -> {show(is_now, currency)}")
    what = "; ".join(differences) or "its lines, its address or its entries were changed"
    return ToolError(
        Code.STATE_CHANGED,
        f"The order has changed since this was approved ({what}).",
        next_step="Show the person what changed. If it is still wanted, make the same call again: the person is asked "
        "again.",
    )


def not_as_previewed() -> ToolError:
    """STATE_CHANGED for a card that is shown again: its preview may have been carried out since."""
    return ToolError(
        Code.STATE_CHANGED,
        "The order has changed since this was previewed; it may be that this was done.",
        closing="Nothing was sent now.",
        next_step="Look at the order as it is now. If this is still wanted, ask the assistant for a new preview.",
    )


def not_allowed(
    verdict: Verdict, tools: Sequence[str], most: str | None, field: str | None, *, anything: bool
) -> ToolError:
    """ACTION_NOT_ALLOWED for what Kustom documents as impossible, with the reason and the alternative.

    `tools`: those that may do instead, and that the caller has. `most`: the limit in words where an amount is over it.
    `anything`: whether anything is possible for this order.
    """
    instead = f"Instead, {' or '.join(tools)} may do." if tools else "`can` lists what is possible for this order now."
    if most and not tools:
        instead = f"Call again with {most} or less in all. `can` has the limit, in minor units, as max_amount."
    next_step = f"{instead} Ask the person first."
    if verdict.elsewhere:
        next_step = f"Nothing here can do this. Tell the person: {verdict.elsewhere}."
    elif not tools and verdict.alternatives:
        words = " or ".join(OPERATIONS[operation] for operation in verdict.alternatives)
        next_step = f"It would take something else ({words}), which cannot be done here. Tell the person."
    elif not tools and not anything:
        next_step = (
            "Nothing more can be done with this order here. Tell the person so. Kustom's merchant support may help."
        )
    return ToolError(
        Code.ACTION_NOT_ALLOWED,
        f"The order {verdict.why}{f', at most {most}' if most else ''}.",
        next_step=next_step,
        field=field if most else None,
    )


def nobody_to_ask(mode: Mode, code_instead: str = "KUSTOM_CONFIRM=code") -> ToolError:
    """HUMAN_APPROVAL_UNAVAILABLE: the operator wants a person, and this host cannot ask one.

    `code_instead`: the setting that does without.
    """
    where, what = ("in an order card", "order cards") if mode == "card" else ("in a form", "forms")
    return ToolError(
        Code.HUMAN_APPROVAL_UNAVAILABLE,
        f"A person must approve this {where}, and this host cannot show one.",
        next_step=f"Ask the person to use a host that shows {what}, or the operator to set {code_instead}.",
        setting="KUSTOM_SHOPS_FILE" if "KUSTOM_SHOPS_FILE" in code_instead else "KUSTOM_CONFIRM",
    )


def shutting_down() -> ToolError:
    """BUSY while the process ends: no new write is started."""
    return ToolError(Code.BUSY, "This server is shutting down.", next_step="Repeat the call later.")


def too_many() -> ToolError:
    """BUSY because other requests took the time until the deadline."""
    return ToolError(
        Code.BUSY,
        "This server has too many requests under way.",
        next_step="Repeat the call in a few seconds.",
    )


def too_fast(wait: int) -> ToolError:
    """RATE_LIMITED: this caller, or all together, made more calls than a shared server takes."""
    return ToolError(
        Code.RATE_LIMITED,
        "Calls come faster than this server takes them.",
        retry_after_seconds=wait,
        next_step=f"Wait {wait} {'second' if wait == 1 else 'seconds'}, then repeat the call.",
    )


def shop_changed() -> ToolError:
    """NOT_PERMITTED: the shops file was changed while a person was asked."""
    return ToolError(
        Code.NOT_PERMITTED,
        "The settings of this shop were changed while the question was open, so the answer is not used.",
        next_step="Make the same call again: it is judged by what the operator has set now.",
        setting="KUSTOM_SHOPS_FILE",
    )


def still_running(seconds: int = 0) -> ToolError:
    """BUSY because the order's turn did not come in time. `seconds` for which another process may keep it."""
    free = f" If its process has died, the order is free again in {seconds} seconds at most." if seconds else ""
    return ToolError(
        Code.BUSY,
        f"Another write to this order is still running.{free}",
        next_step="Read the order, then repeat the call.",
    )


CLOSED = "The write of this approval was sent, was not found on the order and was closed: it is never sent again."
TOO_LATE = "The write of this approval was sent more than a day ago: it is not sent again."
"""Why an approval is good for nothing any more, although nobody changed the order back."""


def used_up(why: str = "This approval has been used already, and the order was changed back since.") -> ToolError:
    """CONFIRMATION_INVALID: the approval was carried out once, or is not sent any more for another reason."""
    return ToolError(
        Code.CONFIRMATION_INVALID,
        why,
        field="confirm",
        next_step="Look at the order as it is now. If it is still wanted, make the same call again: the person is "
        "asked again.",
    )


@dataclass(frozen=True)
class Doubt:
    """The reason why an outcome is unknown: an error instead of an answer, a failure that stopped a repeat, or the
    status of a 2xx that the order contradicts."""

    error: OutcomeUnknown | None = None
    stopped: ToolError | None = None
    contradicted: int | None = None

    @property
    def cause(self) -> str | None:
        """The reason in one word, for the record."""
        if self.contradicted is not None:
            return "contradicted"
        return self.error.cause if self.error else self.stopped.code.value if self.stopped else None

    def message(self) -> str:
        """The reason in sentences, and what was sent."""
        if self.contradicted is not None:
            return (
                f"Kustom answered that this was done (HTTP {self.contradicted}), but the order still does not show it "
                f"after {SHOWING_SECONDS:g} seconds."
            )
        if self.error is not None:
            refused = self.stopped and f" A repeat was not done: {self.stopped.sentence}"
            return f"This was sent to Kustom, and no answer tells whether it happened.{refused or ''}"
        if self.stopped is not None:
            return (
                "This was sent to Kustom before, and nobody knows yet whether it happened. This call was stopped: "
                f"{self.stopped.sentence} Nothing more was sent."
            )
        return "This was sent to Kustom, and no answer tells whether it happened."

    def upstream(self) -> Upstream | None:
        """Kustom's last response."""
        if self.stopped is not None and self.stopped.upstream is not None:
            return self.stopped.upstream
        error = self.error
        return Upstream(error.status, error.error_code, error.correlation_id) if error and error.status else None


_MENDED_FIRST: Mapping[Code, str] = {
    Code.AUTHENTICATION_FAILED: "",
    Code.AUDIT_UNAVAILABLE: "",
    Code.LIMIT_EXCEEDED: "It needs room in the limit first.",
}
"""Why a repeat was stopped, where that goes on until somebody mends it; with advice, if it is not the error's own."""
_SAME_AGAIN = frozenset({Code.STATE_CHANGED, Code.NOT_FOUND, Code.ACTION_NOT_ALLOWED, Code.UPSTREAM_REJECTED})
"""Why a repeat was stopped, where another one would be as well."""


def outcome_unknown(
    doubt: Doubt,
    confirm: Mapping[str, Json] | None,
    *,
    readable: bool,
    repeats: bool,
    order: Mapping[str, Json] | None,
    repeat: Mapping[str, Json] | None = None,
    same_call: bool = False,
) -> Result:
    """The answer for a write that was sent with an unknown outcome. `readable`: its effect would show in the order;
    `repeats`: the identical call may resolve it; `same_call`: and is the way to do so; `repeat`: the call for the code.
    """
    stopped = doubt.stopped
    why = stopped.code if stopped else None
    again = "with confirm set to confirm.code" if confirm else "with exactly the same arguments"
    wait = stopped.retry_after_seconds if stopped else None
    when = f"Wait {wait} seconds, then repeat" if wait else "Repeat"
    if stopped and why and why in _MENDED_FIRST:
        when = f"{_MENDED_FIRST[why] or stopped.next_step} After that, repeat"
    if not readable:
        resolves = "Look at the order in the Kustom portal: this effect cannot be read through the API."
    elif repeats and (confirm or same_call) and why not in _SAME_AGAIN:
        resolves = f"{when} this call {again}: it looks at the order first, and does it at most once."
    else:
        resolves = "Call kustom_resolve_order to see whether it happened. The Kustom portal shows it."
    failure = ToolError(
        Code.OUTCOME_UNKNOWN,
        doubt.message(),
        next_step=f"{resolves} Do not start a new one, and tell the person that it is not certain yet.",
        retry_after_seconds=wait,
        upstream=doubt.upstream(),
        setting=stopped.setting if stopped else None,
        retry="same_call" if same_call else None,
    )
    result = failure.result()
    result.confirm = confirm
    result.repeat = repeat if confirm else None
    result.order = order
    return result


def stored_answer(kind: str, id: str, at: str | None, order: Mapping[str, Json]) -> Result:
    """The answer for an entry that was there before the write: Kustom's stored response to an earlier one."""
    when = f" of {clean(at, 40)}" if at else ""
    return Result(
        "already_applied",
        f"Kustom answered with the {kind} {clean(id, 64)}{when}, which was on this order before this call. No other "
        f"{kind} was made.",
        order,
        next_step=_ANOTHER.format(kind),
    )


def uncertain(id: str | None, at: str | None) -> ToolError:
    """OUTCOME_UNKNOWN while an entry is on the order that may be the one that was sent, and cannot be told."""
    which = " ".join([*([clean(id, 64)] if id else ["without an id"]), *([f"of {clean(at, 40)}"] if at else [])])
    return ToolError(
        Code.OUTCOME_UNKNOWN,
        f"An entry of this amount ({which}) is on the order that was not there before, and nothing tells whether it is "
        "this one.",
    )


def not_shown_yet(id: str | None, *, entry: str | None) -> tuple[str, str]:
    """The summary and the next step for an approval that was carried out, where the order does not show it yet.

    `entry`: the kind of entry that it made, if any: another one of these needs another reference.
    """
    named = f" ({clean(id, 64)})" if id else ""
    return (
        f"This approval was carried out already{named}; the order does not show it yet.",
        " ".join(["Read the order again in a minute.", *([_ANOTHER.format(entry)] if entry else [])]),
    )


def unreadable() -> ToolError:
    """OUTCOME_UNKNOWN for a write whose effect no read shows: it is never sent again."""
    return ToolError(
        Code.OUTCOME_UNKNOWN, "Whether it happened cannot be read through the API, so it is never sent again."
    )
