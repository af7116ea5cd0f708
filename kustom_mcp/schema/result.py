"""The result of every tool: one envelope for successes, previews and errors, and the error codes.

Errors share the envelope with successes because a host checks a result against the tool's one output schema. A code
fixes its outcome and its retry advice here, once, so that no tool can pair them wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from pydantic_core import to_json

Json = Any
"""A JSON value: the wire type of data that only its own model can narrow."""

Outcome = Literal[
    "ok", "applied", "already_applied", "confirmation_required", "declined", "not_sent", "rejected", "unknown"
]
Retry = Literal["never", "new_preview", "later", "same_call", "after_resolve"]

OUTCOMES: tuple[Outcome, ...] = (
    "ok",
    "applied",
    "already_applied",
    "confirmation_required",
    "declined",
    "not_sent",
    "rejected",
    "unknown",
)


class Code(StrEnum):
    """Every error code, in the order of the `errors` reference."""

    SHOP_REQUIRED = "SHOP_REQUIRED"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    UNKNOWN_ARGUMENT = "UNKNOWN_ARGUMENT"
    INVALID_IDENTIFIER = "INVALID_IDENTIFIER"
    AMOUNT_OUT_OF_RANGE = "AMOUNT_OUT_OF_RANGE"
    LINES_MISMATCH = "LINES_MISMATCH"
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH"
    NOT_PERMITTED = "NOT_PERMITTED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    HUMAN_APPROVAL_UNAVAILABLE = "HUMAN_APPROVAL_UNAVAILABLE"
    ACTION_NOT_ALLOWED = "ACTION_NOT_ALLOWED"
    CONFIRMATION_INVALID = "CONFIRMATION_INVALID"
    CONFIRMATION_EXPIRED = "CONFIRMATION_EXPIRED"
    CONFIRMATION_MISMATCH = "CONFIRMATION_MISMATCH"
    STATE_CHANGED = "STATE_CHANGED"
    BUSY = "BUSY"
    AUDIT_UNAVAILABLE = "AUDIT_UNAVAILABLE"
    SHOP_UNAVAILABLE = "SHOP_UNAVAILABLE"
    WRITE_IN_DOUBT = "WRITE_IN_DOUBT"
    RATE_LIMITED = "RATE_LIMITED"
    UPSTREAM_UNAVAILABLE = "UPSTREAM_UNAVAILABLE"
    UPSTREAM_PROTOCOL = "UPSTREAM_PROTOCOL"
    INTERNAL = "INTERNAL"
    NOT_FOUND = "NOT_FOUND"
    AUTHENTICATION_FAILED = "AUTHENTICATION_FAILED"
    UPSTREAM_REJECTED = "UPSTREAM_REJECTED"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"


class Meaning(NamedTuple):
    """The outcome that a code has unless the error says otherwise, and the advice to retry."""

    outcome: Outcome
    retry: Retry


MEANINGS: dict[Code, Meaning] = {
    Code.SHOP_REQUIRED: Meaning("not_sent", "never"),
    Code.INVALID_ARGUMENT: Meaning("not_sent", "never"),
    Code.UNKNOWN_ARGUMENT: Meaning("not_sent", "never"),
    Code.INVALID_IDENTIFIER: Meaning("not_sent", "never"),
    Code.AMOUNT_OUT_OF_RANGE: Meaning("not_sent", "never"),
    Code.LINES_MISMATCH: Meaning("not_sent", "never"),
    Code.CURRENCY_MISMATCH: Meaning("not_sent", "never"),
    Code.NOT_PERMITTED: Meaning("not_sent", "never"),
    Code.LIMIT_EXCEEDED: Meaning("not_sent", "never"),
    Code.HUMAN_APPROVAL_UNAVAILABLE: Meaning("not_sent", "never"),
    Code.ACTION_NOT_ALLOWED: Meaning("not_sent", "never"),
    Code.CONFIRMATION_INVALID: Meaning("not_sent", "new_preview"),
    Code.CONFIRMATION_EXPIRED: Meaning("not_sent", "new_preview"),
    Code.CONFIRMATION_MISMATCH: Meaning("not_sent", "new_preview"),
    Code.STATE_CHANGED: Meaning("not_sent", "new_preview"),
    Code.BUSY: Meaning("not_sent", "later"),
    Code.AUDIT_UNAVAILABLE: Meaning("not_sent", "later"),
    Code.SHOP_UNAVAILABLE: Meaning("not_sent", "later"),
    Code.WRITE_IN_DOUBT: Meaning("not_sent", "after_resolve"),
    Code.RATE_LIMITED: Meaning("not_sent", "later"),
    Code.UPSTREAM_UNAVAILABLE: Meaning("not_sent", "same_call"),
    Code.UPSTREAM_PROTOCOL: Meaning("not_sent", "same_call"),
    Code.INTERNAL: Meaning("not_sent", "same_call"),
    Code.NOT_FOUND: Meaning("rejected", "never"),
    Code.AUTHENTICATION_FAILED: Meaning("rejected", "never"),
    Code.UPSTREAM_REJECTED: Meaning("rejected", "never"),
    Code.OUTCOME_UNKNOWN: Meaning("unknown", "after_resolve"),
}
"""ACTION_NOT_ALLOWED is `not_sent` when refused here and `rejected` when Kustom refused."""

CORRECT = "Correct the argument and call again."
NOTHING_SENT = "Nothing was sent."
NOTHING_CHANGED = "Nothing was changed."
_CLOSINGS: dict[Outcome, str] = {"not_sent": NOTHING_SENT, "rejected": NOTHING_CHANGED, "unknown": ""}
"""The sentence at the end of an error, by its outcome."""
ERROR_OUTCOMES = frozenset(_CLOSINGS)
_GOOD = frozenset[Outcome](("ok", "applied", "already_applied"))
_SHORT = ("summary", "next_step")


@dataclass(frozen=True, slots=True)
class Upstream:
    """Kustom's answer: HTTP status, its `error_code` and correlation id. Its message text is third-party data."""

    status: int
    error_code: str | None = None
    correlation_id: str | None = None
    messages: tuple[str, ...] = ()


