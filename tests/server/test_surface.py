"""Snapshots of each tool as a model sees it, compared with what `tools/list` really gives: a change is in the diff."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp.client import Client

from kustom_mcp.app.app import App
from kustom_mcp.server.handlers import build_server
from kustom_mcp.settings.environment import load
from kustom_mcp.tools.catalog import CATALOG
from tests.generate import SURFACE

REGENERATE = "Run `uv run python -m tests.generate`, and look at the diff."


async def listed(**settings: str) -> dict[str, dict[str, Any]]:
    """The tools of a server with these settings, as its client gets them."""
    server = build_server(App.of(load({f"KUSTOM_{name}": value for name, value in settings.items()}).settings))
    async with Client(server) as client:
        answer = await client.list_tools()
    return {tool.name: tool.model_dump(mode="json", by_alias=True, exclude_unset=True) for tool in answer.tools}


@pytest.mark.parametrize("name", CATALOG)
async def test_a_tool_is_listed_as_its_snapshot_shows_it(name: str) -> None:
    path = SURFACE / f"{name}.json"
    assert path.exists(), f"{name} has no snapshot. {REGENERATE}"
    assert (await listed(TOOLS="all"))[name] == json.loads(path.read_text(encoding="utf-8")), REGENERATE


async def test_the_snapshots_are_those_of_the_catalogue_and_no_others() -> None:
    assert {path.stem for path in SURFACE.iterdir()} == set(CATALOG) == set(await listed(TOOLS="all"))


async def test_trusted_automation_sees_the_same_tools_but_for_a_boolean_confirm() -> None:
    usual, flag = await listed(TOOLS="all"), await listed(TOOLS="all", CONFIRM="flag")
    for name, tool in CATALOG.items():
        if tool.effect.gated:
            assert flag[name]["inputSchema"]["properties"].pop("confirm")["type"] == "boolean"
            assert usual[name]["inputSchema"]["properties"].pop("confirm")["type"] == "string"
    assert flag == usual


async def test_the_list_is_in_the_order_of_the_contents_page_whatever_the_settings_name_first() -> None:
    assert list(await listed(TOOLS="klarna,settlements,refunds,captures,orders")) == list(CATALOG)
