"""`kustom-mcp tools`: the catalogue for people and for programs."""

from __future__ import annotations

import json

import pytest
from mcp.client import Client

from kustom_mcp.app.app import App
from kustom_mcp.server.handlers import build_server
from kustom_mcp.settings.environment import load
from kustom_mcp.tools.catalog import CATALOG
from tests.cli.conftest import Command


def test_every_tool_has_a_line_that_says_what_it_does_or_why_it_is_off(command: Command) -> None:
    ran = command("tools", KUSTOM_TOOLS="orders,captures")
    lines = ran.out.splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert [line.split()[0] for line in lines] == list(CATALOG)
    kinds = {line.split()[0]: line.split()[1] for line in lines}
    assert (kinds["kustom_get_order"], kinds["kustom_acknowledge_order"], kinds["kustom_refund_order"]) == (
        *("reads", "writes", "confirmed"),
    )
    off = [line.split()[0] for line in lines if "off: " in line]
    assert off == [name for name, tool in CATALOG.items() if tool.toolset in ("refunds", "settlements", "klarna")]
    assert all("KUSTOM_TOOLS" in line for line in lines if "off: " in line)


@pytest.mark.parametrize("settings", [{}, {"KUSTOM_TOOLS": "all", "KUSTOM_CONFIRM": "flag"}, {"KUSTOM_WRITES": "deny"}])
async def test_the_json_is_what_a_host_gets(settings: dict[str, str], command: Command) -> None:
    ran = command("tools", "--json", **settings)
    async with Client(build_server(App.of(load(settings).settings))) as client:
        listed = (await client.list_tools()).tools
    assert json.loads(ran.out) == [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed]
    assert (ran.code, ran.err) == (0, "")
