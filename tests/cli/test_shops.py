"""`kustom-mcp shops`, and the commands about one account where there are several."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Command
from tests.transport.kustom import API_KEY, Kustom


def test_each_shop_is_tried_and_a_failing_one_stops_no_other(command: Command, kustom: Kustom, tmp_path: Path) -> None:
    def table(name: str, key: str) -> str:
        (tmp_path / f"{name}.key").write_text(key)
        account = f'merchant = "PM{len(name)}000"\nenvironment = "playground"\napi_url = "{kustom.url}"'
        return f'[shops.{name}]\ntitle = "Hem {name}"\n{account}\napi_key_file = "{name}.key"\n'

    file = tmp_path / "shops.toml"
    file.write_text(table("sweden", API_KEY) + table("finland", "kco_test_api_no_such_key"))
    file.chmod(0o600)
    kustom.reset()
    for words in (["shops"], ["check"]):
        ran = command(*words, KUSTOM_SHOPS_FILE=str(file), KUSTOM_STATE_DIR=str(tmp_path / "state"))
        assert (ran.code, ran.err) == (1, "")
        assert ran.out.removeprefix("2 shops\n").splitlines() == [
            "sweden: Hem sweden (playground, merchant PM6000; writes)",
            "  Credentials: accepted. Kustom was asked for an order that cannot exist, and said so.",
            "finland: Hem finland (playground, merchant PM7000; writes)",
            "  Credentials: NOT accepted (HTTP 401). Check username and key of shops.finland, and that the key belongs "
            "to this environment.",
            "1 of 2 shops cannot be used now: finland. The others can.",
        ]
    assert {(seen["method"], seen["status"]) for seen in kustom.requests} == {("GET", 404), ("GET", 401)}


def test_a_command_about_one_account_is_told_its_shop(command: Command, tmp_path: Path) -> None:
    ran = command("book", "status", KUSTOM_SHOPS_FILE="sandbox")
    assert (ran.code, ran.out) == (2, "")
    assert "--shop: It names the shop that this is about. The shops are sweden, norway, finland." in ran.err
    ran = command("book", "status", "--shop", "norwya", KUSTOM_SHOPS_FILE="sandbox")
    assert "Did you mean norway?" in ran.err
    ran = command("book", "status", "--shop", "norway", KUSTOM_SHOPS_FILE="sandbox")
    assert (ran.code, ran.err) == (0, "")
    assert "merchant PM47001" in ran.out
    file = tmp_path / "shops.toml"
    file.write_text('[shops.norway]\nenvironment = "sandbox"\ntools = "refundz"\n')
    file.chmod(0o600)
    ran = command("shops", KUSTOM_SHOPS_FILE=str(file))
    assert (ran.code, ran.out) == (2, "")
    assert "KUSTOM_SHOPS_FILE: shops.norway.tools names something that is neither a toolset" in ran.err
    assert "there is one shop, and it has no name" in command("check", "--shop", "norway").err
    assert "KUSTOM_SHOPS_FILE: This command lists the shops" in command("shops").err
    assert "name its shop with --shop" in command("check", "--playground", "x", KUSTOM_SHOPS_FILE="sandbox").err


def test_a_date_is_one_of_the_time_zone_of_the_shop(command: Command, kustom: Kustom, tmp_path: Path) -> None:
    kustom.reset()
    order_id = kustom.add(status="CAPTURED", created_at="2026-11-02T04:30:00Z")
    (tmp_path / "orders.csv").write_text(f"{order_id}\n")
    (tmp_path / "a.key").write_text(API_KEY)
    zones = {"bronx": "America/New_York", "malmo": "Europe/Stockholm"}
    account = f'environment = "playground"\napi_url = "{kustom.url}"\napi_key_file = "a.key"\n'
    tables = [
        f'[shops.{name}]\nmerchant = "PM{number}1000"\ntimezone = "{zone}"\n{account}'
        for number, (name, zone) in enumerate(zones.items())
    ]
    (tmp_path / "shops.toml").write_text("".join(tables))
    (tmp_path / "shops.toml").chmod(0o600)
    told = dict[str, str]()
    for name in zones:
        of_one = "--shop", name
        given = {"KUSTOM_SHOPS_FILE": str(tmp_path / "shops.toml"), "KUSTOM_STATE_DIR": str(tmp_path / "state")}
        assert command("book", "import", str(tmp_path / "orders.csv"), *of_one, **given).code == 0
        told[name] = command("book", "forget", "--before", "2026-11-02", *of_one, **given).told
    assert told == {"bronx": "Forgot 1 order.\n", "malmo": "Forgot 0 orders.\n"}
