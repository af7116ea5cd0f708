"""`kustom-mcp install`: what it does to each host on each system, and what it never does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from kustom_mcp.cli.install import command as install
from kustom_mcp.cli.install.hosts import HOSTS, HOW
from kustom_mcp.settings.environment import load
from kustom_mcp.settings.settings import ConfigError
from tests.cli.desk import (
    CLAUDE_CODE,
    CREDENTIALS,
    IN_SANDBOX,
    KEY,
    OTHERS,
    PLACES,
    POSIX,
    PROGRAM,
    SANDBOX,
    SYSTEMS,
    VSCODE,
    Desk,
    System,
)
from tests.support.unhurried import PATIENCE


@pytest.mark.parametrize(("host", "system"), PLACES)
def test_a_host_without_a_file_gets_one_with_this_server(host: str, system: System, desk: Desk) -> None:
    assert desk.run(host, system) == 0
    assert desk.parsed(PLACES[host, system]) == {"mcpServers": {"kustom": SANDBOX}}
    assert list(desk.files()) == [PLACES[host, system]]


@pytest.mark.parametrize(("host", "system"), PLACES)
def test_other_servers_and_keys_stay_and_the_file_is_kept_as_it_was(host: str, system: System, desk: Desk) -> None:
    place = PLACES[host, system]
    before = desk.write(place, OTHERS).read_text()
    assert desk.run(host, system) == 0
    servers = {**OTHERS["mcpServers"], "kustom": SANDBOX}
    after = desk.parsed(place)
    assert after == {**OTHERS, "mcpServers": servers}
    assert list(after) == list(OTHERS)
    assert desk.files()[f"{place}.backup"] == before
    assert desk.run(host, system, remove=True) == 0
    assert desk.parsed(place) == OTHERS
    assert sorted(desk.files()) == sorted([place, f"{place}.backup", f"{place}.backup1"])


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_key_goes_into_a_file_of_its_own_and_nowhere_else(
    system: System, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.run("claude-desktop", system, environ=CREDENTIALS) == 0
    (keeper,) = [name for name, text in desk.files().items() if KEY in text]
    entry = desk.parsed(PLACES["claude-desktop", system])["mcpServers"]["kustom"]
    assert entry["env"] == {
        "KUSTOM_USERNAME": "PM12345",
        "KUSTOM_ENVIRONMENT": "playground",
        "KUSTOM_API_KEY_FILE": str(desk.home / keeper),
    }
    assert load(entry["env"]).settings.effective_api_key.get_secret_value() == KEY
    printed = capsys.readouterr()
    assert KEY not in printed.out + printed.err
    assert keeper in printed.out.replace("\\", "/")


@POSIX
@pytest.mark.parametrize("host", ["claude-desktop", "cursor", "claude-code", "vscode"])
def test_only_the_owner_can_read_what_holds_the_key(host: str, desk: Desk) -> None:
    if host == "cursor":
        desk.write(".cursor/mcp.json", OTHERS).chmod(0o644)
    assert desk.run(host, environ=CREDENTIALS) == 0
    place = f".config/kustom-mcp/{host}-kustom.key"
    key = desk.home / place
    assert (key.read_text(), key.stat().st_mode & 0o777) == (f"{KEY}\n", 0o600)
    assert key.parent.stat().st_mode & 0o777 == 0o700
    assert [name for name, text in desk.files().items() if KEY in text] == [place]
    assert KEY not in str(desk.ran)


@POSIX
def test_a_file_keeps_its_mode_and_a_new_one_is_private(desk: Desk) -> None:
    path = desk.write(".cursor/mcp.json", OTHERS)
    path.chmod(0o640)
    desk.run("cursor")
    desk.run("claude-desktop")
    new = desk.home / PLACES["claude-desktop", "linux"]
    copy = path.with_name("mcp.json.backup")
    assert [file.stat().st_mode & 0o777 for file in (path, copy, new)] == [0o640, 0o640, 0o600]


def test_the_difference_is_shown_before_the_question_and_shows_no_other_servers_secret(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    old = {"mcpServers": {**OTHERS["mcpServers"], "kustom": {"command": "uvx", "env": {"KUSTOM_API_KEY": KEY}}}}
    desk.write(".cursor/mcp.json", old)
    desk.answers = False
    assert desk.run("cursor", environ={"KUSTOM_WRITES": "deny"}) == 1
    printed = capsys.readouterr().out
    assert '-      "command": "uvx",' in printed
    assert '-        "KUSTOM_API_KEY": "..."' in printed
    assert '+      "command": "/opt/bin/kustom-mcp",' in printed
    assert '+        "KUSTOM_WRITES": "deny"' in printed
    assert KEY not in printed
    assert "of another server" not in printed
    assert printed.endswith("Nothing was written.\n")
    assert desk.asked == ["Replace the key of kustom? [y/N] "]


@pytest.mark.parametrize("answer", [False, None])
@pytest.mark.parametrize("host", ["claude-desktop", "claude-code", "cursor", "vscode"])
def test_without_a_yes_nothing_is_written_and_nothing_is_run(host: str, answer: bool | None, desk: Desk) -> None:
    desk.write(".cursor/mcp.json", OTHERS)
    before, desk.answers = desk.files(), answer
    assert desk.run(host, environ=CREDENTIALS) == (2 if answer is None else 1)
    assert (desk.files(), desk.ran) == (before, [])


def test_a_script_says_yes_and_is_not_asked(desk: Desk) -> None:
    desk.answers = None
    assert desk.run("cursor", yes=True) == 0
    assert desk.asked == []
    assert desk.parsed(".cursor/mcp.json") == {"mcpServers": {"kustom": SANDBOX}}


def test_the_second_time_there_is_nothing_to_do(desk: Desk) -> None:
    desk.run("cursor", environ=CREDENTIALS)
    before = desk.files()
    desk.asked.clear()
    assert desk.run("cursor", environ=CREDENTIALS) == 0
    assert (desk.files(), desk.asked) == (before, [])


@pytest.mark.parametrize("host", ["claude-desktop", "cursor", "claude-code", "vscode"])
def test_removing_what_is_not_there_is_no_fault(host: str, desk: Desk) -> None:
    assert desk.run(host, remove=True) == 0
    assert (desk.files(), desk.ran, desk.asked) == ({}, [], [])


@pytest.mark.parametrize(
    "text",
    ['{"a": {', "// a remark\n{}", "[]", '{"mcpServers": []}', '{"mcpServers": {"kustom": "kustom-mcp", "x": NaN}}',
     '"text"', "\x00", "[" * 100_000, f'{{"x": {"[" * 900}{"]" * 900}, "mcpServers": {{"kustom": "kustom-mcp"}}}}'],
    ids=["cut", "remark", "list", "servers", "NaN", "text", "zero", "deep", "too deep to write"],
)  # fmt: skip
@pytest.mark.parametrize("remove", [False, True])
def test_a_file_that_is_not_understood_is_left_alone(
    text: str, remove: bool, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.write(".cursor/mcp.json", text)
    assert desk.run("cursor", remove=remove, environ=CREDENTIALS) == 2
    assert desk.files() == {".cursor/mcp.json": text}
    printed = capsys.readouterr().err
    assert printed.startswith("kustom-mcp: install: ")
    assert printed.count("\n") == 1
    assert "mcp.json" in printed


def test_a_file_that_is_no_text_or_no_file_is_left_alone(desk: Desk) -> None:
    path = desk.write(".cursor/mcp.json", "")
    path.write_bytes(b"\xff\xfe{}")
    assert desk.run("cursor") == 2
    assert path.read_bytes() == b"\xff\xfe{}"
    path.unlink()
    path.mkdir()
    assert desk.run("cursor") == 2


class Meanwhile(list[str]):
    """The question; another program writes the file before the answer comes."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text

    def append(self, question: str) -> None:
        self.path.write_text(self.text)


