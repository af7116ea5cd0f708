"""How a server ends: by the end of its stdin, or by a signal, with and without a write in flight."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.transports.kustom import Kustom, demo
from tests.transports.pipe import ERAS, HANDSHAKE, Era, Pipe, call, request, spawned, until

SIGNALS = [signal.SIGTERM, signal.SIGINT]
LIMIT = 6.0  # seconds. A host kills after two; what counts as in time on a busy machine is for a benchmark to say.
TOWEL = demo("captured-sek")
REFUND = {"order_id": TOWEL, "refunded_amount": 100}
REFUNDS = "/orders/{order_id}/refunds"


def intents(state: Path) -> list[str]:
    """The open intents: writes without an outcome, by their key."""
    return sorted(path.name.partition(".")[0] for path in (state / "intents").glob("*.json"))


async def refunding(pipe: Pipe, kustom: Kustom, state: Path, seconds: float) -> None:
    """Preview and confirm a refund that Kustom takes its time for; it is on its way when this returns."""
    preview = await pipe.result(*HANDSHAKE, call("preview", "refund_order", REFUND))
    kustom.fault("POST", REFUNDS, "delay", seconds=seconds)
    await pipe.send(call("refund", "refund_order", {**REFUND, "confirm": preview["confirm"]["code"]}))
    await until(lambda: kustom.met)


def end(pipe: Pipe, how: signal.Signals | None) -> None:
    """By a signal, or by closing stdin."""
    if how is None:
        pipe.close()
    else:
        pipe.signal(how)


@pytest.mark.parametrize("era", ERAS)
async def test_what_was_asked_is_answered_although_stdin_ends_at_once(era: Era, kustom: Kustom, tmp_path: Path) -> None:
    """As in `cat requests.jsonl | kustom-mcp`; one of the reads is slow."""
    kustom.fault("GET", "/orders/{order_id}", "delay", seconds=0.5)
    calls = [call(number, "get_order", {"order_id": TOWEL}, era) for number in range(5)]
    async with spawned(kustom, tmp_path) as pipe:
        await pipe.send(*(HANDSHAKE if era == "2025-11-25" else ()), *calls, request("list", "tools/list", None, era))
        pipe.close()
        code, _ = await pipe.ended()
    outcomes = [pipe.answers[number]["result"]["structuredContent"]["outcome"] for number in range(5)]
    assert (code, outcomes, pipe.stderr) == (0, ["ok"] * 5, "")
    assert len(pipe.answers["list"]["result"]["tools"]) == 22


@pytest.mark.parametrize("how", [None, *SIGNALS])
async def test_an_idle_server_ends_at_once(how: signal.Signals | None, kustom: Kustom, tmp_path: Path) -> None:
    async with spawned(kustom, tmp_path) as pipe:
        await pipe.send(*HANDSHAKE)
        await pipe.answer("hello")
        end(pipe, how)
        code, seconds = await pipe.ended()
    assert (code, pipe.stderr) == (0, "")
    assert seconds < LIMIT


@pytest.mark.parametrize("how", [None, signal.SIGINT])
async def test_a_write_in_flight_is_finished_and_answered(
    how: signal.Signals | None, kustom: Kustom, tmp_path: Path
) -> None:
    async with spawned(kustom, tmp_path) as pipe:
        await refunding(pipe, kustom, tmp_path, 0.4)
        end(pipe, how)
        code, seconds = await pipe.ended()
    assert pipe.answers["refund"]["result"]["structuredContent"]["outcome"] == "applied"
    assert (code, intents(tmp_path), pipe.stderr) == (0, [], "")
    assert seconds < LIMIT
    assert kustom.order(TOWEL)["refunded_amount"] == 100


@pytest.mark.parametrize("how", [None, signal.SIGTERM])
async def test_a_write_that_takes_too_long_stays_open_and_the_next_process_settles_it(
    how: signal.Signals | None, kustom: Kustom, tmp_path: Path
) -> None:
    """With EOF the effect is there when the next process looks; with a signal it mostly comes after it has looked."""
    async with spawned(kustom, tmp_path) as pipe:
        await refunding(pipe, kustom, tmp_path, 2.2 if how is None else 3.5)
        end(pipe, how)
        code, seconds = await pipe.ended()
    assert pipe.answers["refund"]["result"]["structuredContent"]["error"]["code"] == "OUTCOME_UNKNOWN"
    assert (code, pipe.stderr) == (0, "")
    assert seconds < LIMIT
    (key,) = intents(tmp_path)
    if how is None:
        await applied(kustom, times=1)
    async with spawned(kustom, tmp_path) as pipe:
        settled = await pipe.result(*HANDSHAKE, call("again", "refund_order", REFUND))
        if "confirm" in settled:
            settled = await pipe.result(
                call("confirmed", "refund_order", {**REFUND, "confirm": settled["confirm"]["code"]})
            )
    assert settled["outcome"] in (("already_applied",) if how is None else ("applied", "already_applied"))
    await applied(kustom, times=2 if settled["outcome"] == "applied" else 1)
    assert intents(tmp_path) == []
    assert [refund["refunded_amount"] for refund in kustom.order(TOWEL)["refunds"]] == [100]
    assert {seen["key"] for seen in kustom.requests if seen["method"] == "POST"} == {key}


async def applied(kustom: Kustom, *, times: int) -> None:
    """Wait until Kustom has come to that many writes, replays included."""
    await until(lambda: sum(seen["method"] == "POST" for seen in kustom.requests) >= times)


async def test_a_second_signal_ends_it_at_once_and_leaves_the_intent(kustom: Kustom, tmp_path: Path) -> None:
    async with spawned(kustom, tmp_path) as pipe:
        await refunding(pipe, kustom, tmp_path, 1.0)
        pipe.signal(signal.SIGTERM)
        await asyncio.sleep(0.1)  # two signals at the same moment are one
        pipe.signal(signal.SIGINT)
        code, seconds = await pipe.ended()
    assert (code, len(intents(tmp_path))) == (128 + signal.SIGINT, 1)
    assert seconds < 0.5
    await applied(kustom, times=1)
    assert kustom.order(TOWEL)["refunded_amount"] == 100


async def test_a_signal_while_stdin_has_ended_does_not_cut_a_write(kustom: Kustom, tmp_path: Path) -> None:
    """Hosts close stdin first and send SIGTERM a moment later."""
    async with spawned(kustom, tmp_path) as pipe:
        await refunding(pipe, kustom, tmp_path, 0.6)
        pipe.close()
        await asyncio.sleep(0.1)
        pipe.signal(signal.SIGTERM)
        code, _ = await pipe.ended()
    assert pipe.answers["refund"]["result"]["structuredContent"]["outcome"] == "applied"
    assert (code, intents(tmp_path)) == (0, [])


async def test_a_host_that_is_gone_changes_nothing_about_a_write(kustom: Kustom, tmp_path: Path) -> None:
    async with spawned(kustom, tmp_path) as pipe:
        await refunding(pipe, kustom, tmp_path, 0.4)
        pipe.vanish()
        code = await pipe.wait()
    assert (code, intents(tmp_path), pipe.stderr) == (0, [], "")
    assert kustom.order(TOWEL)["refunded_amount"] == 100
