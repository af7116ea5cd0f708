"""A customer token in the wrong hands: every tool, resource and completion on another's order, and every means of the
gate but a form."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Mapping
from typing import Any

import pytest

from kustom_mcp.calls.card import APPROVE, ORDER_CARD
from kustom_mcp.calls.policy import Principal
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.tools.catalog import CATALOG
from tests.support.conversation import demo
from tests.transport.http.callers import Callers, callers

MINE = demo("captured-sek")
FOREIGN = demo("authorized-sek")
MISSING = "00000000-0000-4000-8000-000000000000"
WITHIN = Principal("customer of bot", orders=frozenset({MINE}), identity="customer:bot:1", source="customer")
REFUND = {"order_id": MINE, "refunded_amount": 100}
SHIPMENT = {"shipping_company": "PostNord", "tracking_number": "1"}
MORE: Mapping[str, Mapping[str, Any]] = {
    "kustom_update_order_amount": {"line_changes": [{"line": 1, "quantity": 1}]},
    "kustom_update_merchant_references": {"merchant_reference1": "X"},
    "kustom_update_customer_details": {"shipping_address": {"city": "Lund"}},
    "kustom_add_shipping_info": {"shipping_info": [SHIPMENT]},
    "kustom_capture_order": {"captured_amount": 100},
    "kustom_get_capture": {"capture_id": "c1"},
    "kustom_add_capture_shipping_info": {"capture_id": "c1", "shipping_info": [SHIPMENT]},
    "kustom_refund_order": {"refunded_amount": 100},
    "kustom_get_refund": {"refund_id": "r1"},
    "kustom_trigger_send_out": {"capture_id": "c1"},
    "kustom_get_due_date_options": {"capture_id": "c1"},
    "kustom_extend_due_date": {"capture_id": "c1", "number_of_days": 14},
}
"""The arguments that a tool needs besides `order_id`."""
OTHERWISE: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "kustom_get_orders": {"foreign": {"order_ids": [FOREIGN]}, "missing": {"order_ids": [MISSING]}},
    "kustom_find_orders": {"foreign": {"reference": "SE-20451"}, "missing": {"reference": "SE-20452"}},
    "kustom_list_payouts": {name: {"payment_reference": "x1"} for name in ("foreign", "missing")},
}
"""The arguments of tools that take no `order_id`."""


async def test_another_customers_order_is_nothing_to_any_tool_resource_prompt_or_completion() -> None:
    """Nothing is sent for it, and no answer differs from that for an order which does not exist."""
    different, allowed = dict[str, Any](), dict[str, str]()
    async with callers(KUSTOM_CONFIRM="flag", KUSTOM_TOOLS="all") as these:
        these.admit("thief", WITHIN)
        await these.call("all", "get_order", {"order_id": FOREIGN})
        await these.call("all", "find_orders", {"reference": "SE-20451"})
        seen = len(these.simulator.requests)
        for name, tool in CATALOG.items():
            for confirm in ({}, {"confirm": True}) if tool.effect.gated else ({},):
                given = OTHERWISE.get(name) or {
                    "foreign": {"order_id": FOREIGN, **MORE.get(name, {}), **confirm},
                    "missing": {"order_id": MISSING, **MORE.get(name, {}), **confirm},
                }
                answers = [await these.call("thief", name.removeprefix("kustom_"), each) for each in given.values()]
                told = [str(answer | {"now": ""}) for answer in answers]  # a second may pass between the two
                told = [each.replace(FOREIGN, MISSING).replace("SE-20451", "SE-20452") for each in told]
                if told[0] != told[1]:
                    different[name] = answers
                code = answers[0].get("error", {}).get("code")
                if code not in ("NOT_FOUND", "NOT_PERMITTED"):
                    allowed[name] = str(answers[0])
        others = [
            str(await these.ask("thief", "resources/read", {"uri": f"kustom://orders/{order_id}"}))
            for order_id in (FOREIGN, MISSING)
        ]
        listed = str(await these.ask("thief", "resources/read", {"uri": "kustom://reference/demo-orders"}))
        completed = str(await these.ask("thief", "completion/complete", await _completion(these)))
        sent = these.simulator.requests[seen:]
    assert different == {}
    assert allowed.keys() == {"kustom_get_orders", "kustom_find_orders"}
    assert "NOT_FOUND" in allowed["kustom_get_orders"]
    assert "'orders': []" in allowed["kustom_find_orders"]
    assert "0 of the 1 order I know match" in allowed["kustom_find_orders"], "its own"
    assert others[0].replace(FOREIGN, MISSING) == others[1]
    assert MINE in listed
    assert FOREIGN not in listed + completed
    assert sent == []


async def _completion(these: Callers) -> dict[str, Any]:
    """A request to complete the argument of a prompt with the first characters of another's order."""
    listed = (await these.ask("thief", "prompts/list", {}))["result"]["prompts"]
    name = next(prompt["name"] for prompt in listed if "order_id" in str(prompt.get("arguments")))
    return {"ref": {"type": "ref/prompt", "name": name}, "argument": {"name": "order_id", "value": FOREIGN[:4]}}


