"""The published description of the Order Management API, where that file is at hand.

Looked for at KUSTOM_OPENAPI, or as order-management-openapi.yml in a folder `shared` beside the repository. Two
oddities of the file are put right before use: an `enum` that holds only null, and one that holds all its words in one
text.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

BESIDE = Path(__file__).parents[3] / "shared" / "order-management-openapi.yml"
DESCRIPTION = Path(os.environ.get("KUSTOM_OPENAPI", BESIDE))
MISSING = "the published description is not at hand"


@cache
def description() -> dict[str, Any]:
    """The description; the calling test is skipped where it is not at hand."""
    if not DESCRIPTION.is_file():
        pytest.skip(MISSING)
    return yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))


def put_right(node: Any) -> Any:
    """A part of the description with its references filled in and its oddities put right."""
    if isinstance(node, list):
        return [put_right(entry) for entry in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    given = cast("dict[str, Any]", node)
    if "$ref" in given:
        return put_right(description()["components"]["schemas"][given["$ref"].rpartition("/")[2]])
    fixed = {name: put_right(content) for name, content in given.items()}
    words: list[Any] = fixed.get("enum", [])
    if words == [None]:
        del fixed["enum"]
    elif len(words) == 1:
        fixed["enum"] = words[0].split("|")
        fixed.pop("pattern", None)
    return fixed
