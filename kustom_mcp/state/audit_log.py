"""The audit log: append-only JSON lines, one file per process.

A line is one `write` on a descriptor opened for appending, so processes that share a file do not tear each other's
lines. The file is opened with the first record and again after a failure: a server whose disk is read-only or full
still answers reads, and its caller stops writes on AuditUnavailable. Callers give no personal data to be recorded.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kustom_mcp.state.private_files import private_directory, write_all

REMEMBERED_LINES = 10_000  # of an audit that is kept in memory


class AuditUnavailable(Exception):
    """The record cannot be written, so nothing may be sent. The text gives the reason, and no path."""

    def __init__(self, error: OSError | str) -> None:
        why = error if isinstance(error, str) else errno.errorcode.get(error.errno or 0, "unknown error")
        super().__init__(f"The record cannot be written ({why}).")
        self.why = why
        """The reason in a word."""


def _utc() -> datetime:
    return datetime.now(UTC)


class AuditLog:
    """The audit log: a file of this process under `state`, the file `log`, stderr (`-`), or memory without both."""

    def __init__(self, state: Path | None, log: str | None = None, *, now: Callable[[], datetime] = _utc) -> None:
        self.memory: deque[dict[str, Any]] = deque(maxlen=REMEMBERED_LINES)
        self.path: Path | None = None
        self._now = now
        self._stderr = log == "-"
        self._directory: Path | None = None
        if log and log != "-":
            self.path = Path(log).expanduser()
        elif state is not None and not log:
            self._directory = state / "audit"
            self.path = self._directory / f"audit-{now():%Y-%m-%d}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        self._file: int | None = None
        self._torn = False

    @property
    def blocks(self) -> bool:
        """Return whether writing a record can take time."""
        return self.path is not None or self._stderr

    def record(self, event: Mapping[str, Any]) -> None:
        """Write one line: the time, then `event` as JSON. The store has what must be on the disk.

        AuditUnavailable when it cannot be written.
        """
        line = {"time": self._now().isoformat(timespec="milliseconds"), **event}
        if not self.blocks:
            self.memory.append(line)
            return
        data = json.dumps(line, separators=(",", ":"), default=str).encode() + b"\n"
        try:
            self._append(data)
        except OSError as error:
            self._torn = self._torn or self._file is not None
            self.close()
            raise AuditUnavailable(error) from None

    def close(self) -> None:
        """Close the file. The next record opens it again."""
        if self._file is not None:
            file, self._file = self._file, None
            with contextlib.suppress(OSError):
                os.close(file)

    def _append(self, data: bytes) -> None:
        if self._stderr:
            write_all(2, data)
            return
        if self._file is None:
            assert self.path is not None
            if self._directory is not None:
                private_directory(self._directory)
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        # A line that a full disk cut short must not swallow the next one.
        write_all(self._file, b"\n" + data if self._torn else data)
        self._torn = False
