"""The journal of one call: the intent of its write, what was sent for its order before, and its audit lines.

The row of an intent is the record of the journal, and gets its outcome; its lines in the audit file are a copy, which
also has previews and refusals.

An intent is in the store before the first byte of a write leaves, and gets its outcome there. The intents of the order
are read when the call takes the order up, so that every question - was this approval used, is the same write in doubt,
is another - is answered from them. No personal data is written: amounts, ids and lengths only; the arguments of a write
without an outcome are kept sealed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

import anyio

from kustom_mcp.api.endpoint import Approved, Authority
from kustom_mcp.app.app import App
from kustom_mcp.calls.doubt import claims_of, is_done, operation_of
from kustom_mcp.calls.messages import records_unavailable
from kustom_mcp.calls.token import TokenClaims, digest
from kustom_mcp.schema.arguments import AMOUNT_FIELDS
from kustom_mcp.schema.result import ToolError
from kustom_mcp.state.audit_log import AuditUnavailable
from kustom_mcp.state.intents import Intent, LeaseTaken, give_up_lease
from kustom_mcp.state.threads import in_thread

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from kustom_mcp.api.models import Order

T = TypeVar("T")

log = logging.getLogger(__name__)

RECORD_SECONDS = 4.0
"""Seconds that a write waits for its record before it leaves, and an answer for the record of its outcome."""

TYPED = ("reason", "reference", "merchant_reference1", "merchant_reference2")
"""What somebody typed that the journal keeps as it is; of any other text it keeps the length."""
_IN_THE_COPY = (
    *("operation", "amount", "worth", "currency", "was", "becomes", "means", "approved_by", "caller", "host"),
    *TYPED,
    "figures",
)
"""The parts of a record that its line in the audit file has, too."""
_OF_THE_FIRST = ("means", "approved_by", "caller", "host")

_KEPT = frozenset(
    {"order_id", "capture_id", "refund_id", "currency", "line", "quantity", "number_of_days", "type", "reason"}
)
_KEPT_NUMBERS = AMOUNT_FIELDS | {"tax_rate", "shipping_delay"}
_NO_PART_OF_THE_WISH = frozenset({"currency", "reason", "shop"})
"""Arguments that check the others, or that only the journal and the approver read."""


class Journal:
    """The journal of one call. `binding`: a digest of account, tool and arguments."""

    def __init__(self, app: App, tool: str, who: Mapping[str, str], arguments: Mapping[str, Any]) -> None:
        self._app = app
        account = app.account
        self.account = account.name
        self._tool = tool
        self._who = dict(who)
        self._shop = {"shop": app.shop.title} if app.shop else {}
        self._entry = {
            "account": account.name,
            **self._shop,
            "tool": tool,
            **who,
            "arguments": without_text(arguments),
        }
        self.arguments = arguments
        self.binding = digest([account.name, tool, arguments])
        wish = _wish(arguments)
        self.digest = digest([account.name, tool, wish]).hex()
        earlier = [digest([account.environment, name, tool, arguments]).hex() for name in account.earlier]
        self.digests = frozenset({self.digest, self.binding.hex(), *earlier})
        """The digests of this call: the present one, and those of earlier versions, where several merchants may have
        shared the name of an account, but not the order: nothing that was sent for it may be sent again."""
        self.intents: Sequence[Intent] = ()
        """Everything that was sent for the order, oldest first; as it was when the call took the order up."""
        self._sent: Intent | None = None

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

    async def hold(self, order_id: str, holder: str, seconds: float) -> float:
        """Take the lease on an order. Returns 0, or the seconds for which another process may hold it. ToolError
        AUDIT_UNAVAILABLE."""

        def work() -> float:
            try:
                self._app.intents.lease(self.account, order_id, holder, seconds)
            except LeaseTaken as taken:
                return taken.left
            return 0.0

        return await self.before_sending(work)

    async def begin(
        self,
        new: Intent,
        authority: Authority,
        take: Callable[[Callable[[Connection], None], str], None],
        *,
        harmless: bool,
    ) -> None:
        """Record the intent of a write before it leaves, with the money that it reserves.

        `take` reserves in one transaction with what it is given, under a lock of this name. `harmless`: it may be sent
        again although its effect is there. AlreadySent; ToolError
        AUDIT_UNAVAILABLE when it is impossible; and what `take` raises.
        """
        from kustom_mcp.state.intents import lock_of

        before = self.of_key(UUID(new.key))
        seen = None
        if before is not None and before.unresolved:  # who asked and approved is told by the first sending
            seen = before.attempts
            kept = {name: before.content[name] for name in _OF_THE_FIRST if name in before.content}
            new = replace(new, content={**new.content, **kept})
        line = {
            "event": "intent",
            **self._entry,
            "key": new.key,
            "approval": authority.reason,
            **{name: new.content[name] for name in _IN_THE_COPY if name in new.content},
            "order_id": new.order_id,
        }

        def work() -> None:
            self._app.audit.record(line)
            try:
                take(
                    lambda connection: self._app.intents.send(connection, new, seen=seen, harmless=harmless),
                    lock_of(self.account, new.key),
                )
            except BaseException:  # a limit, or a store that failed: the line says of a write what is not so
                with contextlib.suppress(AuditUnavailable):
                    self._app.audit.record({"event": "withdrawn", "account": self.account, "key": new.key})
                raise

        await self.before_sending(work)
        self._sent = new
        if isinstance(authority, Approved):
            self._count("given", means=authority.means)

    def intent(self, claims: TokenClaims, order_id: str, content: Mapping[str, Any], sealed: str) -> Intent:
        """The intent of a write that these claims approve."""
        kept = {
            "environment": self._app.account.environment,
            "merchant": self._app.account.merchant,
            **self._shop,
            **({"shop_name": self._app.shop.name} if self._app.shop else {}),
            "before": claims.before.hex(),
            "after": claims.after.hex(),
            "figures": asdict(claims.figures),
            "amount": claims.amount,
            "alike": claims.alike,
            "operation": operation_of(self._tool),
            **self._who,
            "arguments": without_text(self.arguments),
            **{name: self.arguments[name] for name in TYPED if isinstance(self.arguments.get(name), str)},
            **content,
        }
        return Intent(
            account=self.account,
            key=str(claims.key),
            digest=self.digest,
            tool=self._tool,
            order_id=order_id,
            content=kept,
            sealed=sealed,
        )

    async def record_used(self, claims: TokenClaims, order: Order) -> None:
        """Record that an approval was used by finding its effect there."""
        found = self.intent(claims, order.order_id, {"currency": order.currency}, "")
        with contextlib.suppress(ToolError):
            await self.before_sending(lambda: self._app.intents.use_up(found))

    async def adopt(self, intent: Intent) -> None:
        """Take a write in doubt that version 0.1 kept under another name of this account. ToolError
        AUDIT_UNAVAILABLE."""
        if intent.account != self.account:
            await self.before_sending(lambda: self._app.intents.adopt(intent, self.account))

    async def record_look(self, intent: Intent) -> None:
        """Record a look that did not find a write in doubt."""
        with contextlib.suppress(ToolError):
            await self.before_sending(lambda: self._app.intents.looked(intent, absent=True))

    async def record_outcome(
        self,
        key: str,
        outcome: str,
        *,
        holder: tuple[str, str] | None = None,
        entry: str | None = None,
        told: Mapping[str, Any] | None = None,
        **facts: Any,
    ) -> None:
        """Record an outcome, and end the lease. A failure is logged only: the answer is given all the same.

        `holder`: order and holder of the lease; `told`: facts for the journal. What cannot be recorded stays in doubt,
        and the next call on the order looks at it.
        """
        named = {"entry_id": entry} if entry else {}
        self.note("outcome", outcome=outcome, key=key, **named, **facts)

        def work() -> None:
            def leave(connection: Connection) -> None:
                if holder is not None:
                    give_up_lease(connection, self.account, *holder)

            self._app.intents.close(self.account, key, outcome, entry=entry, facts=told, also=leave)

        written = False
        with self._app.finishing(RECORD_SECONDS), contextlib.suppress(AuditUnavailable):
            await self._in_thread(work, abandon=True)
            written = True
        if not written:
            log.warning("the outcome of a write could not be recorded; the next call on its order finds it out")

    async def release(self, order_id: str, holder: str) -> None:
        """End the lease of a call that sent nothing."""
        with self._app.finishing(RECORD_SECONDS), contextlib.suppress(AuditUnavailable):
            await self._in_thread(lambda: self._app.intents.release(self.account, order_id, holder), abandon=True)

    @property
    def in_doubt(self) -> list[Intent]:
        """The writes on the order that were sent and have no outcome, oldest first."""
        sent = self._sent.key if self._sent else None
        return [intent for intent in self.intents if intent.unresolved and intent.key != sent]

    def of_key(self, key: UUID) -> Intent | None:
        """The intent with this key."""
        names = (str(key), key.hex)
        return next((one for one in self.intents if one.key in names or one.digest in names), None)

    def same(self) -> Intent | None:
        """The newest write in doubt of the identical call."""
        found = [intent for intent in self.in_doubt if intent.digest in self.digests]
        return max(found, key=lambda one: one.sent, default=None)

    def claims_of(self, intent: Intent) -> tuple[TokenClaims, str]:
        """The claims of a write in doubt, for this call, and the head of its code."""
        return claims_of(intent, self.binding)

    def carried_out(self, key: UUID) -> Intent | None:
        """The intent with this key, if its effect was found there."""
        intent = self.of_key(key)
        return intent if intent is not None and is_done(intent) else None

    def has_outcome(self, key: UUID) -> bool:
        """Return whether the intent with this key has an outcome, so that it is not in doubt any more."""
        intent = self.of_key(key)
        return intent is not None and not intent.unresolved

    def repeated(self, seconds: float) -> bool:
        """Return whether the identical call was applied within so many seconds."""
        since = self._app.wall() - seconds
        return any(
            is_done(intent) and (intent.closed or 0.0) > since
            for intent in self.intents
            if intent.digest in self.digests
        )

    def given_up(self, key: UUID) -> bool:
        """Return whether the intent with this key was closed as not seen or not done: its key is never used again."""
        intent = self.of_key(key)
        return intent is not None and intent.outcome in ("not_seen", "not_done", "never_known")

    async def before_sending(self, work: Callable[[], T]) -> T:
        """Read or write records that a write needs before it is sent. ToolError AUDIT_UNAVAILABLE.

        A write never leaves without them: a record that cannot be read might say that it was done.
        """
        answers: list[T] = []
        with anyio.CancelScope(shield=True):
            try:
                answers.append(await self._in_thread(work))
            except AuditUnavailable:
                raise records_unavailable(self._app.intents.place) from None
        return answers[0]

    async def _in_thread(self, work: Callable[[], T], *, abandon: bool = False) -> T:
        """Run work in a thread, unless the records are in memory only."""
        if not (self._app.audit.blocks or self._app.intents.blocks):
            return work()
        return await in_thread(work, abandon=abandon)


def _wish(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that make a wish: without those that only check the others, or that only the journal reads."""
    agreeing = {"refunded_amount", "captured_amount"} if arguments.get("lines") else set[str]()
    return {name: value for name, value in arguments.items() if name not in _NO_PART_OF_THE_WISH | agreeing}


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
