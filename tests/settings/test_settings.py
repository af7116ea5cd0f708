"""Settings: what each rule refuses, that no value is repeated, and that the documents say what the code does."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from kustom_mcp.money import Ceilings
from kustom_mcp.settings.environment import KeyFile, Loaded, env_example, load, table
from kustom_mcp.settings.settings import LISTS, SECRETS, ConfigError, Settings
from kustom_mcp.settings.validators import unclean

TEST_KEY = "kco_test_api_CANARY0123456789"
LIVE_KEY = "kco_live_api_CANARY0123456789"
TEST = {"KUSTOM_USERNAME": "M123-shop", "KUSTOM_API_KEY": TEST_KEY}
LIVE = {"KUSTOM_USERNAME": "PM987-shop", "KUSTOM_API_KEY": LIVE_KEY}
ORDER = "7849fd84-0000-4000-8000-00000000000a"
ROOT = Path(__file__).parents[2]
PROTECTING = {
    f"KUSTOM_{name}"
    for name in (
        *("WRITES", "TOOLS", "CONFIRM", "MAX_AMOUNT", "MAX_DAILY", "ORDER_SCOPE", "TRACKING_HOSTS", "PII"),
        *("PEOPLE_FILE", "HTTP_TOKEN", "HTTP_TOKEN_FILE", "HTTP_HOSTS", "HTTP_ORIGINS", "HTTP_SESSIONS"),
        *("OAUTH_ISSUER", "OAUTH_AUDIENCE", "OAUTH_JWKS_URL", "OAUTH_REQUIRE", "OAUTH_PERSON"),
    )
}


def settings(**given: str) -> Settings:
    return load({f"KUSTOM_{name.upper()}": value for name, value in given.items()}).settings


def test_without_credentials_it_is_the_sandbox() -> None:
    assert load({"PATH": "/bin", "KUSTOM_WRITES": ""}) == Loaded(Settings())
    found = Settings()
    assert found.sandboxed
    assert (found.base_url, found.portal_url(ORDER), found.state_path, found.merchant) == ("", None, None, "")
    assert found.effective_api_key.get_secret_value() == "kco_test_api_sandbox"
    assert found.writes_allowed


@pytest.mark.parametrize(
    ("credentials", "environment", "url", "portal", "merchant", "writes"),
    [
        (TEST, "playground", "https://api.playground.kustom.co", "portal.playground.kustom.co", "M123", True),
        (LIVE, "production", "https://api.kustom.co", "portal.kustom.co", "PM987", False),
    ],
)
def test_the_key_tells_the_environment(
    credentials: dict[str, str], environment: str, url: str, portal: str, merchant: str, writes: bool
) -> None:
    found = load(credentials).settings
    assert (found.environment, found.base_url, found.writes_allowed) == (environment, url, writes)
    assert found.portal_url(ORDER) == f"https://{portal}/orders/list/{ORDER}?merchantId={merchant}"
    assert found.effective_api_key.get_secret_value() == credentials["KUSTOM_API_KEY"]


@pytest.mark.parametrize(
    ("username", "merchant"),
    [
        *(("M123-a-b", "M123"), ("pm200_x", "PM200"), ("DM11917000", "DM11917000"), ("K501664_9c5-1", "K501664")),
        *(("M12-a", ""), ("PMXY200-a", ""), ("shop-1", ""), ("123-4", ""), ("M123a-b", ""), ("", "")),
    ],
)
def test_the_merchant_is_the_head_of_the_user_name_where_that_looks_like_one(username: str, merchant: str) -> None:
    found = settings(username=username, api_key=TEST_KEY)
    assert found.merchant == merchant
    assert str(found.portal_url(ORDER)).endswith(f"?merchantId={merchant}" if merchant else ORDER)


def test_every_setting_is_read() -> None:
    found = settings(
        username="M1-x",
        api_key="other-key",
        merchant="pm777",
        environment="Production",
        api_url="https://proxy.shop.example/kustom/",
        writes="ALLOW",
        tools="orders, kustom_refund_order",
        confirm="code",
        confirm_ttl="30",
        max_amount="SEK:500000,*:0",
        order_scope=f"{ORDER.upper()} , {ORDER}",
        tracking_hosts="Track.example.com,dhl.example",
        pii="masked",
        timeout="1.5",
        state_dir="~/kustom",
        audit_log="-",
        keys=f"{'k' * 32},{'ö' * 16}",
        proxy="http://user:pass@proxy.example:3128",
        writes_per_minute="10000",
        log_level="debug",
        store="postgresql://user:pass@db.example/kustom",
        drain="1.5",
        oauth_issuer="https://login.example/",
        oauth_audience="https://mcp.example/mcp",
        oauth_jwks_url="http://127.0.0.1:9000/keys",
        oauth_require="Orders",
        oauth_person="email",
        http_hosts="MCP.example, mcp.example:8443,[::1]:8080",
        http_origins="https://chat.example",
        http_sessions="Off",
    )
    assert found == Settings(
        username="M1-x",
        api_key=SecretStr("other-key"),
        merchant="PM777",
        environment="production",
        api_url="https://proxy.shop.example/kustom",
        writes="allow",
        tools=("orders", "kustom_refund_order"),
        confirm="code",
        confirm_ttl=30,
        max_amount=Ceilings({"SEK": 500000}, 0),
        order_scope=frozenset({ORDER}),
        tracking_hosts=frozenset({"track.example.com", "dhl.example"}),
        pii="masked",
        timeout=1.5,
        state_dir=Path("~/kustom"),
        audit_log="-",
        keys=(SecretStr("k" * 32), SecretStr("ö" * 16)),
        proxy=SecretStr("http://user:pass@proxy.example:3128"),
        writes_per_minute=10000,
        log_level="debug",
        store=SecretStr("postgresql://user:pass@db.example/kustom"),
        drain=1.5,
        oauth_issuer="https://login.example",
        oauth_audience="https://mcp.example/mcp",
        oauth_jwks_url="http://127.0.0.1:9000/keys",
        oauth_require="orders",
        oauth_person="email",
        http_hosts=("mcp.example", "mcp.example:8443", "[::1]:8080"),
        http_origins=("https://chat.example",),
        http_sessions="off",
    )
    assert found.writes_allowed
    assert found.base_url == "https://proxy.shop.example/kustom"
    assert found.state_path == Path.home() / "kustom"


def test_with_credentials_the_platform_says_where_state_is_kept() -> None:
    path = load(TEST).settings.state_path
    assert path is not None
    assert "kustom-mcp" in str(path)


HOOKS_SECRET = f"whsec_{'CANARY' * 6}"
WRONG: list[tuple[dict[str, str], str, str]] = [
    ({"username": "M1"}, "KUSTOM_API_KEY", "It is needed"),
    ({"environment": "playground"}, "KUSTOM_API_KEY", "It is needed"),
    ({"api_url": "http://127.0.0.1:8090"}, "KUSTOM_API_KEY", "It is needed"),
    ({"username": "a:b", "api_key": TEST_KEY}, "KUSTOM_USERNAME", "colon"),
    ({"api_key": "CANARY"}, "KUSTOM_ENVIRONMENT", "must be given"),
    ({"api_key": TEST_KEY, "environment": "CANARY"}, "KUSTOM_ENVIRONMENT", "'playground'"),
    ({"api_key": TEST_KEY, "environment": "production"}, "KUSTOM_API_KEY", "not for production"),
    ({"api_key": TEST_KEY, "api_url": "https://API.kustom.co."}, "KUSTOM_API_KEY", "not for production"),
    ({"api_key": LIVE_KEY, "environment": "playground"}, "KUSTOM_API_KEY", "Kustom's own host"),
    ({"api_key": LIVE_KEY, "api_url": "https://evil.example"}, "KUSTOM_API_KEY", "Kustom's own host"),
    ({"api_key": LIVE_KEY, "api_url": "http://127.0.0.1"}, "KUSTOM_API_KEY", "Kustom's own host"),
    ({"api_key": "x", "environment": "playground", "api_url": "https://api.kustom.co"}, "KUSTOM_API_URL", "production"),
    ({"environment": "sandbox", "api_url": "https://shop.example"}, "KUSTOM_API_URL", "embedded"),
    *(
        ({"api_key": TEST_KEY, "api_url": url}, "KUSTOM_API_URL", "The URL must")
        for url in (
            "http://CANARY.example",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "ftp://127.0.0.1",
            "//shop.example",
            "https://",
            "https://CANARY:CANARY@shop.example",
            "https://shop.example?x=CANARY",
            "https://shop.example#CANARY",
            "https://shop.example\\CANARY",
            "https://shop.example:CANARY",
            "https://shop.example:0",
            "https://[CANARY",
            "https://CANARY℀.example",
            "https://api.kustom.co\u200b",
            "https://CANARY.exämple",
        )
    ),
    ({"writes": "CANARY"}, "KUSTOM_WRITES", "'allow', 'deny' or 'preview'"),
    ({"confirm": "CANARY"}, "KUSTOM_CONFIRM", "'auto'"),
    ({"confirm_ttl": "29"}, "KUSTOM_CONFIRM_TTL", "It is a whole number from 30 to 3600."),
    ({"confirm_ttl": "3601"}, "KUSTOM_CONFIRM_TTL", "It is a whole number from 30 to 3600."),
    ({"confirm_ttl": "CANARY"}, "KUSTOM_CONFIRM_TTL", "It is a whole number from 30 to 3600."),
    ({"max_amount": "CANARY:5"}, "KUSTOM_MAX_AMOUNT", "Entry 1 must be a currency code"),
    ({"order_scope": f"{ORDER},CANARY"}, "KUSTOM_ORDER_SCOPE", "Entry 2 of the list is not an order id"),
    ({"order_scope": f"{ORDER},"}, "KUSTOM_ORDER_SCOPE", "Entry 2 of the list is empty"),
    ({"tracking_hosts": "https://CANARY"}, "KUSTOM_TRACKING_HOSTS", "Entry 1 of the list is not a host name"),
    ({"tracking_hosts": "a.example,*"}, "KUSTOM_TRACKING_HOSTS", "Entry 2 of the list is not a host name"),
    ({"tracking_hosts": "carrier"}, "KUSTOM_TRACKING_HOSTS", "(subdomains are included), carriers or any"),
    ({"tracking_hosts": "carriers,.postnord.se"}, "KUSTOM_TRACKING_HOSTS", "Entry 2 of the list is not a host name"),
    ({"tracking_hosts": "any,a.example"}, "KUSTOM_TRACKING_HOSTS", "any stands alone"),
    ({"tools": ","}, "KUSTOM_TOOLS", "Entry 1 of the list is empty"),
    ({"pii": "never"}, "KUSTOM_PII", "'on_request' or 'masked'"),
    ({"timeout": "0.5"}, "KUSTOM_TIMEOUT", "It is a number from 1 to 600."),
    ({"timeout": "601"}, "KUSTOM_TIMEOUT", "It is a number from 1 to 600."),
    ({"timeout": "nan"}, "KUSTOM_TIMEOUT", "600"),
    ({"keys": f"{'k' * 32},{'CANARY' * 5}"}, "KUSTOM_KEYS", "Entry 2 of the list is not at least 32 bytes"),
    ({"proxy": "socks5://user:CANARY@proxy.example"}, "KUSTOM_PROXY", "http://"),
    ({"proxy": "http://user:CANARY@"}, "KUSTOM_PROXY", "http://"),
    ({"writes_per_minute": "0"}, "KUSTOM_WRITES_PER_MINUTE", "It is a whole number from 1 to 10000."),
    ({"log_level": "CANARY"}, "KUSTOM_LOG_LEVEL", "'debug'"),
    ({"api_key": TEST_KEY, "api_key_file": "/CANARY"}, "KUSTOM_API_KEY_FILE", "not both"),
    ({"api_key_file": "/dev/null/CANARY"}, "KUSTOM_API_KEY_FILE", "cannot be read"),
    ({"api_key_file": os.devnull}, "KUSTOM_API_KEY_FILE", "is empty"),
    ({"store": "sqlite:///CANARY"}, "KUSTOM_STORE", "postgresql://user:password@host/database"),
    ({"store": "postgresql://"}, "KUSTOM_STORE", "postgresql://user:password@host/database"),
    ({"store": "postgresql://a/b", "store_file": "/CANARY"}, "KUSTOM_STORE_FILE", "not both"),
    ({"drain": "-1"}, "KUSTOM_DRAIN", "It is a number from 0 to 600."),
    ({"http_token": "CANARY CANARY"}, "KUSTOM_HTTP_TOKEN", "printable ASCII without spaces"),
    ({"http_token": "CANARY", "http_token_file": "/CANARY"}, "KUSTOM_HTTP_TOKEN_FILE", "not both"),
    ({"http_token_file": os.devnull}, "KUSTOM_HTTP_TOKEN_FILE", "is empty"),
    (
        {"http_token": "CANARY", "oauth_issuer": "https://login.example", "oauth_audience": "CANARY"},
        "KUSTOM_HTTP_TOKEN",
        "not both",
    ),
    ({"oauth_issuer": "https://login.example"}, "KUSTOM_OAUTH_AUDIENCE", "needed together"),
    ({"oauth_audience": "CANARY"}, "KUSTOM_OAUTH_ISSUER", "needed together"),
    ({"oauth_issuer": "http://CANARY.example", "oauth_audience": "CANARY"}, "KUSTOM_OAUTH_ISSUER", "must start with"),
    ({"oauth_person": "CANARY claim"}, "KUSTOM_OAUTH_PERSON", "the name of one claim"),
    ({"oauth_person": "CANARY"}, "KUSTOM_OAUTH_PERSON", "nothing without KUSTOM_OAUTH_ISSUER"),
    ({"oauth_require": "CANARY"}, "KUSTOM_OAUTH_REQUIRE", "'orders'"),
    ({"oauth_require": "orders"}, "KUSTOM_OAUTH_REQUIRE", "nothing without KUSTOM_OAUTH_ISSUER"),
    ({"oauth_jwks_url": "http://CANARY.example/keys"}, "KUSTOM_OAUTH_JWKS_URL", "must start with"),
    ({"http_hosts": "mcp.example,*"}, "KUSTOM_HTTP_HOSTS", "Entry 2 of the list is not a Host header"),
    ({"http_hosts": "https://CANARY.example"}, "KUSTOM_HTTP_HOSTS", "Entry 1 of the list is not a Host header"),
    ({"http_origins": "CANARY.example"}, "KUSTOM_HTTP_ORIGINS", "Entry 1 of the list is not an origin"),
    ({"http_origins": "https://CANARY.example/"}, "KUSTOM_HTTP_ORIGINS", "Entry 1 of the list is not an origin"),
    ({"http_sessions": "CANARY"}, "KUSTOM_HTTP_SESSIONS", "'on' or 'off'"),
    ({"hooks_path": "CANARY"}, "KUSTOM_HOOKS_PATH", "random text of 24"),
    ({"hooks_path": "CANARY/../CANARY-0123456789"}, "KUSTOM_HOOKS_PATH", "Only the last part of the URL"),
    ({"hooks_path": "CANARY" * 5}, "KUSTOM_HOOKS_PATH", "random text of 24"),
    ({"hooks_path": "CANARY-0123456789-abcdefgh", "book_days": "0"}, "KUSTOM_HOOKS_PATH", "KUSTOM_BOOK_DAYS is 0"),
    ({"hooks_path_file": os.devnull}, "KUSTOM_HOOKS_PATH_FILE", "is empty"),
    ({"hooks_secret": "CANARY" * 4}, "KUSTOM_HOOKS_SECRET", "signing secret as Kustom's portal shows it"),
    ({"hooks_secret": f"{HOOKS_SECRET},CANARY"}, "KUSTOM_HOOKS_SECRET", "Entry 2 of the list is not a signing secret"),
    ({"hooks_secret": f"{HOOKS_SECRET}CANARY-="}, "KUSTOM_HOOKS_SECRET", "whole: `whsec_` and base64"),
    ({"hooks_secret": "whsec_CANARY"}, "KUSTOM_HOOKS_SECRET", "whole: `whsec_` and base64"),
    ({"hooks_secret": HOOKS_SECRET}, "KUSTOM_HOOKS_SECRET", "means nothing without KUSTOM_HOOKS_PATH"),
    ({"hooks_header": "CANARY"}, "KUSTOM_HOOKS_HEADER", "signed by the Standard Webhooks specification"),
    ({"hooks_encoding": "CANARY"}, "KUSTOM_HOOKS_ENCODING", "signed by the Standard Webhooks specification"),
    ({"book_days": "CANARY"}, "KUSTOM_BOOK_DAYS", "It is a whole number from 0 to 3650."),
]


@pytest.mark.parametrize(("given", "setting", "sentence"), WRONG)
def test_a_wrong_setting_is_named_and_its_value_is_not(given: dict[str, str], setting: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(**given)
    shown = str(caught.value)
    assert (caught.value.setting, shown) == (setting, f"{setting}: {caught.value.sentence}")
    assert sentence in shown
    assert "\n" not in shown
    assert "CANARY" not in shown
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("host", ["127.0.0.1:8090", "127.8.9.1", "localhost:1", "[::1]:8090"])
def test_plain_http_is_for_loopback(host: str) -> None:
    assert settings(api_key=TEST_KEY, api_url=f"http://{host}/").base_url == f"http://{host}"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KUSTOM_WRITE", "KUSTOM_WRITES"),
        ("KUSTOM_APIKEY", "KUSTOM_API_KEY"),
        ("KUSTOM__WRITES", "KUSTOM_WRITES"),
        ("KUSTOM_MAX_AMOUNTS", "KUSTOM_MAX_AMOUNT"),
        ("KUSTOM_ENV", "KUSTOM_ENVIRONMENT"),
        ("KUSTOM_ORDERSCOPE", "KUSTOM_ORDER_SCOPE"),
        ("kustom_tool", "KUSTOM_TOOLS"),
        ("KUSTOM_MAX_DAYLY", "KUSTOM_MAX_DAILY"),
        ("KUSTOM_DAILY_MAX", "KUSTOM_MAX_DAILY"),
        ("KUSTOM_AMOUNT_MAX", "KUSTOM_MAX_AMOUNT"),
        ("KUSTOM_MCP_WRITES", "KUSTOM_WRITES"),
        ("KUSTOM_SCOPE", "KUSTOM_ORDER_SCOPE"),
        ("KUSTOM_CONFIRMATION", "KUSTOM_CONFIRM"),
        ("KUSTOM_SHOP_FILE", "KUSTOM_SHOPS_FILE"),
        ("KUSTOM_ALLOWED_TOOLS", "KUSTOM_TOOLS"),
        ("KUSTOM_READ_ONLY", "KUSTOM_WRITES"),
        ("KUSTOM_P\u0406\u0406", "KUSTOM_PII"),
    ],
)
def test_a_name_that_resembles_a_setting_is_refused(name: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({name: "CANARY"})
    assert str(caught.value) == f"{name}: There is no such setting. Did you mean {meant}?"


MISTYPED = [
    ("KUSTOM-WRITES", "KUSTOM_WRITES"),
    ("KUSTOM.WRITES", "KUSTOM_WRITES"),
    ("KUSTOMWRITES", "KUSTOM_WRITES"),
    ("KUSTON_WRITES", "KUSTOM_WRITES"),
    ("KUSTM_WRITES", "KUSTOM_WRITES"),
    ("CUSTOM_MAX_AMOUNT", "KUSTOM_MAX_AMOUNT"),
    ("custom-max-daily", "KUSTOM_MAX_DAILY"),
    ("$env:KUSTOM_WRITES", "KUSTOM_WRITES"),
    ('"KUSTOM_PII"', "KUSTOM_PII"),
    (";KUSTOM_ORDER_SCOPE", "KUSTOM_ORDER_SCOPE"),
    ("\u041aUSTOM_WRITES", "KUSTOM_WRITES"),
    ("\u039aUST\u039fM_CONFIRM", "KUSTOM_CONFIRM"),
    ("\uff2bUSTOM_WRITES", "KUSTOM_WRITES"),
    ("KUSTOM-HOOKS_HEADER", "KUSTOM_HOOKS_HEADER"),
]


@pytest.mark.parametrize(("name", "meant"), MISTYPED)
def test_a_name_that_begins_otherwise_than_a_setting_is_refused_in_an_env_file(
    name: str, meant: str, tmp_path: Path
) -> None:
    file = tmp_path / "settings.env"
    file.write_text(f"# settings\nKUSTOM_TIMEOUT=10\n\n{name}=CANARY\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load({}, file)
    assert str(caught.value) == (
        f"--env-file: Line 4 sets nothing that kustom-mcp knows. Did you mean {meant}? Then write it so; if another "
        "program reads that line, move it to a file of that program's own."
    )


def test_names_of_other_programs_in_an_env_file_are_none_of_ours(tmp_path: Path) -> None:
    others = ("HTTP_PROXY", "PATH", "TZ", "CUSTOMER_TOKEN", "COMPOSE_PROJECT_NAME", "DATABASE_URL", "LOG_LEVEL", "PORT")
    file = tmp_path / "settings.env"
    file.write_text("".join(f"{name}=x\n" for name in others))
    assert load({}, file) == Loaded(Settings())


@pytest.mark.parametrize("name", ["KUSTOM-WRITES", "KUSTOMWRITES", "\u041aUSTOM_WRITES"])
def test_a_setting_in_other_letters_or_signs_is_refused_in_the_environment(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({name: "CANARY"})
    assert str(caught.value) == "KUSTOM_WRITES: The environment has this name in other letters or signs: write it so."
    assert load({"CUSTOM_WRITES": "x", "MY_KUSTOM_WRITES": "x", "OTHER": "x"}) == Loaded(Settings())


@pytest.mark.parametrize("name", ["kustom_writes", "Kustom_Writes", "KUSTOM_writes", "kustom_max_daily"])
def test_a_name_in_the_wrong_case_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="upper case"):
        load({name: "deny"})


def test_other_names_are_a_warning() -> None:
    assert load({"KUSTOM_FAVOURITE_COLOUR": "CANARY"}) == Loaded(
        Settings(), ("KUSTOM_FAVOURITE_COLOUR is not a setting of kustom-mcp and has no effect.",)
    )


@pytest.mark.parametrize("name", sorted(f"KUSTOM_{name.upper()}" for name in Settings.model_fields))
def test_what_a_host_did_not_fill_in_is_an_error_where_it_protects_and_not_set_elsewhere(
    name: str, tmp_path: Path
) -> None:
    file = tmp_path / "settings.env"
    file.write_text(f"{name}= ${{user_config.x}} \n")
    for given in ({name: " ${user_config.x} "}, {}):
        if name in PROTECTING:
            with pytest.raises(
                ConfigError, match=rf"^{name}: It is still a literal \$\{{\.\.\.\}}, .*Set it, or leave it"
            ):
                load(given, None if given else file)
        else:
            warning = f"{name} is still a literal ${{...}}, which the host did not fill in, so it counts as not set."
            assert load(given, None if given else file) == Loaded(Settings(), (warning,))


@pytest.mark.parametrize("name", sorted(PROTECTING))
def test_a_value_is_not_filled_in_either_where_a_part_of_it_is_not(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name}: It is still a literal"):
        load({name: "https://${HOST}/mcp"})


@pytest.mark.parametrize("name", sorted(f"KUSTOM_{name.upper()}" for name in LISTS))
def test_an_empty_list_is_an_error_where_it_protects_and_not_set_elsewhere(name: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    file.write_text(f"{name}=\n")
    for given in ({name: " "}, {}):
        if name in PROTECTING:
            with pytest.raises(ConfigError, match=f"^{name}: It is an empty list. Set it, or leave it out"):
                load(given, None if given else file)
        else:
            warning = f"{name} is an empty list, so it counts as not set."
            assert load(given, None if given else file) == Loaded(Settings(), (warning,))


def test_what_the_environment_did_not_fill_in_may_stand_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    file.write_text("KUSTOM_LOG_LEVEL=debug\n")
    assert load({"KUSTOM_LOG_LEVEL": "${LEVEL}"}, file) == Loaded(Settings(log_level="debug"))


def test_a_misspelt_name_is_refused_whether_it_was_filled_in_or_not() -> None:
    with pytest.raises(ConfigError, match=r"^KUSTOM_WRITE: There is no such setting"):
        load({"KUSTOM_WRITE": "${WRITES}"})


def test_a_name_of_a_setting_in_lower_case_is_refused() -> None:
    for row in table():
        with suppress(ConfigError):
            load({row.name: "CANARY"})
        with pytest.raises(ConfigError, match="upper case"):
            load({row.name.lower(): "CANARY"})


DIRT: list[tuple[str, str]] = [
    *(
        (f"{left}%s{right}", "quotes")
        for left, right in ('""', "''", "“”", "„“", "«»", "‘’", "``", ('"', ""), ("", "’"))
    ),
    ("%s\n", "line break"),
    ("\r\n%s", "line break"),
    ("CANARY\n%s", "line break"),
    ("%s\u2028", "line break"),
    ("\ufeff%s", "byte order mark"),
    ("CANARY\ufeff%s", "byte order mark"),
    ('"\ufeff%s"', "byte order mark"),
    *(
        (f"{char}%s", "invisible")
        for char in ("\u200b", "\u00a0", "\u00ad", "\u2060", "\u202e", "\x00", "\x1b", "\U000e0041", "\u3164", "\ufe0f")
    ),
    ("CANARY\t%s", "invisible"),
    ("%s\udc80", "invisible"),
]
CLEAN = {
    "username": "M123-CANARY",
    "api_key": LIVE_KEY,
    "keys": f"{'CANARY' * 6},{'k' * 32}",
    "proxy": "http://user:CANARY@proxy.example:3128",
    "store": "postgresql://user:CANARY@db.example/kustom",
    "http_token": "CANARY-0123456789",
    "hooks_path": "CANARY-0123456789-abcdefgh",
    "hooks_secret": "CANARY-0123456789-abcdefgh",
}


@pytest.mark.parametrize(("dirt", "problem"), DIRT)
def test_a_secret_that_was_copied_with_something_around_it_is_refused_by_every_way_in(
    dirt: str, problem: str, tmp_path: Path
) -> None:
    for name in CLEAN:
        _refused(name, dirt, problem, tmp_path)


def _refused(name: str, dirt: str, problem: str, tmp_path: Path) -> None:
    dirty, setting = dirt % CLEAN[name], f"KUSTOM_{name.upper()}"
    env_file, key_file = tmp_path / "settings.env", tmp_path / "key"
    ways: list[tuple[str, dict[str, str], Path | None]] = [(setting, {setting: dirty}, None)]
    if "\x00" not in dirty and "\udc80" not in dirty:  # no file of settings can hold these
        quoted = dirty.replace("\\", "\\\\").replace('"', '\\"')
        env_file.write_text(f'KUSTOM_WRITES=deny\n{setting}="{quoted}"\n', newline="")
        ways.append((setting, {}, env_file))
    if f"{name}_file" in Settings.model_fields and "\udc80" not in dirty:
        key_file.write_text(
            f"{dirty}{'CANARY' if dirt.endswith(chr(10)) else ''}\n" if dirt[0] != "\ufeff" else f"\n{dirty}"
        )
        ways.append((f"{setting}_FILE", {f"{setting}_FILE": str(key_file)}, None))
    for named, given, file in ways:
        with pytest.raises(ConfigError) as caught:
            load(given, file)
        assert caught.value.setting == named
        assert problem in caught.value.sentence
        assert "CANARY" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("dirt", ['"%s"', "\ufeff%s", "Bearer %s", "x%s", "KUSTOM_API_KEY=%s", "%s "])
@pytest.mark.parametrize("live", [LIVE_KEY, LIVE_KEY.upper()])
def test_a_live_key_is_kept_from_other_hosts_whatever_stands_around_it(dirt: str, live: str) -> None:
    with pytest.raises(ConfigError, match=r"^KUSTOM_API_KEY: \w"):
        settings(environment="playground", api_url="https://evil.example", api_key=dirt % live)


HIDDEN = {
    "list": f"{TEST_KEY},{LIVE_KEY}",
    "joined": TEST_KEY + LIVE_KEY,
    "two live": LIVE_KEY + LIVE_KEY,
    "two of the test": f"{TEST_KEY},{TEST_KEY}",
    "base64": base64.b64encode(LIVE_KEY.encode()).decode(),
    "base64 of the pair": base64.b64encode(f"PM12345-a:{LIVE_KEY}".encode()).decode(),
    "base64 without padding": base64.urlsafe_b64encode(f"a:{LIVE_KEY}".encode()).decode().rstrip("="),
    "behind a test key": TEST_KEY + base64.b64encode(LIVE_KEY.encode()).decode(),
    "hexadecimal": LIVE_KEY.encode().hex(),
    "percent": LIVE_KEY.replace("_", "%5F"),
    "entity": LIVE_KEY.replace("_", "&#95;"),
    "hyphens": LIVE_KEY.replace("_", "-"),
    "backwards": LIVE_KEY[::-1],
    "Cyrillic": LIVE_KEY.replace("c", "\u0441", 1),
    "all Cyrillic": LIVE_KEY.translate(str.maketrans("koce", "\u043a\u043e\u0441\u0435")),
    "full width": "\uff4b" + LIVE_KEY[1:],
    "mathematical": "\U0001d424" + LIVE_KEY[1:],
    "combining": f"k\u0301{LIVE_KEY[1:]}",
    "an umlaut": f"{TEST_KEY}\u00fc",
    "a blank": f"{TEST_KEY} x",
}


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
def test_a_key_that_holds_another_is_refused_from_wherever_it_comes(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, env_file = tmp_path / "key", tmp_path / "settings.env"
    env_file.write_text(f"KUSTOM_API_KEY={text}\n", encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    elsewhere = {"KUSTOM_ENVIRONMENT": "playground", "KUSTOM_API_URL": "https://evil.example"}
    for given, path in (({"KUSTOM_API_KEY": text}, None), ({"KUSTOM_API_KEY_FILE": str(file)}, None), ({}, env_file)):
        with pytest.raises(ConfigError, match=r"^KUSTOM_API_KEY: \w") as caught:
            load({**elsewhere, **given}, path)
        assert "CANARY" not in str(caught.value)
    file.write_text(TEST_KEY)
    key = KeyFile(load({**elsewhere, "KUSTOM_API_KEY_FILE": str(file)}).settings)
    file.write_text(text, encoding="utf-8")
    assert key().get_secret_value() == TEST_KEY
    assert "CANARY" not in caplog.text


def test_two_keys_are_refused_as_two() -> None:
    with pytest.raises(ConfigError, match="KUSTOM_API_KEY takes one key"):
        settings(environment="playground", api_key=HIDDEN["list"])


@pytest.mark.parametrize("name", ["base64", "base64 of the pair", "full width", "Cyrillic", "backwards"])
def test_a_hidden_key_in_the_place_of_the_user_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^KUSTOM_USERNAME: \w"):
        settings(username=HIDDEN[name], api_key="M123-shop", environment="playground")


def test_keys_of_other_makes_are_keys() -> None:
    for key in ("otherkey1234", "klarna_test_api_QzJ4K3c,8d1f6a7c-0000-4000-8000-00000000000a,1,abc+/=", TEST_KEY):
        assert settings(environment="playground", api_key=key).effective_api_key.get_secret_value() == key


def test_a_key_in_the_place_of_the_user_name_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^KUSTOM_USERNAME: This is an API key") as caught:
        settings(username=LIVE_KEY, api_key="M123-shop", environment="playground")
    assert "CANARY" not in str(caught.value)


def test_what_no_copy_puts_there_is_a_part_of_the_secret() -> None:
    for text in ("a'b", "a“b", "ö-ß", "a b", "a,b", "👍"):
        assert unclean(text) is None
    assert unclean("'a','b'", listed=True) is not None


def test_every_secret_is_held_to_be_clean() -> None:
    assert set(CLEAN) == SECRETS


def test_credentials_are_ignored_in_the_sandbox_with_a_warning() -> None:
    found = load({**LIVE, "KUSTOM_ENVIRONMENT": "sandbox"})
    assert found.settings.effective_api_key.get_secret_value() == "kco_test_api_sandbox"
    assert found.warnings == ("KUSTOM_ENVIRONMENT is sandbox, so the credentials are not used.",)


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    for content in (f"{TEST_KEY}", f" {TEST_KEY}\n", f"{TEST_KEY}\r\n\r\n", f"\ufeff{TEST_KEY}\n"):
        file.write_text(content, newline="")
        assert settings(api_key_file=str(file)).effective_api_key.get_secret_value() == TEST_KEY
        assert settings(http_token_file=str(file)).http_token == SecretStr(TEST_KEY)
    with pytest.raises(ConfigError, match=r"^KUSTOM_STORE: The store must be"):
        settings(store_file=str(file))
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        settings(api_key_file=str(file))


def test_a_key_that_changes_in_its_file_is_used_once_it_may_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "key"
    file.write_text(f"{TEST_KEY}\n")
    key = KeyFile(settings(api_key_file=str(file)))
    used = [key().get_secret_value()]
    for content in (f"\ufeff{TEST_KEY}-2\n", LIVE_KEY, f'"{LIVE_KEY}"', "", f"{TEST_KEY}-3\nCANARY", "\udc80", "other"):
        file.write_text(content, errors="surrogateescape")
        used.append(key().get_secret_value())
    file.unlink()
    used.append(key().get_secret_value())
    assert used == [TEST_KEY, *[f"{TEST_KEY}-2"] * 6, "other", "other"]
    said = [record.message.partition(": ")[0] for record in caplog.records]
    assert said == ["KUSTOM_API_KEY", *["KUSTOM_API_KEY_FILE"] * 5]
    assert "The API key from before is used on." in caplog.text
    assert "CANARY" not in caplog.text


def test_a_key_that_comes_through_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "key"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as other:
        other.submit(pipe.write_text, TEST_KEY)
        key = KeyFile(settings(api_key_file=str(pipe)))
    assert [key().get_secret_value(), key().get_secret_value()] == [TEST_KEY, TEST_KEY]


def test_a_pipe_that_nobody_writes_to_is_an_error_and_no_wait_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kustom_mcp.settings.environment.PIPE_PATIENCE", 0.1)
    pipe = tmp_path / "key"
    os.mkfifo(pipe)
    sentence = "It is a pipe, and nobody wrote all of it within 0.1 seconds."
    for file, setting in ((None, "KUSTOM_API_KEY_FILE"), (pipe, "--env-file")):
        with pytest.raises(ConfigError) as caught:
            load({} if file else {"KUSTOM_API_KEY_FILE": str(pipe)}, file)
        assert str(caught.value) == f"{setting}: {sentence}"


def test_an_env_file_may_come_through_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "settings"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as other:
        other.submit(pipe.write_text, "KUSTOM_WRITES=deny\r\nKUSTOM_PII=masked\r\n")
        assert load({}, pipe) == Loaded(Settings(writes="deny", pii="masked"))


def test_the_sandbox_has_its_own_key_whatever_is_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(TEST_KEY)
    key = KeyFile(settings(environment="sandbox", api_key_file=str(file)))
    file.write_text(f"{TEST_KEY}-2")
    assert key().get_secret_value() == "kco_test_api_sandbox"


def test_the_environment_overrides_the_env_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    file.write_text(
        "# a comment\nexport KUSTOM_WRITES=deny\nKUSTOM_CONFIRM='code'\nPATH=/x\nPATH=/y\n"
        'KUSTOM_TIMEOUT=10\nKUSTOM_STATE_DIR=${HOME}\nKUSTOM_WRITES="deny"\n'
    )
    environ = {"KUSTOM_CONFIRM": "form", "KUSTOM_TIMEOUT": "", "KUSTOM_STATE_DIR": "/state", "KUSTOM_WRITES": ""}
    assert load(environ, file) == Loaded(Settings(writes="deny", confirm="form", timeout=10, state_dir=Path("/state")))


@pytest.mark.parametrize("second", ["deny", "", "${W}", "'allow,'"])
def test_a_setting_with_two_values_in_a_file_is_refused(tmp_path: Path, second: str) -> None:
    file = tmp_path / "settings.env"
    file.write_text(f"KUSTOM_WRITES=allow\nKUSTOM_PII=masked\nexport KUSTOM_WRITES={second}\n")
    with pytest.raises(
        ConfigError, match=r"^KUSTOM_WRITES: It is twice in the file of --env-file, with different values"
    ):
        load({"KUSTOM_WRITES": "deny"}, file)


def test_an_env_file_may_begin_with_a_byte_order_mark_and_have_none_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    file.write_text("\ufeffKUSTOM_WRITES=deny\n")
    assert load({}, file) == Loaded(Settings(writes="deny"))
    file.write_text("KUSTOM_PII=masked\n\ufeffKUSTOM_WRITES=deny\n")
    with pytest.raises(ConfigError, match=r"^--env-file: Line 2 has an invisible character in its name"):
        load({}, file)


@pytest.mark.parametrize("line", ["KUSTOM_WRITES deny", "KUSTOM_WRITES", "KUSTOM_WRITES='deny"])
def test_a_line_that_is_no_assignment_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "settings.env"
    file.write_text(f"KUSTOM_PII=masked\n\n{line}\n")
    with pytest.raises(ConfigError, match=r"^--env-file: Line 3 is not NAME=value"):
        load({}, file)


def test_an_env_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--env-file: The file cannot be read"):
        load({}, tmp_path / "none")


def test_no_secret_is_shown() -> None:
    given = {**TEST, "KUSTOM_KEYS": "CANARY" * 6, "KUSTOM_PROXY": "http://u:CANARY@proxy.example"}
    loaded = load(given)
    basic = base64.b64encode(f"M123-shop:{TEST_KEY}".encode()).decode()
    for shown in (repr(loaded), str(loaded.settings), repr(loaded.settings), loaded.settings.model_dump_json()):
        assert "CANARY" not in shown
        assert basic not in shown


def test_settings_cannot_be_changed() -> None:
    found = Settings()
    with pytest.raises(ValueError, match="frozen"):
        found.writes = "allow"


def test_the_example_file_is_what_the_settings_say(tmp_path: Path) -> None:
    assert (ROOT / ".env.example").read_text() == env_example()
    all_set = tmp_path / "all.env"
    names = {row.name for row in table()}
    kept = [line[2:] for line in env_example().splitlines() if line.startswith("# KUSTOM_")]
    assert [line.partition("=")[0] for line in kept] == [row.name for row in table()]
    all_set.write_text("\n".join(line for line in kept if not line.endswith("=")))
    assert load({}, all_set) == Loaded(Settings())
    assert {"KUSTOM_API_KEY", "KUSTOM_API_KEY_FILE", "KUSTOM_LOG_LEVEL"} <= names
    assert all(row.meaning.endswith(".") and row.default for row in table())
    assert [row.name for row in table()][:6] == [
        "KUSTOM_USERNAME",
        "KUSTOM_API_KEY",
        "KUSTOM_ENVIRONMENT",
        "KUSTOM_WRITES",
        "KUSTOM_CONFIRM",
        "KUSTOM_MAX_AMOUNT",
    ]


def test_reading_settings_imports_only_what_it_needs() -> None:
    program = (
        "import sys; from kustom_mcp.settings.environment import load; load({'KUSTOM_WRITES': 'deny'}); "
        "print({'dotenv', 'platformdirs', 'difflib', 'pydantic_settings', 'mcp'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"
