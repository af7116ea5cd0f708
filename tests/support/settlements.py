"""The published description of the Settlements API, where that file is at hand.

Looked for at KUSTOM_SETTLEMENTS_OPENAPI, or as settlements-openapi.yml in a folder `shared` beside the repository.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, cast

import openapi_schema_validator
import pytest
import yaml

from kustom_mcp.simulator.wire import Response

BESIDE = Path(__file__).parents[3] / "shared" / "settlements-openapi.yml"
DESCRIPTION = Path(os.environ.get("KUSTOM_SETTLEMENTS_OPENAPI", BESIDE))


@cache
def described() -> dict[str, Any]:
    """The description; the calling test is skipped where it is not at hand."""
    if not DESCRIPTION.is_file():
        pytest.skip("the published description is not at hand")
    return yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))


def schema(name: str) -> dict[str, Any]:
    """One of its objects."""
    return described()["components"]["schemas"][name]


def check(path: str, response: Response) -> None:
    """Hold an answer to the description of the call."""
    answer = described()["paths"][path]["get"]["responses"][str(response.status)]
    openapi_schema_validator.validate(
        response.json(),
        _whole(answer["content"]["application/json"]["schema"]),
        cls=openapi_schema_validator.OAS30Validator,
        format_checker=openapi_schema_validator.oas30_format_checker,
    )


def _whole(node: Any) -> Any:
    """A schema with its references filled in."""
    if isinstance(node, list):
        return [_whole(entry) for entry in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    given = cast("dict[str, Any]", node)
    if "$ref" in given:
        return _whole(schema(given["$ref"].rpartition("/")[2]))
    return {name: _whole(content) for name, content in given.items()}
