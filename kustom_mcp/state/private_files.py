"""Private files and directories: readable by this user only; and JSON objects in small ones.

A small file is written under a temporary name and renamed into place, so a process that dies in between leaves the old
state, never half a file; and it is on the disk before the call that wrote it goes on.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any, cast

_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EROFS})  # pipes, terminals and devices


def private_directory(path: Path) -> None:
    """Make `path` and, when they are missing, the directories above it; the last two only for this user. OSError."""
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    for directory in (path.parent, path):
        directory.mkdir(mode=0o700, exist_ok=True)


def writable(directory: Path) -> bool:
    """Return whether a private file can be made in this directory, or in one that would have to be made first."""
    try:
        private_directory(directory / "audit")
        with tempfile.TemporaryFile(dir=directory / "audit") as file:
            file.write(b"ready")
    except OSError:
        return False
    return True


def write_all(file: int, data: bytes) -> None:
    """Write `data` in one go where the system allows it. OSError when it does not fit."""
    while data:
        written = os.write(file, data)
        data = data[written:]


def sync(file: int) -> None:
    """Wait until the written data is on the disk; do nothing for a pipe, a terminal or a device. OSError."""
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def make_private(path: Path) -> None:
    """Make an empty file that only this user can read, where there is none: SQLite would show it to others. OSError."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def identity_of(path: Path | None) -> tuple[int, int] | None:
    """Return the device and inode of a file; (0, 0) if it is missing, None without a path.

    They change when a file is removed or replaced, which an open one does not show by itself.
    """
    if path is None:
        return None
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


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
    """Read a number of a JSON object; 0 for anything else."""
    return float(value) if isinstance(value, int | float) else 0.0
