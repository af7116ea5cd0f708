"""An OpenAPI description of the eighteen calls, made from this package's own tables, for FastMCP to build a server of.

Written by us, because the published description is not ours to ship. It has the same operations, bodies, limits and
answers; its texts are short, which keeps what FastMCP lists small.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from kustom_mcp.api.endpoint import PREFIX, Read, Write
from kustom_mcp.api.endpoints import ENDPOINTS
from kustom_mcp.api.field_limits import BODIES, PARTS, Limit

SCHEMAS = "#/components/schemas/"
_LINE = {"order_lines": "OrderLine", "shipping_info": "ShippingInfo"}


def description() -> dict[str, Any]:
    """The whole description."""
    schemas: dict[str, Any] = {name: _body(fields) for name, fields in {**BODIES, **PARTS}.items()}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(PREFIX + endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Order management", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(endpoint: Read[Any] | Write, schemas: dict[str, Any]) -> dict[str, Any]:
    words = re.sub(r"([A-Z])", r" \1", endpoint.name).lower()
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": words.capitalize(),
        "description": f"{words.capitalize()}, by its id.",
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": f"The {name.replace('_', ' ')}.",
                "schema": {"type": "string"},
            }
            for name in endpoint.placeholders
        ],
    }
    answer: dict[str, Any] = {"description": "Done."}
    if isinstance(endpoint, Read):
        schema = TypeAdapter[Any](endpoint.gives).json_schema(
            mode="serialization", ref_template=SCHEMAS + "Read{model}"
        )
        schemas |= {f"Read{name}": value for name, value in schema.pop("$defs", {}).items()}
        answer["content"] = {"application/json": {"schema": schema}}
    elif endpoint.takes is not None:
        content = {"application/json": {"schema": {"$ref": SCHEMAS + endpoint.takes}}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation | {"responses": {"200": answer}}


def _body(fields: Mapping[str, Limit]) -> dict[str, Any]:
    required = [name for name, limit in fields.items() if limit.required]
    properties = {name: _field(name, limit) for name, limit in fields.items()}
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def _field(name: str, limit: Limit) -> dict[str, Any]:
    if limit.of is not None:
        reference = {"$ref": SCHEMAS + limit.of}
        return {"type": "array", "items": reference, "maxItems": limit.max_items} if name in _LINE else reference
    bounds: dict[str, Any] = {
        "maxLength": limit.max_length,
        "minimum": limit.minimum,
        "maximum": limit.maximum,
        "enum": list(limit.choices) or None,
    }
    number = any(word in name for word in ("amount", "price", "quantity", "rate", "delay", "days", "count"))
    kind = "integer" if number and name != "quantity_unit" else "string"
    return {"type": kind} | {key: value for key, value in bounds.items() if value is not None}
