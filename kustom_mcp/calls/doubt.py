"""Writes in doubt: find out from the order what became of one, and which other writes it refuses.

A write is in doubt from its sending until its outcome is known. It is *done* when an entry of ours is there; *absent*
only when no new entry of its amount is unattributed; an entry that cannot be told keeps it *uncertain*, and is never a
reason to send. What no read shows is *not readable*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any, cast
from uuid import UUID

from kustom_mcp.api.models import Capture, Order, Refund
from kustom_mcp.calls.confirmation import RESOLVING_SECONDS, Watch
from kustom_mcp.calls.token import NO_TRACE, Figures, Purpose, TokenClaims, digest
from kustom_mcp.money import show
from kustom_mcp.orders.entries import EntryKind, amount_of, id_of, sent_by, time_of
from kustom_mcp.schema.result import Json
from kustom_mcp.state.intents import EFFECT_THERE, Intent
from kustom_mcp.text import clean, quoted

BETWEEN_LOOKS = 1.0
"""Seconds between the two looks that show a write to be absent."""
REMEMBERED = 30 * 24 * 3600.0
"""Seconds for which previews and `kustom_resolve_order` name a write that was given up."""

_MONEY = frozenset(
    {"captureOrder", "updateAuthorization", "cancelOrder", "releaseRemainingAuthorization", "extendAuthorizationTime"}
)
_ALIKE = frozenset({"refundOrder", "updateCustomerDetails", "extendDueDate"})


_NO_FIGURES = Figures("", 0, 0, 0, 0)


class State(Enum):
    """The state of a write in doubt, as far as an order shows it."""

    DONE = "done"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    NOT_READABLE = "not_readable"


@dataclass(frozen=True)
class Found:
    """The result of a look. `entry`: the entry that is ours, or the one that cannot be told."""

    state: State
    entry: Capture | Refund | None = None


def refuses(doubtful: str, operation: str) -> bool:
    """Return whether a write in doubt refuses another on the same order. Both are operations of the API.

    A due date refuses only the same on its capture, which the caller compares.
    """
    if doubtful in _MONEY:
        return operation in _MONEY
    return doubtful in _ALIKE and doubtful == operation


def look(intent: Intent, body: Mapping[str, Any], watch: Watch, order: Order, others: Sequence[Intent]) -> Found:
    """Find out from an order what became of a write. `body`: the request; `others`: the intents of this order."""
    content = intent.content
    amount = number_in(content, "amount")
    if watch.entry is not None and amount:
        return _entry(intent, body, watch.entry, amount, order, others)
    if watch.shows is None or content.get("after") in (None, NO_TRACE.hex()):
        return Found(State.NOT_READABLE)
    as_left = digest(watch.shows(order)).hex() == content["after"]
    if digest(watch.depends(order)).hex() == content.get("before") and not (as_left and watch.recurs):
        return Found(State.ABSENT)  # a value that was set anew is there, whether or not it was so before
    return Found(State.DONE if as_left else State.UNCERTAIN)


def _entry(
    intent: Intent, body: Mapping[str, Any], kind: EntryKind, amount: int, order: Order, others: Sequence[Intent]
) -> Found:
    taken = {other.entry for other in others if other.entry and other.key != intent.key}
    there = [entry for entry in kind.of(order) if id_of(entry) not in taken]
    ours = [entry for entry in sent_by(kind, amount, UUID(intent.key), body).found(order) if entry in there]
    if len(ours) > number_in(intent.content, "alike"):
        return Found(State.DONE, max(ours, key=lambda entry: time_of(entry) or ""))
    known, unnamed = intent.content.get("entries"), number_in(intent.content, "unnamed")
    if not isinstance(known, list):  # kept by version 0.1, which did not write down what was there
        unchanged = digest([order.refunded_amount, order.captured_amount]) == digest(_figures(intent))
        alike = [entry for entry in there if amount_of(entry) == amount]
        return Found(State.ABSENT) if unchanged or not alike else Found(State.UNCERTAIN, alike[-1])
    before = set(cast("list[str]", known))
    new = [entry for entry in there if amount_of(entry) == amount and id_of(entry) not in before]
    named = [entry for entry in new if id_of(entry)]
    nameless = [entry for entry in new if not id_of(entry)]
    if named:
        return Found(State.UNCERTAIN, named[-1])
    return Found(State.UNCERTAIN, nameless[-1]) if len(nameless) > unnamed else Found(State.ABSENT)


def _figures(intent: Intent) -> list[object]:
    kept = record_in(intent.content, "figures")
    return [kept.get("refunded_amount"), kept.get("captured_amount")]


def entries_before(kind: EntryKind | None, order: Order, amount: int) -> dict[str, Json]:
    """The entries that are there before a write, for its record: ids, and the number of those without one."""
    if kind is None:
        return {}
    entries = kind.of(order)
    unnamed = [entry for entry in entries if not id_of(entry) and amount_of(entry) == amount]
    return {"entries": [id_of(entry) for entry in entries if id_of(entry)], "unnamed": len(unnamed)}


def claims_of(intent: Intent, binding: bytes) -> tuple[TokenClaims, str]:
    """The claims of a write in doubt, and the head of its code. `binding`: the digest of its call."""
    content = intent.content
    fields = record_in(content, "figures")
    claims = TokenClaims(
        Purpose.RESOLVE,
        int(intent.sent) + RESOLVING_SECONDS,
        UUID(intent.key),
        binding,
        bytes.fromhex(str(content.get("before") or "00" * 16)),
        bytes.fromhex(str(content.get("after") or "00" * 16)),
        replace(_NO_FIGURES, **fields),
        number_in(content, "amount"),
        number_in(content, "alike"),
    )
    return claims, str(content.get("head") or "")


def too_old(intent: Intent, now: float) -> bool:
    """Return whether the time in which a write may be sent again is over."""
    return now >= intent.sent + RESOLVING_SECONDS


def in_words(intent: Intent, currency: str) -> str:
    """A write for a sentence: tool, amount, time, and who asked for it."""
    amount = number_in(intent.content, "amount")
    of = f" of {show(amount, currency)}" if amount else ""
    by = str(intent.content.get("caller") or "")
    return f"{intent.tool or 'write'}{of}, sent {when(intent.sent)}{f' for {quoted(by, 60)}' if by else ''}"


def row_of(intent: Intent) -> dict[str, Json]:
    """One of `unresolved_writes`: operation, amount in minor units, since when, who asked for it, tool."""
    amount = number_in(intent.content, "amount")
    row: dict[str, Json] = {"operation": operation_of(intent.tool)}
    if amount:
        row["amount"] = amount
    row |= {"since": iso(intent.sent), "asked_by": clean(str(intent.content.get("caller") or "unknown"), 60)}
    return row | {"tool": intent.tool}


def operation_of(tool: str) -> str:
    """The short name of a tool's operation."""
    return tool.removeprefix("kustom_").removesuffix("_order") or "unknown"


def is_done(intent: Intent) -> bool:
    """Return whether an intent ended with its effect there."""
    return intent.outcome in EFFECT_THERE


def record_in(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A part of a record that is a record itself; {} where there is none."""
    value = content.get(name)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def number_in(content: Mapping[str, Any], name: str) -> int:
    """A whole number of a record; 0 where there is none."""
    value = content.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def when(seconds: float) -> str:
    """A time of a record in words, UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def iso(seconds: float) -> str:
    """A time of a record, to the second."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()
