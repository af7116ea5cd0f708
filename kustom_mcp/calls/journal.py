"""What is written down about one call: the audit line, and the open intent that survives this process.

An intent is on disk before the first byte of a write leaves, and goes when the outcome is known. What remains is found
by the identical call, which settles it before anything new is opened. No personal data is written: amounts, ids and
lengths only.
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
from kustom_mcp.calls.token import Figures, Pledge, Purpose, digest
from kustom_mcp.schema.arguments import AMOUNT_FIELDS
from kustom_mcp.schema.result import Code, ToolError
from kustom_mcp.state.audit_log import AuditUnavailable
from kustom_mcp.state.json_files import number
from kustom_mcp.state.threads import aside

T = TypeVar("T")

log = logging.getLogger(__name__)

RECORD_SECONDS = 4.0
"""How long a write waits to be written down, and an answer for its outcome."""
USED_SECONDS = 24 * 3600
"""How long an approval counts as used: as long as a code that settles it lives, and as Kustom keeps its key (KL)."""

_KEPT = frozenset({"order_id", "capture_id", "refund_id", "currency", "line", "quantity", "number_of_days", "type"})
_KEPT_NUMBERS = AMOUNT_FIELDS | {"tax_rate", "shipping_delay"}


class Ledger:
    """The written record of one call. `binding` stands for account, tool and arguments."""

    def __init__(self, app: App, tool: str, who: Mapping[str, str], arguments: Mapping[str, Any]) -> None:
        self._app = app
        account = app.account
        self._entry = {"account": account.name, "tool": tool, **who, "arguments": without_text(arguments)}
        self.arguments = arguments
        self.binding = digest([account.name, tool, arguments])
        self._digest = self.binding.hex()
        earlier = [digest([account.environment, name, tool, arguments]).hex() for name in account.earlier]
        self._digests = (self._digest, *earlier)
        """What this call is kept under, and what earlier versions kept it under. Several merchants may have shared the
        name of an account, but not the order: nothing that was sent for it may be sent again."""
        self._record = ""
        self._left: dict[str, Any] | None = None
        self.doubted = False
        """Whether an earlier call has sent what this one begins to send, and nobody knows what came of it."""

    def note(self, event: str, **facts: Any) -> None:
        """A line about a preview, a refusal or an outcome. A failing audit stops writes, not these."""
        self._tell(event, **facts)
        try:
            self._app.audit.record({"event": event, **self._entry, **facts})
        except AuditUnavailable:
            log.warning("the audit file cannot be written")

    def _tell(self, event: str, **facts: Any) -> None:
        """What telemetry may count of a line: no key, no id, no arguments."""
        told = {name: facts[name] for name in ("outcome", "means", "error") if facts.get(name)}
        self._app.telemetry.event(self._entry["tool"], event, **told)

    async def begin(self, pledge: Pledge, head: str, authority: Authority, until: float) -> None:
        """Write down that a write is about to leave, before it does. ToolError AUDIT_UNAVAILABLE when that is
        impossible."""
        intent = {
            "digest": self._digest,
            "environment": self._app.account.environment,
            "merchant": self._app.account.merchant,
            "expires": int(until),
            "key": str(pledge.key),
            "before": pledge.before.hex(),
            "after": pledge.after.hex(),
            "figures": asdict(pledge.figures),
            "head": head,
            "opened_at": self._app.now().isoformat(),
            **self._entry,
        }
        line = {
            "event": "intent",
            **self._entry,
            "key": str(pledge.key),
            "reason": authority.reason,
            "facts": intent["figures"],
        }

        def write() -> None:
            self._left = self._found()
            self._app.audit.record(line)
            self._record = self._app.intents.open(intent, str(pledge.key))

        await self._asked(write)
        self.doubted = self._left is not None and self._left["key"] == str(pledge.key)
        if isinstance(authority, Approved):
            self._tell("given", means=authority.means)

    async def end(self, pledge: Pledge, outcome: str, **facts: Any) -> None:
        """The outcome of this call is known, and the intent is closed with it: but a call that has sent nothing takes
        only its own record away, and not that of an earlier one, or of one elsewhere, that may have."""
        self.note("outcome", outcome=outcome, key=str(pledge.key), **facts)
        if outcome == "not_sent":
            await self._told(lambda: self._app.intents.withdraw(self._record))
        else:
            await self._told(lambda: self._app.intents.close(str(pledge.key)))

    async def done(self, pledge: Pledge, outcome: str, seconds: float, **facts: Any) -> None:
        """It happened: the intent is closed, this approval has been used, and for so many seconds this very call was
        carried out. What cannot be remembered is not closed either: the identical call then looks at the order."""
        self.note("outcome", outcome=outcome, key=str(pledge.key), **facts)
        said, now = {"at": self._app.now().isoformat()}, self._app.wall()

        def write() -> None:
            self._app.remembered.remember(pledge.key.hex, said, now + USED_SECONDS)
            self._app.remembered.remember(self._digest, said, now + seconds)
            self._app.intents.close(str(pledge.key))

        await self._told(write)

    async def open_intent(self, *, own: bool = False) -> tuple[Pledge, str] | None:
        """What an identical call left without an outcome, before this one wrote anything down, and the head of its
        code. `own`: only where this caller made that call."""
        found = self._left if self._record else await self._asked(self._found)
        if found is None or (own and found.get("caller") != self._entry.get("caller")):
            return None
        pledge = Pledge(
            Purpose.SETTLE,
            int(found["expires"]),
            UUID(found["key"]),
            self.binding,
            bytes.fromhex(found["before"]),
            bytes.fromhex(found["after"]),
            Figures(**cast("dict[str, Any]", found["figures"])),
        )
        return pledge, str(found["head"])

    async def in_doubt(self, pledge: Pledge) -> bool:
        """Whether a write with this pledge's key has left, and has no outcome yet."""
        left = await self._asked(self._found)
        return left is not None and left["key"] == str(pledge.key)

    async def carried_out(self, pledge: Pledge) -> bool:
        """Whether this approval has been used."""
        return await self._recalled((pledge.key.hex,))

    async def repeated(self) -> bool:
        """Whether the identical call was applied a short while ago."""
        return await self._recalled(self._digests)

    def _found(self) -> dict[str, Any] | None:
        """The newest open intent of this call."""
        found = [one for one in map(self._app.intents.find, self._digests) if one is not None]
        return max(found, key=lambda one: number(one["expires"]), default=None)

    async def _recalled(self, names: Sequence[str]) -> bool:
        def recall() -> bool:
            return any(self._app.remembered.recall(name, self._app.wall()) is not None for name in names)

        return await self._asked(recall)

    async def _asked(self, work: Callable[[], T]) -> T:
        """Before a write is sent: it waits for its records, and does not go on without them. What cannot be read might
        say that it was done."""
        answers: list[T] = []
        with anyio.CancelScope(shield=True):
            try:
                answers.append(await self._aside(work))
            except AuditUnavailable:
                raise _unavailable(self._app.intents.place) from None
        return answers[0]

    async def _told(self, work: Callable[[], None]) -> None:
        """After the outcome is known: it is told whether or not it can be written down."""
        written = False
        with self._app.finishing(RECORD_SECONDS), contextlib.suppress(AuditUnavailable):
            await self._aside(work, abandon=True)
            written = True
        if not written:
            log.warning("a settled intent could not be recorded as such; the next identical call settles it again")

    async def _aside(self, work: Callable[[], T], *, abandon: bool = False) -> T:
        """Memory needs no thread."""
        if not (self._app.audit.blocks or self._app.intents.blocks):
            return work()
        return await aside(work, abandon=abandon)


def _unavailable(place: str) -> ToolError:
    return ToolError(
        Code.AUDIT_UNAVAILABLE,
        "This server cannot write or read its own records, so it sends no writes. Nothing was sent.",
        next_step=f"Tell the operator that {place} cannot be used; reading orders still works.",
    )


def without_text(value: Any) -> Any:
    """Arguments for the record: ids and numbers stay, of every other text only its length."""
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {
            name: item if name in _KEPT or name in _KEPT_NUMBERS else without_text(item)
            for name, item in fields.items()
        }
    if isinstance(value, list):
        return [without_text(item) for item in cast("list[Any]", value)]
    return {"length": len(value)} if isinstance(value, str) else value
