"""The hosts that `kustom-mcp install` knows: where each keeps its servers, and its own command where it has one.

Facts about other programs, so they stand in one place: the documentation of Claude Desktop and Cursor names their
files, Claude Code and VS Code have a command that knows its own. Nothing here writes; the machine is a value, so that
every system can be looked at from any other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

HOSTS = ("claude-desktop", "claude-code", "cursor", "vscode")
NAME = "kustom"

HostEntry = dict[str, Any]


@dataclass(frozen=True)
class Machine:
    """The computer as the installer knows it, and the three things that it does to it besides writing files.

    `program`: how a host starts this server. `which`: the path of a command or None. `run`: a host's own command, its
    exit code. `ask`: a question to the person, True for a clear yes, None where nobody can be asked.
    """

    system: Literal["windows", "macos", "linux"]
    home: Path
    environ: Mapping[str, str]
    program: Sequence[str]
    which: Callable[[str], str | None]
    run: Callable[[Sequence[str]], int]
    ask: Callable[[str], bool | None]

    @property
    def settings_folder(self) -> Path:
        """The folder in which programs of this user keep their settings."""
        if self.system == "windows":
            return self.folder("APPDATA", self.home / "AppData" / "Roaming")
        if self.system == "macos":
            return self.home / "Library" / "Application Support"
        return self.folder("XDG_CONFIG_HOME", self.home / ".config")

    @property
    def packages(self) -> Path:
        """The folder in which Windows keeps what packaged apps see as their own."""
        return self.folder("LOCALAPPDATA", self.home / "AppData" / "Local") / "Packages"

    @property
    def own_folder(self) -> Path:
        """The folder of our own key files."""
        return self.settings_folder / "kustom-mcp"

    def folder(self, variable: str, default: Path) -> Path:
        """The folder that a variable names as an absolute path, else the usual one."""
        given = Path(self.environ.get(variable, ""))
        return given if given.is_absolute() else default


@dataclass(frozen=True)
class Host:
    """One host. `files`: where its servers may stand, the one to write first. `key`: the object in it that holds them.

    `add` and `remove` are the words of its own command, by the entry's name; where one is None or the command is not
    on the PATH, the file is edited. `or_command`: what else helps where that file cannot be edited.
    """

    title: str
    files: Callable[[Machine], Sequence[Path]]
    key: str = "mcpServers"
    command: str | None = None
    add: Callable[[str, HostEntry], list[str]] | None = None
    remove: Callable[[str], list[str]] | None = None
    after: str = ""
    or_command: str = ""


def _claude_desktop(machine: Machine) -> list[Path]:
    """Windows shows a packaged app (the usual one since 2026) a folder of its own in the place of the roaming one."""
    name = "claude_desktop_config.json"
    packaged: list[Path] = []
    if machine.system == "windows":
        packaged = sorted(machine.packages.glob("Claude_*/LocalCache/Roaming"))
    return [*(folder / "Claude" / name for folder in packaged), machine.settings_folder / "Claude" / name]


def _claude_add(name: str, entry: HostEntry) -> list[str]:
    """`--env` takes every word up to the next option, so that another option has to stand between it and the name."""
    environment = [word for setting, value in entry["env"].items() for word in ("--env", f"{setting}={value}")]
    return ["mcp", "add", *environment, "--scope", "user", name, "--", entry["command"], *entry["args"]]


def _vscode_add(name: str, entry: HostEntry) -> list[str]:
    return ["--add-mcp", json.dumps({"name": name, **entry})]


HOW: dict[str, Host] = {
    "claude-desktop": Host(
        "Claude Desktop",
        _claude_desktop,
        after="Quit Claude Desktop fully and start it again: it reads this at its start.",
    ),
    "claude-code": Host(
        "Claude Code",
        lambda machine: [machine.folder("CLAUDE_CONFIG_DIR", machine.home) / ".claude.json"],
        command="claude",
        add=_claude_add,
        remove=lambda name: ["mcp", "remove", "--scope", "user", name],
        after="Claude Code sees it in its next session: /mcp lists it.",
        or_command="Or put its command claude on the PATH, and try again.",
    ),
    "cursor": Host(
        "Cursor",
        lambda machine: [machine.home / ".cursor" / "mcp.json"],
        after="Cursor lists it in its settings, under MCP.",
    ),
    "vscode": Host(
        "VS Code",
        lambda machine: [machine.settings_folder / "Code" / "User" / "mcp.json"],
        key="servers",
        command="code",
        add=_vscode_add,
        after="In VS Code, MCP: List Servers starts it.",
        or_command="Or run \"Shell Command: Install 'code' command in PATH\" in VS Code, and try again.",
    ),
}


def is_there(host: Host, machine: Machine) -> bool:
    """Whether a host seems to be on a machine: its command, its file, or the folder of its settings."""
    if host.command and machine.which(host.command):
        return True
    return any(path.exists() or (path.parent != machine.home and path.parent.is_dir()) for path in host.files(machine))
