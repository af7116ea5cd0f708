"""KUSTOM_SCHEMAS: the same tools for hosts that take no optional argument, and for those that take no closed object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator

from kustom_mcp.calls.confirmation import Mode
from kustom_mcp.server.handlers import Handlers
from kustom_mcp.server.tool_list import listing
from kustom_mcp.settings.settings import Dialect
from kustom_mcp.tools.catalog import CATALOG
from tests.server.test_surface import listed
from tests.support.conversation import conversation, demo

Wire = dict[str, Any]
STRICT = frozenset(
    # OpenAI, "Structured outputs", supported schemas: the keywords that its strict mode takes of those that we use.
    {"type", "description", "enum", "properties", "required", "additionalProperties", "items"}
    | {"pattern", "minimum", "maximum", "minItems", "maxItems"}
)
DEEPEST = 10  # levels of nesting (OpenAI)
NAMES = 5000  # properties in all schemas of a request (OpenAI)
MODES: tuple[Mode, ...] = ("auto", "flag", "card")


def inputs(dialect: Dialect, mode: Mode = "auto") -> dict[str, Wire]:
    return {name: tool["inputSchema"] for name, tool in listing(CATALOG.__contains__, mode, dialect).items()}


def schemas(node: Wire, depth: int = 1) -> Iterator[tuple[int, Wire]]:
    """A schema and every schema inside it, each with its level."""
    yield depth, node
    for inner in [*node.get("properties", {}).values(), *([node["items"]] if "items" in node else [])]:
        yield from schemas(inner, depth + 1)


def without_null(node: Wire, standard: Wire) -> Wire:
    """A nullable schema made optional again where the standard one is; lengths are the standard's."""
    told = dict(node)
    if "properties" in told:
        assert told["required"] == list(told["properties"])
        told["properties"] = {
            name: without_null(field, standard["properties"][name]) for name, field in told["properties"].items()
        }
        told["required"] = standard.get("required", [])
        if not told["required"]:
            del told["required"]
        for name in told["properties"].keys() - set(told.get("required", ())):
            field = told["properties"][name]
            kind, null = field["type"]
            assert null == "null"
            enum = {"enum": [value for value in field["enum"] if value is not None]} if "enum" in field else {}
            assert not enum or None in node["properties"][name]["enum"]
            told["properties"][name] = {**field, "type": kind, **enum}
    if "items" in told:
        told["items"] = without_null(told["items"], standard["items"])
    return told | {key: standard[key] for key in ("minLength", "maxLength") if key in standard}


@pytest.mark.parametrize("mode", MODES)
def test_nullable_schemas_say_what_the_standard_ones_say(mode: Mode) -> None:
    standard, nullable = inputs("standard", mode), inputs("nullable", mode)
    for name in CATALOG:
        assert without_null(nullable[name], standard[name]) == standard[name]


@pytest.mark.parametrize("mode", ["auto", "flag"])
def test_nullable_schemas_are_what_openai_takes_as_strict(mode: Mode) -> None:
    every = [found for schema in inputs("nullable", mode).values() for found in schemas(schema)]
    for depth, schema in every:
        assert depth <= DEEPEST
        assert schema.keys() <= STRICT
        if "properties" in schema:
            assert (schema["required"], schema["additionalProperties"]) == (list(schema["properties"]), False)
        if "enum" in schema and "null" in schema["type"]:
            assert None in schema["enum"]
    assert sum(len(schema.get("properties", ())) for _, schema in every) <= NAMES


def test_open_schemas_are_the_standard_ones_without_the_word() -> None:
    def opened(node: Any) -> Any:
        if isinstance(node, dict):
            fields = cast("Wire", node)
            return {key: opened(value) for key, value in fields.items() if key != "additionalProperties"}
        return node

    assert inputs("open") == {name: opened(schema) for name, schema in inputs("standard").items()}
    assert "additionalProperties" not in str(inputs("open", "card")["kustom_refund_order"])


@pytest.mark.parametrize("dialect", ["nullable", "open"])
async def test_a_dialect_changes_input_schemas_and_nothing_else(dialect: Dialect) -> None:
    usual, other = await listed(TOOLS="all"), await listed(TOOLS="all", SCHEMAS=dialect.upper())
    assert list(usual) == list(other)
    assert {name: tool.pop("inputSchema") for name, tool in other.items()} == inputs(dialect)
    assert {name: tool.pop("inputSchema") for name, tool in usual.items()} == inputs("standard")
    assert usual == other


@pytest.mark.parametrize("dialect", ["nullable", "open"])
async def test_callers_who_may_not_write_get_it_as_well(dialect: Dialect) -> None:
    async with conversation(KUSTOM_SCHEMAS=dialect) as talk:
        handlers = Handlers(talk.app)
        assert handlers.reading_tools == {
            name: tool for name, tool in handlers.tools.items() if not CATALOG[name].writes
        }


def nulls(schema: Wire, given: Wire) -> Wire:
    """Arguments with every other one null, as a strict model sends them."""
    every: Wire = {}
    for name, field in schema["properties"].items():
        value = given.get(name)
        if isinstance(value, list) and "properties" in field["items"]:
            value = [nulls(field["items"], entry) for entry in cast("list[Wire]", value)]
        every[name] = value
    return every


@pytest.mark.parametrize("dialect", ["standard", "nullable", "open"])
async def test_each_dialect_accepts_the_same_calls(dialect: Dialect) -> None:
    """A refund as a model in strict mode sends it, which the standard schema would not even allow."""
    schema = inputs("nullable")["kustom_refund_order"]
    given = {"order_id": demo("captured-sek"), "lines": [{"line": 1, "quantity": 1}]}
    strict = nulls(schema, given)
    Draft202012Validator(schema).validate(strict)  # pyright: ignore[reportUnknownMemberType]
    async with conversation(KUSTOM_SCHEMAS=dialect) as talk:
        preview = await talk.call("refund_order", strict)
        done = await talk.call("refund_order", strict, confirm=preview["confirm"]["code"])
        assert (preview["outcome"], done["outcome"]) == ("confirmation_required", "applied")
        ((_, _, body),) = talk.sent
        assert body.keys() == {"refunded_amount", "order_lines", "reference"}