def test_what_another_program_wrote_meanwhile_stays(desk: Desk) -> None:
    path = desk.write(".cursor/mcp.json", OTHERS)
    newer = {"theme": "light", "mcpServers": {"other": {"command": "x"}}}
    desk.asked = Meanwhile(path, json.dumps(newer))
    assert desk.run("cursor", environ=CREDENTIALS) == 0
    after = desk.parsed(".cursor/mcp.json")
    assert after["mcpServers"].pop("kustom")["env"]["KUSTOM_ENVIRONMENT"] == "playground"
    assert after == newer
    assert json.loads(path.with_name("mcp.json.backup").read_text()) == newer


@pytest.mark.parametrize(
    "newer",
    ['{"mcpServers": {"kustom": {"command": "other", "timeout": 1.50}}}', '{"mcpServers": []}', '{"a": {'],
    ids=["entry", "servers", "cut"],
)
def test_an_entry_that_another_program_wrote_meanwhile_is_not_overwritten(newer: str, desk: Desk) -> None:
    """The key that was written for it goes again, and one that was there before stays."""
    path = desk.write(".cursor/mcp.json", OTHERS)
    kept = desk.write(".config/kustom-mcp/cursor-kustom.key", "of before")
    desk.asked = Meanwhile(path, newer)
    assert desk.run("cursor", environ=CREDENTIALS) == 2
    assert desk.files() == {".cursor/mcp.json": newer, ".config/kustom-mcp/cursor-kustom.key": kept.read_text()}


