"""Reads: up to three attempts, answers of the promised kind about the thing that was asked for."""

from __future__ import annotations

import json

import anyio
import httpx2 as httpx
import pytest
from pydantic import SecretStr

from kustom_mcp.api.client import KustomClient
from kustom_mcp.api.endpoints import GET_CAPTURE, GET_ORDER, LIST_CAPTURES
from kustom_mcp.api.errors import InvalidIdentifier, NotSent, ProtocolError, RateLimited, Unavailable
from kustom_mcp.api.models import Capture, Order
from kustom_mcp.api.send import MAX_BODY
from tests.api.asking import read, read_failure
from tests.api.scripted import API_KEY, BASE, CAPTURE_ID, HANG, ORDER_ID, Pieces, Step, World, answer, cut, order_json
from tests.support.unhurried import PATIENCE

PATH = f"/ordermanagement/v1/orders/{ORDER_ID}"


async def test_a_read_gives_the_order() -> None:
    world = World(answer(200, order_json(order_amount=5)))
    assert await read(world) == Order(order_id=ORDER_ID, status="AUTHORIZED", order_amount=5)
    assert world.sent == [("GET", PATH, None)]


async def test_a_request_says_who_asks_and_what_is_understood() -> None:
    world = World(answer(200, order_json()))
    await read(world)
    headers = dict(world.network.requests[0].headers)
    assert headers == {
        "host": "api.example.com",
        "authorization": "Basic TTEtYWJjOmtjb190ZXN0X2FwaV9pbnZlbnRlZA==",
        "accept": "application/json",
        "accept-encoding": "identity",
        "connection": "keep-alive",
        "user-agent": "kustom-mcp",
    }


async def test_a_list_is_read() -> None:
    world = World(answer(200, [{"capture_id": CAPTURE_ID}]))
    async with world.client as client:
        found = await client.read(LIST_CAPTURES, deadline=world.deadline, order_id=ORDER_ID)
    assert found == [Capture(capture_id=CAPTURE_ID)]


async def test_a_failing_read_is_asked_three_times_in_all() -> None:
    world = World(answer(503), httpx.ReadTimeout(""), answer(200, order_json()), answer(500), rand=1.0)
    assert (await read(world)).order_id == ORDER_ID
    assert world.slept == [0.25, 0.5]


@pytest.mark.parametrize(
    ("step", "cause", "status"),
    [
        (lambda: answer(500), "status", 500),
        (lambda: answer(409), "status", 409),
        (httpx.ReadError("secret of the other side"), "ReadError", None),
        (RuntimeError("a transport may raise anything"), "RuntimeError", None),
        (lambda: cut(200), "ReadError", 200),
        (lambda: answer(504, {"error_code": "X", "correlation_id": "c-9"}), "status", 504),
    ],
)
async def test_a_read_that_keeps_failing_is_unavailable(step: Step, cause: str, status: int | None) -> None:
    world = World(*[step] * 3)
    error = await read_failure(world)
    assert isinstance(error, Unavailable)
    assert (error.cause, error.status, len(world.sent)) == (cause, status, 3)
    assert error.correlation_id == ("c-9" if status == 504 else None)
    assert "secret" not in repr(error)


async def test_a_connection_that_cannot_be_made_is_not_sent() -> None:
    error = await read_failure(World(*[httpx.ConnectError("")] * 3))
    assert isinstance(error, NotSent)
    assert (error.cause, str(error)) == ("ConnectError", "Kustom could not be reached; nothing was sent.")


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "not_the_promised_json"),
        (b"<html>", "not_the_promised_json"),
        (b"[" * 10_000, "not_the_promised_json"),
        (b'{"order_id": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001, "not_the_promised_json"),
        (b'{"order_id": "' + ORDER_ID.encode() + b'", "status": "S", "order_amount": 1.5}', "not_the_promised_json"),
        (json.dumps(order_json(order_id=CAPTURE_ID)).encode(), "another_order_id"),
        (b" " * (MAX_BODY + 1), "too_large"),
    ],
)
async def test_an_answer_that_is_not_what_the_api_promises_is_not_used(content: bytes, cause: str) -> None:
    error = await read_failure(World(httpx.Response(200, stream=Pieces(content))))
    assert isinstance(error, ProtocolError)
    assert error.cause == cause


async def test_an_answer_of_exactly_the_largest_size_is_read() -> None:
    text = json.dumps(order_json()).encode()
    world = World(httpx.Response(200, stream=Pieces(text, b" " * (MAX_BODY - len(text)))))
    assert (await read(world)).order_id == ORDER_ID


async def test_the_id_in_the_answer_may_be_in_upper_case() -> None:
    assert (await read(World(answer(200, order_json(order_id=ORDER_ID.upper()))))).order_id == ORDER_ID.upper()


@pytest.mark.parametrize(("capture_id", "fits"), [(CAPTURE_ID, True), (None, True), (ORDER_ID, False)])
async def test_another_capture_than_the_one_asked_for_is_refused(capture_id: str | None, fits: bool) -> None:
    world = World(answer(200, {"capture_id": capture_id}))
    async with world.client as client:
        read = client.read(GET_CAPTURE, deadline=world.deadline, order_id=ORDER_ID, capture_id=CAPTURE_ID)
        if fits:
            assert await read == Capture(capture_id=capture_id)
        else:
            with pytest.raises(ProtocolError):
                await read


