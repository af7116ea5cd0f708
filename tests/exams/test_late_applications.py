"""A write that is applied long after our read said that it had not happened.

The first request is held by the upstream while the client gives up, looks, and goes on; it is let go by hand, which is
as late as a test wants it to be. Where keys are remembered this is one application; where they are forgotten it may be
two, but what was said stays true.
"""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from tests.exams.faults import api_error, done_but, held, reset_read, reset_unread, said
from tests.exams.operations import CANCEL, CAPTURE, OPERATIONS, REFUND, RELEASE, SHIPPING, Operation
from tests.exams.scripted_upstream import Exchange, Step, Upstream, kustom
from tests.exams.story import Means as GateMeans
from tests.exams.story import Story, begin, server
from tests.support.direct import ask

MONEY = (REFUND, CAPTURE, SHIPPING)
BOTH: tuple[GateMeans, ...] = ("code", "flag")


async def until_applied(story: Story, times: int) -> None:
    """Wait until the upstream has done what it was let go to do."""
    await story.upstream.until(lambda: story.applied >= times)


async def test_an_effect_that_comes_after_we_looked_is_still_one_application_when_keys_are_remembered() -> None:
    async def told(upstream: Upstream, means: GateMeans) -> None:
        release = asyncio.Event()
        async with server(upstream, means=means) as talk:
            stories = [await begin(talk, upstream, operation, means) for operation in MONEY]
            # The first request is held, the order shows nothing, and the second one with the same key is applied.
            await asyncio.gather(*(story.act(talk, held(release)) for story in stories))
            assert [story.seen for story in stories] == [(["applied"], 1)] * len(stories)
            assert [upstream.sent(story.order_id) for story in stories] == [2] * len(stories)
            handled = len(upstream.simulator.requests) + len(stories)
            release.set()
            await upstream.until(lambda: len(upstream.simulator.requests) >= handled)
            assert [story.applied for story in stories] == [1] * len(stories)

    async def alone(means: GateMeans) -> None:
        async with kustom() as upstream:
            await told(upstream, means)

    await asyncio.gather(*(alone(means) for means in BOTH))


async def test_requests_that_are_all_held_are_unknown_and_settled_as_one_application() -> None:
    async def told(upstream: Upstream, means: GateMeans) -> None:
        release = asyncio.Event()
        async with server(upstream, means=means) as talk:
            stories = [await begin(talk, upstream, operation, means) for operation in MONEY]
            await asyncio.gather(*(story.act(talk, *[held(release)] * 5) for story in stories))
            assert [story.seen for story in stories] == [(["unknown"], 0)] * len(stories)
            release.set()
            for story in stories:
                await until_applied(story, 1)
                await story.act(talk)
            by_wish = [means == "flag" or operation is SHIPPING for operation in MONEY]
            ends = ["applied" if wish else "already_applied" for wish in by_wish]
            assert [story.seen for story in stories] == [(["unknown", end], 1) for end in ends]

    async with kustom() as upstream:
        await asyncio.gather(*(told(upstream, means) for means in BOTH))


REFUSALS: dict[str, Step] = {
    "Kustom's own 403": api_error(403, "REFUND_NOT_ALLOWED"),
    "Kustom's own 400": api_error(400, "INVALID_REQUEST_PARAMETERS"),
    "HTML 403": said(403, {"Content-Type": "text/html"}, b"<html>blocked</html>"),
    "401": said(401),
    "redirect": said(302, {"Location": "/elsewhere"}),
    "429": api_error(429, "TOO_MANY_REQUESTS", {"Retry-After": "60"}),
}


