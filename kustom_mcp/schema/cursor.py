"""Cursors: the place of the next page of a list, in a text that fits only the same question.

It is no secret: a made-up one shows nothing that the list does not show.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from kustom_mcp.schema.result import NOTHING_CHANGED, Code, ToolError

_START_AGAIN = "Send the same arguments with `next_cursor` of the answer before, or start again without a cursor."
_DIGITS = 9
NEXT = "For more, repeat the same arguments with `cursor` set to `next_cursor`."
_HOW_TO_READ = frozenset({"limit", "cursor", "max_age"})
"""Arguments that may differ from page to page."""


def next_cursor(arguments: Mapping[str, Any], *place: int | str) -> str:
    """Return the cursor of the page that begins at this place."""
    return ".".join([_digest(arguments), *map(str, place)])


def place_of(text: str, arguments: Mapping[str, Any], *kinds: Callable[[str], Any]) -> list[Any]:
    """Return the place that a cursor names, each part made by its kind. ToolError INVALID_ARGUMENT."""
    digest, *parts = text.split(".")
    try:
        place = [kind(part) for kind, part in zip(kinds, parts, strict=True)]
        if digest == _digest(arguments) and all(map(_sane, place)):
            return place
    except ValueError:
        pass
    raise ToolError(
        Code.INVALID_ARGUMENT,
        "cursor: it is not from the last answer to this same search.",
        field="cursor",
        next_step=_START_AGAIN,
    )


def start_of(text: str | None, arguments: Mapping[str, Any]) -> int:
    """Return the number of entries before the page; 0 without a cursor. ToolError INVALID_ARGUMENT."""
    return 0 if text is None else place_of(text, arguments, _count)[0]


def behind_the_end() -> ToolError:
    """Return the error of a page that would begin behind the end: empty, it would read as if there were nothing at
    all."""
    return ToolError(
        Code.INVALID_ARGUMENT,
        "cursor: the list ends before the place that it names.",
        field="cursor",
        next_step=_START_AGAIN,
        closing=NOTHING_CHANGED,
    )


def _count(text: str) -> int:
    """Parse a count. ValueError for any other text, or more than the APIs take."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise ValueError
    return int(text)


def _sane(part: int | str) -> bool:
    return part.isprintable() if isinstance(part, str) else abs(part) < 2**62


def _digest(arguments: Mapping[str, Any]) -> str:
    asked = {name: value for name, value in arguments.items() if name not in _HOW_TO_READ}
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()
    return base64.urlsafe_b64encode(digest[:3]).decode()
