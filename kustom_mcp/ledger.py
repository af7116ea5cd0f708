"""What is written down about one call: the audit line, and the open intent that survives this process.

An intent is on disk before the first byte of a write leaves, and goes when the outcome is known. What remains is found
by the identical call, which settles it before anything new is opened. No personal data is written: amounts, ids and
lengths only.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast
from uuid import UUID

from kustom_mcp.app import App
from kustom_mcp.arguments import AMOUNT_FIELDS
from kustom_mcp.audit import AuditUnavailable
from kustom_mcp.codes import Figures, Pledge, Purpose, digest
from kustom_mcp.oms.endpoint import Approved, Authority
from kustom_mcp.result import Code, Failure

log = logging.getLogger(__name__)

USED_SECONDS = 24 * 3600
"""How long an approval counts as used: as long as a code that settles it lives, and as Kustom keeps its key (KL)."""

_KEPT = frozenset({"order_id", "capture_id", "refund_id", "currency", "line", "quantity", "number_of_days", "type"})
_KEPT_NUMBERS = AMOUNT_FIELDS | {"tax_rate", "shipping_delay"}


class Ledger:
    """The written record of one call. `binding` stands for environment, merchant, tool and arguments."""

    def __init__(self, app: App, tool: str, who: Mapping[str, str], arguments: Mapping[str, Any]) -> None:
        self._app = app
        self._entry = {"tool": tool, **who, "arguments": without_text(arguments)}
        self.arguments = arguments
        self.binding = digest([app.settings.environment, app.settings.merchant, tool, arguments])
        self._digest = self.binding.hex()
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

    def begin(self, pledge: Pledge, head: str, authority: Authority, until: float) -> None:
        """Write down that a write is about to leave. Failure AUDIT_UNAVAILABLE when that is impossible."""
        intent = {
            "digest": self._digest,
            "expires": int(until),
            "key": str(pledge.key),
            "before": pledge.before.hex(),
            "after": pledge.after.hex(),
            "figures": asdict(pledge.figures),
            "head": head,
            "opened_at": self._app.now().isoformat(),
            **self._entry,
        }
        self.doubted = self.in_doubt(pledge)
        try:
            self._app.audit.record(
                {
                    "event": "intent",
                    **self._entry,
                    "key": str(pledge.key),
                    "reason": authority.reason,
                    "facts": intent["figures"],
                }
            )
            self._app.intents.open(intent, str(pledge.key))
        except AuditUnavailable:
            raise _unavailable() from None
        if isinstance(authority, Approved):
            self._tell("given", means=authority.means)

    def end(self, pledge: Pledge, outcome: str, **facts: Any) -> None:
        """The outcome of this call is known, and the intent is closed with it: but not by a call that only failed to
        send again what an earlier one had sent."""
        self.note("outcome", outcome=outcome, key=str(pledge.key), **facts)
        if outcome == "not_sent" and self.doubted:
            return
        try:
            self._app.intents.close(str(pledge.key))
        except AuditUnavailable:
            log.warning("a settled intent could not be removed; the next identical call settles it again")

    def open_intent(self) -> tuple[Pledge, str] | None:
        """What an identical call left without an outcome, and the head of its code."""
        try:
            found = self._app.intents.find(self._digest)
        except AuditUnavailable:
            raise _unavailable() from None
        if found is None:
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

    def in_doubt(self, pledge: Pledge) -> bool:
        """Whether a write with this pledge's key has left, and has no outcome yet."""
        left = self.open_intent()
        return left is not None and left[0].key == pledge.key

    def remember(self, pledge: Pledge, seconds: float) -> None:
        """Keep in mind that this approval has been used, and for so many seconds that this very call was carried
        out."""
        facts, now = {"at": self._app.now().isoformat()}, self._app.wall()
        try:
            self._app.remembered.remember(pledge.key.hex, facts, now + USED_SECONDS)
            self._app.remembered.remember(self._digest, facts, now + seconds)
        except AuditUnavailable:
            log.warning("an applied write could not be remembered")

    def carried_out(self, pledge: Pledge) -> bool:
        """Whether this approval has been used."""
        return self._recalled(pledge.key.hex)

    def repeated(self) -> bool:
        """Whether the identical call was applied a short while ago."""
        return self._recalled(self._digest)

    def _recalled(self, name: str) -> bool:
        """What cannot be read might say that it was done, so a write does not go on without it."""
        try:
            return self._app.remembered.recall(name, self._app.wall()) is not None
        except AuditUnavailable:
            raise _unavailable() from None


def _unavailable() -> Failure:
    return Failure(
        Code.AUDIT_UNAVAILABLE,
        "This server cannot write or read its own records, so it sends no writes. Nothing was sent.",
        next_step="Tell the operator that the state directory cannot be used; reading orders still works.",
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
