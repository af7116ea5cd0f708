"""A host's configuration file: read, changed in one place, compared, and written without ever being half there.

It belongs to somebody else and may hold other servers' secrets. So it is left alone when it is not understood, its
other keys, their order and the spelling of their numbers stay, only our own entry is shown, a copy of it is kept, and
it keeps its mode. Another program may write to it at the same time: the file is read again right before it is written,
and only our own entry is put into it.
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
from typing import Any, NoReturn, cast

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
class Numeral:
    """A number as the file spells it: Python would write 1E5, 1e999 and -0 in other digits."""

    spelling: str

    def __str__(self) -> str:
        return self.spelling


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
        """The lines that would differ, secrets covered. HostFileError where the file is nested too deeply to write."""
        try:
            before, after = (_shown(version) for version in (self.content, content))
        except RecursionError:
            raise HostFileError(f"{self.path} is nested too deeply. It was left alone: edit it by hand.") from None
        lines = unified_diff(before, after, lineterm="", n=0)
        return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))

    def put(self, key: str, name: str, entry: dict[str, Any] | None) -> Path | None:
        """Set one server in the file as it is now, or take it out with None; where the copy of the old file is.

        None where the file has it so already. HostFileError, also where the entry is not the one that was read.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with alone(self.path.parent):
                now = read(self.path)
                content, there = now.changed(key, name, entry), now.servers(key).get(name)
                if content == now.content:
                    return None
                if there != self.servers(key).get(name):
                    raise HostFileError(
                        f"{name} in {self.path} was changed by another program meanwhile. "
                        "Nothing was written to it: try again."
                    )
                mode = PRIVATE if now.raw is None else self.path.stat().st_mode & 0o777
                copy = now._keep(mode)
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
        content: object = _DECODER.decode(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        why = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        why = f" ({error})" if isinstance(error, _NotPlain) else why
        raise HostFileError(f"{path} is not plain JSON{why}. It was left alone: mend it, or edit it by hand.") from None
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
def alone(folder: Path) -> Generator[None]:
    """Keep other processes that install into the same folder out, where the system has locks of folders."""
    if sys.platform == "win32":
        yield
        return
    import fcntl  # it is not there on Windows

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


class _NotPlain(ValueError):
    """Python's reader would take it, JSON does not."""


def _pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are all different: of two equal ones one would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _NotPlain("an object has a name twice")
    return found


def _constant(name: str) -> NoReturn:
    raise _NotPlain(f"{name} is no number there")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_float=Numeral, parse_int=Numeral, parse_constant=_constant)


def _text(content: dict[str, Any]) -> str:
    return f"{_written(content)}\n"


def _written(value: Any, indent: str = "") -> str:
    """A value as JSON. The json module writes numbers in its own way only."""
    if isinstance(value, Numeral):
        return value.spelling
    inner = f"{indent}  "
    if isinstance(value, dict) and value:
        entries = cast("dict[str, Any]", value).items()
        lines = [f"{inner}{_written(name)}: {_written(item, inner)}" for name, item in entries]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and value:
        lines = [f"{inner}{_written(item, inner)}" for item in cast("list[Any]", value)]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character, which JSON can only hold escaped
        return json.dumps(value)
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
