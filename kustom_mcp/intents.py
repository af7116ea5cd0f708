"""Open intents and carried-out calls: small private files that survive the process, or memory in the sandbox.

An intent is on the disk, directory entry included, before the first byte of its write leaves, and goes with the
outcome: what is found later is a write whose outcome nobody knows. A file is written aside and renamed into place, so a
process that dies in between leaves the old state, never half a file.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from kustom_mcp.audit import AuditUnavailable, private_directory, sync, write_all

_NAME = re.compile(r"[0-9A-Za-z-]{1,128}")
_SWEEP_EVERY = 60  # seconds
_LEFT_OVER = 3600  # seconds after which a file that was never renamed is rubbish


class _Slips:
    """One small JSON object per name, in a directory or in memory."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._memory: dict[str, str] = {}

    def put(self, name: str, value: Mapping[str, Any]) -> None:
        """Store durably, in place of what was there. ValueError for a name that is no file name; AuditUnavailable."""
        if not _NAME.fullmatch(name):
            raise ValueError("The name of a record is letters, digits and hyphens.")
        text = json.dumps(value, separators=(",", ":"), default=str)
        if self._directory is None:
            self._memory[name] = text
            return
        try:
            private_directory(self._directory)
            _replace(self._directory, f"{name}.json", text.encode())
        except OSError as error:
            raise AuditUnavailable(error) from None

    def drop(self, name: str) -> None:
        """Remove it, if it is there. AuditUnavailable when it stays."""
        self._memory.pop(name, None)
        if self._directory is not None:
            try:
                (self._directory / f"{name}.json").unlink(missing_ok=True)
            except NotADirectoryError:
                return  # nothing can be stored there either
            except OSError as error:
                raise AuditUnavailable(error) from None

    def get(self, name: str) -> dict[str, Any] | None:
        """What is stored; {} when it cannot be understood, None when there is nothing. AuditUnavailable."""
        if self._directory is None:
            return _parsed(self._memory[name]) if name in self._memory else None
        try:
            return _parsed((self._directory / f"{name}.json").read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise AuditUnavailable(error) from None

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Everything by name; {} for what cannot be understood. AuditUnavailable when the directory cannot be read."""
        for name in self._names():
            value = self.get(name)
            if value is not None:  # None: another process has just removed it
                yield name, value

    def sweep(self, before: float) -> None:
        """Remove what a process that died left half-written before this time."""
        if self._directory is not None:
            with contextlib.suppress(OSError):
                for path in self._directory.glob(".*.tmp"):
                    if path.stat().st_mtime < before:
                        path.unlink(missing_ok=True)

    def _names(self) -> list[str]:
        if self._directory is None:
            return sorted(self._memory)
        try:
            return sorted(name[:-5] for name in os.listdir(self._directory) if name.endswith(".json"))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise AuditUnavailable(error) from None


class Intents:
    """Writes that have left, or were about to, and have no outcome yet."""

    def __init__(self, state: Path | None, *, now: Callable[[], float] = time.time) -> None:
        self._slips = _Slips(state / "intents" if state else None)
        self._now = now
        self.blocks = state is not None

    def open(self, intent: Mapping[str, Any], id: str) -> None:
        """Write an intent down. It has `digest` (of the whole call) and `expires` (unix seconds). AuditUnavailable."""
        self._slips.put(id, intent)

    def close(self, id: str) -> None:
        """Its outcome is known. AuditUnavailable when the record stays."""
        self._slips.drop(id)

    def find(self, digest: str) -> dict[str, Any] | None:
        """The open intent of the identical call, its `id` included; the newest of several, none that has expired."""
        now = self._now()
        found = [one for one in self.all() if one.get("digest") == digest and _number(one.get("expires")) > now]
        return max(found, key=lambda one: _number(one["expires"]), default=None)

    def all(self) -> list[dict[str, Any]]:
        """Every open intent with its `id`, expired ones too. One that cannot be read is `{id, unreadable: true}`."""
        return [{**(value or {"unreadable": True}), "id": name} for name, value in self._slips.items()]


class Remembered:
    """Calls that were carried out, for as long as a repeat of them must be recognised."""

    def __init__(self, state: Path | None, *, now: Callable[[], float] = time.time) -> None:
        self._slips = _Slips(state / "applied" if state else None)
        self._now = now
        self._swept = float("-inf")

    def remember(self, digest: str, facts: Mapping[str, Any], until: float) -> None:
        """Keep `facts` under `digest` until a time in unix seconds. AuditUnavailable."""
        self._slips.put(digest, {"until": until, "facts": dict(facts)})
        self._sweep()

    def recall(self, digest: str, now: float) -> dict[str, Any] | None:
        """The facts, or None when there are none or their time is over. AuditUnavailable."""
        value = self._slips.get(digest)
        return value["facts"] if value and _number(value.get("until")) > now else None

    def _sweep(self) -> None:
        now = self._now()
        if now - self._swept < _SWEEP_EVERY:
            return
        self._swept = now
        self._slips.sweep(now - _LEFT_OVER)
        for name, value in self._slips.items():
            if _number(value.get("until")) <= now:
                self._slips.drop(name)


def _replace(directory: Path, name: str, data: bytes) -> None:
    """Write a file so that it is wholly there or not at all, and on the disk when this returns. OSError."""
    aside = directory / f".{name}.{secrets.token_hex(8)}.tmp"
    file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            write_all(file, data)
            sync(file)
        finally:
            os.close(file)
        os.replace(aside, directory / name)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
    if hasattr(os, "O_DIRECTORY"):  # elsewhere a directory cannot be opened, and its entries are written with the file
        entries = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            sync(entries)
        finally:
            os.close(entries)


def _parsed(text: str | bytes) -> dict[str, Any]:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
