"""The operator's settings, in force for every tool: nothing that an order or a model says gets around them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from mcp import MCPError

from kustom_mcp.app.app import App
from kustom_mcp.settings.settings import ConfigError
from kustom_mcp.simulator.app import Simulator
from tests.support.conversation import MODES, OURS, Mode, Talk, conversation, demo, write
from tests.tools.steady import DHL, NOBODY, NOT_FOUND, TEN_CUPS, facts, steady

ORDER, TAKEN = demo("authorized-sek"), demo("captured-sek")
READS = [
    *("kustom_get_order", "kustom_get_orders", "kustom_find_orders", "kustom_resolve_order", "kustom_list_activity"),
    *("kustom_list_captures", "kustom_get_capture", "kustom_get_refund"),
    *("kustom_list_transactions", "kustom_list_payouts"),
]
KEYS = "a" * 32


def calls(order_id: str) -> dict[str, dict[str, Any]]:
    """A call of every tool that takes one order."""
    given: dict[str, dict[str, Any]] = {
        "get_order": {},
        "resolve_order": {},
        "acknowledge_order": {},
        "update_order_amount": {"line_changes": [{"line": 1, "quantity": 1}]},
        "update_merchant_references": {"merchant_reference1": "X"},
        "update_customer_details": {"shipping_address": {"city": "Uppsala"}},
        "add_shipping_info": {"shipping_info": [DHL]},
        "cancel_order": {},
        "extend_authorization": {},
        "release_remaining_authorization": {},
        "capture_order": {"captured_amount": 100},
        "list_captures": {},
        "get_capture": {"capture_id": "c"},
        "add_capture_shipping_info": {"capture_id": "c", "shipping_info": [DHL]},
        "refund_order": {"refunded_amount": 100},
        "get_refund": {"refund_id": "r"},
        "list_transactions": {},
        "trigger_send_out": {"capture_id": "c"},
        "get_due_date_options": {"capture_id": "c"},
        "extend_due_date": {"capture_id": "c", "number_of_days": 14},
    }
    return {f"kustom_{tool}": {"order_id": order_id, **more} for tool, more in given.items()}


def refusal(answer: dict[str, Any], code: str, field: str | None = None) -> str:
    """The message of a refusal; it must have this code."""
    error = answer["error"]
    assert (answer["outcome"], error["code"], error.get("field")) == ("not_sent", code, field), answer
    assert answer["next_step"]
    return error["message"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_read_only_server_lists_reads_and_refuses_the_rest_by_name(mode: Mode) -> None:
    async with steady(mode, KUSTOM_WRITES="deny") as talk:
        assert list(talk.schemas) == [*READS, "kustom_get_due_date_options"]
        for tool, given in calls(ORDER).items():
            if tool not in talk.schemas:
                assert "KUSTOM_WRITES" in refusal(await talk.call(tool, given), "NOT_PERMITTED")
        assert talk.requests == []
        order = await facts(talk, ORDER)
        assert order["can"] == []
        assert all("KUSTOM_WRITES" in entry["why"] for entry in order["cannot"])
        assert "KUSTOM_WRITES" in (talk.client.instructions or "")


async def test_toolsets_and_single_tools_are_switched_on_by_name() -> None:
    async with steady(tools="refunds, kustom_get_order") as talk:
        assert list(talk.schemas) == ["kustom_get_order", "kustom_refund_order", "kustom_get_refund"]
        for tool, given in calls(ORDER).items():
            if tool not in talk.schemas:
                assert "KUSTOM_TOOLS" in refusal(await talk.call(tool, given), "NOT_PERMITTED")
        assert talk.requests == []


async def test_a_tool_that_is_off_names_the_one_setting_that_opens_it() -> None:
    async with conversation(KUSTOM_WRITES="deny", KUSTOM_TOOLS="orders,captures") as talk:
        closed = await talk.call("cancel_order", order_id=ORDER)
        left_out = await talk.call("get_refund", order_id=TAKEN, refund_id="x")
    for answer, setting in ((closed, "KUSTOM_WRITES"), (left_out, "KUSTOM_TOOLS")):
        assert answer["error"]["code"] == "NOT_PERMITTED"
        assert answer["next_step"].endswith(f"decides this with {setting}.")


async def test_a_name_that_is_neither_a_toolset_nor_a_tool_stops_the_start() -> None:
    with pytest.raises(ConfigError, match=r"KUSTOM_TOOLS.*did you mean refunds"):
        async with conversation(KUSTOM_TOOLS="refund"):
            pass


@pytest.mark.parametrize("mode", MODES)
async def test_a_tool_that_does_not_exist_is_a_protocol_error_that_names_the_nearest(mode: Mode) -> None:
    async with steady(mode) as talk:
        with pytest.raises(MCPError, match=r"Did you mean kustom_get_order\?") as caught:
            await talk.call("kustom_get_ordr", order_id=ORDER)
        assert caught.value.code == -32602
        assert talk.requests == []


async def test_an_order_out_of_scope_looks_exactly_like_one_that_does_not_exist() -> None:
    async with steady(KUSTOM_ORDER_SCOPE=f"{TAKEN},{NOBODY}") as talk:
        for tool, given in calls(ORDER).items():
            assert await talk.call(tool, given) == NOT_FOUND, tool
        assert talk.requests == []
        answer = await talk.call("get_orders", order_ids=[ORDER, TAKEN, NOBODY])
        hidden, seen, missing = answer["orders"]
        assert hidden | {"order_id": NOBODY} == missing
        assert (seen["outcome"], len(talk.requests)) == ("ok", 2)
        assert all(seen.path.endswith((TAKEN, NOBODY)) for seen in talk.requests)
        assert (await talk.confirmed("refund_order", order_id=TAKEN, refunded_amount=100))["outcome"] == "applied"


async def test_an_order_that_does_not_exist_gets_one_answer_from_every_tool() -> None:
    async with steady() as talk:
        for tool, given in calls(NOBODY).items():
            assert await talk.call(tool, given) == NOT_FOUND, tool
        assert talk.sent == []


async def within(talk: Talk, tool: str, field: str | None, given: dict[str, Any], *, allowed: bool) -> None:
    answer = await talk.call(tool, given)
    if allowed:
        assert answer["outcome"] == "confirmation_required", answer
    else:
        assert "KUSTOM_MAX_AMOUNT" in refusal(answer, "LIMIT_EXCEEDED", field)


async def test_no_write_moves_more_than_the_ceiling() -> None:
    async with steady(KUSTOM_MAX_AMOUNT="SEK:20000,EUR:70000,*:0") as talk:
        for amount, allowed in ((20000, True), (20001, False)):
            given = {"order_id": ORDER, "captured_amount": amount}
            await within(talk, "capture_order", "captured_amount", given, allowed=allowed)
            given = {"order_id": TAKEN, "refunded_amount": amount}
            await within(talk, "refund_order", "refunded_amount", given, allowed=allowed)
        two_soaps, towel_and_soap = [{"line": 2, "quantity": 2}], [{"line": n, "quantity": 1} for n in (1, 2)]
        await within(talk, "refund_order", "refunded_amount", {"order_id": TAKEN, "lines": two_soaps}, allowed=True)
        await within(
            talk, "refund_order", "refunded_amount", {"order_id": TAKEN, "lines": towel_and_soap}, allowed=False
        )
        other = {"order_id": demo("authorized-jpy"), "captured_amount": 1}
        await within(talk, "capture_order", "captured_amount", other, allowed=False)
        assert talk.sent == []


async def test_an_order_amount_may_be_lowered_above_the_ceiling_but_not_raised() -> None:
    async with steady(KUSTOM_MAX_AMOUNT="SEK:9500") as talk:
        order_id = talk.order(order_lines=[TEN_CUPS], purchase_currency="SEK")
        for quantity, allowed in ((9, True), (11, False)):
            given = {"order_id": order_id, "line_changes": [{"line": 1, "quantity": quantity}]}
            await within(talk, "update_order_amount", "order_amount", given, allowed=allowed)
        small = talk.order(order_lines=[TEN_CUPS | {"quantity": 8}], purchase_currency="sek")
        given = {"order_id": small, "line_changes": [{"line": 1, "quantity": 9}]}
        await within(talk, "update_order_amount", "order_amount", given, allowed=True)


async def test_policy_is_asked_again_at_the_second_call() -> None:
    simulator = Simulator()
    given = {"order_id": TAKEN, "refunded_amount": 19900}
    async with conversation(simulator=simulator, KUSTOM_KEYS=KEYS) as talk:
        code = (await talk.call("refund_order", given))["confirm"]["code"]
    later = (
        (conversation(simulator=simulator, KUSTOM_KEYS=KEYS, KUSTOM_MAX_AMOUNT="SEK:100"), "LIMIT_EXCEEDED"),
        (conversation(simulator=simulator, KUSTOM_KEYS=KEYS, KUSTOM_WRITES="deny"), "NOT_PERMITTED"),
        (conversation(simulator=simulator, KUSTOM_KEYS=KEYS, KUSTOM_TOOLS="orders"), "NOT_PERMITTED"),
    )
    for changed, expected in later:
        async with changed as talk:
            talk.mark()
            field = "refunded_amount" if expected == "LIMIT_EXCEEDED" else None
            refusal(await talk.call("refund_order", given, confirm=code), expected, field)
            assert talk.sent == []
    async with conversation(simulator=simulator, KUSTOM_KEYS=KEYS, KUSTOM_ORDER_SCOPE=ORDER) as talk:
        talk.mark()
        assert await talk.call("refund_order", given, confirm=code) == NOT_FOUND
    async with conversation(simulator=simulator, KUSTOM_KEYS=KEYS) as talk:
        talk.mark()
        assert (await talk.call("refund_order", given, confirm=code))["outcome"] == "applied"
        assert talk.sent == [write("POST", f"/orders/{TAKEN}/refunds", {"refunded_amount": 19900, "reference": OURS})]


async def test_writes_are_counted_by_the_minute_and_reads_and_previews_are_not() -> None:
    ahead = [0.0]

    def own_clock(app: App) -> None:
        app.wall = lambda: time.time() + ahead[0]
        app.clock = lambda: time.monotonic() + ahead[0]

    async with conversation(host=own_clock, KUSTOM_WRITES_PER_MINUTE="2") as talk:
        for _ in range(3):
            await talk.call("get_order", order_id=ORDER)
            await talk.call("cancel_order", order_id=ORDER)
        for _ in range(2):
            assert (await talk.call("acknowledge_order", order_id=ORDER))["outcome"] == "applied"
        answer = await talk.call("update_merchant_references", order_id=ORDER, merchant_reference1="X")
        assert "KUSTOM_WRITES_PER_MINUTE" in refusal(answer, "RATE_LIMITED")
        assert answer["error"]["retry"] == "later"
        assert 55 <= answer["error"]["retry_after_seconds"] <= 60
        assert len(talk.sent) == 2
        ahead[0] = 61
        assert (await talk.call("acknowledge_order", order_id=ORDER))["outcome"] == "applied"
