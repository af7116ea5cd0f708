"""The lines of a new list, paired with the stored ones that they come from: changed, removed or added."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Hashable, Mapping, Sequence

from kustom_mcp.schema.result import Json

Line = Mapping[str, Json]


def paired(held: Sequence[Line], lines: Sequence[Line]) -> dict[int, int]:
    """For each new line the stored one that it comes from, both by index.

    Those that are equal come first, then those with the same reference and name, the same reference, the same name.
    """
    pairs: dict[int, int] = {}
    for likeness in (_everything, _reference_and_name, _reference, _name):
        waiting: defaultdict[Hashable, deque[int]] = defaultdict(deque)
        taken = set(pairs.values())
        for number, stored in enumerate(held):
            key = likeness(stored)
            if number not in taken and key is not None:
                waiting[key].append(number)
        for position, line in enumerate(lines):
            key = likeness(line)
            if position not in pairs and key is not None and waiting.get(key):
                pairs[position] = waiting[key].popleft()
    return dict(sorted(pairs.items()))


def _everything(line: Line) -> Hashable:
    return json.dumps(line, sort_keys=True)


def _reference_and_name(line: Line) -> Hashable:
    return (line.get("reference"), line["name"]) if line.get("name") else None


def _reference(line: Line) -> Hashable:
    return line.get("reference") or None


def _name(line: Line) -> Hashable:
    return line.get("name") or None
