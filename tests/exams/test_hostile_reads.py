"""Answers to reads that are not what they should be: before a write, while a write in doubt is settled, and after one.

Nothing is concluded from a read that cannot be trusted: before a write nothing is sent, in doubt the outcome stays
unknown, after a write it stays applied.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.exams.faults import (
    CUT,
    DEEP,
    ENDLESS_HEADERS,
    HTML,
    JSON,
    NOT_HTTP,
    OTHER,
    PAGE,
    api_error,
    broken_off,
    dripping,
    hang,
    reset_read,
    said,
)
from tests.exams.operations import OPERATIONS, REFUND
from tests.exams.scripted_upstream import Exchange, Step, kustom, well
from tests.exams.story import begin, server
from tests.support.sample import sampled

READS = 3
"""Attempts of a read."""


def but(change: Callable[[dict[str, Any]], Any]) -> Step:
    """The order as it is, but for this."""

    async def step(exchange: Exchange) -> None:
        order = (await exchange.apply()).json()
        changed = change(order)
        await exchange.answer(200, JSON, json.dumps(order if changed is None else changed).encode())

    return step


def with_fields(**fields: Any) -> Step:
    return but(lambda order: {**order, **fields})


async def packed(exchange: Exchange) -> None:
    answer = await exchange.apply()
    await exchange.answer(200, {**JSON, "Content-Encoding": "gzip"}, gzip.compress(answer.body))


async def bomb(exchange: Exchange) -> None:
    await exchange.answer(200, {**JSON, "Content-Encoding": "gzip"}, gzip.compress(b" " * 30_000_000))


PROTOCOL: dict[str, Step] = {
    "another order's id": with_fields(order_id=OTHER),
    "a fraction for an amount": with_fields(refunded_amount=10.5),
    "a whole fraction for an amount": with_fields(refunded_amount=0.0),
    "a text for an amount": with_fields(captured_amount="12000"),
    "true for an amount": with_fields(order_amount=True),
    "an amount beyond 64 bits": with_fields(order_amount=2**64),
    "a text for the lines": with_fields(order_lines="none"),
    "a list": but(lambda order: [order]),
    "depth 10,000": said(200, JSON, DEEP),
    "garbage": said(200, JSON, b"\xff\xfe{}"),
    "HTML with a 200": said(200, HTML, PAGE),
    "gzip": packed,
    "a gzip bomb": bomb,
    "too large": said(200, JSON, b" " * (8 * 2**20 + 1)),
    "nothing": said(200, JSON),
    "204": said(204),
}
"""Answered, but not as the API promises: asked once."""
LOST: dict[str, Step] = {
    "reset": reset_read,
    "truncated": broken_off(CUT),
    "not HTTP": broken_off(NOT_HTTP),
    "endless headers": broken_off(ENDLESS_HEADERS),
    "500": api_error(500, "INTERNAL_ERROR"),
    "HTML 503": said(503, HTML, PAGE),
    "409": api_error(409, "CONFLICT"),
}
"""Not answered: asked again."""
REFUSED: dict[str, Step] = {
    "HTML 403": said(403, HTML, PAGE),
    "empty 401": said(401),
    "a redirect": said(302, {"Location": "http://other.example.com/"}),
}
UNTRUE = PROTOCOL | LOST | REFUSED


@pytest.mark.parametrize(
    ("steps", "outcome", "code"),
    sampled(
        [
            (LOST, "not_sent", "UPSTREAM_UNAVAILABLE"),
            (PROTOCOL, "not_sent", "UPSTREAM_PROTOCOL"),
            (REFUSED, "rejected", ""),
        ],
        3,
    ),
    ids=["lost", "protocol", "refused"],
)
async def test_nothing_is_sent_after_a_read_that_cannot_be_trusted(
    steps: dict[str, Step], outcome: str, code: str
) -> None:
    async with kustom() as upstream, server(upstream) as talk:
        for name, step in steps.items():
            for operation in OPERATIONS[:5]:
                story = await begin(talk, upstream, operation, "code")
                told = await story.act(talk, reads=(step,) * READS)
                assert (name, told, upstream.sent(story.order_id)) == (name, outcome, 0)
                assert story.last["error"]["code"].startswith(code)
                assert await story.act(talk) == "applied"


async def test_a_write_in_doubt_stays_in_doubt_when_looking_fails_and_is_settled_later() -> None:
    async def told(step: Step) -> tuple[list[str], int]:
        story = await begin(talk, upstream, REFUND, "code")
        done = well

        async def lost(exchange: Exchange) -> None:
            await exchange.apply()
            exchange.reset()

        await story.act(talk, lost, reads=(done, *[step] * READS))
        await story.act(talk)
        return story.seen

    async with kustom(keys=False) as upstream, server(upstream) as talk:
        found = await asyncio.gather(*(told(step) for step in (*UNTRUE.values(), hang, dripping(CUT))))
    assert found == [(["unknown", "already_applied"], 1)] * (len(UNTRUE) + 2)


async def test_a_write_stays_applied_when_the_order_cannot_be_read_afterwards() -> None:
    async with kustom() as upstream, server(upstream) as talk:
        for step in UNTRUE.values():
            story = await begin(talk, upstream, REFUND, "code")
            assert await story.act(talk, reads=(well, *[step] * READS)) == "applied"
            assert (story.applied, "order" in story.last) == (1, False)
            assert "could not be read again" in " ".join(story.last["warnings"])


async def test_a_kept_connection_that_was_closed_in_the_meantime_is_not_used_again() -> None:
    async with kustom(keys=False) as upstream, server(upstream) as talk:
        upstream.idle_seconds = 0.05
        for operation in OPERATIONS:
            story = await begin(talk, upstream, operation, "code")
            await asyncio.sleep(0.15)  # the server's patience, not ours
            assert await story.act(talk) == "applied"
            assert (story.applied, upstream.sent(story.order_id)) == (1, 1)
        assert upstream.connections >= len(OPERATIONS)


async def test_a_body_that_is_longer_than_it_says_leaves_nothing_that_is_taken_for_an_answer() -> None:
    """Bytes left over on the connection must not be taken for the answer to the next request."""

    async def with_more(exchange: Exchange) -> None:
        body = (await exchange.apply()).body
        more = b"HTTP/1.1 204 No Content\r\n\r\n"
        await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body + more)

    async with kustom() as upstream, server(upstream) as talk:
        story = await begin(talk, upstream, REFUND, "code")
        await story.act(talk, api_error(403, "REFUND_NOT_ALLOWED"), reads=(with_more,))
        assert story.seen == (["rejected"], 0)
    async with kustom() as upstream, server(upstream) as talk:
        before = await begin(talk, upstream, REFUND, "code")
        after = await begin(talk, upstream, REFUND, "code")
        await before.act(talk, with_more)
        await after.act(talk, api_error(403, "REFUND_NOT_ALLOWED"))
        assert (before.seen, after.seen) == ((["applied"], 1), (["rejected"], 0))
