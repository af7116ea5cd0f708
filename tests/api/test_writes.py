"""Writes: one intent, one key, at most one effect - and never a false word about whether it happened."""

from __future__ import annotations

from typing import Any, cast

import anyio
import httpx2 as httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kustom_mcp.api.client import encode
from kustom_mcp.api.endpoint import Approved, Write
from kustom_mcp.api.endpoints import (
    ACKNOWLEDGE_ORDER,
    CANCEL_ORDER,
    CAPTURE_ORDER,
    GET_ORDER,
    UPDATE_MERCHANT_REFERENCES,
)
from kustom_mcp.api.errors import InvalidIdentifier, NotSent, RateLimited, Refused, WritesOff
from kustom_mcp.api.reconcile import Written
from tests.api.asking import CANCEL, cancel, looking, write_failure
from tests.api.scripted import APPROVED, CAPTURE_ID, HANG, KEY, ORDER_ID, Pieces, World, answer, cut, order_json


async def capture(world: World) -> Written:
    async with world.client as client:
        return await client.write(
            CAPTURE_ORDER, APPROVED, deadline=world.deadline, body={"captured_amount": 100}, order_id=ORDER_ID
        )


async def test_a_write_without_a_body_sends_the_key_and_nothing_else() -> None:
    world = World(answer(204, klarna_correlation_id="c-7"))
    assert await cancel(world) == Written(204, correlation_id="c-7")
    request = world.network.requests[0]
    assert world.sent == [CANCEL]
    assert (request.content, request.headers["content-length"]) == (b"", "0")
    assert "content-type" not in request.headers


async def test_a_write_with_a_body_sends_compact_json() -> None:
    world = World(answer(201, capture_id=CAPTURE_ID))
    assert await capture(world) == Written(201, new_id=CAPTURE_ID)
    request = world.network.requests[0]
    assert (request.content, request.headers["content-type"]) == (b'{"captured_amount":100}', "application/json")


@pytest.mark.parametrize(
    ("headers", "new_id"),
    [
        ({"Capture_Id": " c-1 "}, "c-1"),
        ({"Location": f"https://api.example.com/x/orders/{ORDER_ID}/captures/c-2"}, "c-2"),
        ({"Location": f"/orders/{ORDER_ID}/captures/c-3/", "Capture_Id": "not an id"}, "c-3"),
        ({"Location": f"/orders/{ORDER_ID}/captures"}, None),
        ({"Location": f"/orders/{ORDER_ID}/captures/"}, None),
        ({"Location": f"/orders/{ORDER_ID}"}, None),
        ({"Location": f"/orders/{ORDER_ID}/refunds/r-1"}, None),
        ({"Location": "/orders/00000000-0000-4000-8000-000000000000/captures/c-4"}, None),
        ({"Location": "https://elsewhere.example/c-5"}, None),
        ({"Capture_Id": ORDER_ID}, None),
        ({"Location": "nothing to see?"}, None),
        ({}, None),
    ],
)
async def test_the_new_id_is_in_its_header_or_ends_the_location(headers: dict[str, str], new_id: str | None) -> None:
    assert await capture(World(answer(201, **headers))) == Written(201, new_id=new_id)


@pytest.mark.parametrize(
    "given_answer",
    [
        answer(200, {"error_code": "NOT_REALLY"}),
        answer(202),
        answer(204, content_encoding="gzip"),
        cut(201),
        httpx.Response(299, stream=Pieces(b"<html>")),
    ],
)
async def test_any_2xx_is_applied_whatever_its_body(given_answer: httpx.Response) -> None:
    assert await cancel(World(given_answer)) == Written(given_answer.status_code)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 403, 413, 422])
async def test_a_refused_or_redirected_write_is_not_repeated(status: int) -> None:
    world = World(answer(status, location="https://elsewhere.example/"))
    error = await write_failure(world, looking())
    assert isinstance(error, Refused)
    assert (error.status, world.sent) == (status, [CANCEL])


async def test_a_write_that_never_arrived_is_sent_again_with_the_same_key() -> None:
    world = World(httpx.ConnectError(""), httpx.PoolTimeout(""), answer(429, retry_after="3"), answer(204))
    assert await cancel(world) == Written(204, attempts=4)
    assert world.sent == [CANCEL] * 4
    assert world.now == 1003.0


