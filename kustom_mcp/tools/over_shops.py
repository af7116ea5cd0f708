"""One read for several shops at once: the answers, and the names of the shops that gave none.

A call about one shop is asked in the same way, and its answer says nothing of a shop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import anyio

from kustom_mcp.schema.result import Code, Json, ToolError

T = TypeVar("T")
X = TypeVar("X")


async def each(over: Mapping[str, X], ask: Callable[[X], Awaitable[T]]) -> tuple[dict[str, T], dict[str, ToolError]]:
    """Ask each shop: the answers and the failures, by the name of the shop, in the order of the shops. ToolError where
    none answered."""
    if len(over) == 1:
        ((name, one),) = over.items()
        return {name: await ask(one)}, {}
    answers: dict[str, T] = {}
    failures: dict[str, ToolError] = {}

    async def work(name: str, one: X) -> None:
        try:
            answers[name] = await ask(one)
        except ToolError as failure:
            failures[name] = failure

    async with anyio.create_task_group() as group:
        for name, one in over.items():
            group.start_soon(work, name, one)
    if not answers:
        grave = [failures[name] for name in over if failures[name].code is not Code.NOT_FOUND]
        raise (grave or list(failures.values()))[0]
    return (
        {name: answers[name] for name in over if name in answers},
        {name: failures[name] for name in over if name in failures},
    )


def of_shop(name: str, row: Mapping[str, Json]) -> dict[str, Json]:
    """A row that says its shop; as it is where there is one shop without a name."""
    return {**row, "shop": name} if name else dict(row)


def silent(failures: Mapping[str, ToolError]) -> str:
    """A sentence that names the shops without an answer; "" where all gave one."""
    told = ", ".join(f"{name} ({failure.code.value})" for name, failure in failures.items())
    return f" No answer from {told}: nothing is known of {'it' if len(failures) == 1 else 'them'} here." if told else ""


def together(words: Mapping[str, Any]) -> str:
    """Sentences about each shop, in one text; as they are where there is one shop."""
    return " ".join(f"{name}: {said}" if name else str(said) for name, said in words.items())
