"""`kustom-mcp install` and keys: what one entry gets changes nothing for another, and no key in use is lost unasked."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from kustom_mcp.settings.environment import load
from kustom_mcp.settings.settings import ConfigError, Settings
from tests.cli.conftest import Command
from tests.cli.desk import KEY, PLACES, POSIX, VSCODE, Desk

HOSTS = ("claude-desktop", "claude-code", "cursor", "vscode")
LIVE = "kco_live_api_this_is_another_secret"
TEST = {"KUSTOM_USERNAME": "PM123", "KUSTOM_API_KEY": KEY, "KUSTOM_WRITES": "allow"}
REAL = {"KUSTOM_USERNAME": "PM123", "KUSTOM_API_KEY": LIVE}
FOLDER = ".config/kustom-mcp"
FILES = {
    "claude-desktop": PLACES["claude-desktop", "linux"],
    "claude-code": ".claude.json",
    "cursor": PLACES["cursor", "linux"],
    "vscode": VSCODE["linux"],
}


class Home(Desk):
    """A desk whose hosts' own commands do what they are for: they write the host's file. `adds`: Claude Code's."""

    adds = True

    def execute(self, words: Sequence[str]) -> int:
        host = "claude-code" if words[0].endswith("claude") else "vscode"
        if super().execute(words):
            return self.code
        if words[2] == "add" and not self.adds:
            return 4
        servers = self.servers(host)
        if words[1] == "--add-mcp":
            entry: dict[str, Any] = json.loads(words[2])
            servers[entry.pop("name")] = entry
        elif words[2] == "remove":
            del servers[words[-1]]
        else:
            end = words.index("--")
            env = dict(words[n + 1].split("=", 1) for n, word in enumerate(words[:end]) if word == "--env")
            servers[words[end - 1]] = {"command": words[end + 1], "args": list(words[end + 2 :]), "env": env}
        self.give(host, servers)
        return 0

    def servers(self, host: str) -> dict[str, Any]:
        """The contents of a host's file."""
        if not (self.home / FILES[host]).exists():
            return {}
        return self.parsed(FILES[host])["servers" if host == "vscode" else "mcpServers"]

    def give(self, host: str, servers: Mapping[str, Any]) -> None:
        """Put servers into a host's file."""
        self.write(FILES[host], {"servers" if host == "vscode" else "mcpServers": servers})

    def starts(self, host: str, name: str = "kustom") -> Settings:
        """The settings with which a host starts an entry."""
        return load(self.servers(host)[name]["env"]).settings

    def keys(self) -> dict[str, str]:
        """Our own key files."""
        return {name.rpartition("/")[2]: text for name, text in self.files().items() if name.startswith(FOLDER)}


@pytest.fixture
def desk(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def works(settings: Settings) -> tuple[str, str, bool]:
    return settings.environment, settings.effective_api_key.get_secret_value(), settings.writes_allowed


@pytest.mark.parametrize("first", HOSTS)
@pytest.mark.parametrize("second", HOSTS)
def test_a_second_host_with_a_live_key_leaves_a_test_setup_what_it_was(first: str, second: str, desk: Home) -> None:
    name = "kustom" if first != second else "kustom-live"
    assert desk.run(first, yes=True, environ=TEST) == 0
    assert desk.run(second, yes=True, name=name, environ=REAL) == 0
    assert works(desk.starts(first)) == ("playground", KEY, True)
    assert works(desk.starts(second, name)) == ("production", LIVE, False)
    assert desk.keys() == {f"{first}-kustom.key": f"{KEY}\n", f"{second}-{name}.key": f"{LIVE}\n"}
    assert desk.run(second, yes=True, name=name, remove=True) == 0
    assert works(desk.starts(first)) == ("playground", KEY, True)
    assert name not in desk.servers(second)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("environ", "environment"),
    [({}, "sandbox"), (TEST, "playground"), (REAL, "production"),
     ({"KUSTOM_API_KEY": "of-a-kind-that-does-not-tell", "KUSTOM_ENVIRONMENT": "Production",
       "KUSTOM_MERCHANT": "PM1"}, "production")],
)  # fmt: skip
def test_the_environment_always_stands_in_the_entry(
    host: str, environ: dict[str, str], environment: str, desk: Home
) -> None:
    assert desk.run(host, environ=environ) == 0
    assert desk.servers(host)["kustom"]["env"]["KUSTOM_ENVIRONMENT"] == environment


