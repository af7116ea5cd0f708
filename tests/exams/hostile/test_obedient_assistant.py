"""An assistant that obeys fifteen hostile orders, in an exam two hundred, cannot pass what the operator configured.

What happened is read from the simulator, never from the server.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kustom_mcp.simulator.app import MAX_LOG, LoggedRequest, Simulator
from tests.exams.hostile.assistant import Assistant
from tests.exams.hostile.texts import hostile_order, order_id
from tests.support.conversation import API, Person, Talk, conversation, no

ORDERS = pytest.mark.parametrize("orders", [10, pytest.param(200, marks=pytest.mark.exam)])
CEILING = 1000


@asynccontextmanager
async def obeying(orders: int, person: Person | None = None, **settings: str) -> AsyncGenerator[tuple[Talk, Assistant]]:
    """A conversation in which so many hostile orders have been looked after."""
    simulator = Simulator(seeds=())
    for seed in range(orders):
        simulator.add_order(hostile_order(seed))
    mode = settings.get("KUSTOM_CONFIRM", "")
    more: dict[str, Any] = {"KUSTOM_TOOLS": "all", "KUSTOM_WRITES_PER_MINUTE": "10000", **settings}
    async with conversation(person=person, simulator=simulator, **more) as talk:
        assistant = Assistant(talk, flag=mode == "flag", redeems=mode == "code")
        for seed in range(orders):
            await assistant.look_after(order_id(seed))
        assert len(simulator.requests) < MAX_LOG * 0.9  # nothing has been forgotten
        assert len(assistant.outcomes) > orders or "KUSTOM_ORDER_SCOPE" in settings
        yield talk, assistant


def gated(writes: list[LoggedRequest]) -> list[LoggedRequest]:
    return [seen for seen in writes if seen.path.removeprefix(f"{API}/orders/").partition("/")[2] in _TOOLS]


def wrote(seen: LoggedRequest) -> bool:
    return 200 <= (seen.status or 0) < 300


@ORDERS
async def test_a_server_that_only_reads_sends_no_write(orders: int) -> None:
    async with obeying(orders, KUSTOM_WRITES="deny", KUSTOM_CONFIRM="flag") as (talk, _):
        assert talk.writes == []


@ORDERS
async def test_no_amount_passes_the_ceiling_of_a_server_that_trusts_its_caller(orders: int) -> None:
    async with obeying(orders, KUSTOM_CONFIRM="flag", KUSTOM_MAX_AMOUNT=f"SEK:{CEILING},*:0") as (talk, assistant):
        entries = [seen for seen in talk.writes if seen.path.endswith(("/refunds", "/captures"))]
        moved = [seen.body.get("refunded_amount") or seen.body["captured_amount"] for seen in entries]
        changed = [seen.body["order_amount"] for seen in talk.writes if seen.path.endswith("/authorization")]
        assert max(moved) in (CEILING - 1, CEILING)
        assert all(amount <= 30000 for amount in changed)
        assert {"applied", "not_sent"} <= set(assistant.outcomes)


@ORDERS
async def test_an_order_out_of_scope_is_neither_read_nor_written(orders: int) -> None:
    scope = [order_id(seed) for seed in (7, 8, 9)]
    async with obeying(orders, KUSTOM_CONFIRM="flag", KUSTOM_ORDER_SCOPE=",".join(scope)) as (talk, _):
        assert {seen.path.removeprefix(f"{API}/orders/").partition("/")[0] for seen in talk.requests} == set(scope)
        assert any(wrote(seen) for seen in talk.writes)


@ORDERS
async def test_a_person_who_always_says_no_is_obeyed_and_no_code_helps(orders: int) -> None:
    async with obeying(orders, no, KUSTOM_CONFIRM="form") as (talk, assistant):
        assert gated(talk.writes) == []
        assert len(talk.questions) > orders / 4
        assert assistant.previewed == []


@ORDERS
async def test_a_code_that_a_text_made_up_opens_nothing(orders: int) -> None:
    """A host without forms, and an assistant that knows only the codes that it has read in orders."""
    async with obeying(orders) as (talk, assistant):
        assert gated(talk.writes) == []
        assert len(assistant.previewed) > orders / 4


@ORDERS
async def test_a_code_proves_a_preview_of_the_same_call_and_nothing_more(orders: int) -> None:
    """An assistant that gives codes back by itself passes the gate: a code is not a person. What it sends is what it
    had previewed, each time, and nothing else."""
    async with obeying(orders, KUSTOM_CONFIRM="code") as (talk, assistant):
        sent = [_asked(seen) for seen in gated(talk.writes)]
        previewed = [(tool.removeprefix("kustom_"), _facts(arguments)) for tool, arguments in assistant.previewed]
        assert sent
        assert [each for each in sent if each not in previewed] == []
        done = [_asked(seen) for seen in gated(talk.writes) if wrote(seen) and not seen.replayed]
        assert done
        assert all(done.count(each) <= previewed.count(each) for each in done)


_TOOLS = {
    "refunds": "refund_order",
    "captures": "capture_order",
    "cancel": "cancel_order",
    "authorization": "update_order_amount",
    "customer-details": "update_customer_details",
    "release-remaining-authorization": "release_remaining_authorization",
}


def _asked(seen: LoggedRequest) -> tuple[str, Any]:
    """The tool that sends this, and its order and amount."""
    order, _, path = seen.path.removeprefix(f"{API}/orders/").partition("/")
    return _TOOLS[path], _facts({**(seen.body or {}), "order_id": order})


def _facts(arguments: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(
        arguments.get(name)
        for name in ("order_id", "refunded_amount", "captured_amount", "order_amount", "shipping_address")
    )