async def test_a_compressed_answer_is_refused_and_an_identity_one_is_not() -> None:
    error = await read_failure(World(answer(200, order_json(), content_encoding="gzip")))
    assert isinstance(error, ProtocolError)
    assert error.cause == "content_encoding"
    assert (await read(World(answer(200, order_json(), content_encoding="Identity")))).status == "AUTHORIZED"


async def test_an_id_that_is_none_never_becomes_a_request() -> None:
    world = World()
    async with world.client as client:
        with pytest.raises(InvalidIdentifier) as caught:
            await client.read(GET_ORDER, deadline=world.deadline, order_id=f"{ORDER_ID}/cancel#")
    assert caught.value.parameter == "order_id"
    assert world.sent == []


async def test_a_deadline_that_has_passed_sends_nothing() -> None:
    world = World()
    world.now = world.deadline
    error = await read_failure(world)
    assert isinstance(error, NotSent)
    assert (error.cause, world.sent) == ("deadline", [])


async def test_a_rate_limit_is_waited_out_when_it_fits() -> None:
    world = World(answer(429, retry_after="7"), answer(200, order_json()))
    assert (await read(world)).order_id == ORDER_ID
    assert world.now == 1007.0


async def test_a_rate_limit_without_a_time_pauses_everybody_for_a_second() -> None:
    world = World(answer(429), answer(200, order_json()))
    await read(world)
    assert world.slept == [0.0, 1.0]


async def test_a_rate_limit_that_does_not_fit_is_reported_and_holds_up_other_calls() -> None:
    world = World(answer(429, {"error_code": "TOO_MANY_REQUESTS", "correlation_id": "c"}, retry_after="50"))
    async with world.client as client:
        with pytest.raises(RateLimited) as first:
            await client.read(GET_ORDER, deadline=world.deadline, order_id=ORDER_ID)
        world.now += 10.0
        with pytest.raises(RateLimited) as second:
            await client.read(GET_ORDER, deadline=world.deadline, order_id=ORDER_ID)
    assert (first.value.retry_after, first.value.error_code, first.value.status) == (50.0, "TOO_MANY_REQUESTS", 429)
    assert (second.value.retry_after, second.value.error_code, len(world.sent)) == (40.0, None, 1)


async def test_the_retry_budget_is_shared_by_all_calls() -> None:
    world = World(*[answer(500) for _ in range(6)], budget=3.0)
    async with world.client as client:
        for _ in range(3):
            with pytest.raises(Unavailable):
                await client.read(GET_ORDER, deadline=world.deadline, order_id=ORDER_ID)
    assert len(world.sent) == 6


async def test_no_wait_passes_the_deadline() -> None:
    world = World(answer(503, retry_after="45"))
    assert isinstance(await read_failure(world), Unavailable)
    assert world.slept == []


async def test_time_that_runs_out_in_an_attempt_ends_the_read() -> None:
    world = World(HANG, HANG, HANG)
    with anyio.fail_after(PATIENCE):
        async with world.client as client:
            with pytest.raises(Unavailable) as caught:
                await client.read(GET_ORDER, deadline=world.now + 0.05, order_id=ORDER_ID)
    assert (caught.value.cause, caught.value.status) == ("deadline", None)


async def test_cookies_are_not_kept() -> None:
    world = World(answer(200, order_json(), set_cookie="a=b"), answer(200, order_json()))
    async with world.client as client:
        for _ in range(2):
            await client.read(GET_ORDER, deadline=world.deadline, order_id=ORDER_ID)
    assert "cookie" not in world.network.requests[1].headers


async def test_the_client_is_used_inside_its_context_only() -> None:
    world = World()
    with pytest.raises(RuntimeError):
        await world.client.read(GET_ORDER, deadline=world.deadline, order_id=ORDER_ID)


def test_the_key_is_never_printed() -> None:
    world = World()
    assert repr(world.client) == f"KustomClient('{BASE}', read_only=False)"
    assert API_KEY not in repr(vars(world.client))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "ftp://a.example",
        "https://",
        "https://a.example:port",
        "https://u:p@a.example",
        "https://a.example?x=1",
        "https://a.example#x",
    ],
)
def test_a_base_url_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="base URL") as caught:
        KustomClient(url, "u", SecretStr("k"))
    assert "p@" not in str(caught.value)


async def test_the_difference_to_kustoms_clock_is_that_of_the_last_answer_with_a_date() -> None:
    dates = ["Wed, 15 Nov 2023 23:13:20 GMT", "nonsense", None, "Mon, 13 Nov 2023 21:13:20 GMT"]
    world = World(*(answer(200, order_json(), **({"date": date} if date else {})) for date in dates))
    seen: list[float] = []
    async with world.client as client:
        for _ in dates:
            await client.read(GET_ORDER, deadline=world.deadline, order_id=ORDER_ID)
            seen.append(client.ahead)
    assert seen == [90_000.0, 90_000.0, 90_000.0, -90_000.0]