class Mistake(NamedTuple):
    """One of several things that are wrong with the arguments. `field` is None where its name may not be repeated."""

    field: str | None
    message: str


@dataclass(slots=True, eq=False)
class ToolError(Exception):
    """A tool call that ends in an error. `sentence` is one of our own and never echoes a rejected value.

    `fields`: all that is wrong with the arguments, where that is more than one thing; else empty.
    `setting` names the setting by which the operator refused it, or `token`; for the operator, not for the answer.
    `closing` stands at the end instead of the outcome's own sentence.
    """

    code: Code
    sentence: str
    next_step: str | None = None
    field: str | None = None
    outcome: Outcome | None = None
    retry: Retry | None = None
    retry_after_seconds: int | None = None
    upstream: Upstream | None = None
    setting: str | None = None
    fields: Sequence[Mistake] = ()
    closing: str | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    @property
    def ends(self) -> Outcome:
        """The outcome of a call that ends with this error."""
        return self.outcome or MEANINGS[self.code].outcome

    @property
    def message(self) -> str:
        """The sentence, and the one that says whether anything was sent or changed."""
        return f"{self.sentence} {_CLOSINGS[self.ends] if self.closing is None else self.closing}".rstrip()

    def result(self) -> Result:
        """The result of a call that ends with this error."""
        return Result(
            outcome=self.ends,
            summary=self.message,
            next_step=self.next_step or (CORRECT if self.code is Code.INVALID_ARGUMENT else None),
            third_party={"upstream_messages": list(self.upstream.messages)}
            if self.upstream and self.upstream.messages
            else None,
            error=self,
        )

    def structured(self) -> dict[str, Json]:
        error: dict[str, Json] = {"code": self.code.value, "message": self.message}
        if self.field:
            error["field"] = self.field
        if self.fields:
            named = [({"field": one.field} if one.field else {}) | {"message": one.message} for one in self.fields]
            error["fields"] = named
        error["retry"] = self.retry or MEANINGS[self.code].retry
        if self.retry_after_seconds is not None:
            error["retry_after_seconds"] = self.retry_after_seconds
        if self.upstream is not None:
            upstream: dict[str, Json] = {"status": self.upstream.status}
            if self.upstream.error_code:
                upstream["error_code"] = self.upstream.error_code
            if self.upstream.correlation_id:
                upstream["correlation_id"] = self.upstream.correlation_id
            error["upstream"] = upstream
        return error


@dataclass(slots=True)
class Result:
    """A tool's answer before it is put on the wire. Empty parts are left out of the structured content."""

    outcome: Outcome
    summary: str
    order: Mapping[str, Json] | None = None
    third_party: Mapping[str, Json] | None = None
    changes: Sequence[Mapping[str, Json]] = ()
    details: Sequence[str] = ()
    """All that a request would send, in sentences; text that a person typed stands in quotes."""
    warnings: Sequence[str] = ()
    confirm: Mapping[str, Json] | None = None
    repeat: Mapping[str, Json] | None = None
    """The call that, with `confirm.code`, sends a write in doubt again: tool and arguments."""
    next_step: str | None = None
    error: ToolError | None = None
    payload: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """The parts that only some tools return: capture, captures, refund, options, orders, totals, now."""
    shop: str | None = None
    """The name of the shop that this is about, where the server has several."""

    def structured(self, environment: str) -> dict[str, Json]:
        content: dict[str, Json] = {"outcome": self.outcome, "environment": environment, "summary": self.summary}
        if self.shop is not None:
            content["shop"] = self.shop
        content.update(self.payload)
        parts = (
            ("order", self.order),
            ("third_party", self.third_party),
            ("changes", list(self.changes)),
            ("details", list(self.details)),
            ("warnings", list(self.warnings)),
            ("confirm", self.confirm),
            ("repeat", self.repeat),
            ("next_step", self.next_step),
            ("error", self.error.structured() if self.error else None),
        )
        content.update((name, value) for name, value in parts if value)
        return content

    def wire(self, environment: str, *, short: bool = False) -> dict[str, Json]:
        """Return a `tools/call` result as MCP puts it on the wire: structured content, and the same JSON as one text
        block.

        `short`: the block has summary and next step only, but for previews and errors, of which some hosts pass on
        nothing else.
        """
        content = self.structured(environment)
        short = short and self.outcome in _GOOD
        told = {part: content[part] for part in _SHORT if part in content} if short else content
        answer: dict[str, Json] = {
            "resultType": "complete",
            "content": [{"type": "text", "text": compact(told)}],
            "structuredContent": content,
        }
        if self.outcome in ERROR_OUTCOMES:
            answer["isError"] = True
        return answer


def compact(value: Json) -> str:
    """Encode JSON without spaces; non-ASCII stays readable, as the model pays per byte. Thrice as fast as
    `json.dumps`."""
    return to_json(value).decode()
