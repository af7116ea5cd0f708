"""`can` and `cannot` agree with what the tools then do, for every demo order and every gated tool."""

from __future__ import annotations

from typing import Any

import pytest

from kustom_mcp.simulator.seeds import Seed, demo_orders
from tests.conversation import Talk
from tests.tools.steady import facts, first_capture, steady

AMOUNTS = {"kustom_capture_order": "captured_amount", "kustom_refund_order": "refunded_amount"}


def arguments(talk: Talk, order_id: str) -> dict[str, dict[str, Any]]:
    """A reasonable call of every gated tool for this order."""
    quantity = talk.stored(order_id)["order_lines"][0]["quantity"]
    return {
        "kustom_update_order_amount": {"line_changes": [{"line": 1, "quantity": quantity + 1}]},
        "kustom_update_customer_details": {"shipping_address": {"city": "Teststad"}},
        "kustom_cancel_order": {},
        "kustom_release_remaining_authorization": {},
        "kustom_capture_order": {"captured_amount": 1},
        "kustom_refund_order": {"refunded_amount": 1},
        "kustom_extend_due_date": {"capture_id": first_capture(talk, order_id), "number_of_days": 14},
    }


@pytest.mark.parametrize("seed", demo_orders(), ids=lambda seed: seed.name)
async def test_what_can_be_done_is_previewed_and_what_cannot_is_never_done(seed: Seed) -> None:
    async with steady() as talk:
        order_id = seed.order_id
        order = await facts(talk, order_id)
        can = {entry["tool"]: entry for entry in order["can"]}
        cannot = {entry["tool"] for entry in order["cannot"]}
        calls = arguments(talk, order_id)
        gated = set(calls)
        assert gated <= set(can) | cannot
        assert not set(can) & cannot
        assert cannot <= gated
        for tool, given in calls.items():
            answer = await talk.call(tool, given, order_id=order_id)
            if tool in can:
                assert answer["outcome"] == "confirmation_required", tool
            elif answer["outcome"] == "confirmation_required":
                answer = await talk.call(tool, given, order_id=order_id, confirm=answer["confirm"]["code"])
                assert answer["outcome"] == "rejected", tool
            else:
                assert answer["outcome"] in ("not_sent", "rejected", "already_applied"), tool
        for tool, field in AMOUNTS.items():
            if tool in can:
                most = can[tool]["max_amount"]
                at_most = await talk.call(tool, {field: most}, order_id=order_id)
                above = await talk.call(tool, {field: most + 1}, order_id=order_id)
                assert (at_most["outcome"], above["outcome"]) == ("confirmation_required", "not_sent")
                assert (above["error"]["code"], above["error"]["field"]) == ("ACTION_NOT_ALLOWED", field)


async def test_an_order_that_can_be_extended_says_so_and_is_extended() -> None:
    async with steady() as talk:
        for seed in demo_orders():
            possible = {entry["tool"] for entry in (await facts(talk, seed.order_id))["can"]}
            answer = await talk.call("extend_authorization", order_id=seed.order_id)
            if "kustom_extend_authorization" not in possible:
                assert answer["outcome"] in ("not_sent", "rejected"), seed.name


async def test_tools_that_are_switched_off_are_named_among_what_cannot_be_done() -> None:
    async with steady(tools="orders") as talk:
        order = await facts(talk, demo_orders()[0].order_id)
        why = {entry["tool"]: entry["why"] for entry in order["cannot"]}
        assert "KUSTOM_TOOLS" in why["kustom_capture_order"]
        assert "KUSTOM_TOOLS" in why["kustom_refund_order"]
        assert "kustom_capture_order" not in {entry["tool"] for entry in order["can"]}
