"""Published rules of hosts and models for a tool's name and schema, each held by every tool.

A tool that one host drops, or that makes a model's API refuse the whole request, is found by a user and nobody before.
Each rule is also shown a tool that breaks it, so that a rule that finds nothing is known to look.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kustom_mcp.calls.confirmation import Mode
from kustom_mcp.server.tool_list import listing
from kustom_mcp.tools.catalog import CATALOG

Tool = dict[str, Any]
Rule = Callable[[Tool], list[str]]

SERVER = "kustom-mcp"
"""The longest name under which our documents install the server."""

GEMINI = frozenset(
    # Vertex AI, API reference of Schema and FunctionDeclaration: the fields that a schema may have.
    {
        *("type", "format", "title", "description", "nullable", "default", "enum", "example", "anyOf"),
        *("items", "minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength", "pattern"),
        *("properties", "propertyOrdering", "required", "minProperties", "maxProperties"),
        # Gemini API, "Structured outputs": understood since JSON Schema is; older clients take it out by themselves.
        "additionalProperties",
    }
)


def tools() -> list[Tool]:
    """The catalogue in both of its forms: `confirm` as a text, and as a flag. The card's own tool is for no model."""
    modes: tuple[Mode, ...] = ("auto", "flag")
    return [tool for mode in modes for tool in listing(CATALOG.__contains__, mode).values()]


def schemas(node: Any, path: str = "") -> Iterator[tuple[str, Tool]]:
    """Every schema inside a schema with its path, itself first."""
    yield path or "the schema", node
    for name, child in node.get("properties", {}).items():
        yield from schemas(child, f"{path}.{name}")
    if isinstance(node.get("items"), dict):
        yield from schemas(node["items"], f"{path}[]")


def broken(tool: Tool, wrong: Callable[[Tool], object]) -> list[str]:
    return [path for path, schema in schemas(tool["inputSchema"]) if wrong(schema)]


def keys(tool: Tool) -> set[str]:
    return {name for _, schema in schemas(tool["inputSchema"]) for name in schema.get("properties", {})}


def lengths(tool: Tool) -> list[str]:
    """OpenAI, "Function calling": a description has at most 1,024 characters. Ours: a name has at most 40."""
    return [*["name"] * (len(tool["name"]) > 40), *["description"] * (not 0 < len(tool["description"]) <= 1024)]


def names(tool: Tool) -> list[str]:
    """Names that every host takes: Gemini (FunctionDeclaration.name: a letter or underscore first, at most 64), OpenAI
    (function name: `^[a-zA-Z0-9_-]{1,64}$`), Claude (Tool use: the same), VS Code (`[a-z0-9_-]`), Cursor (letters,
    digits and underscores)."""
    return [] if re.fullmatch(r"[a-z_][a-z0-9_]{0,63}", tool["name"]) else ["name"]


def prefixed(tool: Tool) -> list[str]:
    """Cursor: the server's and the tool's name together have at most 60 characters. Claude Code calls the tool
    `mcp__SERVER__TOOL`, and its API takes 64."""
    found = {"Cursor": len(SERVER + tool["name"]) > 60, "Claude": len(f"mcp__{SERVER}__{tool['name']}") > 64}
    return [host for host, wrong in found.items() if wrong]


def parameters(tool: Tool) -> list[str]:
    """Gemini (FunctionDeclaration.parameters: a letter or underscore, then letters, digits, underscores, 64 in all);
    Claude (`^[a-zA-Z0-9_.-]{1,64}$`) is wider."""
    return [name for name in keys(tool) if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name)]


def root(tool: Tool) -> list[str]:
    """OpenAI and Claude: the schema is an object; Claude takes no oneOf, allOf or anyOf at its top."""
    schema = tool["inputSchema"]
    return [
        *["type"] * (schema.get("type") != "object" or "properties" not in schema),
        *(word for word in ("oneOf", "allOf", "anyOf") if word in schema),
    ]


def arrays(tool: Tool) -> list[str]:
    """OpenAI ("array schema missing items"), Copilot ("array type must have items"), Gemini (items required)."""
    return broken(tool, lambda schema: schema.get("type") == "array" and not isinstance(schema.get("items"), dict))


def objects(tool: Tool) -> list[str]:
    """Gemini (properties of an object may not be empty), Copilot (an object has properties)."""
    return broken(tool, lambda schema: schema.get("type") == "object" and not schema.get("properties"))


