"""The people file: names, tokens and rights of those who call over HTTP without an identity provider.

    [people.returns-desk]
    token_sha256 = "..."          # of a token that `kustom-mcp people add` printed; a list of two while one changes
    may = ["read", "write"]       # and "customers": may ask for customer tokens
    shops = ["sweden"]            # default all
    max_amount = "SEK:200000"     # the stricter of this and KUSTOM_MAX_AMOUNT
    orders = []                   # these order ids and no others; absent: all
    expires = 2027-06-30          # the last day (UTC), or a date with time and zone

Read strictly: a typing error must not give a right, or lift a bound. Tokens are random and long, so that a plain digest
keeps them; whoever reads the file can call nothing with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final, Literal, cast

from kustom_mcp.money import Ceilings
from kustom_mcp.settings import validators
from kustom_mcp.settings.environment import WatchedFile
from kustom_mcp.settings.private_toml import NAME, only_known, read_private, tables, texts
from kustom_mcp.settings.settings import ConfigError

SETTING: Final = "KUSTOM_PEOPLE_FILE"
RESERVED: Final = "token"
"""The name of the static token's caller."""
TOKENS: Final = 2
MOST_ORDERS: Final = 256

Right = Literal["read", "write", "customers"]
RIGHTS: Final[tuple[Right, ...]] = ("read", "write", "customers")
_FIELDS: Final = ("token_sha256", "may", "shops", "max_amount", "orders", "expires")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ListedPerson:
    """One entry. `tokens`: SHA-256 of each, in hexadecimal. `orders`, `shops`: None for all. `until`: the moment from
    which no token of this person is good."""

    name: str
    tokens: tuple[str, ...]
    may: frozenset[Right]
    shops: frozenset[str] | None = None
    max_amount: Ceilings | None = None
    orders: frozenset[str] | None = None
    until: datetime | None = None


def parse_people(text: str, shops: Collection[str] | None = None) -> dict[str, ListedPerson]:
    """Read the text of a people file. `shops`: the names of the configured shops, None where there is one without a
    name. ConfigError."""
    people = {name: _person(name, table, shops) for name, table in tables(SETTING, text, "people").items()}
    owners: dict[str, str] = {}
    for person in people.values():
        for token in person.tokens:
            if token in owners:
                raise ConfigError(
                    SETTING, f"people.{owners[token]} and people.{person.name} have one token: give each its own."
                )
            owners[token] = person.name
    return people


def read_people(path: Path, shops: Collection[str] | None = None) -> dict[str, ListedPerson]:
    """Read a people file, which must be private. ConfigError."""
    return parse_people(read_private(SETTING, path.expanduser()), shops)


class PeopleFile(WatchedFile[Mapping[str, ListedPerson]]):
    """The people as they are now, by name. ConfigError where the file cannot be used at the start."""

    what = "list of people"

    def __init__(self, path: Path, shops: Collection[str] | None = None) -> None:
        super().__init__(SETTING, path, {})
        self._shops = shops
        self._now = self._read(path.expanduser())

    def _read(self, path: Path) -> Mapping[str, ListedPerson]:
        return read_people(path, self._shops)


def _person(name: str, table: Mapping[str, Any], shops: Collection[str] | None) -> ListedPerson:
    where = f"people.{name}"
    only_known(SETTING, table, _FIELDS, where)
    if name == RESERVED:
        raise ConfigError(SETTING, f'{where}: "{RESERVED}" is the name of the caller with KUSTOM_HTTP_TOKEN.')

    def wrong(field: str, rule: str) -> ConfigError:
        return ConfigError(SETTING, f"{where}.{field} is {rule}.")

    given = table.get("token_sha256")
    tokens = [given] if isinstance(given, str) else texts(given) or []
    tokens = [token.lower() for token in tokens]
    if not 0 < len(tokens) <= TOKENS or not all(map(_DIGEST.fullmatch, tokens)) or len({*tokens}) < len(tokens):
        raise wrong("token_sha256", "the SHA-256 of a token, 64 hexadecimal digits, or a list of two different ones")
    may = texts(table.get("may", ["read"])) or []
    if not may or not {*may} <= {*RIGHTS}:
        raise wrong("may", "a list of rights: " + ", ".join(f'"{right}"' for right in RIGHTS))
    if may == ["write"]:
        raise wrong("may", 'without "read", and nobody writes who may not read')
    ceilings = table.get("max_amount")
    if ceilings is not None:
        try:
            ceilings = Ceilings.parse(ceilings) if isinstance(ceilings, str) else None
        except ValueError:
            ceilings = None
        if ceilings is None:
            raise wrong("max_amount", 'a text like "SEK:200000,*:0": currency or *, colon, whole minor units')
    return ListedPerson(
        name,
        tuple(tokens),
        frozenset(cast("list[Right]", may)),
        _shops(where, table, shops),
        ceilings,
        _orders(where, table),
        _until(where, table),
    )


def _shops(where: str, table: Mapping[str, Any], known: Collection[str] | None) -> frozenset[str] | None:
    if "shops" not in table:
        return None
    given = texts(table["shops"])
    if not given or not all(map(NAME.fullmatch, given)):
        raise ConfigError(SETTING, f"{where}.shops is a list of names of shops; leave it out for all.")
    if known is not None and not {*given} <= {*known}:
        raise ConfigError(SETTING, f"{where}.shops names a shop that KUSTOM_SHOPS_FILE does not have.")
    return frozenset(given)


def _orders(where: str, table: Mapping[str, Any]) -> frozenset[str] | None:
    if "orders" not in table:
        return None
    given = texts(table["orders"])
    ids = None if given is None else [each.lower() for each in given]
    if ids is None or len(ids) > MOST_ORDERS or not all(map(validators.is_order_id, ids)):
        rule = f"a list of at most {MOST_ORDERS} order ids (UUIDs); leave it out for all orders"
        raise ConfigError(SETTING, f"{where}.orders is {rule}.")
    return frozenset(ids)


def _until(where: str, table: Mapping[str, Any]) -> datetime | None:
    """The moment after the last day, or the moment itself."""
    given: object = table.get("expires")
    if isinstance(given, datetime) and given.tzinfo is not None:
        return given
    if isinstance(given, date) and not isinstance(given, datetime) and given < date.max:
        return datetime.combine(given + timedelta(days=1), time(), UTC)
    if given is not None:
        raise ConfigError(SETTING, f"{where}.expires is a date without quotes, like 2027-06-30; a time needs its zone.")
    return None
