"""KUSTOM_TEXT: the text block of a result, for hosts that hand it to the model beside the structured content."""

from __future__ import annotations

import json
from typing import Any

from mcp.types import TextContent

from tests.support.conversation import conversation, demo, no

TAKEN = demo("captured-sek")


async def answered(talk: Any, tool: str, **arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The structured content of an answer, and what its text block says."""
    answer = await talk.client.call_tool(f"kustom_{tool}", arguments)
    (block,) = answer.content
    assert isinstance(block, TextContent)
    return answer.structured_content, json.loads(block.text)


async def test_short_is_summary_and_next_step_where_nothing_went_wrong_and_nobody_is_asked() -> None:
    refund = {"order_id": TAKEN, "lines": [{"line": 1, "quantity": 1}]}
    async with conversation(KUSTOM_TEXT="short") as talk:
        read, told = await answered(talk, "get_order", order_id=TAKEN)
        assert (told, "order" in read) == ({"summary": read["summary"]}, True)
        preview, told = await answered(talk, "refund_order", **refund)
        assert (preview["outcome"], told) == ("confirmation_required", preview)
        done, told = await answered(talk, "refund_order", **refund, confirm=preview["confirm"]["code"])
        assert (done["outcome"], told) == ("applied", {"summary": done["summary"]})
        again, told = await answered(talk, "refund_order", **refund, confirm=preview["confirm"]["code"])
        assert (again["outcome"], told) == (
            "already_applied",
            {"summary": again["summary"], "next_step": again["next_step"]},
        )
        refused, told = await answered(talk, "cancel_order", order_id=TAKEN)
        assert (refused["error"]["code"], told) == ("ACTION_NOT_ALLOWED", refused)


async def test_declined_and_unknown_stay_whole() -> None:
    async with conversation("legacy", no, KUSTOM_TEXT="short") as talk:
        refused, told = await answered(talk, "cancel_order", order_id=demo("authorized-sek"))
        assert (refused["outcome"], told) == ("declined", refused)
