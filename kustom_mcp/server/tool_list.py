"""The tools as `tools/list` gives them, encoded beforehand.

Deriving the schemas takes 37 ms of processor time, reading them 1 ms: 5 % of the start of the server, up to its
`tools/list` reply (46 rounds side by side, 2026-11-28). They are the same bytes every time, so they are derived once,
by `python -m tests.generate`, and shipped; a test compares the file with what the code derives.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from kustom_mcp.calls.card import APPROVE, approve_tool
from kustom_mcp.calls.confirmation import Mode
from kustom_mcp.schema.input_schema import in_dialect
from kustom_mcp.settings.settings import Dialect
from kustom_mcp.tools.catalog import CATALOG
from kustom_mcp.tools.tool import with_means

FILE = "data/tools.json"


def encoded() -> str:
    """The content of the generated file."""
    return json.dumps([tool.wire() for tool in CATALOG.values()], ensure_ascii=False, separators=(",", ":")) + "\n"


def listing(
    listed: Callable[[str], bool],
    mode: Mode,
    dialect: Dialect = "standard",
    shop: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """The tools that are `listed`, by name, in the order of the catalogue, with `confirm` as the gate's means has it.

    In the mode `card` the order card's own tool comes last, as far as there is anything to approve. `shop`: the schema
    of the argument that each of them has then.
    """
    read: list[dict[str, Any]] = json.loads(files("kustom_mcp").joinpath(FILE).read_text(encoding="utf-8"))
    tools = {tool["name"]: with_means(tool, mode) for tool in read if listed(tool["name"])}
    if shop is not None:
        tools = {name: _with_shop(tool, shop) for name, tool in tools.items()}
    if mode == "card" and any(CATALOG[name].effect.gated for name in tools):
        tools[APPROVE] = approve_tool()
    return {name: {**tool, "inputSchema": in_dialect(tool["inputSchema"], dialect)} for name, tool in tools.items()}


def _with_shop(tool: Mapping[str, Any], shop: Mapping[str, Any]) -> dict[str, Any]:
    """A tool with the argument `shop`, and with the shop in its answers."""
    given, answer = tool["inputSchema"], tool["outputSchema"]
    return {
        **tool,
        "inputSchema": {**given, "properties": {**given["properties"], "shop": shop}},
        "outputSchema": {**answer, "properties": {**answer["properties"], "shop": {"type": "string"}}},
    }
