"""The next step of an error fits its case: it advises nothing that the tool does not have."""

from __future__ import annotations

from typing import Any

import pytest

from kustom_mcp.simulator.faults import Fault
from tests.support.conversation import conversation, demo

OPEN, TAKEN, PART = demo("authorized-sek"), demo("captured-sek"), demo("part-captured-eur")
ANOTHER = "a different reference or description makes it a new request"
PORTAL = "then it can be done in the Kustom portal"
REFUSED: dict[str, tuple[str, dict[str, Any], str | None, str]] = {
    "cancel_order": ("/cancel", {"order_id": OPEN}, PORTAL, "Tell the person"),
    "release_remaining_authorization": (
        "/release-remaining-authorization", {"order_id": PART}, PORTAL, "Tell the person",
    ),
    "extend_authorization": ("/extend-authorization-time", {"order_id": OPEN}, PORTAL, "Tell the person"),
    "capture_order": ("/captures", {"order_id": OPEN, "captured_amount": 100}, ANOTHER, "Correct"),
    "refund_order": ("/refunds", {"order_id": TAKEN, "refunded_amount": 100}, ANOTHER, "Correct"),
    "update_merchant_references": (
        "/merchant-references", {"order_id": OPEN, "merchant_reference1": "X-1"}, None, "Correct",
    ),
}  # fmt: skip


@pytest.mark.parametrize("tool", REFUSED)
async def test_a_refusal_advises_another_reference_only_where_the_tool_has_one(tool: str) -> None:
    path, given, again, mend = REFUSED[tool]
    async with conversation(KUSTOM_CONFIRM="flag") as talk:
        method = "PATCH" if tool.startswith("update") else "POST"
        talk.simulator.faults.add(Fault(method, f"/orders/{{order_id}}{path}", "status", status=400, times=9))
        confirmed = {} if tool in ("extend_authorization", "update_merchant_references") else {"confirm": True}
        answer = await talk.call(tool, {**given, **confirmed})
    assert (answer["outcome"], answer["error"]["code"]) == ("rejected", "UPSTREAM_REJECTED")
    assert mend in answer["next_step"]
    assert {text for text in (ANOTHER, PORTAL) if text in answer["next_step"]} == ({again} if again else set())


@pytest.mark.parametrize(
    ("tool", "given", "step"),
    [
        ("get_order", {"order_id": "SE-20451"}, "kustom_find_orders"),
        ("get_orders", {"order_ids": ["eva@example.com"]}, "kustom_find_orders"),
        ("get_capture", {"order_id": TAKEN, "capture_id": "a b"}, "include captures"),
        ("get_order", {}, "ask the person for what you do not know"),
        ("find_orders", {}, "Ask the person what they have"),
        ("refund_order", {"order_id": TAKEN, "refunded_amount": "199"}, "Correct the argument and call again."),
    ],
)
async def test_a_mistake_says_how_to_mend_it(tool: str, given: dict[str, Any], step: str) -> None:
    async with conversation() as talk:
        answer = await talk.call(tool, given)
    assert answer["outcome"] == "not_sent"
    assert step in answer["next_step"]
