"""`kustom-mcp check`: what it finds out, and how it says it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from kustom_mcp.tools.catalog import CATALOG
from tests.cli.conftest import Command
from tests.transport.kustom import API_KEY, MERCHANT, Kustom

WRONG_KEY = "kco_test_api_no_such_key"


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def test_good_credentials_are_tried_with_one_harmless_read(command: Command, kustom: Kustom) -> None:
    kustom.reset()
    ran = command("check", **kustom.settings)
    assert (ran.code, ran.err) == (0, "")
    assert "Environment: playground" in ran.out
    assert kustom.url in ran.out
    assert f"Merchant: {MERCHANT}\n" in ran.out
    assert "Credentials: accepted" in ran.out
    assert API_KEY not in ran.out
    assert [(seen["method"], seen["status"]) for seen in kustom.requests] == [("GET", 404)]


def test_the_merchant_is_named_whoever_named_it(command: Command, kustom: Kustom, tmp_path: Path) -> None:
    without = {**kustom.settings, "KUSTOM_USERNAME": "demo", "KUSTOM_STATE_DIR": str(tmp_path)}
    first, second = (command("check", **without).out for _ in range(2))
    (said,) = [line for line in first.splitlines() if line.startswith("Merchant: UNNAMED")]
    assert said.endswith(", a name made up for this address (KUSTOM_MERCHANT is not set)")
    assert said in second
    assert "Merchant: PM777\n" in command("check", **without, KUSTOM_MERCHANT="pm777").out


def test_a_wrong_key_is_a_problem_in_plain_words(command: Command, kustom: Kustom) -> None:
    ran = command("check", **{**kustom.settings, "KUSTOM_API_KEY": WRONG_KEY})
    assert ran.code == 1
    assert "Credentials: NOT accepted (HTTP 401). Check KUSTOM_USERNAME and KUSTOM_API_KEY" in ran.out
    assert WRONG_KEY not in ran.out + ran.err


def test_an_upstream_that_cannot_be_reached_is_a_problem(command: Command, kustom: Kustom, unused_port: int) -> None:
    ran = command("check", **{**kustom.settings, "KUSTOM_API_URL": f"http://127.0.0.1:{unused_port}"})
    assert ran.code == 1
    assert "Check the network, KUSTOM_API_URL and KUSTOM_PROXY." in ran.out
    assert "Traceback" not in ran.out + ran.err


def test_the_sandbox_needs_nothing(command: Command) -> None:
    ran = command("check")
    assert (ran.code, ran.err) == (0, "")
    assert "Environment: sandbox" in ran.out
    assert "nothing leaves this machine" in ran.out


def test_a_value_that_the_host_did_not_fill_in_is_said_to_be_unset(command: Command) -> None:
    ran = command("check", KUSTOM_API_KEY="${KUSTOM_API_KEY}", KUSTOM_USERNAME="${user_config.name}")
    assert ran.code == 0
    assert "Environment: sandbox" in ran.out
    for name in ("KUSTOM_API_KEY", "KUSTOM_USERNAME"):
        assert f"{name} is still a literal ${{...}}, which the host did not fill in, so it counts as not set" in ran.err


def test_what_is_switched_off_is_named_with_the_setting(command: Command, kustom: Kustom) -> None:
    ran = command("check", **kustom.settings, KUSTOM_WRITES="deny", KUSTOM_TOOLS="orders,captures")
    assert f"Tools: 7 of {len(CATALOG)} are on" in ran.out
    assert "KUSTOM_WRITES=allow opens it" in ran.out
    assert "refunds" in ran.out
    assert "kustom_refund_order" in ran.out
    assert ran.code == 0


def test_the_order_book_is_named_with_its_setting(command: Command) -> None:
    assert "Order book: an order stays for 30 days" in command("check", KUSTOM_BOOK_DAYS="30").out
    assert "Order book: none (KUSTOM_BOOK_DAYS is 0)" in command("check", KUSTOM_BOOK_DAYS="0").out


def test_the_key_may_stand_in_a_file(command: Command, kustom: Kustom, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{API_KEY}\n")
    settings = {name: value for name, value in kustom.settings.items() if name != "KUSTOM_API_KEY"}
    assert command("check", **settings, KUSTOM_API_KEY_FILE=str(file)).code == 0
    assert command("check", **settings, KUSTOM_API_KEY_FILE=str(tmp_path / "none")).code == 2
