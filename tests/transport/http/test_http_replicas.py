"""Replicas: what one of them has begun, any other finishes; keys change without a gap; one flood is nobody else's."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from kustom_mcp.app.fair_queue import REQUESTS, REQUESTS_EACH
from kustom_mcp.simulator.app import API_KEY, Simulator
from kustom_mcp.simulator.faults import Fault
from tests.support.conversation import demo
from tests.transport.http.callers import Callers, callers
from tests.transport.pipe import until

TOWEL = demo("captured-sek")
BLANKETS = demo("authorized-sek")
REFUND = {"order_id": TOWEL, "refunded_amount": 100}
OLD, NEW = "o" * 32, "n" * 32
FORM = {"name": "kustom_refund_order", "arguments": REFUND}


async def replicas(stack: AsyncExitStack, state: Path, *keys: str) -> tuple[Simulator, list[Callers]]:
    """A replica for each ring of keys, with one simulator behind all of them and one state directory."""
    simulator = Simulator()
    settings = {"KUSTOM_API_KEY": API_KEY, "KUSTOM_STATE_DIR": str(state)}
    rings = [{"KUSTOM_KEYS": ring} if ring else {} for ring in keys]
    return simulator, [await stack.enter_async_context(callers(simulator, **settings, **ring)) for ring in rings]


def refunds(simulator: Simulator) -> int:
    return sum(seen.method == "POST" and (seen.status or 0) == 201 for seen in simulator.requests)


async def code(replica: Callers) -> dict[str, Any]:
    """A preview without a form; its code as an argument."""
    return {**REFUND, "confirm": (await replica.call("all", "refund_order", REFUND, forms=False))["confirm"]["code"]}


async def asked(replica: Callers) -> dict[str, Any]:
    """The first round of a form; the second, with a yes."""
    first = (await replica.ask("all", "tools/call", FORM))["result"]
    assert first["resultType"] == "input_required"
    yes = {"approve": {"action": "accept", "content": {"approve": True}}}
    return {**FORM, "inputResponses": yes, "requestState": first["requestState"]}


@pytest.mark.parametrize("ring", ["", f"{NEW},{OLD}"], ids=["derived keys", "a ring"])
async def test_a_code_and_a_form_of_one_replica_are_good_at_another_and_once(ring: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        simulator, (one, two) = await replicas(stack, tmp_path, ring, ring)
        given = await code(one)
        done = [await replica.call("all", "refund_order", given, forms=False) for replica in (two, one, two)]
        answer = await asked(one)
        more = [(await replica.ask("all", "tools/call", answer))["result"] for replica in (two, one)]
    assert [each["outcome"] for each in done] == ["applied", "already_applied", "already_applied"]
    assert [each["structuredContent"]["outcome"] for each in more] == ["applied", "already_applied"]
    assert refunds(simulator) == 2


async def test_keys_change_without_a_gap(tmp_path: Path) -> None:
    """First every replica learns the new key, then every replica uses it, then the old one goes."""
    async with AsyncExitStack() as stack:
        simulator, (old, learning, using, new) = await replicas(
            stack, tmp_path, OLD, f"{OLD},{NEW}", f"{NEW},{OLD}", NEW
        )
        for begun, finished in [(old, learning), (learning, old), (learning, using), (using, learning), (using, new)]:
            given = await code(begun)
            assert (await finished.call("all", "refund_order", given, forms=False))["outcome"] == "applied"
        gone = await code(old)
        refused = await new.call("all", "refund_order", gone, forms=False)
    assert refused["error"]["code"] == "CONFIRMATION_INVALID"
    assert refunds(simulator) == 5


async def test_a_form_that_was_asked_of_somebody_else_is_not_answered(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        simulator, (one, two) = await replicas(stack, tmp_path, "", "")
        answer = await asked(one)
        stolen = await two.ask("other", "tools/call", answer)
    assert "error" in stolen or stolen["result"]["structuredContent"]["error"]["code"] == "CONFIRMATION_INVALID"
    assert refunds(simulator) == 0


def test_one_caller_never_has_every_lane() -> None:
    assert REQUESTS_EACH < REQUESTS


async def test_a_flood_of_one_caller_does_not_slow_another(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        simulator, (one,) = await replicas(stack, tmp_path, "")
        simulator.faults.add(Fault("GET", f"/orders/{BLANKETS}", "delay", seconds=10, times=REQUESTS_EACH))
        answered: list[str] = []

        async def flood() -> None:
            await one.call("all", "get_order", {"order_id": BLANKETS})
            answered.append("flood")

        async with anyio.create_task_group() as group:
            for _ in range(200):
                group.start_soon(flood)
            await until(lambda: not simulator.faults.waiting())
            for _ in range(3):
                await one.call("other", "get_order", {"order_id": TOWEL})
                answered.append("calm")
    assert answered[: REQUESTS_EACH + 3].count("calm") == 3
    assert answered.count("flood") == 200