@pytest.mark.exam
@pytest.mark.real_clock
async def test_time_tells_nothing_of_another_customers_order() -> None:
    """The medians of many calls, alternating, are closer to one another than calls of one kind are."""
    took: dict[str, list[float]] = {FOREIGN: [], MISSING: []}
    async with callers() as these:
        these.admit("thief", WITHIN)
        await these.call("all", "get_order", {"order_id": FOREIGN})
        for _ in range(150):
            for order_id, times in took.items():
                began = time.perf_counter()
                await these.call("thief", "get_order", {"order_id": order_id})
                times.append(time.perf_counter() - began)
    first, second = (statistics.median(times) for times in took.values())
    spread = max(statistics.quantiles(times, n=4)[2] - statistics.quantiles(times, n=4)[0] for times in took.values())
    assert abs(first - second) <= spread


@pytest.mark.parametrize("mode", ["auto", "code", "form"])
async def test_a_customer_gets_no_code(mode: str) -> None:
    async with callers(KUSTOM_CONFIRM=mode) as these:
        these.admit("customer", WITHIN)
        without = await these.call("customer", "refund_order", REFUND, forms=False)
        tried = await these.call("customer", "refund_order", {**REFUND, "confirm": "refund-1.00SEK-55e7d67e.x"})
    assert (without["outcome"], without["error"]["code"]) == ("not_sent", "HUMAN_APPROVAL_UNAVAILABLE")
    assert "hand over" in without["next_step"]
    assert "KUSTOM_CONFIRM" not in str(without)
    assert "confirm" not in without
    assert (tried["error"]["code"], "confirm" in tried) == ("CONFIRMATION_INVALID", False)
    assert these.writes == 0


async def test_a_customer_gets_no_card_though_the_host_shows_them_and_the_page_holds_the_seal() -> None:
    async with callers(KUSTOM_CONFIRM="card") as these:
        these.admit("customer", WITHIN)
        told = list[dict[str, Any]]()
        for who in ("all", "customer"):
            params = {"name": "kustom_refund_order", "arguments": REFUND}
            preview = (await these.ask(who, "tools/call", params, cards=True))["result"]["structuredContent"]
            page = str(await these.ask(who, "resources/read", {"uri": ORDER_CARD}))
            seal = re.findall(r"kustom-seal\W+content=\W+([0-9a-f]{64})", page)[0]
            state = preview.get("confirm", {}).get("state", "x")
            given = {"seal": seal, "state": state, "tool": "kustom_refund_order", "arguments": REFUND}
            card = {"name": APPROVE, "arguments": given}
            told += [preview, (await these.ask(who, "tools/call", card, cards=True))["result"]["structuredContent"]]
    staff, by_card, refused, also = told
    assert [answer["outcome"] for answer in (staff, by_card)] == ["confirmation_required"] * 2
    assert "code" in by_card["confirm"]
    assert [answer["error"]["code"] for answer in (refused, also)] == ["HUMAN_APPROVAL_UNAVAILABLE"] * 2
    assert "confirm" not in str((refused, also)).replace("kustom_", "")
    assert these.writes == 0


async def test_a_code_that_the_shops_people_got_is_none_of_a_customers() -> None:
    async with callers(KUSTOM_CONFIRM="code") as these:
        these.admit("customer", WITHIN)
        these.admit("twin", Principal("twin", identity=WITHIN.identity, orders=WITHIN.orders))
        code = (await these.call("twin", "refund_order", REFUND))["confirm"]["code"]
        stolen = await these.call("customer", "refund_order", {**REFUND, "confirm": code})
        own = await these.call("twin", "refund_order", {**REFUND, "confirm": code})
    assert (stolen["error"]["code"], own["outcome"], these.writes) == ("CONFIRMATION_INVALID", "applied", 1)