async def test_a_refused_second_attempt_does_not_speak_for_a_first_one_that_is_still_on_its_way() -> None:
    async def told(upstream: Upstream, refusal: Step) -> tuple[list[str], int]:
        release = asyncio.Event()
        async with server(upstream) as talk:
            story = await begin(talk, upstream, REFUND, "code")
            await story.act(talk, held(release), *[refusal] * 4)
            release.set()
            await until_applied(story, 1)
            return story.seen

    async with kustom() as upstream:
        found = await asyncio.gather(*(told(upstream, refusal) for refusal in REFUSALS.values()))
    assert dict(zip(REFUSALS, found, strict=True)) == dict.fromkeys(REFUSALS, (["unknown"], 1))


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refused_second_attempt_is_named_and_leaves_the_doubt_open(name: str) -> None:
    async with kustom() as upstream, server(upstream) as talk:
        story = await begin(talk, upstream, REFUND, "code")
        assert await story.act(talk, reset_read, *[REFUSALS[name]] * 4) == "unknown"
        assert "A repeat was not done: " in story.last["error"]["message"]
        assert (story.applied, len(talk.app.intents.unresolved())) == (0, 1)


async def test_a_settling_call_that_could_not_be_sent_leaves_the_doubt_as_it_was(tmp_path: Path) -> None:
    """The first call is lost; the second is turned away at the door, the third comes too often; then the first one is
    applied. The fourth, after a restart, must find that out, and not do it again."""

    async def told(upstream: Upstream, operation: Operation, means: GateMeans) -> tuple[list[str], int]:
        release = asyncio.Event()
        state = tmp_path / f"{means}-{operation!r}"
        async with server(upstream, state, means) as talk:
            story = await begin(talk, upstream, operation, means)
            await story.act(talk, reset_read, *[held(release)] * 5)
            await story.act(talk, said(401))
            await story.act(talk, api_error(429, "TOO_MANY_REQUESTS", {"Retry-After": "60"}))
        release.set()
        await until_applied(story, 1)
        async with server(upstream, state, means) as restarted:
            await story.act(restarted)
            assert list(restarted.app.intents.unresolved()) == []
        return story.seen

    operations = (REFUND, CAPTURE, CANCEL, SHIPPING)
    stories: list[tuple[Operation, GateMeans]] = [(operation, means) for operation in operations for means in BOTH]
    async with kustom() as upstream:
        found = await asyncio.gather(*(told(upstream, *story) for story in stories))
    ends = {"code": "already_applied", "flag": "applied"}
    by_wish = [means == "flag" or operation is SHIPPING for operation, means in stories]
    assert found == [([*["unknown"] * 3, ends["flag" if wish else "code"]], 1) for wish in by_wish]


async def test_connections_that_are_reset_before_anything_is_read_end_in_one_application() -> None:
    async with kustom(keys=False) as upstream, server(upstream) as talk:
        story = await begin(talk, upstream, REFUND, "code")
        upstream.resets = 2
        assert await story.act(talk, reset_unread) == "applied"
        assert story.seen == (["applied"], 1)


SHOWN = [operation for operation in OPERATIONS if operation.shows and not operation.harmless and operation != RELEASE]


@pytest.mark.parametrize("operation", SHOWN, ids=repr)
async def test_what_somebody_else_does_in_the_meantime_is_not_taken_for_the_effect(operation: Operation) -> None:
    """The answer is lost, and the order changes before we look. What the order then shows is neither the effect nor its
    absence."""

    async def somebody_writes(exchange: Exchange) -> None:
        for path, body in (("captures", {"captured_amount": 100}), ("refunds", {"refunded_amount": 100})):
            ask(upstream.simulator, "POST", f"/orders/{story.order_id}/{path}", body, key=str(uuid.uuid4()))
            upstream.simulator.requests.pop()
        exchange.reset()

    for mishap in (somebody_writes, done_but(somebody_writes)):
        async with kustom(keys=False) as upstream, server(upstream) as talk:
            story = await begin(talk, upstream, operation, "code")
            if await story.act(talk, mishap) == "unknown":
                await story.act(talk)
            assert (story.applied <= 1, story.lies()) == (True, [])
