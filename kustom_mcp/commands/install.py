"""`kustom-mcp install HOST`: puts this server into a host, shows first what changes, and asks.

The settings are those of this command's own environment, checked before anything is touched. A secret never goes into a
host's file nor onto a command line, where other users of the machine could see it: it goes into a file for its owner
only, and the host is told the file's name. Exit 0: done, or nothing to do; 1: not done; 2: a setting, a file or a
command is not as it must be, and the host was not changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from kustom_mcp.commands.host_file import PRIVATE, HostFile, HostFileError, read, write_whole
from kustom_mcp.commands.hosts import HOW, NAME, Entry, Host, Machine
from kustom_mcp.environment import load, table
from kustom_mcp.served import Served
from kustom_mcp.settings import ConfigError

DONE, NOT_DONE, USAGE = 0, 1, 2
KEY, KEY_FILE = "KUSTOM_API_KEY", "KUSTOM_API_KEY_FILE"
SECRET = ("KUSTOM_STORE", "KUSTOM_KEYS", "KUSTOM_PROXY")
PATHS = (KEY_FILE, "KUSTOM_STORE_FILE", "KUSTOM_STATE_DIR", "KUSTOM_AUDIT_LOG")


def run(host: str, machine: Machine, *, remove: bool = False, yes: bool = False, env_file: Path | None = None) -> int:
    """Install into a host, or with `remove` take it out again. ConfigError for a wrong setting."""
    how = HOW[host]
    entry, key = (None, None) if remove else _entry(machine, env_file)
    try:
        words = _own_command(how, machine, entry)
        return _by_command(how, machine, words, key, yes=yes) if words else _by_file(how, machine, entry, key, yes=yes)
    except HostFileError as error:
        print(f"kustom-mcp: install: {error}", file=sys.stderr)
        return USAGE


def _entry(machine: Machine, env_file: Path | None) -> tuple[Entry, str | None]:
    """What the host is told, and the key that has to go into a file. ConfigError."""
    settings = load(machine.environ, env_file).settings
    names = [row.name for row in table() if row.name.removeprefix("KUSTOM_").lower() not in _FOR_HTTP]
    env = {name: machine.environ[name].strip() for name in names if _is_set(machine.environ.get(name, ""))}
    for name in SECRET:
        if name in env:
            raise ConfigError(name, "It may hold a secret: put it into a file, and give that with --env-file.")
    key = env.pop(KEY, None)
    if key and env_file:
        raise ConfigError(KEY, "With --env-file it belongs into that file: unset it here.")
    if key:
        env[KEY_FILE] = str(_key_file(machine))
    env = {name: _absolute(value) if name in PATHS and value != "-" else value for name, value in env.items()}
    words = list(machine.program)
    if env_file:
        words += ["--env-file", _absolute(str(env_file))]
    if settings.sandboxed:
        print("Without credentials this is the sandbox: invented orders, and nothing leaves this machine.")
    return {"command": words[0], "args": words[1:], "env": env}, key


def _own_command(how: Host, machine: Machine, entry: Entry | None) -> list[str] | None:
    """The host's own command with its words; None where its file is edited. HostFileError where it is missing."""
    words = how.remove if entry is None else how.add(entry) if how.add else None
    if how.command is None or words is None:
        return None
    found = machine.which(how.command)
    if found is None:
        raise HostFileError(f"The command {how.command} was not found. {how.without_command}")
    return [found, *words]


def _by_command(how: Host, machine: Machine, words: Sequence[str], key: str | None, *, yes: bool) -> int:
    removing = how.remove is not None and list(words[1:]) == list(how.remove)
    has_it = how.remove is not None and NAME in read(how.files(machine)[0]).servers(how.key)
    if removing and not has_it:
        return _say(DONE, f"{how.title} does not have it: there is nothing to remove.")
    commands = [list(words)]
    if has_it and not removing and how.remove:
        commands.insert(0, [words[0], *how.remove])
    print("This will be run:")
    for command in commands:
        print("  " + subprocess.list2cmdline(command))
    _tell_key(machine, key)
    answer = yes or machine.ask("Do it? [y/N] ")
    if not answer:
        return _not_agreed(answer)
    _write_key(machine, key)
    for command in commands:
        code = machine.run(command)
        if code:
            return _say(NOT_DONE, f"{how.title}'s command failed with exit code {code}.")
    return _finish(how, machine, removing=removing)


