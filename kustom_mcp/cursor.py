"""Cursors: where the next page of a list begins, in a text that fits only the same question.

No secret: whoever makes one up sees what the list shows anyway.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from kustom_mcp.result import Code, Failure

NEXT = "For more, repeat the same arguments with `cursor` set to `next_cursor`."
_HOW_TO_READ = frozenset({"limit", "cursor", "max_age"})
"""Arguments that may differ from page to page."""


def next_cursor(arguments: Mapping[str, Any], *place: int | str) -> str:
    """The cursor of the page that begins at this place."""
    text = json.dumps([_digest(arguments), *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place_of(text: str, arguments: Mapping[str, Any], *kinds: type) -> list[Any]:
    """The place that a cursor names, whose parts are of these kinds, int or str. Failure INVALID_ARGUMENT."""
    try:
        digest, *place = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if digest == _digest(arguments) and list(map(type, place)) == list(kinds) and all(map(_sane, place)):
            return place
    except (ValueError, TypeError, RecursionError):
        pass
    raise Failure(
        Code.INVALID_ARGUMENT,
        "cursor: it is not from the last answer to this same search. Nothing was sent.",
        field="cursor",
        next_step="Send the same arguments with `next_cursor` of the answer before, or start again without a cursor.",
    )


def _sane(part: int | str) -> bool:
    return part.isprintable() if isinstance(part, str) else abs(part) < 2**62


def _digest(arguments: Mapping[str, Any]) -> str:
    asked = {name: value for name, value in arguments.items() if name not in _HOW_TO_READ}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
