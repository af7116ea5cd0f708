"""Servers on several machines: they share a database and nothing else, and act as one."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.exams.faults import done_but, hang
from tests.exams.operations import CAPTURE, DUE_DATE, REFUND
from tests.exams.processes import Process, spawned
from tests.exams.scripted_upstream import Exchange, Upstream, kustom
from tests.exams.story import Story, begin
from tests.support.postgres import query
from tests.transport.kustom import MERCHANT

pytestmark = [pytest.mark.real_clock, pytest.mark.exam]


async def in_turn(server: Process, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call until it is not BUSY: on a starved machine a call may wait for its turn in vain, and sends nothing then."""
    while True:
        answer = await server.call(tool, arguments)
        if answer.get("error", {}).get("code") != "BUSY":
            return answer


async def fifty_redemptions_of_one_code_are_one_application(upstream: Upstream, one: Process, other: Process) -> None:
    story = await begin(one, upstream, CAPTURE, "code")
    answers = await asyncio.gather(
        *(in_turn((one, other)[number % 2], CAPTURE.tool, story.arguments | story.confirm) for number in range(50))
    )
    assert story.applied == 1
    assert Counter(answer["outcome"] for answer in answers) == {"applied": 1, "already_applied": 49}


async def the_last_unit_of_a_day_is_given_once(upstream: Upstream, one: Process, other: Process) -> None:
    """The ceiling is 150.00, and a refund here is 50.00."""
    stories = [await begin(one, upstream, REFUND, "code") for _ in range(5)]
    codes = [await begin(server, upstream, REFUND, "code") for server in (one, other)]
    answers = await asyncio.gather(
        *(
            in_turn((one, other)[number % 2], REFUND.tool, story.arguments | story.confirm)
            for number, story in enumerate(stories)
        )
    )
    assert sum(story.applied for story in stories) == 3
    assert Counter(answer["outcome"] for answer in answers) == {"applied": 3, "not_sent": 2}
    for server, story in zip((other, one), codes, strict=True):
        refused = await server.call(REFUND.tool, story.arguments)
        assert refused["error"]["code"] == "LIMIT_EXCEEDED"


async def a_code_that_the_other_is_using_waits_for_its_turn_and_is_found_done(
    upstream: Upstream, one: Process, other: Process
) -> None:
    story, goes_on = await begin(one, upstream, CAPTURE, "code"), asyncio.Event()

    async def long_way(exchange: Exchange) -> None:
        answer = await exchange.apply()
        await goes_on.wait()
        await exchange.answer(answer.status, answer.headers, answer.body)

    upstream.reads(story.order_id, long_way)
    arrived = len(upstream.arrived)
    first = asyncio.create_task(other.call(CAPTURE.tool, story.arguments, **story.confirm))
    await upstream.until(lambda: len(upstream.arrived) > arrived)  # it has the order's turn, and reads
    second = asyncio.create_task(in_turn(one, CAPTURE.tool, story.arguments | story.confirm))
    goes_on.set()
    assert ((await first)["outcome"], (await second)["outcome"]) == ("applied", "already_applied")
    assert (upstream.sent(story.order_id), story.applied) == (1, 1)


async def test_two_replicas_that_share_a_database(tmp_path: Path, shared_database: str) -> None:
    shared: dict[str, Any] = {"KUSTOM_STORE": shared_database, "KUSTOM_MAX_DAILY": "SEK:15000"}
    async with (
        kustom() as upstream,
        spawned(upstream, tmp_path / "one", **shared) as one,
        spawned(upstream, tmp_path / "other", **shared) as other,
    ):
        await fifty_redemptions_of_one_code_are_one_application(upstream, one, other)
        await a_code_that_the_other_is_using_waits_for_its_turn_and_is_found_done(upstream, one, other)
        await the_last_unit_of_a_day_is_given_once(upstream, one, other)
        assert query(shared_database, "SELECT count(*) FROM kustom_mcp.intents WHERE outcome IS NULL") == [(0,)]
        assert not (tmp_path / "one" / "intents").exists()
        assert not (tmp_path / "one" / "limits").exists()


async def test_what_one_replica_did_or_left_is_known_to_the_other(tmp_path: Path, shared_database: str) -> None:
    shared: dict[str, Any] = {"KUSTOM_STORE": shared_database, "KUSTOM_WRITES_PER_MINUTE": "6"}
    async with kustom(keys=False) as upstream, AsyncExitStack() as stack:
        other = await stack.enter_async_context(spawned(upstream, tmp_path / "other", "flag", **shared))
        left: list[Story] = []
        with anyio.CancelScope() as dying:
            async with spawned(upstream, tmp_path / "one", "flag", **shared) as one, asyncio.TaskGroup() as group:
                repeated = await begin(one, upstream, DUE_DATE, "flag")
                assert (await repeated.act(one), await repeated.act(other)) == ("applied", "already_applied")
                assert repeated.applied == 1
                left += [await begin(one, upstream, operation, "flag") for operation in (REFUND, CAPTURE)]
                for story, step in zip(left, (done_but(hang), hang), strict=True):
                    group.create_task(story.act(one, step))
                    await upstream.until(lambda story=story: upstream.sent(story.order_id) == 1)
                one.kill()
                dying.cancel()
        found = query(shared_database, "SELECT account FROM kustom_mcp.intents WHERE outcome IS NULL")
        assert found == [(f"playground/{upstream.url}/{MERCHANT}",)] * 2
        # The turns of the dead process end by themselves, but in ten minutes only.
        query(shared_database, "DELETE FROM kustom_mcp.leases")
        assert [(await story.act(other), story.applied) for story in left] == [("applied", 1), ("applied", 1)]
        assert query(shared_database, "SELECT count(*) FROM kustom_mcp.intents WHERE outcome IS NULL") == [(0,)]
        # Of the six writes of a minute three were the first one's, and one was the other's.
        codes: list[str] = []
        for number in range(3):
            references = {"order_id": left[0].order_id, "merchant_reference1": f"R-{number}"}
            answer = await other.call("update_merchant_references", references)
            codes.append(answer.get("error", {}).get("code", answer["outcome"]))
        assert codes == ["applied", "applied", "RATE_LIMITED"]
