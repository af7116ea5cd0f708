"""Permissions of a caller over HTTP: scopes and order ids narrow what the operator allows, and nothing widens it."""

from __future__ import annotations

from kustom_mcp.app.fair_queue import RateLimiter
from tests.support.conversation import demo
from tests.transport.http.callers import callers

TOWEL = demo("captured-sek")
BLANKETS = demo("authorized-sek")
REFUND = {"order_id": TOWEL, "refunded_amount": 100}


async def test_a_token_without_the_write_scope_reads_and_is_told_what_is_missing() -> None:
    async with callers(KUSTOM_CONFIRM="flag") as these:
        order = await these.call("reader", "get_order", {"order_id": TOWEL})
        refused = await these.call("reader", "refund_order", {**REFUND, "confirm": True})
        ungated = await these.call("reader", "acknowledge_order", {"order_id": BLANKETS})
        allowed = await these.call("all", "refund_order", {**REFUND, "confirm": True})
    assert order["outcome"] == "ok"
    assert order["order"]["can"] == []
    assert all("orders:write" in each["why"] for each in order["order"]["cannot"])
    assert [refused["error"]["code"], ungated["error"]["code"]] == ["NOT_PERMITTED"] * 2
    assert "orders:write" in refused["error"]["message"]
    assert allowed["outcome"] == "applied"
    assert these.writes == 1


async def test_an_order_that_a_token_does_not_name_is_one_that_does_not_exist() -> None:
    missing = "00000000-0000-4000-8000-000000000000"
    async with callers(KUSTOM_CONFIRM="flag") as these:
        own = await these.call("customer", "get_order", {"order_id": TOWEL})
        hidden = [
            await these.call("customer", tool, {**arguments, "order_id": order_id})
            for tool, arguments in [("get_order", {}), ("list_captures", {}), ("cancel_order", {"confirm": True})]
            for order_id in (BLANKETS, missing)
        ]
        many = await these.call("customer", "get_orders", {"order_ids": [BLANKETS, missing, TOWEL]})
        nothing = await these.call("nobody", "get_order", {"order_id": TOWEL})
        seen = len(these.simulator.requests)
        resource = await these.ask("customer", "resources/read", {"uri": f"kustom://orders/{BLANKETS}"})
        listed = await these.ask("customer", "resources/read", {"uri": "kustom://reference/demo-orders"})
    assert own["outcome"] == "ok"
    for first, second in zip(hidden[::2], hidden[1::2], strict=True):
        assert first == second
        assert first["error"]["code"] == "NOT_FOUND"
    assert [row["outcome"] for row in many["orders"]] == ["rejected", "rejected", "ok"]
    assert nothing["error"]["code"] == "NOT_FOUND"
    assert "NOT_FOUND" in str(resource)
    assert TOWEL in str(listed)
    assert BLANKETS not in str(listed)
    assert len(these.simulator.requests) == seen == 2


async def test_the_operators_scope_and_a_tokens_hold_both() -> None:
    async with callers(KUSTOM_ORDER_SCOPE=BLANKETS) as these:
        answers = [await these.call(who, "get_order", {"order_id": TOWEL}) for who in ("customer", "all")]
        also = await these.call("customer", "get_order", {"order_id": BLANKETS})
    assert [answer["error"]["code"] for answer in [*answers, also]] == ["NOT_FOUND"] * 3


async def test_a_token_for_certain_orders_looks_for_nobody_and_is_not_told_to() -> None:
    async with callers(KUSTOM_BOOK_PEOPLE="on") as these:
        refused = await these.call("customer", "find_orders", {"email": "someone@example.com"})
        instead = await these.call("customer", "find_orders", {"reference": "someone@example.com"})
        widely = await these.call("all", "find_orders", {"reference": "someone@example.com"})
    assert (refused["error"]["code"], refused["outcome"]) == ("NOT_PERMITTED", "not_sent")
    assert instead["summary"].startswith("An e-mail address is no reference: orders are not found by one here")
    assert "cannot be found by e-mail address here. Ask for the order number" in instead["next_step"]
    assert "`email`" in widely["next_step"]


async def test_a_code_is_for_the_caller_who_got_it() -> None:
    async with callers(KUSTOM_CONFIRM="code") as these:
        preview = await these.call("all", "refund_order", REFUND)
        given = {**REFUND, "confirm": preview["confirm"]["code"]}
        stolen = await these.call("other", "refund_order", given)
        own = await these.call("all", "refund_order", given)
    assert (stolen["error"]["code"], own["outcome"], these.writes) == ("CONFIRMATION_INVALID", "applied", 1)


async def test_writes_a_minute_are_counted_for_each_caller() -> None:
    async with callers(KUSTOM_WRITES_PER_MINUTE="1") as these:
        told = [
            await these.call(who, "acknowledge_order", {"order_id": BLANKETS})
            for who in ("all", "all", "other", "other")
        ]
    assert [answer["outcome"] for answer in told] == ["applied", "not_sent"] * 2


async def test_calls_that_come_too_fast_are_told_when_to_come_again() -> None:
    async with callers() as these:
        these.app.rate_limiter = RateLimiter(each=(0.5, 2.0), together=(100.0, 100.0), clock=lambda: 0.0)
        flood = [await these.call("all", "get_order", {"order_id": TOWEL}) for _ in range(5)]
        calm = await these.call("other", "get_order", {"order_id": TOWEL})
    assert [answer["outcome"] for answer in flood] == ["ok", "ok", "not_sent", "not_sent", "not_sent"]
    assert (flood[-1]["error"]["code"], flood[-1]["error"]["retry_after_seconds"]) == ("RATE_LIMITED", 2)
    assert calm["outcome"] == "ok"
    assert len(these.simulator.requests) == 3


async def test_the_record_names_the_caller() -> None:
    async with callers(KUSTOM_CONFIRM="flag") as these:
        await these.call("customer", "refund_order", {**REFUND, "confirm": True})
        events = [(line["event"], line["caller"]) for line in these.app.audit.memory]
    assert events == [("intent", "customer"), ("outcome", "customer")]


async def test_a_request_that_says_nobody_is_not_served_as_the_operator() -> None:
    async with callers() as these:
        told = await these.call("", "get_order", {"order_id": TOWEL})
    assert (told["error"]["code"], these.simulator.requests) == ("INTERNAL", [])