def _by_file(how: Host, machine: Machine, entry: Entry | None, key: str | None, *, yes: bool) -> int:
    file = _file(how, machine)
    if entry is None and NAME not in file.servers(how.key):
        return _say(DONE, f"{how.title} does not have it: there is nothing to remove.")
    content = file.changed(how.key, NAME, entry)
    same = content == file.content
    if same and _key_is_there(machine, key):
        return _say(DONE, f"{how.title} has exactly this already. Nothing was written.")
    if not same:
        print(f"{file.path} will change, and a copy of it stays:" if file.raw else f"{file.path} will be made:")
        print(file.difference(content))
    _tell_key(machine, key)
    answer = yes or machine.ask("Do it? [y/N] ")
    if not answer:
        return _not_agreed(answer)
    _write_key(machine, key)
    copy = None if same else file.write(content)
    if copy:
        print(f"The file as it was: {copy}")
    return _finish(how, machine, removing=entry is None)


def _file(how: Host, machine: Machine) -> HostFile:
    """The host's file: the one that is there, else the first place. HostFileError where that cannot be told."""
    places = list(how.files(machine))
    packaged = [path for path in places[:-1] if path.exists()] or places[:-1]
    if len(packaged) > 1:
        raise HostFileError("Several versions are installed side by side, so it is not clear which one is meant.")
    return read(packaged[0] if packaged else places[-1])


def _key_file(machine: Machine) -> Path:
    return machine.own_folder / "api-key"


def _key_is_there(machine: Machine, key: str | None) -> bool:
    path = _key_file(machine)
    return key is None or (path.is_file() and path.read_text(encoding="utf-8").strip() == key)


def _tell_key(machine: Machine, key: str | None) -> None:
    if not _key_is_there(machine, key):
        print(f"The API key goes into {_key_file(machine)}, which only you can read.")


def _write_key(machine: Machine, key: str | None) -> None:
    """HostFileError where it cannot be written."""
    if key is None:
        return
    path = _key_file(machine)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, f"{key}\n".encode(), PRIVATE)
    except OSError as error:
        raise HostFileError(f"{path} cannot be written ({error.strerror}). {NAME} was not installed.") from None


def _not_agreed(answer: bool | None) -> int:
    if answer is None:
        print("kustom-mcp: install: Nobody can be asked here, so nothing was written: add --yes.", file=sys.stderr)
        return USAGE
    return _say(NOT_DONE, "Nothing was written.")


def _finish(how: Host, machine: Machine, *, removing: bool) -> int:
    kept = _key_file(machine)
    if removing and kept.is_file():
        print(f"The API key is still in {kept}: other hosts may use it. Delete it when none does.")
    return _say(DONE, f"Removed from {how.title}." if removing else f"Installed into {how.title}. {how.after}")


def _say(code: int, sentence: str) -> int:
    print(sentence)
    return code


def _is_set(value: str) -> bool:
    return bool(value.strip()) and not value.strip().startswith("${")


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


_FOR_HTTP = {name for name in Served.model_fields if name not in ("store", "store_file")}
"""Settings that mean nothing over stdio."""


def this_machine() -> Machine:
    """The computer that this runs on."""
    system = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
    return Machine(
        system="windows" if system == "windows" else "macos" if system == "macos" else "linux",
        home=Path.home(),
        environ=dict(os.environ),
        program=_program(),
        which=shutil.which,
        run=lambda words: subprocess.run(words, check=False, stdin=subprocess.DEVNULL).returncode,
        ask=_ask,
    )


def _ask(question: str) -> bool | None:
    if not sys.stdin.isatty():
        return None
    return input(question).strip().lower() in ("y", "yes")


def _program() -> list[str]:
    """How to start what runs now, from anywhere: uvx where it was started by uvx, whose folder does not stay."""
    python = Path(sys.executable)
    uvx = shutil.which("uvx")
    if uvx and "archive-v0" in Path(sys.prefix).resolve().parts:
        return [uvx, *_from(), "kustom-mcp"]
    script = python.with_name("kustom-mcp.exe" if sys.platform == "win32" else "kustom-mcp")
    return [str(script)] if script.is_file() else [str(python), "-m", "kustom_mcp"]


def _from() -> list[str]:
    """Where uvx got it, if not from an index: `direct_url.json` of the installed distribution says it (PEP 610)."""
    import json
    from urllib.parse import unquote, urlsplit

    try:
        told = distribution("kustom-mcp").read_text("direct_url.json")
    except PackageNotFoundError:
        told = None
    url = str(json.loads(told).get("url", "")) if told else ""
    if not url:
        return []
    return ["--from", unquote(urlsplit(url).path) if url.startswith("file://") else url]
