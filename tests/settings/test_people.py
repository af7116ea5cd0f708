"""The people file: what is read, what is refused, and what a change of the file does to a server that runs."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kustom_mcp.money import Ceilings
from kustom_mcp.settings.people import ListedPerson, PeopleFile, parse_people, read_people
from kustom_mcp.settings.settings import ConfigError

ONE, TWO, THREE = "a" * 64, "b" * 64, "c" * 64
ORDER = "7849fd84-6a5c-4d33-8c3a-9f3b1f1f0001"
SMALL = f'[people.anna]\ntoken_sha256 = "{ONE}"\n'


def test_a_people_file_can_hold_all_of_this() -> None:
    text = f"""
    [people.returns-desk]
    token_sha256 = ["{ONE.upper()}", "{TWO}"]
    may = ["read", "write"]
    shops = ["sweden", "norway"]
    max_amount = "SEK:200000"
    orders = ["{ORDER.upper()}"]
    expires = 2027-06-30
    [people.chatbot]
    token_sha256 = "{THREE}"
    may = ["customers"]
    orders = []
    expires = 2027-06-30T12:00:00+02:00
    """
    assert parse_people(text) == {
        "returns-desk": ListedPerson(
            "returns-desk",
            (ONE, TWO),
            frozenset({"read", "write"}),
            frozenset({"sweden", "norway"}),
            Ceilings({"SEK": 200000}),
            frozenset({ORDER}),
            datetime(2027, 7, 1, tzinfo=UTC),
        ),
        "chatbot": ListedPerson(
            "chatbot",
            (THREE,),
            frozenset({"customers"}),
            orders=frozenset(),
            until=datetime(2027, 6, 30, 10, tzinfo=UTC),
        ),
    }


def test_whoever_is_given_no_right_reads_all_orders_and_writes_none() -> None:
    assert parse_people(SMALL) == {"anna": ListedPerson("anna", (ONE,), frozenset({"read"}))}
    assert parse_people("") == {}


WRONG = [
    ("[peoples.anna]", "unknown name in the file; did you mean people?"),
    (f"{SMALL}orderz = []", "unknown name in people.anna; did you mean orders?"),
    (f"{SMALL}CANARY = 1", "known are token_sha256, may, shops, max_amount, orders, expires"),
    (f"{SMALL}may read\nmore = 1", "not valid TOML on line 3"),
    ("people = 'CANARY'", "tables like [people.NAME]"),
    ("[people]\nanna = 'CANARY'", "people.anna is not a table"),
    (f'[people."CANARY"]\ntoken_sha256 = "{ONE}"', "The name of table 1 of [people] is not up to 32"),
    (f'[people.token]\ntoken_sha256 = "{ONE}"', '"token" is the name of the caller with KUSTOM_HTTP_TOKEN'),
    ("[people.anna]", "token_sha256 is the SHA-256 of a token"),
    ("[people.anna]\ntoken_sha256 = 'CANARY'", "token_sha256 is the SHA-256 of a token"),
    (f"[people.anna]\ntoken_sha256 = ['{ONE}', '{ONE}']", "two different ones"),
    (f"[people.anna]\ntoken_sha256 = ['{ONE}', '{TWO}', '{THREE}']", "two different ones"),
    (f"{SMALL}[people.bob]\ntoken_sha256 = ['{TWO}', '{ONE}']", "people.anna and people.bob have one token"),
    (f"{SMALL}may = 'read'", 'may is a list of rights: "read", "write", "customers"'),
    (f"{SMALL}may = []", "may is a list of rights"),
    (f"{SMALL}may = ['CANARY']", "may is a list of rights"),
    (f"{SMALL}may = ['write']", 'without "read"'),
    (f"{SMALL}shops = []", "shops is a list of names of shops"),
    (f"{SMALL}shops = ['CANARY']", "shops is a list of names of shops"),
    (f"{SMALL}max_amount = 200000", 'max_amount is a text like "SEK:200000,*:0"'),
    (f"{SMALL}max_amount = 'CANARY'", 'max_amount is a text like "SEK:200000,*:0"'),
    (f"{SMALL}orders = '{ORDER}'", "orders is a list of at most 256 order ids"),
    (f"{SMALL}orders = ['{ORDER},{ORDER}']", "orders is a list of at most 256 order ids"),
    (f"{SMALL}orders = {[ORDER] * 257}", "orders is a list of at most 256 order ids"),
    (f"{SMALL}expires = '2027-06-30'", "expires is a date without quotes"),
    (f"{SMALL}expires = 2027-06-30T12:00:00", "a time needs its zone"),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG)
def test_what_is_wrong_is_named_and_never_repeated(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_people(text)
    shown = str(caught.value)
    assert shown.startswith("KUSTOM_PEOPLE_FILE: ")
    assert sentence in shown
    assert not any(secret in shown for secret in ("CANARY", ONE, TWO))


def test_a_shop_that_is_not_configured_is_an_error_where_shops_are() -> None:
    text = f"{SMALL}shops = ['norway']"
    assert parse_people(text)["anna"].shops == parse_people(text, ["norway"])["anna"].shops == {"norway"}
    with pytest.raises(ConfigError, match="names a shop that KUSTOM_SHOPS_FILE does not have"):
        parse_people(text, ["sweden"])


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights of files are kept elsewhere there")
@pytest.mark.parametrize("mode", [0o604, 0o640, 0o602, 0o620, 0o660, 0o666])
def test_a_file_that_others_can_read_or_write_is_refused(mode: int, tmp_path: Path) -> None:
    file = private(tmp_path / "people.toml", SMALL)
    assert list(read_people(file)) == ["anna"]
    file.chmod(mode)
    with pytest.raises(ConfigError, match="Other users of this machine can read or write the file"):
        read_people(file)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights of files are kept elsewhere there")
def test_a_file_that_others_can_replace_is_refused_and_so_is_what_is_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    file = private(folder / "people.toml", SMALL)
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    folder.chmod(0o1777)  # nobody replaces what is another's there
    assert list(read_people(link)) == ["anna"]
    for mode in (0o777, 0o770, 0o720, 0o702):
        folder.chmod(mode)
        for path in (file, link):
            with pytest.raises(ConfigError, match="Other users of this machine can replace the file"):
                read_people(path)
    for path in (folder, tmp_path / "missing.toml"):
        with pytest.raises(ConfigError, match="The file cannot be read"):
            read_people(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    file = private(tmp_path / "people.toml", SMALL)
    os.chown(file, 12345, -1)
    with pytest.raises(ConfigError, match="belongs to another user of this machine"):
        read_people(file)


def test_a_people_file_is_read_again_when_it_changes_and_what_cannot_be_used_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = private(tmp_path / "people.toml", SMALL)
    people = PeopleFile(file)
    private(file, f"{SMALL}[people.bob]\ntoken_sha256 = '{TWO}'\n")
    assert list(people()) == ["anna", "bob"]
    private(file, "[people.CANARY\nmay = []")
    assert list(people()) == list(people()) == ["anna", "bob"]
    file.write_text(f"[people.stranger]\ntoken_sha256 = '{THREE}'\n")
    file.chmod(0o606)
    assert list(people()) == ["anna", "bob"]
    file.unlink()
    assert list(people()) == ["anna", "bob"]
    private(file, "")
    assert people() == {}
    assert caplog.messages == [
        "KUSTOM_PEOPLE_FILE: The file is not valid TOML on line 1. The list of people from before is used on.",
        "KUSTOM_PEOPLE_FILE: Other users of this machine can read or write the file: make it private with `chmod 600`. "
        "The list of people from before is used on.",
        "KUSTOM_PEOPLE_FILE: The file is not there any more. The list of people from before is used on.",
    ]
