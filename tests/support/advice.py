"""What holds for the advice of every answer: it names nothing that its caller does not have.

A conversation holds each answer to it, so that every test that makes an error is a test of its advice as well.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from kustom_mcp.settings.settings import Settings

SETTINGS = frozenset(f"KUSTOM_{name.upper()}" for name in Settings.model_fields) | {"KUSTOM_SHOPS_FILE"}
_TOOL = re.compile(r"\bkustom_[a-z_]+")
_FACT = re.compile(r"An earlier kustom_[a-z_]+")
_SETTING = re.compile(r"\bKUSTOM_[A-Z_]+")
_NEEDS: Mapping[str, str] = {
    r"(?:another|different) reference": "reference",
    r"\bwith reason\b": "reason",
    r"\bline_changes\b(?! of)": "line_changes",
    r"refunded_amount without": "refunded_amount",
    r"with `shop`": "shop",
    r"next_cursor": "cursor",
    r"include: ": "include",
    r"this call (?:with|without) confirm\b": "confirm",
}
"""Words of an advice about the same call, and the argument that its tool must have."""


_OF_THE_SHOP = re.compile(r"\bKUSTOM_[A-Z]|\bkustom-mcp\b|\b[Oo]perator\b")


def of_the_shop(content: Mapping[str, Any]) -> list[str]:
    """The sentences of an answer that name what only the people who run the server can do."""
    error, order = content.get("error", {}), content.get("order", {})
    said = [content["summary"], content.get("next_step", ""), error.get("message", "")]
    said += [*content.get("warnings", ()), *content.get("details", ())]
    said += [one["message"] for one in error.get("fields", ())] + [one["why"] for one in order.get("cannot", ())]
    return [text for text in said if _OF_THE_SHOP.search(text)]


class Listed:
    """What the callers of a server are listed, asked for once for each, and their answers held to it."""

    def __init__(self, tools: Callable[[str], Awaitable[Sequence[Mapping[str, Any]]]]) -> None:
        self._tools = tools
        self._inputs: dict[str, Mapping[str, Any]] = {}

    def forget(self, who: str) -> None:
        """Ask again for a caller whose rights have changed."""
        self._inputs.pop(who, None)

    async def hold(self, who: str, tool: str, content: Mapping[str, Any], *, customer: bool = False) -> None:
        """Hold the advice of an answer to what its caller has, and for a customer to what a customer may hear."""
        if who not in self._inputs:
            self._inputs[who] = {one["name"]: one["inputSchema"] for one in await self._tools(who)}
        assert misadvised(tool, content, self._inputs[who]) == []
        assert not customer or of_the_shop(content) == []


def misadvised(tool: str, content: Mapping[str, Any], listed: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with the advice of an answer. `listed`: the input schemas of the caller's tools."""
    step: str = content.get("next_step", "")
    advice = [step, *map(str, content.get("warnings", ()))]
    wrong = [f"names {one}" for text in advice for one in _TOOL.findall(_FACT.sub("", text)) if one not in listed]
    wrong += [f"knows no {one}" for text in advice for one in _SETTING.findall(text) if one not in SETTINGS]
    order = content.get("order", {})
    wrong += [f"offers {one['tool']}" for one in order.get("can", ()) if one["tool"] not in listed]
    if content.get("error") and not step:
        wrong.append("says nothing to do")
    if content.get("error", {}).get("retry") == "never" and re.match(r"Repeat|Wait", step):
        wrong.append("repeats in vain")
    for again in (content.get("repeat"), *(write.get("repeat") for write in content.get("writes", ()))):
        if again and (
            again["tool"] not in listed or set(again["arguments"]) - set(listed[again["tool"]]["properties"])
        ):
            wrong.append("cannot be repeated so")
    if tool in listed and tool != "kustom_approve":  # the card makes the call of another tool
        has = listed[tool]["properties"]
        wrong += [f"has no {name}" for words, name in _NEEDS.items() if re.search(words, step) and name not in has]
    return wrong