def test_the_sandbox_is_given_no_key(desk: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.run("cursor", environ={**TEST, "KUSTOM_ENVIRONMENT": "sandbox"}) == 0
    assert desk.starts("cursor").sandboxed
    assert desk.keys() == {}
    assert "so the credentials are not used" in capsys.readouterr().err


def test_another_key_in_the_file_of_an_entry_does_not_turn_it_live(desk: Home) -> None:
    desk.run("cursor", environ=TEST)
    (desk.home / FOLDER / "cursor-kustom.key").write_text(LIVE)
    with pytest.raises(ConfigError, match="KUSTOM_API_KEY"):
        desk.starts("cursor")


@pytest.mark.parametrize("host", HOSTS)
def test_entries_that_share_a_key_file_from_before_keep_it(host: str, desk: Home) -> None:
    shared = desk.write(f"{FOLDER}/api-key", f"{KEY}\n")
    env = {"KUSTOM_USERNAME": "PM123", "KUSTOM_WRITES": "allow", "KUSTOM_API_KEY_FILE": str(shared)}
    old: dict[str, Any] = {"kustom": {"command": "/opt/bin/kustom-mcp", "args": [], "env": env}}
    for one in HOSTS:
        desk.give(one, old)
    assert desk.run(host, yes=True, name="live", environ=REAL) == 0
    assert [works(desk.starts(one)) for one in HOSTS] == [("playground", KEY, True)] * 4
    assert desk.run(host, yes=True, environ=TEST) == 0  # the same key: into a file of its own
    assert desk.starts(host).environment == "playground"
    assert desk.keys() == {
        "api-key": f"{KEY}\n", f"{host}-kustom.key": f"{KEY}\n", f"{host}-live.key": f"{LIVE}\n"
    }  # fmt: skip
    assert desk.run(host, yes=True, remove=True) == 0
    assert [works(desk.starts(one)) for one in HOSTS if one != host] == [("playground", KEY, True)] * 3


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("answer", [None, False, True])
def test_a_key_in_use_is_replaced_after_a_question_of_its_own_only(
    host: str, answer: bool | None, desk: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.run(host, yes=True, environ=TEST)
    before, desk.answers = desk.files(), answer
    desk.ran.clear()
    assert desk.run(host, yes=True, environ=REAL) == {None: 2, False: 1, True: 0}[answer]
    assert desk.asked == ["Replace the key of kustom? [y/N] "]
    printed = capsys.readouterr()
    said = "kustom is there already, with a key for playground. It gets another key, for production.\n"
    assert said in printed.out
    assert KEY not in printed.out + printed.err
    assert LIVE not in printed.out + printed.err
    if answer:
        assert works(desk.starts(host)) == ("production", LIVE, False)
        assert desk.keys() == {f"{host}-kustom.key": f"{KEY}\n", f"{host}-kustom.2.key": f"{LIVE}\n"}
    else:
        assert (desk.files(), desk.ran) == (before, [])
        assert ("--replace-key, or --name NAME" in printed.err) == (answer is None)


@pytest.mark.parametrize("host", HOSTS)
def test_a_script_says_that_a_key_may_be_replaced(host: str, desk: Home) -> None:
    desk.answers = None
    for environ in (TEST, REAL, TEST, {}, TEST):
        assert desk.run(host, yes=True, replace_key=True, environ=environ) == 0
        assert desk.starts(host).environment == load(environ).settings.environment
    assert desk.asked == []
    assert desk.keys() == {f"{host}-kustom.key": f"{KEY}\n", f"{host}-kustom.2.key": f"{LIVE}\n"}


@pytest.mark.parametrize(
    ("entry", "had"),
    [
        ({"command": "uvx", "args": ["kustom-mcp"], "env": {"KUSTOM_API_KEY": LIVE}}, "production"),
        ({"command": "uvx", "args": ["kustom-mcp", "--env-file", "ENV"]}, "production"),
        ({"command": "uvx", "args": ["kustom-mcp"], "env": {"KUSTOM_API_KEY_FILE": "/gone"}}, "cannot be told"),
        ({"command": "uvx", "args": ["kustom-mcp"], "env": {"KUSTOM_API_KEY": "${KUSTOM_API_KEY}"}}, "cannot be told"),
        ({"command": "uvx", "args": ["kustom-mcp"], "envFile": "${workspaceFolder}/.env"}, "cannot be told"),
        ({"command": "uvx", "args": ["kustom-mcp"], "env": {"KUSTOM_ENVIRONMENT": "elsewhere"}}, "cannot be told"),
    ],
    ids=["inline", "env file", "gone", "placeholder", "envFile", "wrong"],
)  # fmt: skip
@pytest.mark.parametrize("environ", [TEST, {}], ids=["a key", "none"])
@pytest.mark.parametrize("host", HOSTS)
def test_a_key_in_use_is_seen_however_an_entry_has_it(
    host: str, environ: dict[str, str], entry: dict[str, Any], had: str, desk: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    env_file = desk.write("kustom.env", f"KUSTOM_API_KEY={LIVE}\n")
    words = [str(env_file) if word == "ENV" else word for word in entry["args"]]
    desk.give(host, {"kustom": {**entry, "args": words}})
    before, desk.answers = desk.files(), None
    assert desk.run(host, yes=True, environ=environ) == 2
    assert (desk.files(), desk.ran) == (before, [])
    assert had in capsys.readouterr().out


NOT_TOLD: dict[str, dict[str, Any]] = {
    "shell": {"command": "sh", "args": ["-c", f"KUSTOM_API_KEY={LIVE} kustom-mcp"]},
    "env": {"command": "/usr/bin/env", "args": [f"KUSTOM_API_KEY={LIVE}", "kustom-mcp"]},
    "container": {"command": "docker", "args": ["run", "-e", f"KUSTOM_API_KEY={LIVE}", "kustom-mcp"]},
    "env file of a container": {"command": "docker", "args": ["run", "--env-file", "/x.env", "kustom-mcp"]},
    "wrapper": {"command": "/opt/kustom-mcp-live.sh", "args": []},
    "list": {"command": "kustom-mcp", "env": [f"KUSTOM_API_KEY={LIVE}"]},
    "arguments as a text": {"command": "kustom-mcp", "args": "--env-file /x.env"},
    "abbreviation": {"command": "kustom-mcp", "args": ["--env=/x.env"]},
    "relative": {"command": "kustom-mcp", "args": ["--env-file", "x.env"]},
    "another option": {"command": "kustom-mcp", "args": ["serve", "--http"]},
    "uv's env file": {"command": "uv", "args": ["run", "--env-file", "/x.env", "kustom-mcp"]},
    "uv's variable": {"command": "uvx", "args": ["kustom-mcp"], "env": {"UV_ENV_FILE": "/x.env"}},
    "headers": {"command": "kustom-mcp", "headers": {"Authorization": "Bearer kustom_mcp_token"}},
    "nested": {"command": "kustom-mcp", "env": {"KUSTOM_API_KEY": [LIVE]}},
}


@pytest.mark.parametrize("entry", NOT_TOLD.values(), ids=NOT_TOLD)
@pytest.mark.parametrize("host", HOSTS)
def test_an_entry_that_cannot_be_told_is_taken_for_one_with_a_key(
    host: str, entry: dict[str, Any], desk: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.give(host, {"kustom": entry})
    before, desk.answers = desk.files(), None
    assert desk.run(host, yes=True, environ=TEST) == 2
    assert (desk.files(), desk.ran) == (before, [])
    printed = capsys.readouterr()
    assert "cannot be told" in printed.out
    assert LIVE not in printed.out + printed.err
    assert desk.run(host, yes=True, replace_key=True, environ=TEST) == 0


def test_an_env_file_in_one_word_is_read(desk: Home, capsys: pytest.CaptureFixture[str]) -> None:
    env_file = desk.write("kustom.env", f"KUSTOM_API_KEY={LIVE}\nKUSTOM_USERNAME=PM1234\n")
    desk.give("cursor", {"kustom": {"command": "/opt/bin/kustom-mcp", "args": [f"--env-file={env_file}"]}})
    desk.answers = None
    assert desk.run("cursor", yes=True, environ=TEST) == 2
    assert "with a key for production" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "before"),
    [
        ("uvx", ["kustom-mcp"]), ("/usr/bin/uvx", ["--from", "/src", "kustom-mcp"]), ("uvx", ["kustom-mcp@0.2.0"]),
        ("uv", ["run", "--project", "/src", "kustom-mcp"]), ("uv", ["tool", "run", "kustom-mcp"]),
        ("/usr/bin/python3.13", ["-m", "kustom_mcp"]), ("C:\\\\py\\\\kustom-mcp.exe", []),
    ],
)  # fmt: skip
def test_every_way_to_start_this_program_is_told(command: str, before: list[str], desk: Home) -> None:
    desk.give("cursor", {"kustom": {"command": command, "args": [*before, "serve"], "env": {"KUSTOM_WRITES": "deny"}}})
    desk.answers = None
    assert desk.run("cursor", yes=True, environ=TEST) == 0


SHOWN: dict[str, dict[str, Any]] = {
    "headers": {"headers": {"Authorization": "Bearer SECRETsecret"}},
    "another header": {"headers": {"X-Auth": "SECRETsecret"}},
    "list of headers": {"args": ["--header", "Authorization: Bearer SECRETsecret"]},
    "basic": {"args": ["--header", "X: Basic SECRETsecret"]},
    "shell": {"args": ["-c", "KUSTOM_API_KEY=kco_live_api_SECRET/+= kustom-mcp"]},
    "quoted": {"args": ["-c", 'export KUSTOM_API_KEY="kco_live_api_SECRET"; kustom-mcp']},
    "another name quoted": {"args": ["-c", "export MY_TOKEN='SECRETsecret'; kustom-mcp"]},
    "JSON in a text": {"args": [json.dumps(json.dumps({"api_key": "SECRETsecret"}))]},
    "option": {"args": ["--token", "SECRETsecret"]},
    "option in one word": {"args": ["--api-key=SECRETsecret"]},
    "container": {"args": ["-e", "KUSTOM_KEYS=SECRETsecret"]},
    "nested": {"oauth": {"client_secret": {"value": ["SECRETsecret"]}}},
    "number": {"env": {"API_TOKEN": 847362514}},
    "name": {"env": {"kco_live_api_SECRET": "1"}},
    "webhooks": {"x": "whsec_SECRET"},
    "password in a URL": {"x": "https://me:SECRETsecret@example.com/"},
    "base64": {"x": base64.b64encode(b"PM1:kco_live_api_SECRET").decode()},
}


@pytest.mark.parametrize("had", SHOWN.values(), ids=SHOWN)
def test_no_secret_of_the_old_entry_is_shown(
    had: dict[str, Any], desk: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.give("cursor", {"kustom": {"command": "kustom-mcp", **had}})
    desk.answers = False
    assert desk.run("cursor", environ=TEST) == 1
    printed = capsys.readouterr()
    told = printed.out + printed.err
    assert not [word for word in ("SECRET", "847362514", str(had.get("x"))[8:]) if word in told and len(word) > 4]
    assert '"KUSTOM_API_KEY_FILE": "' in told
    assert "cursor-kustom.key" in told


@pytest.mark.parametrize("entry", [{}, {"command": "uvx", "args": ["kustom-mcp"], "env": {"KUSTOM_WRITES": "deny"}}])
def test_an_entry_without_a_key_is_replaced_as_ever(entry: dict[str, Any], desk: Home) -> None:
    desk.give("cursor", {"kustom": entry})
    desk.answers = None
    assert desk.run("cursor", yes=True, environ=TEST) == 0
    assert works(desk.starts("cursor")) == ("playground", KEY, True)


def test_remarks_in_the_file_of_vs_code_hide_no_key(desk: Home) -> None:
    env = {"KUSTOM_API_KEY": LIVE, "KUSTOM_PROXY": "http://proxy.example.com"}
    servers = json.dumps({"kustom": {"command": "uvx", "args": ["kustom-mcp"], "env": env}})
    desk.write(FILES["vscode"], f'{{ // mine\n "servers": {servers}, /* "kustom": {{}} */\n}}')
    desk.answers = None
    assert desk.run("vscode", yes=True, environ=TEST) == 2
    assert desk.ran == []


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("remove", [False, True])
def test_another_program_of_the_name_is_left_alone(
    host: str, remove: bool, desk: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.give(host, {"files": {"command": "npx", "args": ["files", "/srv/kustom"], "env": {"TOKEN": "secret"}}})
    before = desk.files()
    assert desk.run(host, yes=True, replace_key=True, name="files", remove=remove, environ=TEST) == 2
    assert (desk.files(), desk.ran) == (before, [])
    assert "give another --name" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/b",
        "a\\b",
        "",
        " ",
        "a b",
        "-x",
        "--scope",
        "Kustom",
        "kustöm",
        "a.b",
        "a\n",
        "x" * 33,
        "$(id)",
        "\u202e",
    ],
)
def test_a_name_that_no_file_or_command_line_should_meet_is_refused(
    name: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ran = command("install", "cursor", "--yes", f"--name={name}")
    assert (ran.code, ran.out, list(tmp_path.iterdir())) == (2, "", [])
    assert "argument --name: the name is up to 32 lower-case letters" in ran.err
    assert len(name) < 3 or name not in ran.err


@POSIX
def test_a_key_that_others_can_read_is_said_and_one_of_ours_becomes_private(
    desk: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    own.write_text(KEY)
    own.chmod(0o644)
    desk.run("cursor", environ={"KUSTOM_API_KEY_FILE": str(own)})
    assert f"Others on this machine can read {own}: make it private" in capsys.readouterr().out
    assert own.stat().st_mode & 0o777 == 0o644
    own.chmod(0o600)
    desk.run("cursor", environ={"KUSTOM_API_KEY_FILE": str(own)})
    desk.run("cursor", environ=TEST)
    ours = desk.home / FOLDER / "cursor-kustom.key"
    assert "Others" not in capsys.readouterr().out
    ours.chmod(0o644)
    assert desk.run("cursor", environ=TEST) == 0
    assert ours.stat().st_mode & 0o777 == 0o600
    assert "Others on this machine could read the API key" in capsys.readouterr().out


@POSIX
def test_a_key_file_is_never_written_through_a_link(desk: Home, tmp_path: Path) -> None:
    target = tmp_path / "target"
    (desk.home / FOLDER).mkdir(parents=True)
    (desk.home / FOLDER / "cursor-kustom.key").symlink_to(target)
    assert desk.run("cursor", environ=TEST) == 0
    assert not target.exists()
    assert desk.starts("cursor").environment == "playground"


def test_a_host_that_fails_is_said_with_what_was_done_already(desk: Home, capsys: pytest.CaptureFixture[str]) -> None:
    desk.code = 3
    assert desk.run("claude-code", environ=TEST) == 1
    key = desk.home / FOLDER / "claude-code-kustom.key"
    assert capsys.readouterr().out.endswith(f"failed with exit code 3. The key is in {key} now.\n")
    desk.code = 0
    assert desk.run("claude-code", environ=TEST) == 0
    assert desk.keys() == {key.name: f"{KEY}\n"}
    desk.adds = False
    assert desk.run("claude-code", environ=TEST) == 1
    out = capsys.readouterr().out
    assert out.endswith("The old kustom was taken out already.\nClaude Code's command failed with exit code 4.\n")


@pytest.mark.parametrize("host", HOSTS)
def test_where_the_key_of_a_removed_entry_is_stands_there(
    host: str, desk: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.run(host, name="one", environ=TEST)
    desk.run(host, remove=True, name="one")
    kept = desk.home / FOLDER / f"{host}-one.key"
    assert f"Its API key is still in {kept}: delete that file when no other entry uses it.\n" in capsys.readouterr().out
    assert kept.read_text() == f"{KEY}\n"


@pytest.mark.parametrize("names", [[f"shop{number}" for number in range(6)], ["kustom"] * 6], ids=["own", "one"])
def test_installing_at_the_same_time_works_for_each(names: Sequence[str], tmp_path: Path) -> None:
    """Six entries of their own, each with its key, and one entry six times, with one key."""
    program = [sys.executable, "-m", "kustom_mcp", "install", "cursor", "--yes", "--name"]
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    running = [
        subprocess.Popen([*program, name], env={**home, "KUSTOM_API_KEY": f"kco_test_api_{name}"}, text=True,
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for name in names
    ]  # fmt: skip
    said = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 6, said
    servers = json.loads((tmp_path / ".cursor" / "mcp.json").read_text())["mcpServers"]
    assert {
        name: load(entry["env"]).settings.effective_api_key.get_secret_value() for name, entry in servers.items()
    } == {name: f"kco_test_api_{name}" for name in names}
    assert len(list((tmp_path / ".config" / "kustom-mcp").iterdir())) == len(set(names))
