"""The journal as people read it: the rows of `kustom_list_activity`, and the records of `kustom-mcp audit export`.

A record tells who asked for a write, who approved it, by what means, why, and what became of it. It has no personal
data of a customer; reason and references are texts that somebody typed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kustom_mcp.calls.doubt import iso, number_in, operation_of, record_in
from kustom_mcp.calls.journal import TYPED
from kustom_mcp.schema.result import Code, Json, ToolError
from kustom_mcp.state.intents import Intent
from kustom_mcp.text import clean, nearest

IN_DOUBT = "unknown"
COLUMNS = (
    *("time", "closed", "account", "operation", "order_id", "outcome", "amount", "currency", "lines", "entry_id"),
    *(
        "before",
        "after",
        "reference",
        "merchant_reference1",
        "merchant_reference2",
        "reason",
        "correlation_id",
        "error",
    ),
    *("asked_by", "approved_by", "means", "host", "closed_by", "closed_because", "key", "attempts"),
)
"""The fields of an exported record, in their order."""

_NAME = 80  # characters of a person's or a host's name
_TEXT = 255


def tools_of(operation: str, tools: Iterable[str]) -> list[str]:
    """The tools of an operation, by its name in the rows or that of its tool. ToolError for one that is not known."""
    names = {name: tool for tool in tools for name in (tool, tool.removeprefix("kustom_"), operation_of(tool))}
    wanted = "_".join(operation.casefold().replace("-", " ").split())
    if wanted in names:
        return [names[wanted]]
    known = sorted({operation_of(tool) for tool in names.values()})
    near = nearest(wanted, known)
    raise ToolError(
        Code.INVALID_ARGUMENT,
        f"operation: it is none that changes an order. {f'Did you mean {near}?' if near else ''}".rstrip(),
        field="operation",
        next_step=f"Call again with one of {', '.join(known)}, or without it.",
    )


def row(intent: Intent) -> dict[str, Json]:
    """A write as `kustom_list_activity` lists it. `amount` in minor units."""
    told = record(intent)
    names = ("time", "operation", "order_id", "outcome", "amount", "currency", "entry_id")
    line = {name: told[name] for name in (*names, "asked_by", "approved_by", "means") if name in told}
    if "amount" not in line:
        line.pop("currency", None)
    typed = {"reference": told.get("reference") or told.get("merchant_reference1"), "reason": told.get("reason")}
    typed = {name: text for name, text in typed.items() if text}
    return {**line, "third_party": typed} if typed else line


def record(intent: Intent) -> dict[str, Json]:
    """A write as it is exported: all that the journal tells of it, without what is empty."""
    content = intent.content
    texts = {name: clean(str(content[name]), _TEXT) for name in (*TYPED, "closed_because") if content.get(name)}
    names = ("means", "host", "approved_by", "closed_by", "correlation_id", "error", "currency")
    told: dict[str, Any] = {
        "time": iso(intent.sent),
        "closed": iso(intent.closed) if intent.closed else None,
        "account": intent.account,
        "operation": operation_of(intent.tool),
        "order_id": intent.order_id,
        "outcome": outcome(intent),
        "amount": number_in(content, "amount") or number_in(content, "worth") or _amount(content),
        "lines": _lines(content),
        "entry_id": intent.entry,
        "before": record_in(content, "was"),
        "after": record_in(content, "becomes"),
        "asked_by": clean(str(content.get("caller") or "unknown"), _NAME),
        "key": intent.key,
        "attempts": intent.attempts,
        **{name: clean(str(content[name]), _NAME) for name in names if content.get(name)},
        **texts,
    }
    found = {name: told[name] for name in COLUMNS if told.get(name) not in (None, "", {}, [])}
    return {**found, "shop": clean(str(content["shop"]), _NAME)} if content.get("shop") else found


def outcome(intent: Intent) -> str:
    """The outcome as an answer has it: `unknown` while it is not known, and `applied` for one that a look has found."""
    if intent.unresolved:
        return IN_DOUBT
    found = intent.outcome == "done" and "closed_by" not in intent.content
    return "applied" if found else str(intent.outcome)


def _amount(content: Mapping[str, Any]) -> int | None:
    """The amount that was asked for, in a record of version 0.1."""
    given = record_in(content, "arguments")
    amounts = (number_in(given, name) for name in ("refunded_amount", "captured_amount", "order_amount"))
    return next((amount for amount in amounts if amount), None)


def _lines(content: Mapping[str, Any]) -> list[dict[str, Json]]:
    given = record_in(content, "arguments")
    return given.get("lines") or given.get("line_changes") or []
