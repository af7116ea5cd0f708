"""The end of a server over HTTP: readiness off, writes in flight settled, then it goes; a second signal is the end.

Kustom answers when the test lets it, and the server has ten minutes for what it waits for: it ends within a test only
because it was told to.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from mcp.client import Client

from tests.exams.faults import held
from tests.exams.operations import ACKNOWLEDGE, REFUND
from tests.exams.scripted_upstream import Upstream, kustom
from tests.support.sample import sampled
from tests.support.unhurried import PATIENCE
from tests.transport.host import MODES, Mode, Talk
from tests.transport.kustom import PATIENT, Kustom, demo
from tests.transport.pipe import ERAS, HANDSHAKE, Era, call, until
from tests.transport.serving_stdio import Served, serving
from tests.transport.test_shutdown import intents

LONG = {"KUSTOM_DRAIN": "600", "KUSTOM_TIMEOUT": "600"}
TOWEL = demo("captured-sek")
HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


def refunds(upstream: Upstream, order_id: str) -> list[int]:
    """The amount that was really refunded."""
    record = upstream.simulator.store.find(order_id)
    assert record is not None
    return [refund["refunded_amount"] for refund in record.order["refunds"]]


@asynccontextmanager
async def refunding(
    served: Served, upstream: Upstream, arguments: dict[str, Any], mode: Mode, release: asyncio.Event
) -> AsyncGenerator[asyncio.Future[dict[str, Any]]]:
    """Confirm a refund that Kustom holds until `release` is set; it is on its way when this begins."""
    async with Client(served.url, mode=mode) as client:
        talk = Talk(client)
        preview = await talk.call(REFUND.tool, arguments)
        upstream.writes(arguments["order_id"], held(release))
        refund = asyncio.ensure_future(talk.call(REFUND.tool, arguments, confirm=preview["confirm"]["code"]))
        await upstream.until(lambda: upstream.sent(arguments["order_id"]) == 1)
        yield refund


async def not_ready(http: httpx.AsyncClient) -> Any:
    """Wait until the server has begun to end; what it says then."""
    while (ready := await http.get("/readyz")).status_code == 200:
        pass
    return ready.json()


def knocking(served: Served) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=served.base, trust_env=False, timeout=PATIENCE)


@pytest.mark.parametrize("mode", sampled(MODES, 2))
async def test_a_write_in_flight_is_finished_and_answered_and_no_other_is_begun(mode: Mode, tmp_path: Path) -> None:
    release = asyncio.Event()
    async with kustom() as upstream:
        arguments = REFUND.begin(upstream)
        order_id = arguments["order_id"]
        with serving(upstream, tmp_path, program=PATIENT, **LONG) as served:
            async with refunding(served, upstream, arguments, mode, release) as refund:
                other = ACKNOWLEDGE.begin(upstream)
                async with Client(served.url) as client, knocking(served) as http:
                    served.signal(signal.SIGTERM)
                    ready, alive = await not_ready(http), (await http.get("/healthz")).status_code
                    read = await Talk(client).call("get_order", order_id=order_id)
                    write = await Talk(client).call(ACKNOWLEDGE.tool, other)
                release.set()
                done = await refund
            code = await asyncio.to_thread(served.ended)
    assert (done["outcome"], code, served.stderr, intents(tmp_path)) == ("applied", 0, "", [])
    assert (ready, alive) == ({"ready": False, "because": ["shutting down"]}, 200)
    assert (read["outcome"], write["error"]["code"]) == ("ok", "BUSY")
    assert [(method, order_id in path) for method, path, _ in upstream.arrived if method != "GET"] == [("POST", True)]
    assert refunds(upstream, order_id) == [5000]


async def test_a_write_that_takes_longer_than_the_drain_stays_open_and_says_so(tmp_path: Path) -> None:
    release = asyncio.Event()
    async with kustom() as upstream:
        arguments = REFUND.begin(upstream)
        order_id = arguments["order_id"]
        with serving(upstream, tmp_path, program=PATIENT, KUSTOM_TIMEOUT="600", KUSTOM_DRAIN="0.3") as served:
            async with refunding(served, upstream, arguments, "auto", release) as refund:
                served.signal(signal.SIGTERM)
                done = await refund
            code = await asyncio.to_thread(served.ended)
        assert (done["error"]["code"], code, served.stderr, len(intents(tmp_path))) == ("OUTCOME_UNKNOWN", 0, "", 1)
        release.set()
        await upstream.until(lambda: upstream.applied(order_id) == 1)
        with serving(upstream, tmp_path) as served:
            async with Client(served.url) as client:
                settled = await Talk(client).agreed(REFUND.tool, arguments)
            (named,) = served.before
    assert named.startswith("kustom-mcp: no outcome yet: kustom_refund_order refund-50.00SEK-")
    assert (settled["outcome"], refunds(upstream, order_id), intents(tmp_path)) == ("already_applied", [5000], [])


async def test_a_second_signal_ends_it_at_once_and_leaves_the_intent(tmp_path: Path) -> None:
    release = asyncio.Event()
    async with kustom() as upstream:
        arguments = REFUND.begin(upstream)
        order_id = arguments["order_id"]
        with serving(upstream, tmp_path, program=PATIENT, **LONG) as served:

            async def end_twice() -> None:
                async with refunding(served, upstream, arguments, "auto", release) as refund:
                    async with knocking(served) as http:
                        served.signal(signal.SIGTERM)
                        await not_ready(http)
                    served.signal(signal.SIGINT)
                    await refund

            with pytest.raises(BaseException) as broken:  # noqa: PT011 - a group, or what is in it
                await end_twice()
            code = await asyncio.to_thread(served.ended)
        assert "AssertionError" not in repr(broken.value)
        assert (code, len(intents(tmp_path)), refunds(upstream, order_id)) == (128 + signal.SIGINT, 1, [])
        release.set()
        await upstream.until(lambda: upstream.applied(order_id) == 1)


@pytest.mark.parametrize("era", sampled(ERAS, 2))
async def test_a_client_that_leaves_does_not_stop_its_write(era: Era, tmp_path: Path) -> None:
    release = asyncio.Event()
    async with kustom() as upstream:
        arguments = REFUND.begin(upstream)
        upstream.writes(arguments["order_id"], held(release))
        with serving(upstream, tmp_path, KUSTOM_CONFIRM="flag", KUSTOM_TIMEOUT="600") as served:
            headers = dict(HEADERS)
            async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
                if era == "2026-07-28":
                    headers |= {
                        "mcp-protocol-version": era,
                        "mcp-method": "tools/call",
                        "mcp-name": "kustom_refund_order",
                    }
                else:
                    opened = await http.post(served.url, headers=headers, json=HANDSHAKE[0])
                    headers["mcp-session-id"] = opened.headers["mcp-session-id"]
                refund = call(2, REFUND.tool, {**arguments, "confirm": True}, era)
                leaving = asyncio.ensure_future(http.post(served.url, headers=headers, json=refund))
                await upstream.until(lambda: upstream.sent(arguments["order_id"]) == 1)
                leaving.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await leaving
            release.set()
            await until(lambda: intents(tmp_path) == [])
            served.signal(signal.SIGTERM)  # while it may still read, which we answer
            assert await asyncio.to_thread(served.ended) == 0
    assert refunds(upstream, arguments["order_id"]) == [5000]


async def test_open_streams_do_not_hold_up_the_end(kustom: Kustom, tmp_path: Path) -> None:
    with serving(kustom, tmp_path) as served:
        async with Client(served.url, mode="legacy") as client:
            await Talk(client).call("get_order", order_id=TOWEL)
            served.signal(signal.SIGTERM)
            code = await asyncio.to_thread(served.ended)
    assert (code, served.stderr) == (0, "")
