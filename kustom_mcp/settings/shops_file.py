"""The shops file: several merchant accounts in one server, each a table.

    [shops.sweden]                        # the name that the argument `shop` takes
    title = "Nordisk Hem Sverige"         # for people
    merchant = "PM12345"
    username = "PM12345-support"
    api_key_file = "sweden.key"           # beside this file; or api_key_env, a variable that holds the key
    environment = "production"
    writes = "allow"                      # and confirm, max_amount, max_daily, order_scope, tools, tracking_hosts, pii,
                                          # refund_reasons, timezone, api_url, hooks_secret_file
    [shops.sweden.elsewhere]
    capture = "WooCommerce: set the order to Completed"

Read strictly, and never with a key in it: the file says which shops there are and what may be done in each, and people
show it to one another. What is set in the environment is a bound that no shop exceeds; a default is no bound.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from kustom_mcp.money import Ceilings
from kustom_mcp.settings import validators
from kustom_mcp.settings.environment import WatchedFile, settings_from
from kustom_mcp.settings.private_toml import only_known, read_private, tables, texts
from kustom_mcp.settings.settings import OF_A_SHOP, TIMEZONE, ConfigError, Settings
from kustom_mcp.text import clean

SETTING: Final = "KUSTOM_SHOPS_FILE"
SANDBOX: Final = "sandbox"
"""The value of the setting that stands for the built-in shops."""
BUILT_IN: Final = {
    "sweden": ("Nordisk Hem Sverige", "PM46001"),
    "norway": ("Nordisk Hem Norge", "PM47001"),
    "finland": ("Nordisk Hem Suomi", "PM35801"),
}
"""The built-in shops: title and merchant id of each. They are invented."""
ELSEWHERE: Final = (
    *("acknowledge", "update_order_amount", "update_merchant_references", "update_customer_details"),
    *("add_shipping_info", "cancel", "extend_authorization", "release_remaining_authorization", "capture"),
    *("add_capture_shipping_info", "refund", "trigger_send_out", "extend_due_date"),
)
"""The operations that people may do in another system."""

_TEXTS: Final = ("title", "api_key_env", "timezone")
_SETTINGS: Final = (
    *("merchant", "username", "api_key_file", "environment", "api_url", "writes", "confirm", "max_amount"),
    *("max_daily", "order_scope", "tools", "tracking_hosts", "pii", "refund_reasons", "hooks_secret_file"),
)
"""The fields that are settings of a server with one shop: the same values, the same rules."""
_LISTS: Final = frozenset({"order_scope", "tools", "tracking_hosts", "max_amount", "max_daily"})
_FILES: Final = frozenset({"api_key_file", "hooks_secret_file"})
_FIELDS: Final = (*_TEXTS[:1], *_SETTINGS, *_TEXTS[1:], "elsewhere")
_MEANS: Final = ("code", "form", "card")
_WRITES: Final = ("deny", "preview", "allow")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_NAMED: Final = re.compile(r"KUSTOM_([A-Z]+(?:_[A-Z]+)*)")
_LONGEST_TITLE: Final = 60
_LONGEST_WORDS: Final = 200


@dataclass(frozen=True)
class Shop:
    """One shop. `settings`: those of a server for this shop alone, within the bounds of the environment; `within`:
    those of the environment, for the bounds that cannot be put into the former. `elsewhere`: by operation, what people
    do in another system. `timezone`: IANA name."""

    name: str
    title: str
    settings: Settings = field(repr=False)
    within: Settings = field(repr=False)
    elsewhere: Mapping[str, str] = field(default_factory=dict[str, str])
    timezone: str = TIMEZONE

    @property
    def account(self) -> tuple[str, str, str]:
        """Environment, API origin and merchant."""
        origin = "" if self.settings.sandboxed else validators.origin_of(self.settings.base_url)
        return self.settings.environment, origin, self.settings.merchant.upper()

    def differs(self, other: Shop) -> bool:
        """Return whether more than a key or a signing secret differs, which are read again where they are used."""
        return self._without_secrets() != other._without_secrets()

    def _without_secrets(self) -> tuple[object, ...]:
        settings = self.settings.model_copy(update={"api_key": None, "hooks_secret": ()})
        return self.name, self.title, settings, dict(self.elsewhere), self.timezone


def parse_shops(text: str, within: Settings, folder: Path, environ: Mapping[str, str]) -> dict[str, Shop]:
    """Read the text of a shops file. `within`: the settings of the environment; `folder`: that of the file. ConfigError
    names a shop and a field, and never a value."""
    found = tables(SETTING, text, "shops")
    if not found:
        raise ConfigError(SETTING, "It has no shop: a table like [shops.NAME] is one.")
    shops = {name: _shop(name, table, within, folder, environ) for name, table in found.items()}
    accounts: dict[tuple[str, str, str], str] = {}
    titles: dict[str, str] = {}
    for shop in shops.values():
        other = accounts.setdefault(shop.account, shop.name)
        if other != shop.name:
            raise ConfigError(
                SETTING,
                f"shops.{other} and shops.{shop.name} are one account: same environment, address and merchant.",
            )
        other = titles.setdefault(shop.title.casefold(), shop.name)
        if other != shop.name:
            raise ConfigError(
                SETTING, f"shops.{other} and shops.{shop.name} have one title: people could not tell them."
            )
        if shop.title.casefold() in shops.keys() - {shop.name}:
            raise ConfigError(SETTING, f"shops.{shop.name}.title is the name of another shop: choose another title.")
    return shops


def built_in(within: Settings) -> dict[str, Shop]:
    """The shops of the sandbox. ConfigError."""
    return {
        name: _bounded(name, title, {"merchant": merchant, "environment": "sandbox"}, within)
        for name, (title, merchant) in BUILT_IN.items()
    }


def key_variables(text: str) -> set[str]:
    """The environment variables that a shops file takes keys from, as far as it can be read."""
    try:
        found = tables(SETTING, text, "shops")
    except ConfigError:
        return set()
    named: set[object] = {table.get("api_key_env") for table in found.values()}
    return {name for name in named if isinstance(name, str)}


class ShopsFile(WatchedFile[Mapping[str, Shop]]):
    """The shops as they are now, by name. ConfigError where the file cannot be used at the start."""

    what = "list of shops"

    def __init__(self, within: Settings, environ: Mapping[str, str]) -> None:
        given = within.shops_file or ""
        path = None if given == SANDBOX else Path(given)
        super().__init__(SETTING, path, {})
        self._within = within
        self._environ = dict(environ)
        self._now = built_in(within) if path is None else self._read(path.expanduser())

    def _read(self, path: Path) -> Mapping[str, Shop]:
        return parse_shops(read_private(SETTING, path), self._within, path.resolve().parent, self._environ)

    @property
    def key_variables(self) -> set[str]:
        """The environment variables that the file takes keys from. ConfigError."""
        return key_variables(read_private(SETTING, self._path)) if self._path else set()

    def __iter__(self) -> Iterator[str]:
        return iter(self())

    def __len__(self) -> int:
        return len(self())

    def __contains__(self, name: object) -> bool:
        return name in self()


def _shop(name: str, table: Mapping[str, Any], within: Settings, folder: Path, environ: Mapping[str, str]) -> Shop:
    where = f"shops.{name}"
    if "api_key" in table:
        raise ConfigError(
            SETTING, f"{where}.api_key: no key stands in this file. api_key_file names a file, api_key_env a variable."
        )
    only_known(SETTING, table, _FIELDS, where)
    elsewhere = _elsewhere(where, table.get("elsewhere", {}))
    given = {field: _text(where, field, value) for field, value in table.items() if field != "elsewhere"}
    title, variable = given.pop("title", name), given.pop("api_key_env", None)
    if clean(title, _LONGEST_TITLE) != title or not title.isprintable():
        raise ConfigError(SETTING, f"{where}.title is one line of at most {_LONGEST_TITLE} visible characters.")
    timezone = _timezone(where, given.pop("timezone", TIMEZONE))
    values: dict[str, Any] = dict(given)
    for field_ in _FILES & values.keys():
        values[field_] = str(folder / Path(given[field_]).expanduser())
    if variable is not None:
        values["api_key"] = _from_variable(where, variable, environ, also="api_key_file" in given)
    if within.hooks_path is None:
        values.pop("hooks_secret_file", None)  # of the server that takes webhooks, which reads the same file
    return _bounded(name, title, values, within, elsewhere, timezone)


def _text(where: str, field_: str, value: object) -> str:
    """The value of a field as a setting is written: a text, or a list of texts where the setting is a comma list."""
    listed = texts(value) if field_ in _LISTS else None
    text = ",".join(listed) if listed is not None else value
    if not isinstance(text, str):
        kind = "a text or a list of texts" if field_ in _LISTS else "a text"
        raise ConfigError(SETTING, f"{where}.{field_} is {kind}.")
    if not text.strip():
        raise ConfigError(SETTING, f"{where}.{field_} is empty: leave it out.")
    if validators.hides_a_key(text):
        raise ConfigError(SETTING, f"{where}.{field_} holds an API key: no key stands in this file.")
    return text.strip()


def _from_variable(where: str, variable: str, environ: Mapping[str, str], *, also: bool) -> str:
    if also:
        raise ConfigError(SETTING, f"{where}: give either api_key_file or api_key_env, not both.")
    if not _VARIABLE.fullmatch(variable) or variable in (f"KUSTOM_{name.upper()}" for name in Settings.model_fields):
        raise ConfigError(SETTING, f"{where}.api_key_env is the name of a variable that is no setting of kustom-mcp.")
    key = environ.get(variable, "").strip(" \t")
    if not key:
        raise ConfigError(SETTING, f"{where}.api_key_env names a variable that is not set.")
    return key


def _timezone(where: str, name: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (OSError, ValueError):
        raise ConfigError(SETTING, f"{where}.timezone is the name of a time zone, like {TIMEZONE}.") from None
    return name


def _elsewhere(where: str, given: object) -> dict[str, str]:
    if not isinstance(given, dict):
        raise ConfigError(SETTING, f"{where}.elsewhere is a table: [{where}.elsewhere].")
    named = cast("dict[str, object]", given)
    only_known(SETTING, named, ELSEWHERE, f"{where}.elsewhere")
    told: dict[str, str] = {}
    for operation, words in named.items():
        if not isinstance(words, str) or not words.strip() or clean(words, _LONGEST_WORDS) != words:
            rule = f"a text of one line and at most {_LONGEST_WORDS} characters"
            raise ConfigError(SETTING, f"{where}.elsewhere.{operation} is {rule}.")
        told[operation] = words.strip().rstrip(".")
    return told


def _bounded(
    name: str,
    title: str,
    values: Mapping[str, Any],
    within: Settings,
    elsewhere: Mapping[str, str] | None = None,
    timezone: str = TIMEZONE,
) -> Shop:
    """A shop of these values, within the bounds of the environment. ConfigError."""
    where, given = f"shops.{name}", within.model_fields_set
    if "confirm" in values and (values["confirm"].lower() not in _MEANS or within.confirm != "auto"):
        if within.confirm != "auto":
            raise ConfigError(SETTING, f"{where}.confirm: KUSTOM_CONFIRM is set for the whole server; leave one out.")
        raise ConfigError(SETTING, f"{where}.confirm is {', '.join(_MEANS[:-1])} or {_MEANS[-1]}.")
    about = {field: getattr(within, field) for field in ("hooks_path", "store", "book_days") if field in given}
    try:
        shop = settings_from({**about, **values})
    except ConfigError as error:
        raise _in_the_file(where, error) from None
    of_all: dict[str, Any] = {field: getattr(within, field) for field in given - OF_A_SHOP - {"shops_file"}}
    means = {} if "confirm" in values else {"confirm": within.confirm}
    settings = shop.model_copy(update=of_all | means | _bounds(shop, values.keys(), within))
    return Shop(name, title, settings, within, elsewhere or {}, timezone)


def _bounds(shop: Settings, own: Collection[str], within: Settings) -> dict[str, Any]:
    """The settings of a shop that the environment bounds, each as narrow as the narrower of the two."""
    update: dict[str, Any] = {}
    if within.writes is not None:
        writes = shop.writes or ("allow" if shop.writes_allowed else "deny")
        update["writes"] = min(writes, within.writes, key=_WRITES.index)
    for ceiling in ("max_amount", "max_daily"):
        bound: Ceilings | None = getattr(within, ceiling)
        given: Ceilings | None = getattr(shop, ceiling)
        if bound is not None:
            update[ceiling] = bound if given is None else given.within(bound)
    scope = within.order_scope
    if scope is not None:
        update["order_scope"] = scope if shop.order_scope is None else shop.order_scope & scope
    strict = {"pii": within.pii == "masked", "refund_reasons": within.refund_reasons is not None}
    update |= {name: getattr(within, name) for name, bound in strict.items() if bound}
    # A call is held to both lists, where the shop has one of its own.
    lists = ("tools", "tracking_hosts")
    return update | {
        name: getattr(within, name) for name in lists if name in within.model_fields_set and name not in own
    }


def _in_the_file(where: str, error: ConfigError) -> ConfigError:
    """The error of a setting as one of the field of a shop: a reader of the file has no variable of that name."""

    def in_lower_case(found: re.Match[str]) -> str:
        name = found[1].lower()
        return "api_key_file or api_key_env" if name == "api_key" else name if name in _FIELDS else found[0]

    field_ = _NAMED.fullmatch(error.setting)
    said = _NAMED.sub(in_lower_case, error.sentence)
    name = field_[1].lower() if field_ else ""
    place = f"{where}.{name}" if name in _FIELDS else where
    return ConfigError(SETTING, f"{place}: {said}")
