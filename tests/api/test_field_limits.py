"""The limits are those of the documentation."""

from __future__ import annotations

from typing import Any

from kustom_mcp.api.endpoint import Write
from kustom_mcp.api.endpoints import ENDPOINTS
from kustom_mcp.api.field_limits import BODIES, PARTS, Limit
from tests.api.documentation import documented


def as_limit(field: dict[str, Any]) -> Limit:
    return Limit(
        required=field.get("required_kustom", field.get("required", False)),
        max_length=field.get("max_length"),
        minimum=field.get("minimum"),
        maximum=field.get("maximum"),
        min_items=field.get("min_items"),
        max_items=field.get("max_items"),
        choices=(*field.get("enum", ()), *field.get("extra_values_single_source", ())),
        of=field.get("items") or field.get("ref"),
    )


def test_every_limit_is_the_documented_one() -> None:
    schemas = documented()["schemas"]
    described = {
        name: {field: as_limit(facts) for field, facts in schemas[name]["fields"].items()}
        for name in {**BODIES, **PARTS}
    }
    assert described == {**BODIES, **PARTS}


def test_every_body_is_taken_by_an_endpoint() -> None:
    assert {item.takes for item in ENDPOINTS if isinstance(item, Write)} == {None, *BODIES}


def test_every_part_that_is_named_is_described() -> None:
    named = {limit.of for fields in (*BODIES.values(), *PARTS.values()) for limit in fields.values()}
    assert named == {None, *PARTS}