async def test_a_customer_answers_a_form_and_the_operators_flag_holds() -> None:
    async with callers() as these:
        these.admit("customer", WITHIN)
        params = {"name": "kustom_refund_order", "arguments": REFUND}
        asked = (await these.ask("customer", "tools/call", params))["result"]
        yes = {"approve": {"action": "accept", "content": {"approve": True}}}
        again = {**params, "inputResponses": yes, "requestState": asked["requestState"]}
        done = (await these.ask("customer", "tools/call", again))["result"]["structuredContent"]
        who = [(line["event"], line["caller"]) for line in these.app.audit.memory if line["event"] == "intent"]
    async with callers(KUSTOM_CONFIRM="flag") as these:
        these.admit("customer", WITHIN)
        by_flag = await these.call("customer", "refund_order", {**REFUND, "confirm": True})
    assert (asked["resultType"], done["outcome"], by_flag["outcome"]) == ("input_required", "applied", "applied")
    assert who == [("intent", "customer of bot")]


async def test_a_customer_hears_no_name_of_the_shops_people() -> None:
    async with callers(KUSTOM_CONFIRM="flag") as these:
        these.admit("customer", WITHIN)
        these.admit("anna-of-returns", Principal("anna-of-returns"))
        these.simulator.faults.add(Fault("POST", "/orders/{order_id}/refunds", "status", status=500, times=99))
        await these.call("anna-of-returns", "refund_order", {**REFUND, "confirm": True})
        these.simulator.faults.clear()
        told = [
            await these.call("customer", tool, {"order_id": MINE, **more})
            for tool, more in (("get_order", {}), ("resolve_order", {}), ("refund_order", {"refunded_amount": 200}))
        ]
        staff = await these.call("all", "get_order", {"order_id": MINE})
    assert "anna-of-returns" in str(staff)
    assert "the shop or the customer" in str(told[0])
    assert "anna" not in str(told)


SETTINGS: Mapping[str, tuple[Mapping[str, str], Any, Mapping[str, Any]]] = {
    "the customer said no": ({}, WITHIN, {}),
    "read-only": ({"KUSTOM_WRITES": "deny"}, WITHIN, {}),
    "rehearsal": ({"KUSTOM_WRITES": "preview", "KUSTOM_CONFIRM": "flag"}, WITHIN, {"confirm": True}),
    "not selected": ({"KUSTOM_TOOLS": "orders"}, WITHIN, {}),
    "a ceiling": ({"KUSTOM_MAX_AMOUNT": "SEK:1"}, WITHIN, {}),
    "a ceiling of a day": ({"KUSTOM_MAX_DAILY": "SEK:1"}, WITHIN, {}),
    "a reason": ({"KUSTOM_REFUND_REASONS": "required"}, WITHIN, {}),
    "too many": ({"KUSTOM_WRITES_PER_MINUTE": "1", "KUSTOM_CONFIRM": "flag"}, WITHIN, {"confirm": True}),
    "reading only": ({}, Principal("customer of bot", False, frozenset({MINE}), "customer:b:2", "customer"), {}),
}
"""The settings that can refuse a refund of a customer, who it is, and what is sent besides."""


@pytest.mark.parametrize("why", SETTINGS)
async def test_a_customer_hears_of_none_of_the_operators_settings(why: str) -> None:
    settings, who, besides = SETTINGS[why]
    async with callers(None, **settings) as these:
        these.admit("customer", who)
        params: dict[str, Any] = {"name": "kustom_refund_order", "arguments": {**REFUND, **besides}}
        told: list[Any] = [(await these.call("customer", "get_order", {"order_id": MINE}))]
        for number in range(2):
            params["arguments"] |= {"reference": f"R-{number}"}
            asked = (await these.ask("customer", "tools/call", params))["result"]
            told.append(asked)
            if "requestState" in asked:
                no = {"approve": {"action": "decline"}}
                again = {**params, "inputResponses": no, "requestState": asked["requestState"]}
                told.append((await these.ask("customer", "tools/call", again))["result"])
        shipment = {**SHIPMENT, "tracking_uri": "https://elsewhere.example.com/1"}
        told.append(await these.call("customer", "add_shipping_info", {"order_id": MINE, "shipping_info": [shipment]}))
        told.append(await these.call("customer", "find_orders", {"email": "someone@example.com"}))
        resource = await these.ask("customer", "resources/read", {"uri": f"kustom://orders/{MINE}"})
    assert "KUSTOM_" not in str([*told, resource])
    assert "operator" not in str([*told, resource])
    if why == "the customer said no":
        assert told[-3]["structuredContent"]["next_step"] == (
            "Ask the person whether a question was shown. Do not try again before."
        )
    answers = [one.get("structuredContent", one) for one in told]
    refused = [one for one in answers if "error" in one]
    assert refused or why in ("the customer said no", "too many")
    for one in refused:
        assert len(one["error"]["message"].split()) > 5, "what happened, and not only that nothing was sent"
        assert len(one["next_step"].split()) > 3