NUMBERS = '"a": 1e999, "b": 1E5, "c": 12345678901234567890.50, "d": -0, "e": [1.0, 0.10, -1e-7, 7], "f": 9{}'.format(
    "9" * 5000
)


@pytest.mark.parametrize("remove", [False, True])
def test_numbers_keep_their_spelling(remove: bool, desk: Desk) -> None:
    ours = '"kustom": {"command": "kustom-mcp"}, ' if remove else ""
    path = desk.write(
        ".cursor/mcp.json", f'{{{NUMBERS}, "mcpServers": {{{ours}"other": {{"command": "x", "timeout": 1E1}}}}}}'
    )
    before = path.read_text()
    assert desk.run("cursor", remove=remove) == 0

    def spelled(text: str) -> Any:
        return json.loads(text, parse_float=lambda of: f"number {of}", parse_int=lambda of: f"number {of}")

    expected, after = spelled(before), spelled(path.read_text())
    expected["mcpServers"].pop("kustom", None)
    assert after["mcpServers"].pop("kustom", None) == (None if remove else SANDBOX)
    assert after == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"x": NaN}', "NaN is no number there"),
        ('{"x": [-Infinity]}', "-Infinity is no number there"),
        ('{"a": 1, "a": 2}', "an object has a name twice"),
        ('{\n"a": 1,\n}', "line 3"),
    ],
)
def test_the_error_about_a_file_that_is_no_json_names_file_and_fault(
    text: str, why: str, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    path = desk.write(".cursor/mcp.json", text)
    assert desk.run("cursor", environ=CREDENTIALS) == 2
    assert desk.files() == {".cursor/mcp.json": text}
    sentence = f"{path} is not plain JSON ({why}). It was left alone: mend it, or edit it by hand."
    assert capsys.readouterr().err == f"kustom-mcp: install: {sentence}\n"


@POSIX
def test_a_link_stays_a_link(desk: Desk) -> None:
    real = desk.write("dotfiles/mcp.json", OTHERS)
    (desk.home / ".cursor").mkdir()
    link = desk.home / ".cursor" / "mcp.json"
    link.symlink_to(real)
    assert desk.run("cursor") == 0
    assert link.is_symlink()
    assert "kustom" in real.read_text()


def test_text_that_the_file_holds_is_kept_to_the_letter(desk: Desk) -> None:
    desk.write(".cursor/mcp.json", '\ufeff{"name": "Åsa \\ud83d\\ude00", "half": "\\ud800"}')
    assert desk.run("cursor") == 0
    kept = desk.parsed(".cursor/mcp.json")
    assert (kept["name"], kept["half"]) == ("Åsa \U0001f600", "\ud800")


def test_a_packaged_claude_desktop_on_windows_reads_another_file(desk: Desk) -> None:
    packaged = desk.home / "AppData/Local/Packages/Claude_abc/LocalCache/Roaming"
    packaged.mkdir(parents=True)
    place = "AppData/Local/Packages/Claude_abc/LocalCache/Roaming/Claude/claude_desktop_config.json"
    assert desk.run("claude-desktop", "windows") == 0
    assert list(desk.files()) == [place]
    (desk.home / "AppData/Local/Packages/Claude_def/LocalCache/Roaming").mkdir(parents=True)
    assert desk.run("claude-desktop", "windows", environ={"KUSTOM_WRITES": "deny"}) == 0  # the one that is in use
    assert "deny" in desk.files()[place]
    desk.write("AppData/Local/Packages/Claude_def/LocalCache/Roaming/Claude/claude_desktop_config.json", {})
    before = desk.files()
    assert desk.run("claude-desktop", "windows") == 2
    assert desk.files() == before


def test_the_variables_that_move_the_folders_are_followed(desk: Desk, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    desk.run("claude-desktop", "windows", environ={"APPDATA": str(moved)})
    desk.run("claude-desktop", "linux", environ={"XDG_CONFIG_HOME": str(moved / "xdg")})
    assert sorted(path.relative_to(moved).as_posix() for path in moved.rglob("*.json")) == [
        "Claude/claude_desktop_config.json",
        "xdg/Claude/claude_desktop_config.json",
    ]
    desk.commands = ()
    desk.run("claude-code", environ={"CLAUDE_CONFIG_DIR": str(moved / "claude")})
    assert json.loads((moved / "claude" / CLAUDE_CODE).read_text())["mcpServers"] == {"kustom": SANDBOX}
    assert desk.files() == {}


def test_claude_code_is_told_by_its_own_command(desk: Desk) -> None:
    assert (
        desk.run(
            "claude-code", environ={"KUSTOM_USERNAME": "PM1", "KUSTOM_WRITES": "deny", "KUSTOM_ENVIRONMENT": "sandbox"}
        )
        == 0
    )
    environment = ["--env", "KUSTOM_USERNAME=PM1", *IN_SANDBOX, "--env", "KUSTOM_WRITES=deny"]
    add = ["/bin/claude", "mcp", "add", *environment, "--scope", "user", "kustom", "--", *PROGRAM]
    assert (desk.ran, desk.files()) == ([add], {})


def test_what_claude_code_has_already_is_replaced_and_removed_by_its_command(desk: Desk) -> None:
    desk.write(".claude.json", {"mcpServers": {"kustom": {}}})
    remove = ["/bin/claude", "mcp", "remove", "--scope", "user", "kustom"]
    assert desk.run("claude-code") == 0
    assert desk.ran == [remove, ["/bin/claude", "mcp", "add", *IN_SANDBOX, "--scope", "user", "kustom", "--", *PROGRAM]]
    desk.ran.clear()
    assert desk.run("claude-code", remove=True) == 0
    assert desk.ran == [remove]


def test_vs_code_is_told_by_its_own_command_and_the_entry_is_taken_out_of_its_file(desk: Desk) -> None:
    desk.write(VSCODE["linux"], "// VS Code understands remarks in it, and its command writes it\n{}")
    assert desk.run("vscode") == 0
    ((command, option, told),) = desk.ran
    assert (command, option) == ("/bin/code", "--add-mcp")
    assert json.loads(told) == {"name": "kustom", **SANDBOX}
    for system, place in VSCODE.items():
        desk.write(place, {"inputs": [], "servers": {"other": {}, "kustom": {}}})
        assert desk.run("vscode", system, remove=True) == 0
        assert desk.parsed(place) == {"inputs": [], "servers": {"other": {}}}
    assert len(desk.ran) == 1


@pytest.mark.parametrize("host", ["claude-code", "vscode"])
def test_a_host_whose_command_fails_is_not_said_to_have_it(
    host: str, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.code = 3
    assert desk.run(host) == 1
    assert "failed with exit code 3" in capsys.readouterr().out


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("host", ["claude-code", "vscode"])
def test_without_its_command_a_host_is_told_by_its_file(
    host: str, system: System, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.commands = ()
    place, key = (CLAUDE_CODE, "mcpServers") if host == "claude-code" else (VSCODE[system], "servers")
    desk.write(place, {"theme": "dark", key: {"other": {}}})
    assert desk.run(host, system) == 0
    assert desk.parsed(place) == {"theme": "dark", key: {"other": {}, "kustom": SANDBOX}}
    assert "was not found" not in capsys.readouterr().out
    assert desk.run(host, system, remove=True) == 0
    assert (desk.parsed(place), desk.ran) == ({"theme": "dark", key: {"other": {}}}, [])


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_is_not_on_this_computer_gets_its_entry_and_the_person_is_told(
    host: str, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.commands = ()
    assert desk.run(host) == 0
    told = f"The entry is there. {HOW[host].title} was not found on this computer: once installed, it reads it.\n"
    assert capsys.readouterr().out.endswith(told)
    assert len(desk.files()) == 1
    assert desk.run(host, remove=True) == 0
    assert "was not found" not in capsys.readouterr().out


def test_a_file_of_vs_code_with_remarks_is_left_to_its_command(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.commands = ()
    before = desk.write(VSCODE["linux"], "// mine\n{}").read_text()
    assert desk.run("vscode") == 2
    told = capsys.readouterr().err
    assert "is not plain JSON (line 1). It was left alone" in told
    assert "Or run \"Shell Command: Install 'code' command in PATH\" in VS Code" in told
    assert desk.files() == {VSCODE["linux"]: before}


def test_an_env_file_is_named_and_not_copied(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "kustom.env"
    file.write_text(f"KUSTOM_API_KEY={KEY}\n")
    assert (
        desk.run("cursor", env_file=file, environ={"KUSTOM_WRITES": "deny", "KUSTOM_HTTP_HOSTS": "shop.example.com"})
        == 0
    )
    entry = desk.parsed(".cursor/mcp.json")["mcpServers"]["kustom"]
    told = {"KUSTOM_ENVIRONMENT": "playground", "KUSTOM_WRITES": "deny"}
    assert entry == {"command": PROGRAM[0], "args": ["--env-file", str(file)], "env": told}
    assert KEY not in str(desk.files())
    with pytest.raises(ConfigError, match="belongs into that file"):
        desk.run("cursor", env_file=file, environ={"KUSTOM_API_KEY": KEY})


@pytest.mark.parametrize(
    "environ",
    [
        {"KUSTOM_WRITE": "deny"},
        {"KUSTOM_ENVIRONMENT": "playground"},
        {"KUSTOM_PROXY": "http://user:secret@proxy.example.com"},
        {"KUSTOM_KEYS": "k" * 32},
    ],
)
def test_a_setting_that_is_wrong_or_would_be_exposed_stops_it(environ: dict[str, str], desk: Desk) -> None:
    with pytest.raises(ConfigError):
        desk.run("cursor", environ=environ)
    assert desk.files() == {}


def test_paths_are_made_absolute_because_a_host_starts_elsewhere(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    relative = os.path.relpath(tmp_path / "key")
    assert desk.run("cursor", environ={"KUSTOM_API_KEY_FILE": relative, "KUSTOM_AUDIT_LOG": "-"}) == 0
    env = desk.parsed(".cursor/mcp.json")["mcpServers"]["kustom"]["env"]
    assert Path(env["KUSTOM_API_KEY_FILE"]).is_absolute()
    assert env["KUSTOM_AUDIT_LOG"] == "-"


def test_what_the_program_writes_starts_the_server_from_an_empty_folder(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "kustom_mcp", "install", "cursor", "--yes"],
        env={**home, **CREDENTIALS}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    assert "The entry is there. Cursor was not found on this computer" in done.stdout
    entry = json.loads((tmp_path / ".cursor" / "mcp.json").read_text())["mcpServers"]["kustom"]
    env = {**home, **entry["env"], "PATH": os.defpath}
    server = StdioServerParameters(command=entry["command"], args=entry["args"], env=env, cwd=tmp_path)

    async def listed() -> set[str]:
        with anyio.fail_after(60):
            async with Client(server) as client:
                return {tool.name for tool in (await client.list_tools()).tools}

    assert {"kustom_get_order", "kustom_refund_order"} <= anyio.run(listed)


@pytest.mark.parametrize(("key", "code"), [(KeyboardInterrupt, 130), (EOFError, 2)])
def test_ctrl_c_and_the_end_of_the_input_answer_the_question_with_no(
    key: type[BaseException], code: int, desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_question: str) -> str:
        raise key

    monkeypatch.setattr("builtins.input", interrupted)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    machine = replace(install.this_machine(), home=desk.home, environ=CREDENTIALS)
    assert install.run("cursor", machine, install.InstallOptions()) == code
    assert desk.files() == {}
    said = capsys.readouterr().err.strip()
    assert said.startswith("kustom-mcp: install: ")
    assert "othing was written" in said
    assert "\n" not in said


@POSIX
@pytest.mark.parametrize("kind", ["pipe", "links in a circle", "folder"])
def test_a_host_file_that_is_no_file_is_refused_at_once(
    kind: str, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    path = desk.home / ".cursor" / "mcp.json"
    path.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path)
    assert desk.run("cursor", environ=CREDENTIALS) == 2
    assert capsys.readouterr().err.startswith("kustom-mcp: install: ")
    assert desk.files() == {}


@POSIX
def test_a_pipe_in_the_place_of_the_key_file_is_passed_by(desk: Desk) -> None:
    keys = desk.home / ".config" / "kustom-mcp"
    keys.mkdir(parents=True)
    os.mkfifo(keys / "cursor-kustom.key")
    assert desk.run("cursor", environ=CREDENTIALS) == 0
    assert ".config/kustom-mcp/cursor-kustom.2.key" in desk.files()
