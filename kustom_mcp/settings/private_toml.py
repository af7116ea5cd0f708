"""A TOML file that only its owner can read or write, and the strict reading of its tables.

The file is opened once and judged by that descriptor, so that no other file can be put in its place in between. An
unknown name is an error with the nearest known one. No sentence repeats a value.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

from kustom_mcp.settings.settings import ConfigError
from kustom_mcp.text import nearest

LIMIT = 1024 * 1024  # bytes
NAME = re.compile(r"[a-z0-9-]{1,32}")


def read_private(setting: str, path: Path) -> str:
    """Read the text of a private file. ConfigError, which names `setting`."""
    try:
        with path.open("rb") as file:
            problem = _exposed(os.fstat(file.fileno()), path.resolve().parent.stat())
            data = b"" if problem else file.read(LIMIT + 1)
    except (OSError, ValueError):
        raise ConfigError(setting, "The file cannot be read.") from None
    if problem:
        raise ConfigError(setting, problem)
    if len(data) > LIMIT:
        raise ConfigError(setting, f"The file has more than {LIMIT} bytes.")
    try:
        return data.decode("utf-8-sig")
    except ValueError:
        raise ConfigError(setting, "The file cannot be read as text (UTF-8).") from None


def write_private(setting: str, path: Path, before: str | None, text: str) -> None:
    """Put a text in place of a private file at once. ConfigError, also where it does not hold `before` any more.

    `before`: the text of the file as it was read; None where there was none.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if (read_private(setting, path) if path.exists() else None) != before:
            raise ConfigError(setting, "The file changed meanwhile. Nothing was written: run the command again.")
        os.replace(temporary, path)
    except OSError as error:
        raise ConfigError(setting, f"The file cannot be written ({error.strerror}).") from None
    finally:
        temporary.unlink(missing_ok=True)


def tables(setting: str, text: str, kind: str) -> dict[str, Mapping[str, Any]]:
    """Read a file of tables `[kind.name]`, and nothing else. ConfigError."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        where = f" on line {line[1]}" if line else ""
        raise ConfigError(setting, f"The file is not valid TOML{where}.") from None
    except RecursionError:
        raise ConfigError(setting, "The file is nested too deeply.") from None
    only_known(setting, found, [kind], "the file")
    given = found.get(kind, {})
    if not isinstance(given, dict):
        raise ConfigError(setting, f"It has tables like [{kind}.NAME].")
    named = cast("dict[str, Any]", given)
    for number, (name, table) in enumerate(named.items(), start=1):
        if not NAME.fullmatch(name):
            rule = "up to 32 lower-case letters (a to z), digits and hyphens"
            raise ConfigError(setting, f"The name of table {number} of [{kind}] is not {rule}.")
        if not isinstance(table, dict):
            raise ConfigError(setting, f"{kind}.{name} is not a table like [{kind}.{name}].")
    return named


def only_known(setting: str, table: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Refuse a table with an unknown name, telling the nearest known one. ConfigError."""
    for name in table:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near}?" if near else f"known are {', '.join(known)}."
            raise ConfigError(setting, f"There is an unknown name in {where}; {hint}")


def texts(value: object) -> list[str] | None:
    """The value as a list of texts; None where it is none."""
    if isinstance(value, list) and all(isinstance(item, str) for item in cast("list[object]", value)):
        return cast("list[str]", value)
    return None


def _exposed(file: os.stat_result, folder: os.stat_result) -> str | None:
    """The reason why a file is not private; None where it is."""
    if not stat.S_ISREG(file.st_mode):
        return "It is not a file."
    if not hasattr(os, "geteuid"):
        return None  # Windows keeps rights elsewhere
    if file.st_uid not in (0, os.geteuid()):
        return "The file belongs to another user of this machine, who can write it: give it to the user of this server."
    if file.st_mode & 0o077:
        return "Other users of this machine can read or write the file: make it private with `chmod 600`."
    if folder.st_mode & 0o022 and not folder.st_mode & stat.S_ISVTX:
        return "Other users of this machine can replace the file: let only its owner write to its folder."
    return None
