"""How a server over HTTP ends: readiness off, writes in flight settled, then it goes; a second signal is the end."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from mcp.client import Client

from tests.transports.host import MODES, Mode, Talk
from tests.transports.kustom import Kustom, demo
from tests.transports.pipe import ERAS, HANDSHAKE, Era, call, until
from tests.transports.serving import Served, serving

TOWEL = demo("captured-sek")
REFUND = {"order_id": TOWEL, "refunded_amount": 100}
REFUNDS = "/orders/{order_id}/refunds"
HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


def intents(state: Path) -> list[str]:
    return sorted(path.name.partition(".")[0] for path in (state / "intents").glob("*.json"))


async def refunding(served: Served, kustom: Kustom, state: Path, mode: Mode, seconds: float, then: Any) -> Any:
    """Confirm a refund that Kustom takes its time for, and while it is on its way do something; the answer."""
    async with Client(served.url, mode=mode) as client:
        talk = Talk(client)
        preview = await talk.call("refund_order", REFUND)
        kustom.fault("POST", REFUNDS, "delay", seconds=seconds)
        refund = asyncio.ensure_future(talk.call("refund_order", REFUND, confirm=preview["confirm"]["code"]))
        await until(lambda: kustom.met)
        await then()
        return await refund


@pytest.mark.parametrize("mode", MODES)
async def test_a_write_in_flight_is_finished_and_answered_and_no_other_is_begun(
    mode: Mode, kustom: Kustom, tmp_path: Path
) -> None:
    seen: dict[str, Any] = {}
    with serving(kustom, tmp_path) as served:

        async def end() -> None:
            async with Client(served.url) as other, httpx.AsyncClient(base_url=served.base, trust_env=False) as http:
                served.signal(signal.SIGTERM)
                while (ready := await http.get("/readyz")).status_code == 200:
                    pass
                seen["ready"], seen["alive"] = ready.json(), (await http.get("/healthz")).status_code
                seen["read"] = await Talk(other).call("get_order", order_id=TOWEL)
                seen["write"] = await Talk(other).call("acknowledge_order", order_id=TOWEL)

        done = await refunding(served, kustom, tmp_path, mode, 1.0, end)
        code, _ = served.ended()
    assert (done["outcome"], code, served.stderr, intents(tmp_path)) == ("applied", 0, "", [])
    assert (seen["ready"], seen["alive"]) == ({"ready": False, "because": ["shutting down"]}, 200)
    assert (seen["read"]["outcome"], seen["write"]["error"]["code"]) == ("ok", "BUSY")
    assert [write[:2] for write in kustom.writes] == [("POST", "refunds")]


async def test_a_write_that_takes_longer_than_the_drain_stays_open_and_says_so(kustom: Kustom, tmp_path: Path) -> None:
    with serving(kustom, tmp_path, KUSTOM_DRAIN="0.3") as served:

        async def end() -> None:
            served.signal(signal.SIGTERM)

        done = await refunding(served, kustom, tmp_path, "auto", 3.0, end)
        code, _ = served.ended()
    assert (done["error"]["code"], code, served.stderr, len(intents(tmp_path))) == ("OUTCOME_UNKNOWN", 0, "", 1)
    with serving(kustom, tmp_path) as served:
        async with Client(served.url) as client:
            settled = await Talk(client).agreed("refund_order", REFUND)
        (named,) = served.before
    assert named.startswith("kustom-mcp: no outcome yet: kustom_refund_order refund-1.00SEK-55e7d67e of order")
    assert settled["outcome"] in ("applied", "already_applied")
    # The first attempt may arrive after the second: here, and not in the next test.
    times = 2 if settled["outcome"] == "applied" else 1
    await until(lambda: sum(seen["method"] == "POST" for seen in kustom.requests) == times)
    assert [refund["refunded_amount"] for refund in kustom.order(TOWEL)["refunds"]] == [100]


async def test_a_second_signal_ends_it_at_once_and_leaves_the_intent(kustom: Kustom, tmp_path: Path) -> None:
    with serving(kustom, tmp_path) as served:

        async def end() -> None:
            served.signal(signal.SIGTERM)
            async with httpx.AsyncClient(base_url=served.base, trust_env=False) as http:
                while (await http.get("/readyz")).status_code == 200:
                    pass
            served.signal(signal.SIGINT)

        with pytest.raises(BaseException) as broken:  # noqa: PT011 - a group, or what is in it
            await refunding(served, kustom, tmp_path, "auto", 2.0, end)
        code, _ = served.ended()
    assert "AssertionError" not in repr(broken.value)
    assert (code, len(intents(tmp_path))) == (128 + signal.SIGINT, 1)
    await until(lambda: kustom.writes != [])  # what was on its way arrives, here and not in the next test


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_leaves_does_not_stop_its_write(era: Era, kustom: Kustom, tmp_path: Path) -> None:
    with serving(kustom, tmp_path, KUSTOM_CONFIRM="flag") as served:
        headers = dict(HEADERS)
        async with httpx.AsyncClient(trust_env=False) as http:
            if era == "2026-07-28":
                headers |= {"mcp-protocol-version": era, "mcp-method": "tools/call", "mcp-name": "kustom_refund_order"}
            else:
                opened = await http.post(served.url, headers=headers, json=HANDSHAKE[0])
                headers["mcp-session-id"] = opened.headers["mcp-session-id"]
            kustom.fault("POST", REFUNDS, "delay", seconds=0.6)
            refund = call(2, "refund_order", {**REFUND, "confirm": True}, era)
            leaving = asyncio.ensure_future(http.post(served.url, headers=headers, json=refund, timeout=30))
            await until(lambda: kustom.met)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
        await until(lambda: intents(tmp_path) == [])
    assert kustom.order(TOWEL)["refunded_amount"] == 100


async def test_open_streams_do_not_hold_up_the_end(kustom: Kustom, tmp_path: Path) -> None:
    with serving(kustom, tmp_path) as served:
        async with Client(served.url, mode="legacy") as client:
            await Talk(client).call("get_order", order_id=TOWEL)
            served.signal(signal.SIGTERM)
            code, seconds = await asyncio.to_thread(served.ended)
    assert (code, served.stderr) == (0, "")
    assert seconds < 10
