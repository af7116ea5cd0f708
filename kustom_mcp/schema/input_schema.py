"""Input schemas that every host accepts, made from the argument models.

Hosts refuse or lose more than JSON Schema allows: no `$ref`, `$defs`, `anyOf`, `oneOf`, `allOf`, type arrays, `format`
or `$schema`; every object closed; an optional argument is one that is left out, so `null` is never offered. That is the
standard dialect; two others are for hosts that refuse just this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel

from kustom_mcp.settings.settings import Dialect

_DROPPED = frozenset({"title", "default", "$defs"})
_LIMITS = frozenset({"maxLength", "minimum", "maximum"})
_UNREACHED = 64
"""A limit from here on is checked like any other, but not told: a model pays for each, and reaches none by accident."""
_BOUNDS = frozenset({"minItems", "maxItems"})
"""The bounds of a list that may be left out are not told either: an empty one counts as not given."""
_NOT_STRICT = frozenset({"minLength", "maxLength"})
_NOT_OPEN = frozenset({"additionalProperties"})


def input_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the portable schema of an argument model, with its references written out."""
    schema = model.model_json_schema()
    definitions = cast("dict[str, Any]", schema.get("$defs", {}))
    return cast("dict[str, Any]", _slim(schema, definitions))


def in_dialect(schema: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """Return a portable schema in another dialect. The parsing of arguments knows no dialects.

    `nullable`: OpenAI's strict mode takes no optional argument and no length of a text, so every argument is required,
    and null stands for one that is not given. `open`: Google's Python SDK takes no `additionalProperties`.
    """
    if dialect == "standard":
        return dict(schema)
    dropped = _NOT_STRICT if dialect == "nullable" else _NOT_OPEN
    told = {key: value for key, value in schema.items() if key not in dropped}
    if "items" in told:
        told["items"] = in_dialect(told["items"], dialect)
    if "properties" in told:
        fields = {name: in_dialect(field, dialect) for name, field in told["properties"].items()}
        if dialect == "nullable":
            needed = told.get("required", ())
            fields = {name: field if name in needed else _or_null(field) for name, field in fields.items()}
            told["required"] = list(fields)
        told["properties"] = fields
    return told


def _or_null(field: dict[str, Any]) -> dict[str, Any]:
    allowed = {"enum": [*field["enum"], None]} if "enum" in field else {}
    return {**field, "type": [field["type"], "null"], **allowed}


def _slim(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_slim(item, definitions) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    fields = cast("dict[str, Any]", node)
    reference = fields.get("$ref")
    if isinstance(reference, str):
        target = _slim(definitions[reference.rpartition("/")[2]], definitions)
        target.pop("description", None)  # a model's docstring is for readers of the code; a field describes itself
        return {**target, **_slim({key: value for key, value in fields.items() if key != "$ref"}, definitions)}
    options = cast("list[Any] | None", fields.get("anyOf"))
    if options is not None:
        (only,) = [option for option in options if option != {"type": "null"}]
        rest = {key: value for key, value in fields.items() if key != "anyOf"}
        return _slim({**only, **rest}, definitions)
    slim: dict[str, Any] = {}
    for key, value in fields.items():
        if key == "properties":
            needed = fields.get("required", ())
            slim[key] = {
                name: told if name in needed else {key: part for key, part in told.items() if key not in _BOUNDS}
                for name, told in ((name, _slim(field, definitions)) for name, field in value.items())
            }
        elif key not in _DROPPED and not (key in _LIMITS and abs(value) >= _UNREACHED):
            slim[key] = _slim(value, definitions)
    return slim
