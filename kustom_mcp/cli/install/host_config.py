"""A host's configuration file: read, changed in one place, compared, and written without ever being half there.

It belongs to somebody else and may hold other servers' secrets. So it is left alone when it is not understood, its
other keys and their order stay, only our own entry is shown, a copy of it is kept, and it keeps its mode. Another
program may write to it at the same time: what changed since it was read is not overwritten.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from stat import S_ISREG
from typing import Any, cast

from kustom_mcp.settings.validators import hides_a_key

PRIVATE = 0o600
COVERED = "..."
LARGEST = 16 * 1024 * 1024
_SECRET_WORD = r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|AUTH|COOKIE|STORE|PROXY)"
_SECRET_NAME = re.compile(rf"(?=.*{_SECRET_WORD})(?!.*[_-]FILE$)(?!--env-file$).*", re.IGNORECASE | re.DOTALL)
_SECRET_OPTION = re.compile(rf"-{{1,2}}[\w-]*{_SECRET_WORD}[\w-]*(?<![_-]FILE)", re.IGNORECASE)
_SECRET_IN_TEXT = (
    re.compile(r"()(?:kco|whsec|kustom_mcp)_[\w+/=.%-]+", re.IGNORECASE),
    re.compile(r"\b((?:Bearer|Basic)(?:\s|%20|\+)+)[^\s\"'\\]+", re.IGNORECASE),
    re.compile(rf"([\w-]*{_SECRET_WORD}[\w-]*(?<![_-]FILE)[\"'\\]*\s*[=:]\s*[\"'\\]*)[^\s\"'\\]+", re.IGNORECASE),
    re.compile(r"(://)[^/\s@]+(?=@)"),
)

_REMARK = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_COMMA = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])', re.DOTALL)


class HostFileError(Exception):
    """The file cannot be used as it is. The text is a sentence; nothing was written."""


@dataclass(frozen=True)
class HostFile:
    """A file as it was read: its bytes, None where there is none yet, and what they say."""

    path: Path
    raw: bytes | None
    content: dict[str, Any]

    def servers(self, key: str) -> dict[str, Any]:
        """The servers under a key. HostFileError where something else stands there."""
        found = self.content.get(key, {})
        if not isinstance(found, dict):
            raise HostFileError(f"{key} in {self.path} is no object. Mend the file first; nothing was written.")
        return cast("dict[str, Any]", found)

    def changed(self, key: str, name: str, entry: dict[str, Any] | None) -> dict[str, Any]:
        """The content with one server set, in its old place if it had one, or taken out with None."""
        servers = dict(self.servers(key))
        if entry is None:
            servers.pop(name, None)
        else:
            servers[name] = entry
        return {**self.content, key: servers}

    def difference(self, content: dict[str, Any]) -> str:
        """The lines that would differ, secrets covered."""
        before, after = (_shown(version) for version in (self.content, content))
        lines = unified_diff(before, after, lineterm="", n=0)
        return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))

    def write(self, content: dict[str, Any]) -> Path | None:
        """Put the content in the place of the file; where the copy of the old one is. HostFileError."""
        mode = self.path.stat().st_mode & 0o777 if self.raw is not None else PRIVATE
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(self.path.parent):
                if _bytes(self.path) != self.raw:
                    raise HostFileError(
                        f"{self.path} was changed by another program meanwhile. Nothing was written to it: try again."
                    )
                copy = self._keep(mode)
                write_whole(self.path, _text(content).encode(), mode)
        except OSError as error:
            raise HostFileError(f"{self.path} cannot be written ({error.strerror}). It is as it was.") from None
        return copy

    def _keep(self, mode: int) -> Path | None:
        if self.raw is None:
            return None
        names = (self.path.with_name(f"{self.path.name}.backup{number or ''}") for number in range(10_000))
        copy = next(path for path in names if not path.exists())
        write_whole(copy, self.raw, mode)
        return copy


def read(path: Path, *, loosely: bool = False) -> HostFile:
    """A host's file; an absent or empty one holds nothing. HostFileError where it is not understood.

    `loosely`: remarks and commas too many are passed over, as VS Code does; what is read so must not be written.
    """
    try:
        path = path.resolve()  # a link stays a link
        raw = _bytes(path)
    except (OSError, RuntimeError) as error:  # links in a circle are the one or the other
        why = error.strerror if isinstance(error, OSError) else "links in a circle"
        raise HostFileError(f"{path} cannot be read ({why}). It was left alone.") from None
    try:
        text = (raw or b"").decode("utf-8-sig")
        for extra in (_REMARK, _COMMA) if loosely else ():
            text = extra.sub(r"\1", text)
        content: object = json.loads(text, object_pairs_hook=_pairs) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise HostFileError(
            f"{path} is not plain JSON{where}. It was left alone: mend it, or edit it by hand."
        ) from None
    if not isinstance(content, dict):
        raise HostFileError(f"{path} holds no JSON object. It was left alone.")
    return HostFile(path, raw, cast("dict[str, Any]", content))


def write_whole(path: Path, data: bytes, mode: int) -> None:
    """Write a file so that at every moment the old or the new one is there, readable as `mode` says. OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_new(path: Path, data: bytes) -> None:
    """Write a file for its owner only, and never over another. FileExistsError, OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, PRIVATE), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Keep other processes that install into the same folder out, where the system has locks of folders."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _bytes(path: Path) -> bytes | None:
    try:
        if not S_ISREG(path.stat().st_mode):
            raise OSError(22, "it is not a regular file")
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    if len(raw) > LARGEST:
        raise OSError(27, "it is too large")
    return raw


def _pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are all different: of two equal ones one would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _text(content: dict[str, Any]) -> str:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character, which JSON can only hold escaped
        return json.dumps(content, indent=2) + "\n"
    return text


def _shown(content: dict[str, Any]) -> list[str]:
    return _text(cast("dict[str, Any]", _covered(content))).splitlines()


def _covered(value: Any, *, secret: bool = False) -> Any:
    """A value without what is secret in it: under a name that says so, at any depth, and inside texts."""
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return {
            _covered(name): _covered(item, secret=secret or _SECRET_NAME.fullmatch(name) is not None)
            for name, item in entries.items()
        }
    if isinstance(value, list):
        items = cast("list[Any]", value)
        options = [False, *(isinstance(item, str) and _SECRET_OPTION.fullmatch(item) is not None for item in items)]
        return [_covered(item, secret=secret or named) for item, named in zip(items, options, strict=False)]
    if secret and not isinstance(value, bool) and value not in (None, ""):
        return COVERED
    if not isinstance(value, str):
        return value
    for pattern in _SECRET_IN_TEXT:
        value = pattern.sub(rf"\1{COVERED}", value)
    return COVERED if hides_a_key(value) else value
