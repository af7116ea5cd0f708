"""The shops file: what is read, what bounds it, what is refused, and what a change does to a server that runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kustom_mcp.calls.doubt import operation_of
from kustom_mcp.money import Ceilings
from kustom_mcp.settings.environment import load
from kustom_mcp.settings.settings import ConfigError, Settings
from kustom_mcp.settings.shops_file import ELSEWHERE, Shop, parse_shops
from kustom_mcp.tools.catalog import CATALOG

KEY = "kco_test_api_secret"
ORDER, OTHER = "7849fd84-6a5c-4d33-8c3a-9f3b1f1f0001", "7849fd84-6a5c-4d33-8c3a-9f3b1f1f0002"
SWEDEN = '[shops.sweden]\nusername = "PM12345-desk"\napi_key_env = "KEY_SE"\n'
NORWAY = '[shops.norway]\nusername = "PM12346-desk"\napi_key_env = "KEY_SE"\n'
ENVIRON = {"KEY_SE": KEY}


def shops(text: str, within: dict[str, str] | None = None, folder: Path = Path()) -> dict[str, Shop]:
    settings = load({"KUSTOM_SHOPS_FILE": "sandbox", **(within or {})}).settings
    return parse_shops(text, settings, folder, ENVIRON)


def one(text: str, within: dict[str, str] | None = None) -> Settings:
    (shop,) = shops(SWEDEN + text, within).values()
    return shop.settings


def test_a_shops_file_can_hold_all_of_this(tmp_path: Path) -> None:
    (tmp_path / "sweden.key").write_text(f"{KEY}\n")
    (tmp_path / "sweden.whsec").write_text("whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw\n")
    text = f"""
    [shops.sweden]
    title = "Nordisk Hem Sverige"
    merchant = "pm12345"
    username = "PM12345-support"
    api_key_file = "sweden.key"
    environment = "playground"
    api_url = "http://127.0.0.1:8090"
    writes = "preview"
    confirm = "code"
    max_amount = "SEK:500000"
    max_daily = ["SEK:900000", "*:0"]
    order_scope = ["{ORDER.upper()}"]
    tools = "orders,refunds"
    tracking_hosts = ["postnord.se"]
    pii = "masked"
    refund_reasons = "required"
    timezone = "Europe/Helsinki"
    hooks_secret_file = "sweden.whsec"
    [shops.sweden.elsewhere]
    capture = "WooCommerce: set the order to Completed."
    """
    (shop,) = shops(
        text, {"KUSTOM_HOOKS_PATH": "ZkVwRmQ3bXlXc0pUaHRyQnFuZ0xjYXhl", "KUSTOM_TIMEOUT": "20"}, tmp_path
    ).values()
    assert (shop.name, shop.title, shop.timezone) == ("sweden", "Nordisk Hem Sverige", "Europe/Helsinki")
    assert shop.elsewhere == {"capture": "WooCommerce: set the order to Completed"}
    assert shop.account == ("playground", "http://127.0.0.1:8090", "PM12345")
    settings = shop.settings
    assert settings.api_key is not None
    assert (settings.api_key.get_secret_value(), settings.rehearses, settings.confirm) == (KEY, True, "code")
    assert (settings.max_amount, settings.max_daily) == (Ceilings({"SEK": 500000}), Ceilings({"SEK": 900000}, 0))
    assert (settings.order_scope, settings.tools, settings.tracking_hosts) == (
        {ORDER},
        ("orders", "refunds"),
        {"postnord.se"},
    )
    assert (settings.pii, settings.refund_reasons, settings.timeout) == ("masked", "required", 20)
    assert [secret.get_secret_value()[:6] for secret in settings.hooks_secret] == ["whsec_"]


def test_a_shop_has_the_defaults_of_its_own_environment() -> None:
    text = '[shops.live]\nmerchant = "PM1000"\nenvironment = "production"\napi_key_env = "KEY"\n[shops.sand]\n'
    text += 'environment = "sandbox"\n'
    settings = load({"KUSTOM_SHOPS_FILE": "sandbox", "KUSTOM_WRITES": "allow"}).settings
    found = parse_shops(text, settings, Path(), {"KEY": "kco_live_api_secret"})
    assert [(name, shop.title, shop.settings.writes_allowed) for name, shop in found.items()] == [
        ("live", "live", False),
        ("sand", "sand", True),
    ]


BOUNDS: list[tuple[str, dict[str, str], str, object]] = [
    ("", {"KUSTOM_WRITES": "deny"}, "writes", "deny"),
    ('writes = "allow"', {"KUSTOM_WRITES": "preview"}, "writes", "preview"),
    ('writes = "deny"', {"KUSTOM_WRITES": "allow"}, "writes", "deny"),
    ("", {}, "writes", None),
    ("", {"KUSTOM_MAX_AMOUNT": "SEK:100"}, "max_amount", Ceilings({"SEK": 100})),
    (
        'max_amount = "SEK:500,EUR:50"',
        {"KUSTOM_MAX_AMOUNT": "SEK:100,*:70"},
        "max_amount",
        Ceilings({"EUR": 50, "SEK": 100}),
    ),
    ('max_daily = "*:500"', {"KUSTOM_MAX_DAILY": "*:70"}, "max_daily", Ceilings({}, 70)),
    (f'order_scope = "{ORDER}"', {"KUSTOM_ORDER_SCOPE": OTHER}, "order_scope", frozenset()),
    ("", {"KUSTOM_ORDER_SCOPE": OTHER}, "order_scope", {OTHER}),
    ('pii = "on_request"', {"KUSTOM_PII": "masked"}, "pii", "masked"),
    ("", {"KUSTOM_REFUND_REASONS": "required"}, "refund_reasons", "required"),
    ("", {"KUSTOM_TOOLS": "refunds"}, "tools", ("refunds",)),
    ("", {"KUSTOM_TRACKING_HOSTS": "dhl.com"}, "tracking_hosts", {"dhl.com"}),
    ("", {"KUSTOM_CONFIRM": "flag"}, "confirm", "flag"),
    ('confirm = "form"', {"KUSTOM_CONFIRM": "auto"}, "confirm", "form"),
]


@pytest.mark.parametrize(("text", "within", "field", "value"), BOUNDS)
def test_what_is_set_in_the_environment_bounds_each_shop(
    text: str, within: dict[str, str], field: str, value: object
) -> None:
    assert getattr(one(text, within), field) == value


WRONG = [
    ("", "It has no shop"),
    ("[shop.sweden]", "unknown name in the file; did you mean shops?"),
    ('[shops."CANARY"]', "The name of table 1 of [shops] is not up to 32"),
    (f"{SWEDEN}tittle = 'CANARY'", "unknown name in shops.sweden; did you mean title?"),
    (f"{SWEDEN}api_key = 'CANARY'", "shops.sweden.api_key: no key stands in this file"),
    (f"{SWEDEN}title = '{KEY}'", "shops.sweden.title holds an API key"),
    (f"{SWEDEN}title = ''", "shops.sweden.title is empty"),
    (f"{SWEDEN}title = 'CANA\\u202eRY'".replace("'", '"'), "shops.sweden.title is one line of at most 60"),
    (f"{SWEDEN}writes = true", "shops.sweden.writes is a text"),
    (f"{SWEDEN}writes = 'CANARY'", "shops.sweden.writes: It is 'allow', 'deny' or 'preview'"),
    (f"{SWEDEN}max_amount = 5", "shops.sweden.max_amount is a text or a list of texts"),
    (f"{SWEDEN}max_amount = 'CANARY:5'", "shops.sweden.max_amount: Entry 1 must be a currency code"),
    (f"{SWEDEN}confirm = 'flag'", "shops.sweden.confirm is code, form or card"),
    (f"{SWEDEN}confirm = 'auto'", "shops.sweden.confirm is code, form or card"),
    (f"{SWEDEN}timezone = 'CANARY/../x'", "shops.sweden.timezone is the name of a time zone"),
    (f"{SWEDEN}environment = 'production'", "shops.sweden: A test key (kco_test_) is not for production"),
    (f"{SWEDEN}api_key_file = 'x'", "give either api_key_file or api_key_env"),
    ('[shops.sweden]\nusername = "PM1234"\napi_key_file = "CANARY"', "shops.sweden.api_key_file: The file cannot be"),
    ('[shops.sweden]\nusername = "PM1234"\napi_key_env = "CANARY"', "api_key_env names a variable that is not set"),
    ('[shops.sweden]\nusername = "PM1234"\napi_key_env = "KUSTOM_KEYS"', "that is no setting of kustom-mcp"),
    ('[shops.sweden]\nusername = "CANARY"\nenvironment = "playground"', "It is needed for anything but the sandbox"),
    (f"{SWEDEN}[shops.sweden.elsewhere]\ncaptur = 'CANARY'", "shops.sweden.elsewhere; did you mean capture?"),
    (f"{SWEDEN}[shops.sweden.elsewhere]\ncapture = 5", "shops.sweden.elsewhere.capture is a text of one line"),
    (f"{SWEDEN}elsewhere = 'CANARY'", "shops.sweden.elsewhere is a table"),
    (f"{SWEDEN}{SWEDEN.replace('sweden', 'twin')}", "shops.sweden and shops.twin are one account"),
    (f"{SWEDEN}title = 'Hem'\n{NORWAY}title = 'HEM'", "shops.sweden and shops.norway have one title"),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG)
def test_what_is_wrong_is_named_and_never_repeated(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        shops(text)
    shown = str(caught.value)
    assert shown.startswith("KUSTOM_SHOPS_FILE: ")
    assert sentence in shown
    assert "CANARY" not in shown
    assert KEY not in shown


def test_the_means_of_the_server_and_of_a_shop_are_not_both_set() -> None:
    with pytest.raises(ConfigError, match="KUSTOM_CONFIRM is set for the whole server"):
        one('confirm = "code"', {"KUSTOM_CONFIRM": "form"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("USERNAME", "PM12345"),
        ("API_KEY", KEY),
        ("ENVIRONMENT", "sandbox"),
        ("API_URL", "http://127.0.0.1:1"),
        ("MERCHANT", "PM12345"),
        ("HOOKS_SECRET", "whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw"),
    ],
)
def test_one_account_beside_the_file_is_an_error(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"KUSTOM_SHOPS_FILE": "sandbox", f"KUSTOM_{name}": value})
    assert str(caught.value).startswith(f"KUSTOM_{name}: KUSTOM_SHOPS_FILE is set")


def test_the_sandbox_has_three_shops_and_without_the_setting_there_are_none() -> None:
    loaded = load({"KUSTOM_SHOPS_FILE": "sandbox"})
    assert loaded.shops is not None
    assert [(name, shop.settings.environment) for name, shop in loaded.shops().items()] == [
        ("sweden", "sandbox"),
        ("norway", "sandbox"),
        ("finland", "sandbox"),
    ]
    assert load({}).shops is None


def test_every_operation_that_changes_an_order_may_be_done_elsewhere() -> None:
    assert list(ELSEWHERE) == [operation_of(name) for name, tool in CATALOG.items() if tool.writes]


def file_of(folder: Path, text: str) -> Path:
    path = folder / "shops.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_variable_that_holds_a_key_is_no_slip_in_the_name_of_a_setting(tmp_path: Path) -> None:
    text = SWEDEN.replace("KEY_SE", "KUSTOM_API_KEY_SE")
    loaded = load({"KUSTOM_SHOPS_FILE": str(file_of(tmp_path, text)), "KUSTOM_API_KEY_SE": KEY})
    assert loaded.warnings == ()
    assert loaded.shops is not None
    assert list(loaded.shops()) == ["sweden"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights of files are kept elsewhere there")
def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path, SWEDEN)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="KUSTOM_SHOPS_FILE: Other users of this machine can read"):
        load({"KUSTOM_SHOPS_FILE": str(path), **ENVIRON})


def test_the_file_is_read_again_when_it_changes_and_a_wrong_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = file_of(tmp_path, SWEDEN)
    found = load({"KUSTOM_SHOPS_FILE": str(path), **ENVIRON}).shops
    assert found is not None
    before = found()["sweden"]
    file_of(tmp_path, f"{SWEDEN}{NORWAY}")
    assert list(found()) == list(found) == ["sweden", "norway"]
    assert not found()["sweden"].differs(before)
    file_of(tmp_path, f"{SWEDEN}writes = 'deny'\n{NORWAY}")
    assert found()["sweden"].differs(before)
    file_of(tmp_path, f"{SWEDEN}writs = 'allow'")
    assert "norway" in found
    assert "The list of shops from before is used on." in caplog.text
