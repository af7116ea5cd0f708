"""Input schemas that every host accepts, made from the argument models.

Hosts refuse or lose more than JSON Schema allows: no `$ref`, `$defs`, `anyOf`, `oneOf`, `allOf`, type arrays, `format`
or `$schema`; every object closed; an optional argument is one that is left out, so `null` is never offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel

_DROPPED = frozenset({"title", "default", "$defs"})


def input_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the portable schema of an argument model, with its references written out."""
    schema = model.model_json_schema()
    definitions = cast("dict[str, Any]", schema.get("$defs", {}))
    return cast("dict[str, Any]", _slim(schema, definitions))


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
            slim[key] = {name: _slim(field, definitions) for name, field in value.items()}
        elif key not in _DROPPED:
            slim[key] = _slim(value, definitions)
    return slim
