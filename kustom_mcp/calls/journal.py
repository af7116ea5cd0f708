"""The journal of one call: its audit lines, and the open intent that survives this process.

An intent is on disk before the first byte of a write leaves, and is removed when the outcome is known. One that remains
is found by the identical call, which resolves it before it opens a new one. No personal data is written: amounts, ids
and lengths only.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar, cast
from uuid import UUID

import anyio

from kustom_mcp.api.endpoint import Approved, Authority
from kustom_mcp.app.app import App
from kustom_mcp.calls.token import Figures, Purpose, TokenClaims, digest
from kustom_mcp.schema.arguments import AMOUNT_FIELDS
from kustom_mcp.schema.result import Code, ToolError
from kustom_mcp.state.audit_log import AuditUnavailable
from kustom_mcp.state.json_files import number
from kustom_mcp.state.threads import in_thread

T = TypeVar("T")

log = logging.getLogger(__name__)

RECORD_SECONDS = 4.0
"""Seconds that a write waits for its record before it leaves, and an answer for the record of its outcome."""
USED_SECONDS = 24 * 3600
"""Seconds that an approval counts as used: as long as a code that resolves it, and as Kustom keeps its key (KL)."""

_KEPT = frozenset(
    {"order_id", "capture_id", "refund_id", "currency", "line", "quantity", "number_of_days", "type", "reason"}
)
_KEPT_NUMBERS = AMOUNT_FIELDS | {"tax_rate", "shipping_delay"}


class Journal:
    """The journal of one call. `binding`: a digest of account, tool and arguments."""

    def __init__(self, app: App, tool: str, who: Mapping[str, str], arguments: Mapping[str, Any]) -> None:
        self._app = app
        account = app.account
        self._entry = {"account": account.name, "tool": tool, **who, "arguments": without_text(arguments)}
        self.arguments = arguments
        self.binding = digest([account.name, tool, arguments])
        # A currency only checks the others, and a reason is never sent.
        wish = {name: value for name, value in arguments.items() if name not in ("currency", "reason")}
        self._digest = digest([account.name, tool, wish]).hex()
        earlier = [digest([account.environment, name, tool, arguments]).hex() for name in account.earlier]
        self._digests = tuple(dict.fromkeys((self._digest, self.binding.hex(), *earlier)))
        """The digests of this call: the present one, and those of earlier versions, where several merchants may have
        shared the name of an account, but not the order: nothing that was sent for it may be sent again."""
        self._record = ""
        self._left: dict[str, Any] | None = None
        self.doubted = False
        """Whether an earlier call has sent the same write, with an unknown outcome."""

    def note(self, event: str, **facts: Any) -> None:
        """Write an audit line about a preview, a refusal or an outcome. A failing audit stops writes, not these."""
        self._count(event, **facts)
        try:
            self._app.audit.record({"event": event, **self._entry, **facts})
        except AuditUnavailable:
            log.warning("the audit file cannot be written")

    def _count(self, event: str, **facts: Any) -> None:
        """Give telemetry the countable part of an audit line: no key, no id, no arguments."""
        told = {name: facts[name] for name in ("outcome", "means", "error") if facts.get(name)}
        self._app.telemetry.event(self._entry["tool"], event, **told)

    async def begin(self, claims: TokenClaims, head: str, authority: Authority, until: float) -> None:
        """Record the intent of a write before it leaves. ToolError AUDIT_UNAVAILABLE when that is impossible."""
        intent = {
            "digest": self._digest,
            "environment": self._app.account.environment,
            "merchant": self._app.account.merchant,
            "expires": int(until),
            "key": str(claims.key),
            "before": claims.before.hex(),
            "after": claims.after.hex(),
            "figures": asdict(claims.figures),
            "amount": claims.amount,
            "alike": claims.alike,
            "head": head,
            "opened_at": self._app.now().isoformat(),
            **self._entry,
        }
        line = {
            "event": "intent",
            **self._entry,
            "key": str(claims.key),
            "reason": authority.reason,
            "facts": intent["figures"],
        }

        def write() -> None:
            self._left = self._found()
            self._app.audit.record(line)
            self._record = self._app.intents.open(intent, str(claims.key))

        await self._before_sending(write)
        self.doubted = self._left is not None and self._left["key"] == str(claims.key)
        if isinstance(authority, Approved):
            self._count("given", means=authority.means)

    async def record_outcome(self, claims: TokenClaims, outcome: str, **facts: Any) -> None:
        """Record an outcome other than success, and close the intent.

        A call that has sent nothing removes its own record only, not that of an earlier call that may have sent it.
        """
        self.note("outcome", outcome=outcome, key=str(claims.key), **facts)
        if outcome == "not_sent":
            await self._after_outcome(lambda: self._app.intents.withdraw(self._record))
        else:
            await self._after_outcome(lambda: self._app.intents.close(str(claims.key)))

    async def record_done(self, claims: TokenClaims, outcome: str, seconds: float, **facts: Any) -> None:
        """Record that the effect is there: mark the approval as used, and the call as carried out for `seconds`.

        Closes the intent last: where marking fails it stays open, and the identical call looks at the order.
        """
        self.note("outcome", outcome=outcome, key=str(claims.key), **facts)
        said, now = {"at": self._app.now().isoformat()}, self._app.wall()

        def write() -> None:
            self._app.remembered.remember(claims.key.hex, said, now + USED_SECONDS)
            self._app.remembered.remember(self._digest, said, now + seconds)
            self._app.intents.close(str(claims.key))

        await self._after_outcome(write)

    async def open_intent(self, *, own: bool = False) -> tuple[TokenClaims, str] | None:
        """The claims, and the code's head, of an open intent that an identical call left before this one recorded any.

        `own`: only when this caller made that call.
        """
        found = self._left if self._record else await self._before_sending(self._found)
        if found is None or (own and found.get("caller") != self._entry.get("caller")):
            return None
        claims = TokenClaims(
            Purpose.RESOLVE,
            int(found["expires"]),
            UUID(found["key"]),
            self.binding,
            bytes.fromhex(found["before"]),
            bytes.fromhex(found["after"]),
            Figures(**cast("dict[str, Any]", found["figures"])),
            int(found.get("amount", 0)),
            int(found.get("alike", 0)),
        )
        return claims, str(found["head"])

    async def in_doubt(self, claims: TokenClaims) -> bool:
        """Return whether a write with the key of these claims has left, and has no outcome yet."""
        left = await self._before_sending(self._found)
        return left is not None and left["key"] == str(claims.key)

    async def unresolved(self, order_id: str) -> list[tuple[str, int]]:
        """The writes on an order that were sent and have no outcome: tool and amount in minor units, 0 for none."""

        def look() -> list[tuple[str, int]]:
            return [
                (str(intent["tool"]), int(number(intent.get("amount"))))
                for intent in self._app.intents.all()
                if intent.get("account") == self._entry["account"] and _order_of(intent) == order_id
            ]

        return await self._before_sending(look)

    async def carried_out(self, claims: TokenClaims) -> bool:
        """Return whether this approval has been used."""
        return await self._recalled((claims.key.hex,))

    async def repeated(self) -> bool:
        """Return whether the identical call was applied a short while ago."""
        return await self._recalled(self._digests)

    def _found(self) -> dict[str, Any] | None:
        """The newest open intent of this call."""
        found = [one for one in map(self._app.intents.find, self._digests) if one is not None]
        return max(found, key=lambda one: number(one["expires"]), default=None)

    async def _recalled(self, names: Sequence[str]) -> bool:
        def recall() -> bool:
            return any(self._app.remembered.recall(name, self._app.wall()) is not None for name in names)

        return await self._before_sending(recall)

    async def _before_sending(self, work: Callable[[], T]) -> T:
        """Read or write records that a write needs before it is sent. ToolError AUDIT_UNAVAILABLE.

        A write never leaves without them: a record that cannot be read might say that it was done.
        """
        answers: list[T] = []
        with anyio.CancelScope(shield=True):
            try:
                answers.append(await self._in_thread(work))
            except AuditUnavailable:
                raise _unavailable(self._app.intents.place) from None
        return answers[0]

    async def _after_outcome(self, work: Callable[[], None]) -> None:
        """Write records after the outcome is known. A failure is logged only: the answer is given all the same."""
        written = False
        with self._app.finishing(RECORD_SECONDS), contextlib.suppress(AuditUnavailable):
            await self._in_thread(work, abandon=True)
            written = True
        if not written:
            log.warning("a settled intent could not be recorded as such; the next identical call settles it again")

    async def _in_thread(self, work: Callable[[], T], *, abandon: bool = False) -> T:
        """Run work in a thread, unless the records are in memory only."""
        if not (self._app.audit.blocks or self._app.intents.blocks):
            return work()
        return await in_thread(work, abandon=abandon)


def _unavailable(place: str) -> ToolError:
    return ToolError(
        Code.AUDIT_UNAVAILABLE,
        "This server cannot write or read its own records, so it sends no writes.",
        next_step=f"Tell the operator that {place} cannot be used; reading orders still works.",
    )


def _order_of(intent: Mapping[str, Any]) -> str | None:
    """The id of the order that an intent is for; None where its record cannot be read."""
    arguments = intent.get("arguments")
    return cast("Mapping[str, Any]", arguments).get("order_id") if isinstance(arguments, dict) else None


def without_text(value: Any) -> Any:
    """Reduce arguments for the record: ids and numbers stay, any other text becomes its length."""
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {
            name: item if name in _KEPT or name in _KEPT_NUMBERS else without_text(item)
            for name, item in fields.items()
        }
    if isinstance(value, list):
        return [without_text(item) for item in cast("list[Any]", value)]
    return {"length": len(value)} if isinstance(value, str) else value
