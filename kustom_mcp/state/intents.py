"""Open intents and carried-out calls, which survive the process, or are shared by replicas.

An intent is kept before the first byte of its write leaves, and goes with the outcome: one that is found later is a
write whose outcome is not known. Every attempt has a record of its own, because two processes may try the same intent
at the same time, and the one that has certainly sent nothing must not remove what the other has written down.

The name of a record holds the digest of its call, so that a thousand open intents need not be read to find one.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kustom_mcp.state.json_files import JsonFiles, number

if TYPE_CHECKING:
    from kustom_mcp.state.database import Store
    from kustom_mcp.state.rows import IntentRows

_ID = re.compile(r"[0-9A-Za-z-]{1,128}")
_SWEEP_EVERY = 60  # seconds
_LEFT_OVER = 3600  # seconds after which a file that was never renamed is rubbish


class Intents:
    """Writes that have left, or were about to, and have no outcome yet."""

    def __init__(
        self, state: Path | None, *, now: Callable[[], float] = time.time, shared: Store | None = None
    ) -> None:
        self._slips = JsonFiles(state / "intents" if state else None)
        self._rows = _rows(shared)
        self._now = now
        self.blocks = state is not None or shared is not None
        self.place = "the database of KUSTOM_STORE" if shared else "the state directory"

    def open(self, intent: Mapping[str, Any], id: str) -> str:
        """Write an attempt at an intent down, and return the name of its record. It has `digest` (of the whole call)
        and `expires` (unix seconds). AuditUnavailable."""
        if not _ID.fullmatch(id):
            raise ValueError("The id of an intent is letters, digits and hyphens.")
        record = f"{id}.{intent['digest']}.{secrets.token_hex(4)}"
        if self._rows:
            self._rows.open(record, id, intent)
        else:
            self._slips.put(record, intent)
        return record

    def close(self, id: str) -> None:
        """Remove all attempts of an intent, whose outcome is known. AuditUnavailable when a record stays."""
        if self._rows:
            return self._rows.close(id)
        for name in self._slips.names():
            if name.partition(".")[0] == id:
                self._slips.drop(name)
        return None

    def withdraw(self, record: str) -> None:
        """Remove one attempt, which has sent nothing. AuditUnavailable when its record stays."""
        if self._rows:
            self._rows.withdraw(record)
        else:
            self._slips.drop(record)

    def find(self, digest: str) -> dict[str, Any] | None:
        """Find the open intent of the identical call; the newest of several, none that has expired.
        AuditUnavailable."""
        now = self._now()
        if self._rows:
            found = self._rows.of(digest, now)
        else:
            found = [one for one in map(self._read, self._named(digest)) if one.get("digest") == digest]
        valid = [one for one in found if number(one.get("expires")) > now]
        return max(valid, key=lambda one: number(one["expires"]), default=None)

    def all(self) -> list[dict[str, Any]]:
        """Return every open intent with its `id`, its newest attempt, expired ones too. One that cannot be read is
        `{id, unreadable: true}`. AuditUnavailable."""
        records = self._rows.all() if self._rows else self._slips.items()
        newest: dict[str, dict[str, Any]] = {}
        for name, value in records:
            id = name.partition(".")[0]
            if id not in newest or number(value.get("expires")) > number(newest[id].get("expires")):
                newest[id] = {**(value or {"unreadable": True}), "id": id}
        return list(newest.values())

    def _named(self, digest: str) -> list[str]:
        """Return the records that can be of this call: by their name, or of an earlier version and without a digest
        in it."""
        return [name for name in self._slips.names() if name.split(".")[1:2] in ([digest], [])]

    def _read(self, name: str) -> dict[str, Any]:
        return {**(self._slips.get(name) or {}), "id": name.partition(".")[0]}


class AppliedCalls:
    """Calls that were carried out, for as long as a repeat of them must be recognised."""

    def __init__(
        self, state: Path | None, *, now: Callable[[], float] = time.time, shared: Store | None = None
    ) -> None:
        self._slips = JsonFiles(state / "applied" if state else None)
        self._rows = _rows(shared)
        self._now = now
        self._swept = float("-inf")

    def remember(self, digest: str, facts: Mapping[str, Any], until: float) -> None:
        """Keep `facts` under `digest` until a time in unix seconds. AuditUnavailable."""
        if self._rows:
            return self._rows.remember(digest, facts, until, self._now())
        self._slips.put(digest, {"until": until, "facts": dict(facts)})
        return self._sweep()

    def recall(self, digest: str, now: float) -> dict[str, Any] | None:
        """Return the facts, or None when there are none or their time is over. AuditUnavailable."""
        if self._rows:
            return self._rows.recall(digest, now)
        value = self._slips.get(digest)
        return value["facts"] if value and number(value.get("until")) > now else None

    def _sweep(self) -> None:
        now = self._now()
        if now - self._swept < _SWEEP_EVERY:
            return
        self._swept = now
        self._slips.sweep(now - _LEFT_OVER)
        for name, value in self._slips.items():
            if number(value.get("until")) <= now:
                self._slips.drop(name)


def _rows(shared: Store | None) -> IntentRows | None:
    if shared is None:
        return None
    from kustom_mcp.state.rows import IntentRows

    return IntentRows(shared)
