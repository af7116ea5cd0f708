"""`kustom-mcp audit`: the writes that were sent and have no outcome yet, and how to settle each.

Each is a small file in the state directory, which goes with the outcome; what is left was cut off by the end of its
process, or by an answer that never came. An audit file can be read instead: an intent in it without an outcome. Ids,
amounts and times only: nobody's name or address is in these files, and nothing from them is printed uncleaned.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from kustom_mcp.audit import AuditUnavailable
from kustom_mcp.gate import SETTLING_SECONDS
from kustom_mcp.intents import Intents
from kustom_mcp.money import show
from kustom_mcp.text import clean

FOUND, USAGE = 1, 2
RUNNING = 120  # seconds in which it may simply be under way
NAMED_AT_START = 20
PARTS = ("intents", "audit", "applied", "limits")
AMOUNTS = ("refunded_amount", "captured_amount", "order_amount")

LOOK = "look at the order, in the Kustom portal or with kustom_get_order"
REPEAT = (
    "Repeat the same call with the same arguments, and with its code as confirm if its answer gave one. "
    "The server looks at the order first and does it at most once."
)


@dataclass(frozen=True)
class Open:
    """One write without an outcome. `what`: the head of its code, or its amount. Times are unix seconds, 0: unknown.

    `traced`: whether the order shows the effect. `file`: where its record is, None in an audit file.
    """

    tool: str
    order: str
    what: str
    sent: float
    expires: float
    traced: bool
    file: str | None

    def advice(self, now: float) -> str:
        """How to settle it, in words."""
        end = f" Then delete {self.file}." if self.file else ""
        if not self.tool:
            return f"This record cannot be read. The audit lines of its time name the order: {LOOK}.{end}"
        if not self.traced:
            return f"The API does not show whether this happened: look at the order in the Kustom portal.{end}"
        if self.expires <= now:
            return f"This is too old to be settled by a repeat: {LOOK}.{end}"
        wait = "It may still be running: look again in two minutes. " if now - self.sent < RUNNING else ""
        return f"{wait}{REPEAT} This works until {_when(self.expires)}."


def run(path: Path | None, state: Path | None = None, *, now: float | None = None) -> int:
    """Print what is open in `path`, a state directory or an audit file, or else in `state`, the settings' directory.

    0: nothing; 1: something is open, or cannot be read; 2: there is no such place.
    """
    now = time.time() if now is None else now
    if path is None and state is None:
        print("The embedded sandbox keeps its records in memory, so nothing is open. KUSTOM_STATE_DIR is not set.")
        return 0
    place = path or state
    assert place is not None
    if path is not None and not path.exists():
        return _no_such_place("There is no such file or directory.")
    if path is not None and path.is_dir() and not any((path / part).exists() for part in PARTS):
        return _no_such_place(f"This is no state directory: it has none of {', '.join(PARTS)}.")
    try:
        found, unread = _in_file(place) if place.is_file() else (_in_state(place), 0)
    except (AuditUnavailable, OSError):
        print(f"{place} cannot be read, so nobody can say what is open.")
        return FOUND
    _report(place, found, unread, now)
    return FOUND if found or unread else 0


def name_at_start(state: Path | None) -> None:
    """Name what is open on stderr, a line each. A server starts whatever it finds."""
    if state is None:
        return
    try:
        found = _in_state(state)
    except AuditUnavailable:
        print("kustom-mcp: the records of open writes cannot be read, so no writes will be sent", file=sys.stderr)
        return
    for one in found[:NAMED_AT_START]:
        name = f"{one.tool} {one.what} of order {one.order}, sent {_when(one.sent)}," if one.tool else str(one.file)
        print(f"kustom-mcp: no outcome yet: {name} see kustom-mcp audit", file=sys.stderr)
    if len(found) > NAMED_AT_START:
        print(f"kustom-mcp: and {len(found) - NAMED_AT_START} more writes without an outcome", file=sys.stderr)


def _no_such_place(sentence: str) -> int:
    print(f"kustom-mcp: audit: {sentence} Give a state directory or an audit file.", file=sys.stderr)
    return USAGE


def _report(place: Path, found: list[Open], unread: int, now: float) -> None:
    if unread:
        print(f"{unread} {'line of this file' if unread == 1 else 'lines of this file'} cannot be read.")
    if not found:
        print(f"No write is without an outcome in {place}.")
        return
    some = "1 write has" if len(found) == 1 else f"{len(found)} writes have"
    print(f"{some} no outcome: it was sent, and nobody knows yet whether it happened.")
    if place.is_file():
        print("Another process may have settled it since, in its own file: the state directory says what is open now.")
    for one in found:
        print()
        print(one.what or "A record that cannot be read")
        if one.tool:
            print(f"  tool       {one.tool}\n  order      {one.order}\n  sent       {_when(one.sent)}")
        print(f"  to settle  {one.advice(now)}")


def _in_state(state: Path) -> list[Open]:
    """The open intents of a state directory, oldest first. AuditUnavailable."""
    folder = state / "intents"
    found = [_of_intent(one, str(folder / f"{one['id']}.json")) for one in Intents(state).all()]
    return sorted(found, key=lambda one: one.sent)


def _in_file(path: Path) -> tuple[list[Open], int]:
    """The intents of an audit file without an outcome, and how many lines cannot be read. OSError."""
    opened: dict[str, Open] = {}
    unread = 0
    with path.open(encoding="utf-8", errors="replace") as lines:
        for text in lines:
            line = _parsed(text)
            key = _text(line, "key")
            if not line:
                unread += bool(text.strip())
            elif line.get("event") == "intent":
                opened[key] = _of_line(line)
            elif line.get("event") == "outcome" and line.get("outcome") != "unknown":
                opened.pop(key, None)
    return list(opened.values()), unread


def _of_intent(intent: Mapping[str, Any], file: str) -> Open:
    if intent.get("unreadable") or not _text(intent, "tool"):
        return Open("", "", "", 0, 0, traced=False, file=file)
    return Open(
        tool=_text(intent, "tool"),
        order=_text(_arguments(intent), "order_id"),
        what=_text(intent, "head") or _amount(_arguments(intent)),
        sent=_time(intent.get("opened_at")),
        expires=_number(intent.get("expires")),
        traced=bool(_text(intent, "after").strip("0")),
        file=file,
    )


def _of_line(line: Mapping[str, Any]) -> Open:
    sent = _time(line.get("time"))
    return Open(
        tool=_text(line, "tool") or "a tool without a name",
        order=_text(_arguments(line), "order_id"),
        what=_amount(_arguments(line)),
        sent=sent,
        expires=sent + SETTLING_SECONDS,
        traced=True,
        file=None,
    )


def _amount(arguments: Mapping[str, Any]) -> str:
    """The amount of a call whose code has no head here."""
    given = (arguments.get(name) for name in AMOUNTS)
    amount = next((value for value in given if isinstance(value, int)), None)
    return "A write" if amount is None else f"A write of {show(amount, _text(arguments, 'currency'))}"


def _parsed(text: str) -> dict[str, Any]:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _arguments(record: Mapping[str, Any]) -> Mapping[str, Any]:
    value = record.get("arguments")
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return clean(value, 100) if isinstance(value, str) else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _time(value: object) -> float:
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _when(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC" if seconds else "at an unknown time"
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"
