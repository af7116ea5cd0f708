"""Guarantees across processes: the key, and reading again before sending. And the remains of a killed process."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.exams.faults import done_but, hang
from tests.exams.operations import AMOUNT, CAPTURE, REFERENCES, REFUND, SHIPPING
from tests.exams.processes import Process, spawned
from tests.exams.scripted_upstream import Upstream, kustom
from tests.exams.story import Means as GateMeans
from tests.exams.story import Server, Story, begin
from tests.transport.test_shutdown import intents

pytestmark = [pytest.mark.real_clock, pytest.mark.exam]


async def fifty_redemptions_of_one_code_are_one_application(upstream: Upstream, one: Process, other: Process) -> None:
    story = await begin(one, upstream, REFUND, "code")
    answers = await asyncio.gather(
        *((one, other)[number % 2].call(REFUND.tool, story.arguments, **story.confirm) for number in range(50))
    )
    assert story.applied == 1
    # One process sent it; all others, in both, waited for the order's turn and found it done.
    assert Counter(answer["outcome"] for answer in answers) == {"applied": 1, "already_applied": 49}
    keys = [key for method, path, key in upstream.arrived if method != "GET" and story.order_id in path]
    assert len(keys) == 1


async def two_codes_for_the_same_money_on_the_same_facts_are_one_application(
    upstream: Upstream, one: Process, other: Process
) -> None:
    for operation in (REFUND, CAPTURE):
        mine = await begin(one, upstream, operation, "code")
        preview = await other.call(operation.tool, mine.arguments)
        theirs = {"confirm": preview["confirm"]["code"]}
        assert theirs != mine.confirm
        answers = await asyncio.gather(
            one.call(operation.tool, mine.arguments, **mine.confirm),
            other.call(operation.tool, mine.arguments, **theirs),
        )
        assert sorted(answer["outcome"] for answer in answers) == ["already_applied", "applied"]
        assert (upstream.sent(mine.order_id), mine.applied) == (1, 1)


async def an_amount_that_goes_to_and_fro_is_changed_each_time(upstream: Upstream, one: Process, other: Process) -> None:
    story = Story(upstream, AMOUNT, AMOUNT.begin(upstream))
    for lamps, server in zip((1, 2, 1, 2), (one, other, other, one), strict=True):
        arguments = {**story.arguments, "line_changes": [{"line": 1, "quantity": lamps}]}
        code = (await server.call(AMOUNT.tool, arguments))["confirm"]["code"]
        assert (await server.call(AMOUNT.tool, arguments, confirm=code))["outcome"] == "applied"
    changes = [seen for seen in upstream.simulator.requests if seen.method == "PATCH" and story.order_id in seen.path]
    assert [seen.body["order_amount"] for seen in changes] == [7000, 12000, 7000, 12000]
    assert story.applied == 4


async def of_two_amounts_at_once_the_second_is_told_that_the_order_changed(
    upstream: Upstream, one: Process, other: Process
) -> None:
    story = await begin(one, upstream, AMOUNT, "code")
    arguments, confirm = await another_amount(other, story)
    answers = await asyncio.gather(
        one.call(AMOUNT.tool, story.arguments, **story.confirm), other.call(AMOUNT.tool, arguments, **confirm)
    )
    assert sorted(answer["outcome"] for answer in answers) == ["applied", "not_sent"]
    assert [answer["error"]["code"] for answer in answers if "error" in answer] == ["STATE_CHANGED"]
    assert story.applied == 1


async def two_amounts_in_one_process_are_one_after_the_other(upstream: Upstream, one: Process, _: Process) -> None:
    story = await begin(one, upstream, AMOUNT, "code")
    arguments, confirm = await another_amount(one, story)
    answers = await asyncio.gather(
        one.call(AMOUNT.tool, story.arguments, **story.confirm), one.call(AMOUNT.tool, arguments, **confirm)
    )
    assert sorted(answer["outcome"] for answer in answers) == ["applied", "not_sent"]
    assert [answer["error"]["code"] for answer in answers if "error" in answer] == ["STATE_CHANGED"]
    assert story.applied == 1


async def another_amount(server: Server, story: Story) -> tuple[dict[str, Any], dict[str, Any]]:
    """Another change of the same order, as 110.00 instead of 70.00, and its code."""
    arguments = {**story.arguments, "line_changes": [{"line": 1, "quantity": 1}, {"line": 2, "quantity": 3}]}
    return arguments, {"confirm": (await server.call(AMOUNT.tool, arguments))["confirm"]["code"]}


async def test_two_processes_that_share_a_key_and_a_state_directory(tmp_path: Path) -> None:
    """Starting a process takes longer than everything else, so these share two."""
    async with kustom() as upstream, spawned(upstream, tmp_path) as one, spawned(upstream, tmp_path) as other:
        for story in (
            fifty_redemptions_of_one_code_are_one_application,
            two_codes_for_the_same_money_on_the_same_facts_are_one_application,
            an_amount_that_goes_to_and_fro_is_changed_each_time,
            of_two_amounts_at_once_the_second_is_told_that_the_order_changed,
            two_amounts_in_one_process_are_one_after_the_other,
        ):
            await story(upstream, one, other)


@pytest.mark.parametrize("means", ["code", "flag"])
async def test_a_process_that_is_killed_while_it_writes_leaves_what_the_next_one_settles(
    means: GateMeans, tmp_path: Path
) -> None:
    operations = (REFUND, CAPTURE, SHIPPING, REFERENCES)
    stories: list[Story] = []
    async with kustom(keys=False) as upstream:
        with anyio.CancelScope() as dying:
            async with spawned(upstream, tmp_path, means) as first, asyncio.TaskGroup() as group:
                for done in (0, 1):
                    for operation in operations:
                        story = await begin(first, upstream, operation, means)
                        stories.append(story)
                        upstream.writes(story.order_id, done_but(hang) if done else hang)
                        group.create_task(_unanswered(first, story))
                        await upstream.until(lambda story=story, done=done: arrived(story) == (1, done))
                first.kill()
                dying.cancel()
        left = intents(tmp_path)
        with closing(sqlite3.connect(tmp_path / "store.sqlite3")) as store, store:
            store.execute("DELETE FROM leases")  # those of the dead process, which end by themselves in ten minutes
        async with spawned(upstream, tmp_path, means) as second:
            told = [(await story.act(second), story.applied) for story in stories]
    assert len(left) == len(stories)
    by_wish = [means == "flag" or operation in (SHIPPING, REFERENCES) for operation in operations]
    found = [("applied" if wish else "already_applied", 1) for wish in by_wish]
    assert told == [("applied", 1)] * len(operations) + found
    assert intents(tmp_path) == []


def arrived(story: Story) -> tuple[int, int]:
    """Numbers of writes that have arrived, and that have been applied."""
    return story.upstream.sent(story.order_id), story.applied


async def _unanswered(server: Server, story: Story) -> None:
    """A call whose server does not live to answer it."""
    answer = await server.call(story.operation.tool, story.arguments, **story.confirm)
    raise AssertionError(answer)
