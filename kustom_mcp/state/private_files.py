"""Small private files, and JSON objects in them.

A file is written under a temporary name and renamed into place, so a process that dies in between leaves the old state,
never half a file; and it is on the disk before the call that wrote it goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import Any, cast

from kustom_mcp.state.audit_log import sync, write_all


def put_first(path: Path, data: bytes) -> None:
    """Write a file unless another process has just done so; it is never there in part. OSError."""
    temporary = write_temporary(path.parent, path.name, data)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError:  # no second names for a file in this file system
        if not path.exists():
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
