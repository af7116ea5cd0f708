"""The account that a command works with: of the environment or of a host's entry, and named in its first line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.cli.desk import POSIX
from tests.transport.kustom import MERCHANT, Kustom

ORDERLESS = [
    "audit",
    "audit export",
    "resolve",
    "book import orders.csv",
    "book sync",
    "book status",
    "book status --json",
]
PROGRAM = {"command": "kustom-mcp"}
PLACES = {
    "claude-desktop": (".config/Claude/claude_desktop_config.json", "mcpServers", "Claude Desktop"),
    "claude-code": (".claude.json", "mcpServers", "Claude Code"),
    "cursor": (".cursor/mcp.json", "mcpServers", "Cursor"),
    "vscode": (".config/Code/User/mcp.json", "servers", "VS Code"),
}

pytestmark = POSIX


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def give(home: Path, host: str, **entries: dict[str, Any]) -> Path:
    """Put entries into a host's file."""
    place, key, _ = PLACES[host]
    path = home / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({key: entries}))
    return path


@pytest.mark.parametrize("host", PLACES)
def test_check_tries_the_credentials_that_a_host_was_given(
    host: str, home: Path, command: Command, kustom: Kustom
) -> None:
    kustom.reset()
    key = home / "key"
    key.write_text(kustom.settings["KUSTOM_API_KEY"])
    env = {name: value for name, value in kustom.settings.items() if name != "KUSTOM_API_KEY"}
    give(home, host, kustom={**PROGRAM, "env": {**env, "KUSTOM_API_KEY_FILE": str(key), "KUSTOM_WRITES": "deny"}})
    ran = command("check", "--host", host, KUSTOM_API_KEY="kco_test_of_another", KUSTOM_PII="masked")
    assert ran.code == 0
    assert ran.out.startswith(
        f"Environment: playground, merchant {MERCHANT}, with the settings of kustom in {PLACES[host][2]}\n"
    )
    assert "the server is read-only" in ran.out
    assert [(seen["method"], seen["status"]) for seen in kustom.requests] == [("GET", 404)]
    assert ran.err == "kustom-mcp: --host: of this environment KUSTOM_API_KEY, KUSTOM_PII counts for nothing.\n"


def test_audit_and_book_work_with_the_account_of_a_named_entry(home: Path, command: Command, kustom: Kustom) -> None:
    env_file = home / "kustom.env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in kustom.settings.items()))
    give(home, "cursor", kustom=PROGRAM, live={**PROGRAM, "args": [f"--env-file={env_file}"]})
    told = f"Environment: playground, merchant {MERCHANT}, with the settings of live in Cursor\n"
    for words in (("audit",), ("book", "status"), ("book", "sync")):
        ran = command(*words, "--host", "cursor", "--name", "live")
        assert (ran.code, ran.err, ran.out.startswith(told)) == (0, "", True)
    shown = json.loads(command("book", "status", "--json", "--host", "cursor", "--name", "live").out)
    assert (shown["environment"], shown["merchant"]) == ("playground", MERCHANT)


@pytest.mark.parametrize("words", ORDERLESS)
def test_a_command_about_real_orders_is_refused_without_credentials(words: str, home: Path, command: Command) -> None:
    ran = command(*words.split())
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith(
        "kustom-mcp: KUSTOM_API_KEY: No credentials are given here, and this command is about real"
    )
    give(home, "cursor", kustom={**PROGRAM, "env": {"KUSTOM_ENVIRONMENT": "sandbox"}})
    ran = command(*words.split(), "--host", "cursor")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("kustom-mcp: --host: kustom in Cursor has no credentials: it is for the sandbox. `")
    assert ran.err.endswith(" install cursor --env-file PATH` gives it those of a file.\n")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"command": "sh", "args": ["-c", "KUSTOM_API_KEY=kco_test_CANARY kustom-mcp"]}, "cannot be told from here"),
        ({**PROGRAM, "env": {"KUSTOM_API_KEY": "${input:CANARY}"}}, "cannot be told from here"),
        ({**PROGRAM, "envFile": "/CANARY"}, "cannot be told from here"),
        ({**PROGRAM, "env": {"KUSTOM_WRITSE": "CANARY"}}, "KUSTOM_WRITSE: There is no such setting."),
        (None, "has no entry kustom. It has kustom-two: give --name."),
    ],
)
def test_settings_that_cannot_be_told_are_an_error_and_never_another_account(
    entry: dict[str, Any] | None, why: str, home: Path, command: Command
) -> None:
    more = {} if entry is None else {"kustom": entry}
    give(home, "vscode", **more, **{"kustom-two": PROGRAM, "other": {"command": "npx"}})
    ran = command("check", "--host", "vscode")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert why in ran.err
    assert "CANARY" not in ran.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("check", "--host", "cursor", "--env-file", "x"), "--host: It brings settings of its own"),
        (("check", "--name", "live"), "--name: It names an entry of a host: give --host as well."),
        (("audit", "x", "--host", "cursor"), "give either a path or --host"),
        (("book", "sync", "--host", "cursor"), "mcp.json cannot be read (it is not a regular file)"),
        (("check", "--host", "claude-desktop"), "A bundle's key is kept by the host and cannot be read."),
        (("check", "--host", "vscode"), " install vscode` makes it."),
        (("audit", "--host", "claude-code", "--name", "live"), " install claude-code --name live` makes it."),
    ],
)
def test_a_host_that_cannot_be_used_is_a_usage_error(
    words: tuple[str, ...], why: str, home: Path, command: Command
) -> None:
    (home / ".cursor" / "mcp.json").mkdir(parents=True)
    ran = command(*words)
    assert (ran.code, ran.out) == (2, "")
    assert why in ran.err
