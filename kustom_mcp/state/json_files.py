"""Small records by name: private files of the state directory, or memory in the sandbox.

A file is written under a temporary name and renamed into place, so a process that dies in between leaves the old state,
never half a file; and it is on the disk, directory entry included, before the call that wrote it goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from kustom_mcp.state.audit_log import AuditUnavailable, private_directory, sync, write_all

_NAME = re.compile(r"[0-9A-Za-z-]{1,128}(?:\.[0-9A-Za-z-]{1,64}){0,2}")


class JsonFiles:
    """One small JSON object per name, in a directory or in memory."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._memory: dict[str, str] = {}

    def put(self, name: str, value: Mapping[str, Any]) -> None:
        """Store durably, in place of the value before. ValueError for a name that is no file name; AuditUnavailable."""
        if not _NAME.fullmatch(name):
            raise ValueError("The name of a record is letters, digits, hyphens and two dots at most.")
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
        """Remove a record, if it is there. AuditUnavailable when it stays."""
        self._memory.pop(name, None)
        if self._directory is not None:
            try:
                (self._directory / f"{name}.json").unlink(missing_ok=True)
            except NotADirectoryError:
                return  # nothing can be stored there either
            except OSError as error:
                raise AuditUnavailable(error) from None

    def get(self, name: str) -> dict[str, Any] | None:
        """Return the record; {} when it cannot be understood, None when there is none. AuditUnavailable."""
        if self._directory is None:
            return parsed(self._memory[name]) if name in self._memory else None
        try:
            return parsed((self._directory / f"{name}.json").read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise AuditUnavailable(error) from None

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield every record by name; {} for one that cannot be understood. AuditUnavailable when the directory
        cannot be read."""
        for name in self.names():
            value = self.get(name)
            if value is not None:  # None: another process has just removed it
                yield name, value

    def sweep(self, before: float) -> None:
        """Remove half-written files of processes that died before this time."""
        if self._directory is not None:
            with contextlib.suppress(OSError):
                for path in self._directory.glob(".*.tmp"):
                    if path.stat().st_mtime < before:
                        path.unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return all names, in order. AuditUnavailable when the directory cannot be read."""
        if self._directory is None:
            return sorted(self._memory)
        try:
            return sorted(name[:-5] for name in os.listdir(self._directory) if name.endswith(".json"))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise AuditUnavailable(error) from None


def _replace(directory: Path, name: str, data: bytes) -> None:
    """Write a file so that it is wholly there or not at all, and on the disk when this returns. OSError."""
    temporary = write_temporary(directory, name, data)
    try:
        os.replace(temporary, directory / name)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if hasattr(os, "O_DIRECTORY"):  # elsewhere a directory cannot be opened, and its entries are written with the file
        entries = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            sync(entries)
        finally:
            os.close(entries)


def write_temporary(directory: Path, name: str, data: bytes) -> Path:
    """Write a private file that is still to get this name, and wait until it is on the disk. OSError."""
    temporary = directory / f".{name}.{secrets.token_hex(8)}.tmp"
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            write_all(file, data)
            sync(file)
        finally:
            os.close(file)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    return temporary


def parsed(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object; {} for anything else."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
