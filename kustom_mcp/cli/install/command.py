"""`kustom-mcp install HOST`: puts this server into a host, shows first what changes, and asks.

The settings are those of this command's own environment, checked before anything is touched. A secret never goes into a
host's file nor onto a command line, where other users of the machine could see it: it goes into a file for its owner
only, and the host is told the file's name. Each entry has a key file of its own, and a key file that is there is never
changed, because another entry or a running server may read it: a new key gets a new file. The environment always stands
in the entry, so that no other key can turn a test setup live. Exit 0: done, or nothing to do; 1: not done; 2: a
setting, a file or a command is not as it must be, and the host was not changed; 130: interrupted at the question.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kustom_mcp.cli import program
from kustom_mcp.cli.install.entries import KEY, OURS, EntryAccess, access, access_of, environment_of, host_file
from kustom_mcp.cli.install.host_config import PRIVATE, HostFile, HostFileError, alone, write_new
from kustom_mcp.cli.install.hosts import HOW, NAME, Host, HostEntry, Machine, is_there
from kustom_mcp.cli.person import agrees
from kustom_mcp.settings.environment import load, table, variables_in
from kustom_mcp.settings.settings import HTTP_ONLY, ConfigError

if TYPE_CHECKING:
    from kustom_mcp.settings.shops_file import ShopsFile

DONE, NOT_DONE, USAGE, INTERRUPTED = 0, 1, 2, 130
ENVIRONMENT, KEY_FILE = "KUSTOM_ENVIRONMENT", "KUSTOM_API_KEY_FILE"
SECRET = ("KUSTOM_STORE", "KUSTOM_KEYS", "KUSTOM_PROXY")
SHOPS_FILE, BUILT_IN = "KUSTOM_SHOPS_FILE", "sandbox"
PATHS = (KEY_FILE, "KUSTOM_STORE_FILE", "KUSTOM_STATE_DIR", "KUSTOM_AUDIT_LOG", SHOPS_FILE)


@dataclass(frozen=True)
class InstallOptions:
    """The options of the command. `name`: of the entry. `yes`: do not ask, but for a key in use (`replace_key`).
    `shops`: the path of a shops file, or the word for the built-in shops."""

    name: str = NAME
    remove: bool = False
    yes: bool = False
    replace_key: bool = False
    env_file: Path | None = None
    shops: str | None = None


@dataclass(frozen=True)
class Plan:
    """A new entry. `key_file`: the file of its own that must hold the key first, where it needs one.

    `given`: files with secrets that the person named. `shops`: in words, where there are several.
    """

    entry: HostEntry
    access: EntryAccess
    writes: bool
    key_file: Path | None
    given: Sequence[str]
    shops: Sequence[str] = ()

    @property
    def key_in_place(self) -> bool:
        """Whether the key file holds the key already, and only its owner can read it."""
        return self.key_file is None or (_holds(self.key_file, self.access.key) and not _exposed(self.key_file))


@dataclass(frozen=True)
class HostChange:
    """A change of the host, as text for the person and as a function. `apply` returns the exit code."""

    shown: str
    apply: Callable[[], int]


def run(host: str, machine: Machine, options: InstallOptions) -> int:
    """Install into a host, or take out of it. ConfigError for a wrong setting."""
    how = HOW[host]
    plan = None if options.remove else _plan(host, machine, options)
    try:
        return _change(how, machine, options, plan)
    except HostFileError as error:
        print(f"kustom-mcp: install: {error}", file=sys.stderr)
        return USAGE


def _plan(host: str, machine: Machine, options: InstallOptions) -> Plan:
    """Plan the new entry. ConfigError."""
    environ = {**machine.environ, **({SHOPS_FILE: _of_shops(options.shops)} if options.shops else {})}
    loaded = load(environ, options.env_file)
    for warning in loaded.warnings:
        print(f"kustom-mcp: {warning}", file=sys.stderr)
    settings, allowed = loaded.settings, access(loaded.settings)
    if loaded.shops is None:
        environ[ENVIRONMENT] = settings.environment
    else:
        _require_keys(loaded.shops, options.env_file)
    names = [row.name for row in table() if row.name.removeprefix("KUSTOM_").lower() not in HTTP_ONLY]
    env = {name: environ[name].strip() for name in names if _is_set(environ.get(name, ""))}
    for name in SECRET:
        if name in env:
            raise ConfigError(name, "It may hold a secret: put it into a file, and give that with --env-file.")
    key = env.pop(KEY, None)
    if key and options.env_file:
        raise ConfigError(KEY, "With --env-file it belongs into that file: unset it here.")
    key_file = _key_file(machine, f"{host}-{options.name}", allowed.key) if key and allowed.key else None
    if key_file:
        env[KEY_FILE] = str(key_file)
    env = {name: _absolute(value) if _is_path(name, value) else value for name, value in env.items()}
    command, *words = machine.program
    given: list[str] = [] if key_file else [env[name] for name in (KEY_FILE,) if name in env]
    if options.env_file:
        given.append(_absolute(str(options.env_file)))
        words += ["--env-file", given[-1]]
    entry = {"command": command, "args": words, "env": env}
    shops: list[str] = []
    if loaded.shops is not None:
        from kustom_mcp.cli.shops import described

        shops = [described(shop) for shop in loaded.shops().values()]
        given += [str(shop.settings.api_key_file) for shop in loaded.shops().values() if shop.settings.api_key_file]
    return Plan(entry, allowed, settings.writes_allowed, key_file, given, shops)


def _of_shops(given: str) -> str:
    return given if given == BUILT_IN else _absolute(given)


def _is_path(name: str, value: str) -> bool:
    return name in PATHS and value != "-" and (name, value) != (SHOPS_FILE, BUILT_IN)


def _require_keys(file: ShopsFile, env_file: Path | None) -> None:
    """Refuse shops whose key is in a variable of this environment: a host does not pass that on. ConfigError."""
    missing = sorted(file.key_variables - (variables_in(env_file) if env_file else set()))
    if missing:
        raise ConfigError(
            SHOPS_FILE,
            f"A shop takes its key from {missing[0]}, which a host does not pass on: use api_key_file there, or give "
            "the variable in a file with --env-file.",
        )


def _change(how: Host, machine: Machine, options: InstallOptions, plan: Plan | None) -> int:
    command = machine.which(how.command) if how.command and (how.remove if plan is None else how.add) else None
    file = _file(how, machine, loosely=command is not None)
    there = options.name in file.servers(how.key)
    old = file.servers(how.key).get(options.name)
    if plan is None and not there:
        return _say(DONE, f"{how.title} has no {options.name}: there is nothing to remove.")
    if old and not OURS.search(json.dumps(old, default=str)):
        raise HostFileError(
            f"{options.name} in {file.path} is another program. It was left alone: give another --name."
        )
    absent = plan is not None and not is_there(how, machine)
    if command:
        change = _by_command(command, how, machine, options.name, plan, there=there)
    else:
        change = _by_file(file, how.key, options.name, plan.entry if plan else None)
    if not change.shown and plan and plan.key_in_place:
        return _say(DONE, f"{how.title} has exactly this already. Nothing was written.")
    if change.shown:
        print(change.shown)
    replaces = _tell(options.name, plan, access_of(old)) if plan else False
    question = f"Replace the key of {options.name}? [y/N] " if replaces else "Do it? [y/N] "
    try:
        answer = (options.yes and (options.replace_key or not replaces)) or machine.ask(question)
    except KeyboardInterrupt:
        print("\nkustom-mcp: install: Interrupted. Nothing was written.", file=sys.stderr)
        return INTERRUPTED
    if not answer:
        return _not_agreed(answer, options, replaces=replaces)
    return _carry_out(how, change, plan, old, absent=absent)


def _file(how: Host, machine: Machine, *, loosely: bool) -> HostFile:
    """The host's file. HostFileError, with what else helps where only the file's form stands in the way."""
    try:
        return host_file(how, machine, loosely=loosely)
    except HostFileError as error:
        if loosely or not how.or_command:
            raise
        raise HostFileError(f"{error} {how.or_command}") from None


def _carry_out(how: Host, change: HostChange, plan: Plan | None, old: Any, *, absent: bool) -> int:
    """Write the key and change the host. The file of a key that is in no entry in the end is taken away again."""
    with _keeping_others_out(plan):
        made = _write_key(plan) if plan else None
        try:
            code = change.apply()
        except HostFileError:
            if made:
                made.unlink(missing_ok=True)
            raise
    if code:
        kept = f" The key is in {made} now." if made else ""
        return _say(NOT_DONE, f"{how.title}'s command failed with exit code {code}.{kept}")
    if absent:
        waits = f"{how.title} was not found on this computer: once installed, it reads it."
        return _say(DONE, f"The entry is there. {waits}")
    if plan:
        return _say(DONE, f"Installed into {how.title}. {how.after}")
    path = environment_of(old).get(KEY_FILE, "")
    if path and Path(path).is_file():
        print(f"Its API key is still in {path}: delete that file when no other entry uses it.")
    return _say(DONE, f"Removed from {how.title}.")


@contextmanager
def _keeping_others_out(plan: Plan | None) -> Generator[None]:
    """Keep other processes off the folder of our key files: one may be about to use the file that another takes away.
    HostFileError."""
    folder = plan.key_file.parent if plan and plan.key_file else None
    if folder is None:
        yield
        return
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            held.enter_context(alone(folder))
        except OSError as error:
            raise HostFileError(f"{folder} cannot be used ({error.strerror}). Nothing was installed.") from None
        yield


def _by_command(found: str, how: Host, machine: Machine, name: str, plan: Plan | None, *, there: bool) -> HostChange:
    """The change by the host's own command, which was found at a path."""
    commands = [[found, *how.remove(name)]] if how.remove and there else []
    if plan and how.add:
        commands.append([found, *how.add(name, plan.entry)])

    def apply() -> int:
        for number, command in enumerate(commands):
            code = machine.run(command)
            if code:
                if number:
                    print(f"The old {name} was taken out already.")
                return code
        return DONE

    return HostChange("\n  ".join(["This will be run:", *map(subprocess.list2cmdline, commands)]), apply)


