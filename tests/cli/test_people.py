"""`kustom-mcp people`: tokens are printed once, and the file keeps whatever else stands in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from kustom_mcp.cli.parser import run
from kustom_mcp.settings.people import ListedPerson, read_people

BY_HAND = """# Our people. Ask Eva before you change anything.

[people.eva]        # shop manager
token_sha256 = [
    "1111111111111111111111111111111111111111111111111111111111111111",
    "2222222222222222222222222222222222222222222222222222222222222222",
]
may = ["read", "write"]

# The night shift.
[ people . "night" ]
token_sha256 = '3333333333333333333333333333333333333333333333333333333333333333'
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "people.toml"
    monkeypatch.setenv("KUSTOM_PEOPLE_FILE", str(path))
    return path


def written(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o600)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def test_a_token_is_printed_once_and_alone(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["people", "add", "anna"]) == 0
    told = capsys.readouterr()
    token = told.out.removesuffix("\n")
    assert len(token) == len("kmp_") + 43
    assert token not in told.err + file.read_text()
    assert read_people(file) == {"anna": ListedPerson("anna", (digest(token),), frozenset({"read"}))}
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_second_token_comes_first_and_the_older_one_can_end(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokens = list[str]()
    for _ in range(2):
        assert run(["people", "add", "anna"]) == 0
        tokens.insert(0, capsys.readouterr().out.strip())
    assert read_people(file)["anna"].tokens == tuple(map(digest, tokens))
    assert run(["people", "add", "anna"]) == 2
    assert "has two tokens already: `" in capsys.readouterr().err
    assert run(["people", "remove", "anna", "--older"]) == 0
    assert read_people(file)["anna"].tokens == (digest(tokens[0]),)
    assert run(["people", "remove", "anna", "--older"]) == 2
    assert run(["people", "remove", "anna"]) == 0
    assert read_people(file) == {}


def test_what_people_wrote_by_hand_stays(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(file, BY_HAND)
    options = ["--may", "read, customers", "--max-amount", "SEK:200000", "--expires", "2027-06-30", "--shops", "sweden"]
    assert run(["people", "add", "chatbot", *options]) == 0
    assert run(["people", "add", "night"]) == 0
    assert run(["people", "remove", "eva"]) == 0
    capsys.readouterr()
    assert run(["people", "list"]) == 0
    assert capsys.readouterr().out == (
        "night    may read; two tokens\n"
        "chatbot  may read, customers; shops sweden; at most 2,000.00 SEK in one write; until 2027-06-30\n"
    )
    text = file.read_text()
    assert text.startswith("# Our people. Ask Eva before you change anything.\n\n\n# The night shift.\n[ people")
    assert "shop manager" not in text


@pytest.mark.parametrize(
    ("arguments", "text", "said"),
    [
        (["list"], None, "The file cannot be read."),
        (["remove", "ev"], BY_HAND, "There is nobody of this name. Did you mean eva?"),
        (["remove", "eva"], "people.eva.token_sha256 = '" + "1" * 64 + "'\n", "change the person by hand"),
        (["add", "eva", "--may", "read"], BY_HAND, "people.eva is there already: change its rights in the file"),
        (["add", "bob", "--may", "reed"], BY_HAND, "people.bob.may is a list of rights"),
        (["add", "token"], BY_HAND, '"token" is the name of the caller with KUSTOM_HTTP_TOKEN'),
        (["add", "Bob"], BY_HAND, "the name is up to 32 lower-case letters"),
        (["add", "bob", "--expires", "tomorrow"], BY_HAND, "the date is like 2027-06-30"),
        (["add", "bob"], BY_HAND + "oops\nmore = 1\n", "not valid TOML on line"),
    ],
)
def test_what_goes_wrong_is_one_line_and_changes_nothing(
    arguments: list[str], text: str | None, said: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        written(file, text)
    try:
        code = run(["people", *arguments])
    except SystemExit as ended:
        code = ended.code
    told = capsys.readouterr()
    assert (code, told.out) == (2, "")
    assert said in told.err
    assert told.err.count("\n") == 1
    assert (file.read_text() if file.exists() else None) == text


def test_without_the_setting_it_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("KUSTOM_PEOPLE_FILE", raising=False)
    assert run(["people", "list"]) == 2
    assert capsys.readouterr().err.startswith("kustom-mcp: KUSTOM_PEOPLE_FILE: ")
