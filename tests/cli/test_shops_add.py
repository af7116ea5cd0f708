"""`kustom-mcp shops add`: what it asks, what it tries, what it writes, and that it leaves nothing where it does not."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from kustom_mcp.cli import shops_add
from kustom_mcp.settings.settings import ConfigError
from tests.cli.conftest import Command
from tests.transport.kustom import API_KEY, Kustom


class Answers:
    """A person who gives these answers; without them, nobody is there."""

    def __init__(self, *given: str) -> None:
        self._given: Iterator[str] = iter(given)
        self.secret: list[str] = []

    def __call__(self, question: str, *, secret: bool = False) -> str | None:
        if secret:
            self.secret.append(question)
        return next(self._given, None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shops.toml"


def add(file: Path, name: str, *answers: str) -> int:
    person = Answers(*answers)
    code = shops_add.run(name, {"KUSTOM_SHOPS_FILE": str(file)}, None, person)
    assert person.secret == ["API key (not shown): "]
    return code


def test_a_shop_is_tried_written_down_and_known(
    command: Command, kustom: Kustom, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kustom.reset()
    assert add(file, "sweden", "Nordisk Hem Sverige", "PM12345-support", API_KEY, kustom.url) == 0
    text = file.read_text(encoding="utf-8")
    file.write_text(f"# ours\n{text}\n# the end\n", encoding="utf-8")
    assert add(file, "norway", "", "", "NO77", API_KEY, kustom.url) == 0
    printed = capsys.readouterr().out
    assert printed.count("Credentials: accepted.") == 2
    assert "Written: sweden: Nordisk Hem Sverige (playground, merchant PM12345; writes)" in printed
    assert file.read_text(encoding="utf-8") == (
        '# ours\n[shops.sweden]\ntitle = "Nordisk Hem Sverige"\nmerchant = "PM12345"\nusername = "PM12345-support"\n'
        f'api_key_file = "sweden.key"\nenvironment = "playground"\napi_url = "{kustom.url}"\n\n# the end\n\n'
        '[shops.norway]\ntitle = "norway"\nmerchant = "NO77"\napi_key_file = "norway.key"\n'
        f'environment = "playground"\napi_url = "{kustom.url}"\n'
    )
    assert API_KEY not in printed + file.read_text()
    for private in (file, file.with_name("sweden.key"), file.with_name("norway.key")):
        assert stat.S_IMODE(private.stat().st_mode) & 0o077 == 0
    assert {(seen["method"], seen["status"]) for seen in kustom.requests} == {("GET", 404)}
    ran = command("shops", KUSTOM_SHOPS_FILE=str(file))
    assert (ran.code, ran.out.count("accepted")) == (0, 2)


def test_a_key_that_does_not_work_is_written_only_if_the_person_says_so(kustom: Kustom, file: Path) -> None:
    given = ("Hem", "PM12345-support", "kco_test_api_wrong", kustom.url)
    assert add(file, "sweden", *given, "") == 1
    assert list(file.parent.iterdir()) == []
    assert add(file, "sweden", *given, "y") == 0
    assert file.with_name("sweden.key").read_text() == "kco_test_api_wrong\n"


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ((), "Nobody answers here"),
        (("Hem", "PM12345-support", "kco_live_api_x y", ""), "KUSTOM_SHOPS_FILE: shops.norway"),
        (("Sverige", "PM12345-support", API_KEY, "{url}"), "are one account"),
        (("Hem", "PM99999-support", API_KEY, "ftp://example.com"), "shops.norway.api_url"),
    ],
)
def test_what_cannot_be_used_leaves_everything_as_it_was(
    answers: tuple[str, ...], why: str, kustom: Kustom, file: Path
) -> None:
    add(file, "sweden", "Hem Sverige", "PM12345-support", API_KEY, kustom.url)
    before = {path.name: path.read_text() for path in file.parent.iterdir()}
    with pytest.raises(ConfigError, match=why):
        shops_add.run(
            "norway",
            {"KUSTOM_SHOPS_FILE": str(file)},
            None,
            Answers(*(answer.format(url=kustom.url) for answer in answers)),
        )
    assert {path.name: path.read_text() for path in file.parent.iterdir()} == before


def test_a_name_or_key_file_that_is_there_is_not_replaced(
    command: Command, kustom: Kustom, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(file, "sweden", "Hem", "PM12345-support", API_KEY, kustom.url)
    capsys.readouterr()
    (file.parent / "norway.key").write_text("mine")
    for name, why in (("sweden", "shops.sweden is there already"), ("norway", "A file norway.key is there already")):
        ran = command("shops", "add", name, KUSTOM_SHOPS_FILE=str(file))
        assert (ran.code, ran.out) == (2, "")
        assert why in ran.err
    assert "set it to a path" in command("shops", "add", "x", KUSTOM_SHOPS_FILE="sandbox").err
    assert "leave this out" in command("shops", "add", "x", KUSTOM_SHOPS_FILE=str(file), KUSTOM_MERCHANT="P1").err
    assert (file.parent / "norway.key").read_text() == "mine"


def test_the_shops_of_the_file_may_take_their_keys_from_the_env_file(kustom: Kustom, file: Path) -> None:
    file.write_text(
        '[shops.norway]\nmerchant = "NO77"\nenvironment = "playground"\napi_key_env = "KUSTOM_KEY_NORWAY"\n'
    )
    file.chmod(0o600)
    env_file = file.with_name("kustom.env")
    env_file.write_text(f"KUSTOM_SHOPS_FILE={file}\nKUSTOM_KEY_NORWAY={API_KEY}\n")
    person = Answers("Hem", "PM12345-support", API_KEY, kustom.url)
    assert shops_add.run("sweden", {}, env_file, person) == 0
    assert "[shops.sweden]" in file.read_text()
