"""Rules that hold for every tool: names, words, hints, portable schemas, sizes, and the order of the list."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator
from mcp.types import ListToolsResult, ToolAnnotations

import kustom_mcp.tools.catalog
from kustom_mcp.tools.catalog import CATALOG
from tests.support.conversation import MODES, Mode, conversation

READ, SET, ADD = (True, False, True), (False, False, True), (False, False, False)
REPLACE, MOVE = (False, True, True), (False, True, False)
HINTS = {
    "kustom_get_order": READ,
    "kustom_get_orders": READ,
    "kustom_find_orders": READ,
    "kustom_resolve_order": READ,
    "kustom_list_activity": READ,
    "kustom_acknowledge_order": SET,
    "kustom_update_order_amount": REPLACE,
    "kustom_update_merchant_references": SET,
    "kustom_update_customer_details": REPLACE,
    "kustom_add_shipping_info": ADD,
    "kustom_cancel_order": REPLACE,
    "kustom_extend_authorization": ADD,
    "kustom_release_remaining_authorization": MOVE,
    "kustom_capture_order": MOVE,
    "kustom_list_captures": READ,
    "kustom_get_capture": READ,
    "kustom_add_capture_shipping_info": ADD,
    "kustom_refund_order": MOVE,
    "kustom_get_refund": READ,
    "kustom_list_transactions": READ,
    "kustom_list_payouts": READ,
    "kustom_trigger_send_out": ADD,
    "kustom_get_due_date_options": READ,
    "kustom_extend_due_date": MOVE,
}
"""Every tool in the order of the list: (read-only, destructive, idempotent)."""

REQUIRED_AND_OPTIONAL = {
    "kustom_get_order": ("order_id", "include cursor"),
    "kustom_get_orders": ("order_ids", ""),
    "kustom_find_orders": (
        "",
        "reference email phone name postal_code status fraud_status currency amount created_from created_before "
        "captured_from captured_before refunded_from refunded_before expires_from expires_before min_remaining "
        "to_capture no_tracking ever_disputed unresolved order_by limit cursor max_age",
    ),
    "kustom_resolve_order": ("order_id", ""),
    "kustom_list_activity": ("", "order_id person operation from before limit cursor"),
    "kustom_acknowledge_order": ("order_id", ""),
    "kustom_update_order_amount": (
        "order_id",
        "order_amount order_lines line_changes description currency confirm",
    ),
    "kustom_update_merchant_references": ("order_id", "merchant_reference1 merchant_reference2 clear"),
    "kustom_update_customer_details": ("order_id", "shipping_address clear confirm"),
    "kustom_add_shipping_info": ("order_id shipping_info", ""),
    "kustom_cancel_order": ("order_id", "confirm"),
    "kustom_extend_authorization": ("order_id", ""),
    "kustom_release_remaining_authorization": ("order_id", "confirm"),
    "kustom_capture_order": (
        "order_id",
        "captured_amount lines order_lines currency description reference shipping_info shipping_delay confirm",
    ),
    "kustom_list_captures": ("order_id", ""),
    "kustom_get_capture": ("order_id capture_id", ""),
    "kustom_add_capture_shipping_info": ("order_id capture_id shipping_info", ""),
    "kustom_refund_order": (
        "order_id",
        "refunded_amount lines order_lines return_fee reason currency description reference confirm",
    ),
    "kustom_get_refund": ("order_id refund_id", ""),
    "kustom_list_transactions": ("", "order_id payment_reference limit cursor"),
    "kustom_list_payouts": ("", "from before currency payment_reference limit cursor"),
    "kustom_trigger_send_out": ("order_id capture_id", ""),
    "kustom_get_due_date_options": ("order_id capture_id", ""),
    "kustom_extend_due_date": ("order_id capture_id number_of_days", "confirm"),
}

TOOLSETS = {"orders": 13, "captures": 4, "refunds": 2, "settlements": 2, "klarna": 3}
PORTABLE = frozenset(
    {
        *("type", "description", "enum", "pattern", "maxLength", "minimum", "maximum"),
        *("properties", "required", "additionalProperties", "items", "minItems", "maxItems"),
    }
)
"""The keywords that an input schema may use."""

Wire = dict[str, Any]


async def listed(mode: Mode = "auto", *, tools: str = "all", means: str = "auto") -> list[Wire]:
    """The tools as they travel."""
    toolsets: dict[str, Any] = {"KUSTOM_TOOLS": tools} if tools else {}
    async with conversation(mode, KUSTOM_CONFIRM=means, **toolsets) as talk:
        return on_the_wire(await talk.client.list_tools())


def on_the_wire(result: ListToolsResult) -> list[Wire]:
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in result.tools]


def schemas_in(node: Any) -> Iterator[Wire]:
    """Every schema inside a schema, itself first."""
    yield node
    for child in node.get("properties", {}).values():
        yield from schemas_in(child)
    if "items" in node:
        yield from schemas_in(node["items"])


def compact(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def seen_by_a_model(tools: list[Wire]) -> int:
    return sum(compact({name: tool[name] for name in ("name", "description", "inputSchema")}) for tool in tools)


@pytest.mark.parametrize("mode", MODES)
async def test_all_tools_are_listed_in_the_order_a_model_should_meet_them(mode: Mode) -> None:
    tools = await listed(mode)
    assert [tool["name"] for tool in tools] == list(HINTS)


async def test_settlements_and_what_only_klarna_describes_are_off_by_default() -> None:
    assert [tool["name"] for tool in await listed(tools="")] == list(HINTS)[:19]


def test_every_tool_belongs_to_the_toolset_of_the_contract() -> None:
    toolsets = [tool.toolset for tool in CATALOG.values()]
    assert {name: toolsets.count(name) for name in toolsets} == TOOLSETS
    assert toolsets == sorted(toolsets, key=list(TOOLSETS).index)


def test_every_tool_has_one_file_and_the_contents_page_names_every_file() -> None:
    folder = Path(kustom_mcp.tools.catalog.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert {f"kustom_{name}" for name in files} == set(CATALOG)
    for name, tool in CATALOG.items():
        assert name == tool.name
        assert tool.run.__module__ == f"kustom_mcp.tools.catalog.{name.removeprefix('kustom_')}"


def test_every_tool_has_a_test_file_of_its_own() -> None:
    tested = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert {name.removeprefix("kustom_") for name in CATALOG} <= tested


async def test_every_tool_carries_all_four_hints() -> None:
    for tool in await listed():
        read_only, destructive, idempotent = HINTS[tool["name"]]
        assert ToolAnnotations.model_validate(tool["annotations"]) == ToolAnnotations(
            read_only_hint=read_only,
            destructive_hint=destructive,
            idempotent_hint=idempotent,
            open_world_hint=True,
        )


async def test_the_arguments_are_those_of_the_contract() -> None:
    for tool in await listed():
        required, optional = (names.split() for names in REQUIRED_AND_OPTIONAL[tool["name"]])
        schema = tool["inputSchema"]
        assert (list(schema["properties"]), schema.get("required", [])) == (
            [*required, *optional],
            required,
        )


async def test_every_description_is_one_to_three_sentences() -> None:
    for tool in await listed():
        text = tool["description"]
        sentences = re.findall(r"[^.]+\.(?:\s|$)", text)
        assert 1 <= len(sentences) <= 3, text
        assert len(text) <= 1024
        assert text.endswith(".")
        assert "  " not in text
        assert tool["title"]
        assert tool["title"] != tool["name"]


async def test_every_parameter_is_described() -> None:
    for tool in await listed():
        for name, schema in tool["inputSchema"]["properties"].items():
            assert schema.get("description", "").endswith("."), f"{tool['name']}.{name}"


@pytest.mark.parametrize("means", ["auto", "flag"])
async def test_input_schemas_use_the_portable_subset_only(means: str) -> None:
    for tool in await listed(means=means):
        Draft202012Validator.check_schema(tool["inputSchema"])
        for schema in schemas_in(tool["inputSchema"]):
            assert set(schema) <= PORTABLE, tool["name"]
            assert isinstance(schema["type"], str)
            if schema["type"] == "object":
                assert schema["additionalProperties"] is False, tool["name"]
                assert set(schema.get("required", [])) <= set(schema["properties"])
            if schema["type"] == "array":
                assert schema.get("maxItems", 1000) <= 1000


async def test_output_schemas_are_typed_and_leave_only_before_and_after_open() -> None:
    for tool in await listed():
        schema = tool["outputSchema"]
        Draft202012Validator.check_schema(schema)
        assert not re.search(r'"(\$ref|\$defs|\$schema|anyOf|oneOf|allOf|format)"', json.dumps(schema))
        writes = not tool["annotations"]["readOnlyHint"]
        empty = [part for part in schemas_in(schema) if part == {}]
        assert len(empty) == (2 if writes else 0)
        if writes:
            change = schema["properties"]["changes"]["items"]
            assert change == {
                "type": "object",
                "properties": {"field": {"type": "string"}, "before": {}, "after": {}},
            }
        assert schema["required"] == ["outcome", "environment", "summary"]
        assert ("confirm" in schema["properties"]) is tool["annotations"]["destructiveHint"]


async def test_confirm_is_a_text_unless_the_operator_trusts_flags() -> None:
    gated = {name for name, (_, destructive, _) in HINTS.items() if destructive}
    for means, kind in (("auto", "string"), ("code", "string"), ("form", "string"), ("flag", "boolean")):
        tools = await listed(means=means)
        found = {
            tool["name"]: tool["inputSchema"]["properties"]["confirm"]["type"]
            for tool in tools
            if "confirm" in tool["inputSchema"]["properties"]
        }
        assert found == dict.fromkeys(gated, kind)


async def test_the_list_stays_within_its_budget() -> None:
    everything, default = await listed(), await listed(tools="")
    assert seen_by_a_model(default) <= 20_000
    assert seen_by_a_model(everything) <= 23_100
    assert compact({"tools": everything}) <= 66_900


def test_the_list_is_the_same_bytes_in_another_process() -> None:
    command = [sys.executable, "-m", "kustom_mcp", "tools", "--json"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KUSTOM_")}
    environment["PYTHONHASHSEED"] = "4711"
    there = subprocess.run(command, check=True, capture_output=True, env=environment).stdout
    printed = cast("list[Wire]", json.loads(there))
    here = [CATALOG[tool["name"]].wire() for tool in printed]
    assert json.dumps(here) == json.dumps(printed)


async def test_the_list_says_how_long_it_keeps_and_that_everybody_gets_the_same() -> None:
    async with conversation() as talk:
        result = await talk.client.list_tools()
        assert (result.ttl_ms, result.cache_scope) == (3_600_000, "public")


@pytest.mark.parametrize("mode", MODES)
async def test_both_eras_get_the_same_list(mode: Mode) -> None:
    assert await listed(mode) == await listed("auto")
