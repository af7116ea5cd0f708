"""The records of several shops: what is in doubt in a shop stays in sight after it was taken out of the shops file."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from kustom_mcp.app.shops import Shops
from kustom_mcp.cli.audit import without_shop_at_start
from kustom_mcp.server.handlers import build_server
from kustom_mcp.settings.environment import load
from kustom_mcp.simulator.faults import Fault
from tests.cli.conftest import Command
from tests.support.conversation import conversation, demo
from tests.support.shops import KEY, SeveralShops, several_shops, table

TOWEL = demo("captured-sek")
KEPT = "playground, merchant MSWEDEN"


async def lost_refund(shops: SeveralShops, shop: str, reference: str = "RMA-1") -> dict[str, Any]:
    """A refund in a shop whose answer was lost, and which nothing could settle."""
    call: dict[str, Any] = {"order_id": TOWEL, "refunded_amount": 100, "reference": reference, "shop": shop}
    preview = await shops.call("refund_order", **call)
    faults = shops.simulators[shop].faults
    faults.add(Fault("GET", "/orders/{order_id}", "delay"))
    faults.add(Fault("GET", "/orders/{order_id}", "status", status=500, times=100))
    faults.add(Fault("POST", "/orders/{order_id}/refunds", "lose_response"))
    unknown = await shops.call("refund_order", **call, confirm=preview["confirm"]["code"])
    faults.clear()
    assert unknown["outcome"] == "unknown"
    return call


class Left:
    """A shops file without the shop that has a write in doubt, and the settings of the commands."""

    def __init__(self, folder: Path, tables: dict[str, str]) -> None:
        self.file = folder / "shops.toml"
        self.file.write_text("".join(table(name, lines) for name, lines in tables.items()))
        self.file.chmod(0o600)
        self.settings = {"KUSTOM_SHOPS_FILE": str(self.file), "KUSTOM_STATE_DIR": str(folder / "state"), **KEY}

    def at_start(self) -> None:
        loaded = load(self.settings)
        assert loaded.shops is not None
        without_shop_at_start(loaded.shops, loaded.settings)


def doubtful(folder: Path, *names: str) -> None:
    async def work() -> None:
        async with several_shops(folder) as shops:
            for name in names:
                await lost_refund(shops, name)

    asyncio.run(work())


@pytest.fixture
def left(tmp_path: Path) -> Left:
    """A write in doubt in the shop sweden, which is not in the file any more."""
    doubtful(tmp_path, "sweden")
    return Left(tmp_path, {"norway": ""})


def test_a_write_of_a_shop_that_was_taken_out_is_told_until_it_is_closed(
    left: Left, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    named = f'in a shop that is not in KUSTOM_SHOPS_FILE now: sweden, "Hem Sweden" ({KEPT}).'
    left.at_start()
    started = capsys.readouterr().err
    assert started.startswith("kustom-mcp: no outcome yet: kustom_refund_order refund-1.00SEK-")
    assert named in started
    assert "audit --shop sweden" in started
    for words in (["shops"], ["check"]):
        ran = command(*words, **left.settings)
        assert (ran.code, named in ran.out, "audit --shop sweden" in ran.out) == (1, True, True)
    for words in (["audit"], ["audit", "--shop", "sweden"], ["audit", "--shop", "Hem Sweden"]):
        ran = command(*words, **left.settings)
        assert (ran.code, ran.out.splitlines()[0]) == (1, "1 shop")
        assert "  shop       sweden (Hem Sweden), not in KUSTOM_SHOPS_FILE now" in ran.out
        assert f"resolve {TOWEL} --shop sweden --as done --reason TEXT" in ran.out
    ran = command("resolve", **left.settings)
    assert (ran.code, f'sweden, "Hem Sweden" ({KEPT}):' in ran.out, "put it back" in ran.out) == (1, True, True)
    assert f"Order {TOWEL}: kustom_refund_order of 1.00 SEK, sent " in ran.out
    assert command("audit", "--shop", "norway", **left.settings).code == 0
    assert "Did you mean sweden?" in command("audit", "--shop", "swedn", **left.settings).err
    ran = command("resolve", TOWEL, "--as", "not-done", "--reason", "not in the portal", **left.settings)
    assert (ran.code, "Closed as not done: kustom_refund_order of 1.00 SEK" in ran.out) == (0, True)
    for words in (["audit"], ["resolve"]):
        assert command(*words, **left.settings).code == 0
    assert "no outcome" not in command("shops", **left.settings).out.casefold()
    left.at_start()
    assert capsys.readouterr().err == ""
    assert "The shops are norway." in command("audit", "--shop", "sweden", **left.settings).err
    lines = [
        json.loads(line)
        for path in (left.file.parent / "state" / "audit").iterdir()
        for line in path.read_text().splitlines()
    ]
    (by_hand,) = [line for line in lines if line.get("by_hand")]
    assert (by_hand["event"], by_hand["closed_because"]) == ("outcome", "not in the portal")


def test_a_shop_that_was_made_another_account_leaves_its_writes_in_sight(tmp_path: Path, command: Command) -> None:
    doubtful(tmp_path, "sweden")
    left = Left(tmp_path, {"sweden": "", "norway": ""})
    left.file.write_text(left.file.read_text().replace("MSWEDEN", "MOTHER"))
    ran = command("audit", "--shop", "sweden", **left.settings)
    assert (ran.code, "sweden (Hem Sweden), not in KUSTOM_SHOPS_FILE now" in ran.out) == (1, True)
    assert f'sweden, "Hem Sweden" ({KEPT})' in command("shops", **left.settings).out


def test_writes_of_two_shops_on_one_order_id_are_closed_by_the_name_of_the_shop(
    tmp_path: Path, command: Command
) -> None:
    doubtful(tmp_path, "sweden", "norway")
    left = Left(tmp_path, {"norway": ""})
    by_hand = ["resolve", TOWEL, "--as", "done", "--reason", "seen"]
    ran = command(*by_hand, **left.settings)
    assert (ran.code, "sweden" in ran.err, "norway" in ran.err) == (2, True, True)
    assert command(*by_hand, "--shop", "norway", **left.settings).code == 0
    ran = command("audit", **left.settings)
    assert (ran.code, "sweden" in ran.out, "norway" in ran.out) == (1, True, False)
    assert "give ORDER_ID and --reason" in command("resolve", TOWEL, "--as", "done", **left.settings).err


def test_a_write_in_doubt_of_a_server_without_a_shops_file_is_not_one_of_a_shop(
    tmp_path: Path, command: Command
) -> None:
    from tests.cli.test_audit import lost_refund as lost_alone

    async def alone() -> None:
        async with conversation(KUSTOM_STATE_DIR=str(tmp_path / "state")) as talk:
            await lost_alone(talk, TOWEL)

    asyncio.run(alone())
    left = Left(tmp_path, {"norway": ""})
    assert command("audit", **left.settings).code == 0
    assert "No outcome yet" not in command("shops", **left.settings).out


def test_the_export_of_several_shops_has_a_column_of_the_shop(left: Left, command: Command, tmp_path: Path) -> None:
    def rows(*words: str) -> list[dict[str, str]]:
        ran = command("audit", "export", *words, **left.settings)
        assert ran.code == 0
        return list(csv.DictReader(io.StringIO(ran.out)))

    doubtful(tmp_path, "norway")
    left = Left(tmp_path, {"norway": ""})
    assert [(row["shop"], row["order_id"]) for row in rows()] == [("Hem Sweden", TOWEL), ("Hem Norway", TOWEL)]
    assert list(rows()[0])[:4] == ["time", "closed", "account", "shop"]
    assert [row["shop"] for row in rows("--shop", "sweden")] == ["Hem Sweden"]
    assert [row["shop"] for row in rows("--shop", "norway")] == ["Hem Norway"]
    lines = command("audit", "export", "--format", "jsonl", "--shop", "Hem Norway", **left.settings).out.splitlines()
    assert [json.loads(line)["shop"] for line in lines] == ["Hem Norway"]
    ran = command("audit", "export", "--shop", "oslo", **left.settings)
    assert (ran.code, ran.out) == (2, "")


async def test_the_tools_as_json_are_those_of_the_server_of_several_shops(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "shops.toml"
    file.write_text(table("sweden", 'tools = "orders"') + table("norway", 'confirm = "card"\ntools = "captures"'))
    file.chmod(0o600)
    settings = {"KUSTOM_SHOPS_FILE": str(file), "KUSTOM_STATE_DIR": str(tmp_path / "state"), **KEY}
    ran = command("tools", "--json", **settings)
    loaded = load(settings)
    assert loaded.shops is not None
    async with Client(build_server(Shops(loaded.shops, loaded.settings))) as client:
        listed = (await client.list_tools()).tools
    assert json.loads(ran.out) == [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed]
    assert all(
        "shop" in tool["inputSchema"]["properties"]
        for tool in json.loads(ran.out)
        if "kustom_approve" not in tool["name"]
    )
    lines = {line.split()[0]: line for line in command("tools", **settings).out.splitlines()}
    assert "off: in norway, " in lines["kustom_get_order"]
    assert "off: in sweden, " in lines["kustom_capture_order"]
    assert "off: in sweden, switched off" in lines["kustom_refund_order"]
    assert "; in norway, switched off" in lines["kustom_refund_order"]