def _by_file(file: HostFile, key: str, name: str, entry: HostEntry | None) -> HostChange:
    """The change by the host's file; nothing is shown where it stays as it is."""
    content = file.changed(key, name, entry)

    def apply() -> int:
        copy = file.put(key, name, entry)
        if copy:
            print(f"The file as it was: {copy}")
        return DONE

    if content == file.content:
        return HostChange("", apply)
    what = "will change, and a copy of it stays" if file.raw else "will be made"
    return HostChange(f"{file.path} {what}:\n{file.difference(content)}", apply)


def _tell(name: str, plan: Plan, old: EntryAccess) -> bool:
    """Print the new and the old access of the entry. True when a key goes out of use."""
    new = plan.access
    if plan.shops:
        print("\n  ".join([f"{name} serves {len(plan.shops)} shop{'s' * (len(plan.shops) > 1)}:", *plan.shops]))
    elif new.key:
        print(f"{name} works in {new.environment}: orders can {'be changed' if plan.writes else 'only be read'}.")
    else:
        print("Without credentials this is the sandbox: invented orders, and nothing leaves this machine.")
    if plan.key_file and not plan.key_in_place:
        if plan.key_file.exists():
            print(f"Others on this machine could read the API key in {plan.key_file}. From now on only you can.")
        else:
            print(f"The API key goes into {plan.key_file}, which only you can read.")
    for path in filter(_exposed, map(Path, plan.given)):
        print(f"Others on this machine can read {path}: make it private (chmod 600).")
    if not old.key or old == new:
        return False
    key = "the same key" if old.key == new.key else "another key" if new.key else "no key"
    print(f"{name} is there already, with a key for {old.environment}. It gets {key}, for {new.environment}.")
    return True


