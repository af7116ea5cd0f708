"""The end of a server: by the end of its stdin, or by a signal, with and without a write in flight.

Kustom answers when the test lets it. A server that has ten minutes (`PATIENT`) and a call of ten minutes ends within a
test only because it was told to; and one that was told to, and still waits, does not end.
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kustom_mcp.tools.catalog import CATALOG
from tests.exams.faults import held
from tests.exams.operations import REFUND
from tests.exams.scripted_upstream import Upstream, kustom
from tests.support.sample import sampled
from tests.transport.kustom import PATIENT, PROGRAM, Kustom, demo
from tests.transport.pipe import ERAS, HANDSHAKE, Era, Pipe, call, request, spawned, until

SIGNALS = [signal.SIGTERM, signal.SIGINT]
TOWEL = demo("captured-sek")


def intents(state: Path) -> list[str]:
    """The open intents: writes without an outcome, by their key."""
    with closing(sqlite3.connect(state / "store.sqlite3")) as store:
        return [key for (key,) in store.execute("SELECT key FROM intents WHERE outcome IS NULL ORDER BY key")]


@dataclass
class Refunding:
    """A refund on its way: it is with Kustom, which does nothing until `release` is set."""

    pipe: Pipe
    upstream: Upstream
    arguments: dict[str, Any]
    release: asyncio.Event
    draining: Path
    """There as soon as a server with `PATIENT` has begun to end."""

    @property
    def order_id(self) -> str:
        return self.arguments["order_id"]

    @property
    def refunds(self) -> list[int]:
        """The amount that was really refunded."""
        record = self.upstream.simulator.store.find(self.order_id)
        assert record is not None
        return [refund["refunded_amount"] for refund in record.order["refunds"]]

    @property
    def keys(self) -> list[str | None]:
        """The idempotency keys of the writes that have arrived."""
        return [key for method, _, key in self.upstream.arrived if method != "GET"]

    @property
    def handled(self) -> int:
        """Number of writes that reached Kustom, replays included."""
        return sum(seen.method == "POST" for seen in self.upstream.simulator.requests)

    @property
    def outcome(self) -> dict[str, Any]:
        """The answer about the refund."""
        return self.pipe.answers["refund"]["result"]["structuredContent"]

    def end(self, how: signal.Signals | None) -> None:
        self.pipe.end(how)

    async def begun(self) -> None:
        """Wait until the server has begun to end."""
        await until(self.draining.exists)


@asynccontextmanager
async def refunding(state: Path, program: Sequence[str] = PATIENT) -> AsyncGenerator[Refunding]:
    """Preview and confirm a refund that Kustom takes its time for; it is on its way when this begins."""
    draining, release = state.with_name("draining"), asyncio.Event()
    settings = {"KUSTOM_TIMEOUT": "600", "DRAINING": str(draining)}
    async with kustom() as upstream, spawned(upstream, state, program=program, **settings) as pipe:
        arguments = REFUND.begin(upstream)
        preview = await pipe.result(*HANDSHAKE, call("preview", REFUND.tool, arguments))
        upstream.writes(arguments["order_id"], held(release))
        await pipe.send(call("refund", REFUND.tool, {**arguments, "confirm": preview["confirm"]["code"]}))
        await upstream.until(lambda: upstream.sent(arguments["order_id"]) == 1)
        yield Refunding(pipe, upstream, arguments, release, draining)


@pytest.mark.parametrize("era", sampled(ERAS, 2))
async def test_what_was_asked_is_answered_although_stdin_ends_at_once(era: Era, kustom: Kustom, tmp_path: Path) -> None:
    """As in `cat requests.jsonl | kustom-mcp`; one of the reads is slow."""
    kustom.fault("GET", "/orders/{order_id}", "delay", seconds=0.5)
    calls = [call(number, "get_order", {"order_id": TOWEL}, era) for number in range(5)]
    async with spawned(kustom, tmp_path, program=PATIENT, DRAINING=str(tmp_path / "draining")) as pipe:
        await pipe.send(*(HANDSHAKE if era == "2025-11-25" else ()), *calls, request("list", "tools/list", None, era))
        pipe.close()
        code = await pipe.ended()
    outcomes = [pipe.answers[number]["result"]["structuredContent"]["outcome"] for number in range(5)]
    assert (code, outcomes, pipe.stderr) == (0, ["ok"] * 5, "")
    assert len(pipe.answers["list"]["result"]["tools"]) == len(CATALOG)


@pytest.mark.parametrize("how", sampled([None, *SIGNALS], 3))
async def test_an_idle_server_ends(how: signal.Signals | None, kustom: Kustom, tmp_path: Path) -> None:
    async with spawned(kustom, tmp_path) as pipe:
        await pipe.send(*HANDSHAKE)
        await pipe.answer("hello")
        pipe.end(how)
        code = await pipe.ended()
    assert (code, pipe.stderr) == (0, "")


@pytest.mark.parametrize("how", sampled([None, signal.SIGINT], 2))
async def test_a_write_in_flight_is_finished_and_answered(how: signal.Signals | None, tmp_path: Path) -> None:
    async with refunding(tmp_path / "state") as it:
        it.end(how)
        await it.begun()
        it.release.set()
        code = await it.pipe.ended()
    assert (it.outcome["outcome"], it.refunds) == ("applied", [5000])
    assert (code, intents(tmp_path / "state"), it.pipe.stderr) == (0, [], "")


@pytest.mark.parametrize("how", sampled([None, signal.SIGTERM], 2))
async def test_a_write_that_takes_too_long_stays_open_and_the_next_process_settles_it(
    how: signal.Signals | None, tmp_path: Path
) -> None:
    """With EOF the effect is there when the next process looks; with a signal it comes after it has looked."""
    state = tmp_path / "state"
    async with refunding(state, PROGRAM) as it:
        it.end(how)
        code = await it.pipe.ended()
        assert (it.outcome["error"]["code"], it.refunds) == ("OUTCOME_UNKNOWN", [])
        (key,) = intents(state)
        if how is None:
            it.release.set()
            await it.upstream.until(lambda: it.upstream.applied(it.order_id) == 1)
        async with spawned(it.upstream, state) as pipe:
            settled = await pipe.result(*HANDSHAKE, call("again", REFUND.tool, it.arguments))
            if "confirm" in settled:
                confirm = {"confirm": settled["confirm"]["code"]}
                settled = await pipe.result(call("confirmed", REFUND.tool, {**it.arguments, **confirm}))
        it.release.set()
        await it.upstream.until(lambda: it.handled == len(it.keys))
    assert (code, it.pipe.stderr) == (0, "")
    assert settled["outcome"] == ("already_applied" if how is None else "applied")
    assert (intents(state), it.refunds) == ([], [5000])
    assert it.keys == [key] * (1 if how is None else 2)


async def test_a_second_signal_ends_it_at_once_and_leaves_the_intent(tmp_path: Path) -> None:
    async with refunding(tmp_path / "state") as it:
        it.pipe.signal(signal.SIGTERM)
        await it.begun()  # two signals at the same moment are one
        it.pipe.signal(signal.SIGINT)
        code = await it.pipe.ended()
        assert it.refunds == []
        it.release.set()
        await it.upstream.until(lambda: it.upstream.applied(it.order_id) == 1)
    assert (code, len(intents(tmp_path / "state"))) == (128 + signal.SIGINT, 1)


async def test_a_signal_while_stdin_has_ended_does_not_cut_a_write(tmp_path: Path) -> None:
    """Hosts close stdin first and send SIGTERM a moment later."""
    async with refunding(tmp_path / "state") as it:
        it.pipe.close()
        await it.begun()
        it.draining.unlink()
        it.pipe.signal(signal.SIGTERM)
        await it.begun()
        it.release.set()
        code = await it.pipe.ended()
    assert (it.outcome["outcome"], it.refunds) == ("applied", [5000])
    assert (code, intents(tmp_path / "state")) == (0, [])


async def test_a_host_that_is_gone_changes_nothing_about_a_write(tmp_path: Path) -> None:
    async with refunding(tmp_path / "state") as it:
        it.pipe.vanish()
        await it.begun()
        it.release.set()
        code = await it.pipe.wait()
    assert (code, intents(tmp_path / "state"), it.pipe.stderr) == (0, [], "")
    assert it.refunds == [5000]
