"""A computer with a person at it, for the tests of `kustom-mcp install`.

The computer is a value: a home in a temporary folder, an environment, a person who answers, and the hosts' own commands
as a list of what was run. Files are real.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from kustom_mcp.cli.install import command as install
from kustom_mcp.cli.install.hosts import Machine

System = Literal["windows", "macos", "linux"]
SYSTEMS: tuple[System, ...] = ("windows", "macos", "linux")
KEY = "kco_test_api_this_is_a_secret"
CREDENTIALS = {"KUSTOM_USERNAME": "PM12345", "KUSTOM_API_KEY": KEY}
PROGRAM = ["/opt/bin/kustom-mcp"]
SANDBOX: dict[str, Any] = {"command": "/opt/bin/kustom-mcp", "args": [], "env": {"KUSTOM_ENVIRONMENT": "sandbox"}}
IN_SANDBOX = ["--env", "KUSTOM_ENVIRONMENT=sandbox"]
OTHERS: dict[str, Any] = {
    "theme": "dark",
    "mcpServers": {"files": {"command": "npx", "env": {"TOKEN": "of another server"}}},
    "z": 1.5,
}
POSIX = pytest.mark.skipif(os.name != "posix", reason="file modes")

PLACES = {
    ("claude-desktop", "windows"): "AppData/Roaming/Claude/claude_desktop_config.json",
    ("claude-desktop", "macos"): "Library/Application Support/Claude/claude_desktop_config.json",
    ("claude-desktop", "linux"): ".config/Claude/claude_desktop_config.json",
    ("cursor", "windows"): ".cursor/mcp.json",
    ("cursor", "macos"): ".cursor/mcp.json",
    ("cursor", "linux"): ".cursor/mcp.json",
}
CLAUDE_CODE = ".claude.json"
VSCODE: dict[System, str] = {
    "windows": "AppData/Roaming/Code/User/mcp.json",
    "macos": "Library/Application Support/Code/User/mcp.json",
    "linux": ".config/Code/User/mcp.json",
}


@dataclass
class Desk:
    """A computer with a person at it. `answers`: True, False, or None where nobody can be asked."""

    home: Path
    answers: bool | None = True
    commands: Sequence[str] = ("claude", "code")
    code: int = 0
    ran: list[list[str]] = field(default_factory=list[list[str]])
    asked: list[str] = field(default_factory=list[str])

    def run(
        self, host: str, system: System = "linux", *, name: str = "kustom", remove: bool = False, yes: bool = False,
        replace_key: bool = False, env_file: Path | None = None, environ: Mapping[str, str] | None = None,
        shops: str | None = None,
    ) -> int:  # fmt: skip
        def which(command: str) -> str | None:
            return f"/bin/{command}" if command in self.commands else None

        def ask(question: str) -> bool | None:
            self.asked.append(question)
            return self.answers

        machine = Machine(system, self.home, environ or {}, PROGRAM, which, self.execute, ask)
        return install.run(host, machine, install.InstallOptions(name, remove, yes, replace_key, env_file, shops))

    def execute(self, words: Sequence[str]) -> int:
        """A host's own command: remembered, and without an effect."""
        self.ran.append(list(words))
        return self.code

    def write(self, place: str, content: Any) -> Path:
        path = self.home / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    def files(self) -> dict[str, str]:
        """Every file below the home, and what it holds."""
        paths = sorted(path for path in self.home.rglob("*") if path.is_file())
        return {path.relative_to(self.home).as_posix(): path.read_text(encoding="utf-8") for path in paths}

    def parsed(self, place: str) -> Any:
        """A file of JSON below the home."""
        return json.loads(self.files()[place])