def _key_file(machine: Machine, entry: str, key: str) -> Path:
    """The file for the key of an entry: one that holds it already, else a new one."""
    numbered = (machine.own_folder / f"{entry}{f'.{n}' if n > 1 else ''}.key" for n in count(1))
    return next(path for path in numbered if not os.path.lexists(path) or _holds(path, key))


def _holds(path: Path, key: str) -> bool:
    try:
        return path.is_file() and path.read_text(encoding="utf-8").strip() == key
    except (OSError, ValueError):
        return False


def _exposed(path: Path) -> bool:
    """Whether others can read a file. Windows keeps that elsewhere than in its mode."""
    return os.name == "posix" and path.is_file() and bool(path.stat().st_mode & 0o077)


def _write_key(plan: Plan) -> Path | None:
    """Write the key file, and return it where it was made here. HostFileError where it cannot be written."""
    path = plan.key_file
    if path is None or plan.key_in_place:
        return None
    try:
        if _holds(path, plan.access.key):
            path.chmod(PRIVATE)
            return None
        write_new(path, f"{plan.access.key}\n".encode())
    except FileExistsError:
        raise HostFileError(f"{path} was made by another process just now. Nothing was installed: try again.") from None
    except OSError as error:
        raise HostFileError(f"{path} cannot be written ({error.strerror}). Nothing was installed.") from None
    return path


def _not_agreed(answer: bool | None, options: InstallOptions, *, replaces: bool) -> int:
    if answer is not None:
        return _say(NOT_DONE, "Nothing was written.")
    add = [] if options.yes else ["--yes"]
    add += ["--replace-key, or --name NAME for a second entry"] if replaces else []
    sentence = f"Nobody can be asked here, so nothing was written: add {' and '.join(add)}."
    print(f"kustom-mcp: install: {sentence}", file=sys.stderr)
    return USAGE


def _say(code: int, sentence: str) -> int:
    print(sentence)
    return code


def _is_set(value: str) -> bool:
    return bool(value.strip()) and not value.strip().startswith("${")


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def this_machine() -> Machine:
    """The computer that this runs on."""
    system = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
    return Machine(
        system="windows" if system == "windows" else "macos" if system == "macos" else "linux",
        home=Path.home(),
        environ=dict(os.environ),
        program=program.for_hosts(),
        which=shutil.which,
        run=lambda words: subprocess.run(words, check=False, stdin=subprocess.DEVNULL).returncode,
        ask=agrees,
    )