def types(tool: Tool) -> list[str]:
    """Gemini and Copilot take one type and no list of types; none of them an untyped schema."""
    known = ("object", "array", "string", "integer", "number", "boolean")
    return broken(tool, lambda schema: schema.get("type") not in known)


def keywords(tool: Tool) -> list[str]:
    """Gemini: a field that Schema does not have is refused ("Unknown name ... Cannot find field")."""
    found = (schema for _, schema in schemas(tool["inputSchema"]))
    return sorted({word for schema in found for word in schema if word not in GEMINI})


def enums(tool: Tool) -> list[str]:
    """Gemini: an enum is for strings, and no value is empty."""

    def wrong(schema: Tool) -> bool:
        values = schema.get("enum", ["x"])
        return not values or not all(isinstance(value, str) and value for value in values)

    return broken(tool, wrong)


def required(tool: Tool) -> list[str]:
    """Gemini ("property is not defined"): what is required is also described, and named once."""

    def wrong(schema: Tool) -> bool:
        names = schema.get("required", [])
        return len(set(names)) < len(names) or not set(names) <= set(schema.get("properties", {}))

    return broken(tool, wrong)


def patterns(tool: Tool) -> list[str]:
    """OpenAI and Gemini (RE2): no looking ahead or behind, no reference back, no classes of Unicode."""
    return broken(tool, lambda schema: re.search(r"\(\?[=!<]|\\[1-9pPkuX]", schema.get("pattern", "")))


def references(tool: Tool) -> list[str]:
    """Gemini and Copilot: no reference out of or inside the schema, and no dialect named."""
    return broken(tool, lambda schema: {"$ref", "$defs", "$schema", "definitions", "$id"} & set(schema))


def good(**changes: Any) -> Tool:
    """A tool that keeps to every rule, but for the changes to its `name`, `description` or schema."""
    schema = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
    tool = {"name": "a_tool", "description": "It does.", "inputSchema": schema}
    return {**tool, **{key: changes.pop(key) for key in list(changes) if key in tool}} | (
        {"inputSchema": {**schema, **changes}} if changes else {}
    )


BREACHES: list[tuple[Rule, Tool]] = [
    (lengths, good(name="a" * 41)),
    (lengths, good(description="a" * 1025)),
    (lengths, good(description="")),
    (names, good(name="orders.get")),
    (names, good(name="get-order")),
    (names, good(name="1st")),
    (prefixed, good(name="a" * 51)),
    (parameters, good(properties={"filter[id]": {"type": "string"}})),
    (parameters, good(properties={"a": {"type": "array", "items": {"type": "object", "properties": {"b-c": {}}}}})),
    (root, good(anyOf=[])),
    (root, good(type="string")),
    (arrays, good(properties={"ids": {"type": "array"}})),
    (objects, good(properties={"order": {"type": "object"}})),
    (types, good(properties={"id": {"type": ["string", "null"]}})),
    (types, good(properties={"id": {}})),
    (keywords, good(properties={"id": {"type": "string", "const": "x"}})),
    (keywords, good(patternProperties={})),
    (enums, good(properties={"days": {"type": "integer", "enum": [14, 30]}})),
    (enums, good(properties={"days": {"type": "string", "enum": [""]}})),
    (required, good(required=["id", "other"])),
    (required, good(required=["id", "id"])),
    (patterns, good(properties={"id": {"type": "string", "pattern": "^(?!x)"}})),
    (patterns, good(properties={"id": {"type": "string", "pattern": r"\p{L}"}})),
    (references, good(properties={"id": {"$ref": "#/$defs/id"}})),
]
RULES = list(dict.fromkeys(rule for rule, _ in BREACHES))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_tool_keeps_to_what_hosts_publish(rule: Rule) -> None:
    assert {tool["name"]: found for tool in tools() if (found := rule(tool))} == {}


@pytest.mark.parametrize(
    ("rule", "tool"), BREACHES, ids=[f"{rule.__name__}{n}" for n, (rule, _) in enumerate(BREACHES)]
)
def test_each_rule_finds_what_breaks_it(rule: Rule, tool: Tool) -> None:
    assert rule(good()) == []
    assert rule(tool) != []


def test_a_host_with_room_for_forty_tools_takes_them_all() -> None:
    """Cursor, "Model Context Protocol": it sends the first 40 tools of all servers; VS Code takes 128 in a request."""
    assert len(CATALOG) <= 40
