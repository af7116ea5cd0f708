"""The command line as such: what it takes, what it refuses, and that a mistake is one line without a secret."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kustom_mcp import __version__
from kustom_mcp.cli.program import shown
from tests.cli.conftest import Command
from tests.support.unhurried import PATIENCE
from tests.transport.kustom import PROGRAM

SECRET = "do-not-repeat-this"
WRONG: list[tuple[str, dict[str, str]]] = [
    ("KUSTOM_ENVIRONMENT", {"KUSTOM_ENVIRONMENT": SECRET}),
    ("KUSTOM_ENVIRONMENT", {"KUSTOM_API_KEY": f"kco_{SECRET}"}),
    ("KUSTOM_API_KEY", {"KUSTOM_ENVIRONMENT": "playground"}),
    ("KUSTOM_API_KEY", {"KUSTOM_API_KEY": f"kco_live_{SECRET}", "KUSTOM_ENVIRONMENT": "playground"}),
    ("KUSTOM_API_KEY", {"KUSTOM_API_KEY": f"kco_test_{SECRET}", "KUSTOM_ENVIRONMENT": "production"}),
    ("KUSTOM_API_KEY_FILE", {"KUSTOM_API_KEY_FILE": f"/{SECRET}"}),
    ("KUSTOM_API_URL", {"KUSTOM_API_KEY": f"kco_test_{SECRET}", "KUSTOM_API_URL": f"http://{SECRET}.example.com"}),
    ("KUSTOM_KEYS", {"KUSTOM_KEYS": SECRET}),
    ("KUSTOM_PROXY", {"KUSTOM_PROXY": f"socks5://user:{SECRET}@proxy.example.com"}),
    ("KUSTOM_MAX_AMOUNT", {"KUSTOM_MAX_AMOUNT": SECRET}),
    ("KUSTOM_CONFIRM_TTL", {"KUSTOM_CONFIRM_TTL": "29"}),
    ("KUSTOM_ORDER_SCOPE", {"KUSTOM_ORDER_SCOPE": SECRET}),
    ("KUSTOM_CONFIRM", {"KUSTOM_CONFIRM": SECRET}),
    ("KUSTOM_TOOLS", {"KUSTOM_TOOLS": SECRET}),
    ("KUSTOM_WRITE", {"KUSTOM_WRITE": "deny"}),
    ("KUSTOM_MAXAMOUNT", {"KUSTOM_MAXAMOUNT": "SEK:1"}),
    ("KUSTOM_HTTP_TOKEN", {"KUSTOM_HTTP_TOKEN": f"{SECRET} {SECRET}"}),
    ("KUSTOM_STORE", {"KUSTOM_STORE": f"sqlite:///{SECRET}"}),
]


@pytest.mark.parametrize(("name", "settings"), WRONG)
@pytest.mark.parametrize("argv", [(), ("serve",), ("check",), ("tools",)], ids=lambda argv: " ".join(argv) or "none")
def test_a_wrong_setting_is_one_line_that_names_it(
    argv: tuple[str, ...], name: str, settings: dict[str, str], command: Command
) -> None:
    ran = command(*argv, **settings)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert ran.err.startswith(f"kustom-mcp: {name}: ")
    assert SECRET not in ran.err + ran.out


def test_any_other_unknown_variable_is_a_warning(command: Command) -> None:
    ran = command("tools", KUSTOM_FAVOURITE_COLOUR=SECRET)
    assert (ran.code, ran.err) == (
        0,
        "kustom-mcp: KUSTOM_FAVOURITE_COLOUR is not a setting of kustom-mcp and has no effect.\n",
    )


@pytest.mark.parametrize("argv", [("--env-file", "FILE", "tools"), ("tools", "--env-file", "FILE")])
def test_an_env_file_fills_in_what_is_not_set(argv: tuple[str, ...], command: Command, tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    file.write_text("KUSTOM_TOOLS=orders\nKUSTOM_WRITES=deny\nPATH=/nowhere\n")
    argv = tuple(str(file) if argument == "FILE" else argument for argument in argv)
    assert command(*argv).out.count("off: ") == 22 - 3
    assert command(*argv, KUSTOM_TOOLS="all").out.count("off: ") == 22 - 9
    file.write_text("KUSTOM_WRITES deny\n")
    refused = command(*argv)
    assert (refused.code, refused.err) == (2, "kustom-mcp: --env-file: Line 1 is not NAME=value.\n")
    file.unlink()
    assert command(*argv).code == 2


def test_a_file_in_the_working_directory_is_not_read_by_itself(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("KUSTOM_WRITES=deny\n")
    monkeypatch.chdir(tmp_path)
    assert "read-only" not in command("tools").out


@pytest.mark.parametrize(
    "argv", [("refund",), ("simulate", "--port", "x"), ("simulate", "--port", "65536"), ("--colour",)]
)
def test_a_wrong_command_line_is_one_line(argv: tuple[str, ...], command: Command) -> None:
    ran = command(*argv)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith("kustom-mcp: ")
    where = argv[:1] if argv[0] == "simulate" else ()
    assert ran.err.endswith(f"(see {shown(*where, '--help')})\n")


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("https://127.0.0.1/hooks", "the URL begins with http://"),
        ("http://shop.example/hooks", "to this machine only"),
        ("http://10.0.0.1/hooks", "to this machine only"),
        ("http://localhost/hooks?a=b", "neither a query nor a fragment"),
    ],
)
def test_an_address_that_gets_no_webhooks_is_told_why(url: str, rule: str, command: Command) -> None:
    ran = command("simulate", "--port", "0", "--hooks", url)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith("kustom-mcp: --hooks: ")
    assert rule in ran.err


def test_help_names_every_command(command: Command) -> None:
    ran = command("--help")
    assert (ran.code, ran.err) == (0, "")
    for name in ("serve", "demo", "simulate", "check", "tools"):
        assert f"\n    {name} " in ran.out


def test_the_program_itself_says_its_version() -> None:
    ran = subprocess.run([*PROGRAM, "--version"], capture_output=True, text=True, timeout=PATIENCE, env={}, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"kustom-mcp {__version__}\n", "")


def test_the_program_itself_refuses_to_serve_with_a_wrong_setting() -> None:
    ran = subprocess.run(
        PROGRAM, capture_output=True, text=True, timeout=PATIENCE, env={"KUSTOM_WRITE": "deny"}, input="", check=False
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "kustom-mcp: KUSTOM_WRITE: There is no such setting. Did you mean KUSTOM_WRITES?\n"


@pytest.mark.parametrize("words", [["--env=/x"], ["install", "cursor", "--replace"], ["tools", "--js"], ["--vers"]])
def test_no_option_is_abbreviated(words: list[str], command: Command) -> None:
    ran = command(*words)
    assert (ran.code, ran.out) == (2, "")
