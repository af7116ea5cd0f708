"""`kustom-mcp install --shops`: several shops in a host, by the path of their file and without a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kustom_mcp.cli.install.hosts import HOSTS
from kustom_mcp.settings.environment import load
from kustom_mcp.settings.settings import ConfigError
from tests.cli.conftest import Command
from tests.cli.desk import CREDENTIALS, KEY, PLACES, Desk

CURSOR = PLACES["cursor", "linux"]
TABLES = """
[shops.sweden]
merchant = "PM1"
environment = "playground"
api_key_file = "sweden.key"
[shops.norway]
merchant = "PM2"
environment = "playground"
api_key_file = "norway.key"
writes = "deny"
"""


def shops_file(folder: Path, text: str = TABLES) -> Path:
    folder.mkdir(exist_ok=True)
    for name in ("sweden", "norway"):
        path = folder / f"{name}.key"
        path.write_text(KEY)
        path.chmod(0o600)
    path = folder / "shops.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def entry_of(desk: Desk, place: str = CURSOR, key: str = "mcpServers") -> dict[str, Any]:
    return desk.parsed(place)[key]["kustom"]


def test_the_entry_names_the_file_and_nothing_that_is_an_error_beside_it(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = shops_file(tmp_path / "shops")
    assert desk.run("cursor", shops=str(file), environ={"KUSTOM_WRITES": "preview"}) == 0
    env = entry_of(desk)["env"]
    assert env == {"KUSTOM_SHOPS_FILE": str(file), "KUSTOM_WRITES": "preview"}
    loaded = load(env)
    assert loaded.shops is not None
    assert list(loaded.shops) == ["sweden", "norway"]
    told = capsys.readouterr().out
    assert "kustom serves 2 shops:\n  sweden: sweden (playground, merchant PM1; previews writes)\n" in told
    assert "norway: norway (playground, merchant PM2; reads only)" in told
    assert "Without credentials" not in told
    assert KEY not in told + json.dumps(desk.files())
    assert desk.run("cursor", shops=str(file), environ={"KUSTOM_WRITES": "preview"}) == 0
    assert "has exactly this already" in capsys.readouterr().out


@pytest.mark.parametrize("host", HOSTS)
def test_each_host_gets_the_built_in_shops_by_their_word(host: str, desk: Desk) -> None:
    assert desk.run(host, shops="sandbox") == 0
    assert "KUSTOM_SHOPS_FILE" in json.dumps([desk.files(), desk.ran])
    assert "KUSTOM_ENVIRONMENT" not in json.dumps([desk.files(), desk.ran])


def test_a_relative_path_is_made_whole_and_the_environment_is_as_good_as_the_option(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shops_file(tmp_path / "shops")
    monkeypatch.chdir(tmp_path)
    assert desk.run("cursor", shops="shops/shops.toml") == 0
    first = entry_of(desk)
    assert desk.run("cursor", environ={"KUSTOM_SHOPS_FILE": "shops/shops.toml"}) == 0
    assert entry_of(desk) == first
    assert first["env"] == {"KUSTOM_SHOPS_FILE": str(file)}


def test_what_cannot_be_used_is_refused_before_anything_is_written(desk: Desk, tmp_path: Path) -> None:
    file = shops_file(tmp_path / "shops")
    with pytest.raises(ConfigError, match="leave this out"):
        desk.run("cursor", shops=str(file), environ=CREDENTIALS)
    with pytest.raises(ConfigError, match="KUSTOM_SHOPS_FILE"):
        desk.run("cursor", shops=str(tmp_path / "none.toml"))
    file = shops_file(tmp_path / "shops", TABLES.replace('api_key_file = "sweden.key"', 'api_key_env = "SWEDISH_KEY"'))
    with pytest.raises(ConfigError, match="SWEDISH_KEY, which a host does not pass on"):
        desk.run("cursor", shops=str(file), environ={"SWEDISH_KEY": KEY})
    assert desk.files() == {}
    given = tmp_path / "kustom.env"
    given.write_text(f"SWEDISH_KEY={KEY}\n")
    given.chmod(0o600)
    assert desk.run("cursor", shops=str(file), env_file=given) == 0
    assert entry_of(desk)["args"] == ["--env-file", str(given)]


def test_shops_in_place_of_a_key_are_asked_about_as_another_key_is(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.run("cursor", environ=CREDENTIALS)
    file = shops_file(tmp_path / "shops")
    assert desk.run("cursor", shops=str(file)) == 0
    assert desk.asked[-1] == "Replace the key of kustom? [y/N] "
    assert f"It gets another key, for the shops of {file}." in capsys.readouterr().out
    assert desk.run("cursor", environ=CREDENTIALS) == 0
    assert f"kustom is there already, with a key for the shops of {file}." in capsys.readouterr().out


def test_the_commands_about_orders_take_the_shops_of_a_host(
    desk: Desk,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk.run("cursor", shops=str(shops_file(tmp_path / "shops")), environ={"KUSTOM_STATE_DIR": str(tmp_path / "state")})
    monkeypatch.setenv("HOME", str(desk.home))
    capsys.readouterr()
    ran = command("audit", "--host", "cursor")
    assert (ran.code, ran.out) == (0, "2 shops\nNo write is without an outcome in any shop.\n")
    ran = command("book", "status", "--host", "cursor", "--shop", "norway")
    assert (ran.code, "playground, merchant PM2" in ran.out) == (0, True)
