"""The entries of this server in a host's file: where they stand, and the settings that the host starts them with."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from kustom_mcp.cli import program
from kustom_mcp.cli.install.host_config import HostFile, HostFileError, read
from kustom_mcp.cli.install.hosts import HOW, NAME, Host, Machine
from kustom_mcp.settings.environment import PREFIX, load
from kustom_mcp.settings.settings import ConfigError, Settings

KEY = "KUSTOM_API_KEY"

OURS = re.compile(r'kustom[-_]mcp|"KUSTOM_')
_FILLED_IN_LATER = re.compile(rf'"envFile"|"{KEY}(_FILE)?": "[^"]*\$\{{')
_FIELDS = frozenset({"name", "type", "command", "args", "env", "disabled", "timeout", "description"})
"""What an entry may have and still be told: anything else may hold variables or a place where they are."""
_STARTERS = {
    "uvx": re.compile(r"(?:--from\0[^\0]+\0)?kustom-mcp(?:@[^\0]*)?\0"),
    "uv": re.compile(
        r"(?:tool\0run\0(?:--from\0[^\0]+\0)?|run\0(?:--(?:project|directory)\0[^\0]+\0|--(?:frozen|no-sync)\0)*)"
        r"kustom-mcp(?:@[^\0]*)?\0"
    ),
    "python": re.compile(r"-m\0kustom_mcp\0"),
}
"""What may start this program, and the words that it takes before ours."""


class EntryAccess(NamedTuple):
    """The environment and the key of an entry. Without a key it is the sandbox; of several shops their file stands for
    both."""

    environment: str
    key: str = ""


UNKNOWN = EntryAccess("an environment that cannot be told from here", "?")


class GivenSettings(NamedTuple):
    """The variables and the env file of an entry."""

    environ: Mapping[str, str]
    env_file: Path | None


def settings_of(host: str, name: str, machine: Machine) -> GivenSettings:
    """The settings that a host starts an entry with. ConfigError where that cannot be told.

    Variables of the machine that are not ours stay, since a host passes those on.
    """
    how, problem = HOW[host], ""
    try:
        file = host_file(how, machine, loosely=True)
        servers = file.servers(how.key)
    except HostFileError as error:
        problem = str(error)
    else:
        entry = servers.get(name)
        given = given_to(entry)
        if given is not None:
            return GivenSettings({**_not_ours(machine.environ), **given.environ}, given.env_file)
        if entry is None:
            others = [other for other, it in servers.items() if OURS.search(json.dumps(it, default=str))]
            there = f" It has {', '.join(others)}: give --name." if others else ""
            bundle = " A bundle's key is kept by the host and cannot be read." if host == "claude-desktop" else ""
            named = ["--name", name] if name != NAME else []
            makes = f" `{program.shown('install', host, *named)}` makes it."
            problem = f"{file.path} has no entry {name}.{there or bundle + makes}"
        else:
            problem = (
                f"The settings of {name} in {file.path} cannot be told from here: the host or another program fills "
                "them in. Give them in the environment, or with --env-file."
            )
    raise ConfigError("--host", problem)


def _not_ours(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.upper().startswith(PREFIX)}


def host_file(how: Host, machine: Machine, *, loosely: bool) -> HostFile:
    """The host's file: the one that is there, else the first place. HostFileError where that cannot be told.

    `loosely`: it is only looked into, so that remarks do not matter.
    """
    places = list(how.files(machine))
    packaged = [path for path in places[:-1] if path.exists()] or places[:-1]
    if len(packaged) > 1:
        raise HostFileError("Several versions are installed side by side, so it is not clear which one is meant.")
    return read(packaged[0] if packaged else places[-1], loosely=loosely)


def environment_of(entry: Any) -> dict[str, str]:
    """The variables of an entry as it stands in the host's file; none where it has no such thing."""
    env: Any = cast("dict[str, Any]", entry).get("env") if isinstance(entry, dict) else None
    return {name: str(value) for name, value in cast("dict[str, Any]", env).items()} if isinstance(env, dict) else {}


def given_to(entry: Any) -> GivenSettings | None:
    """The settings of an entry in the host's file, as this program would read them.

    None for whatever is not plainly this program with its own options and variables: a shell, a container or a script
    in between may give it any, and so may the host itself.
    """
    if not isinstance(entry, dict) or _FILLED_IN_LATER.search(json.dumps(entry, default=str)):
        return None
    fields = cast("dict[str, Any]", entry)
    words = _own_words(fields.get("command"), fields.get("args", []))
    if words is None or not fields.keys() <= _FIELDS or not isinstance(fields.get("env") or {}, dict):
        return None
    variables = cast("dict[str, Any]", fields.get("env") or {})
    if "UV_ENV_FILE" in variables or any(isinstance(value, dict | list) for value in variables.values()):
        return None
    env_file = _env_file(words)
    if env_file is None or (env_file and not Path(env_file).is_absolute()):  # relative to wherever the host is
        return None
    return GivenSettings(environment_of(entry), Path(env_file) if env_file else None)


def access_of(entry: Any) -> EntryAccess:
    """The access of an entry in the host's file; UNKNOWN where its settings cannot be told, or are wrong."""
    if not entry:
        return EntryAccess("sandbox")
    given = given_to(entry)
    if given is None:
        return UNKNOWN
    of_one = {} if given.environ.get("KUSTOM_SHOPS_FILE") else {"KUSTOM_MERCHANT": "ANY"}  # which one changes nothing
    environ = {**of_one, **given.environ}
    try:
        return access(load(environ, given.env_file).settings)
    except ConfigError:
        return UNKNOWN


def _own_words(command: Any, args: Any) -> list[str] | None:
    """The arguments that this program gets from an entry; None where that cannot be told."""
    if not isinstance(command, str) or not isinstance(args, list):
        return None
    words = [str(word) for word in cast("list[Any]", args)]
    started = re.split(r"[/\\]", command)[-1].removesuffix(".exe")
    if started == program.NAME:
        return words
    before = _STARTERS.get(re.sub(r"[0-9.]+$", "", started))
    found = before.match("".join(f"{word}\0" for word in words)) if before else None
    return words[found[0].count("\0") :] if found else None


def _env_file(words: Sequence[str]) -> str | None:
    """The env file that arguments of this program name, "" for none; None where there is anything else in them."""
    found, left = "", iter(words)
    for word in left:
        if word == "--env-file":
            found = next(left, "")
        elif word.startswith("--env-file="):
            found = word.partition("=")[2]
        elif word != "serve":
            return None
    return found


def access(settings: Settings) -> EntryAccess:
    """The environment and the key that settings give."""
    if settings.shops_file not in (None, "sandbox"):
        return EntryAccess(f"the shops of {settings.shops_file}", str(settings.shops_file))
    key = settings.effective_api_key.get_secret_value()
    return EntryAccess(settings.environment, "" if settings.sandboxed else key)