async def test_a_pause_that_a_read_was_told_holds_a_write_and_its_reads_up_for_a_second() -> None:
    world = World(answer(429, retry_after="60"), answer(200, order_json()), answer(204))
    async with world.client as client:
        with pytest.raises(RateLimited):
            await client.read(GET_ORDER, deadline=world.deadline, order_id=ORDER_ID)
        await client.read_for_write(GET_ORDER, deadline=world.deadline, order_id=ORDER_ID)
    assert await cancel(world) == Written(204)
    assert (world.slept, world.sent[1:]) == ([1.0, 1.0], [world.sent[0], CANCEL])


async def test_a_write_that_never_arrives_is_not_sent() -> None:
    world = World(*[httpx.ConnectTimeout("")] * 4)
    error = await write_failure(world, looking())
    assert isinstance(error, NotSent)
    assert (error.cause, len(world.sent)) == ("ConnectTimeout", 4)


async def test_a_write_that_is_rate_limited_to_the_end_was_not_done() -> None:
    error = await write_failure(World(answer(429, retry_after="100")), looking())
    assert isinstance(error, RateLimited)
    assert (error.retry_after, error.status) == (100.0, 429)


async def test_a_read_only_client_sends_nothing_but_reads() -> None:
    world = World(read_only=True)
    called: list[str] = []

    async def before_send() -> None:
        called.append("before_send")

    with pytest.raises(WritesOff):
        await cancel(world, before_send=before_send)
    assert (world.sent, called) == ([], [])


async def test_what_runs_before_sending_runs_once_and_can_stop_the_write() -> None:
    called: list[int] = []
    world = World(httpx.ConnectError(""), answer(204))

    async def note() -> None:
        called.append(len(world.sent))

    assert await cancel(world, before_send=note) == Written(204, attempts=2)
    assert called == [0]

    async def stop() -> None:
        raise OSError("no room")

    world = World(answer(204))
    with pytest.raises(OSError, match="no room"):
        await cancel(world, before_send=stop)
    assert world.sent == []


async def test_a_deadline_that_has_passed_sends_nothing() -> None:
    world = World(answer(204))
    world.now = world.deadline
    error = await write_failure(world)
    assert isinstance(error, NotSent)
    assert (error.cause, world.sent) == ("deadline", [])


async def test_a_write_without_an_authority_is_a_mistake() -> None:
    world = World(answer(204))
    async with world.client as client:
        for pretence in (None, "approved", KEY, object()):
            with pytest.raises(TypeError, match="Authority"):
                await client.write(CANCEL_ORDER, cast("Approved", pretence), deadline=world.deadline, order_id=ORDER_ID)
    assert world.sent == []


@pytest.mark.parametrize(
    ("endpoint", "body"), [(CANCEL_ORDER, {}), (CAPTURE_ORDER, None), (UPDATE_MERCHANT_REFERENCES, None)]
)
async def test_a_body_goes_where_one_is_taken(endpoint: Write, body: dict[str, Any] | None) -> None:
    world = World(answer(204))
    async with world.client as client:
        with pytest.raises(TypeError, match=endpoint.name):
            await client.write(endpoint, APPROVED, deadline=world.deadline, body=body, order_id=ORDER_ID)
    assert world.sent == []


async def test_an_id_that_is_none_never_becomes_a_write() -> None:
    world = World(answer(204))
    async with world.client as client:
        with pytest.raises(InvalidIdentifier):
            await client.write(ACKNOWLEDGE_ORDER, APPROVED, deadline=world.deadline, order_id=f"{ORDER_ID}/cancel#")
    assert world.sent == []


async def test_a_cancelled_write_leaves_the_client_usable() -> None:
    world = World(HANG, answer(204))
    async with world.client as client:
        with anyio.move_on_after(0.05):
            await client.write(CANCEL_ORDER, APPROVED, deadline=world.deadline, order_id=ORDER_ID)
        again = await client.write(CANCEL_ORDER, APPROVED, deadline=world.deadline, order_id=ORDER_ID)
    assert again == Written(204)


def test_a_body_is_compact_utf8() -> None:
    assert encode({"a": "å€😀", "b": [1, None, True]}) == '{"a":"å€😀","b":[1,null,true]}'.encode()


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert encode({"a": "x\ud83dy", "b": "\ud83d\ude00"}) == '{"a":"x\ufffdy","b":"😀"}'.encode()


def test_what_is_not_json_is_no_body() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode({"a": float("nan")})


@settings(deadline=None, max_examples=100)
@given(st.text())
def test_any_text_can_be_sent(text: str) -> None:
    assert encode({"a": text}).decode("utf-8")
