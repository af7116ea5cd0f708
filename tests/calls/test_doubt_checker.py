"""Looks by itself at orders with a write in doubt: when, and what becomes of the write."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from kustom_mcp.calls.confirmation import RESOLVING_SECONDS
from kustom_mcp.calls.doubt_checker import FIRST, NAMED, DoubtChecker
from kustom_mcp.calls.read import ReadCall
from kustom_mcp.server.handlers import doubt_checker_of
from kustom_mcp.simulator.faults import Fault
from tests.calls.faults_of_a_write import ORDER, in_doubt, line_mended
from tests.calls.gated_operations import CAPTURE, DUE_DATE, Case, only
from tests.calls.quick import ALL as SERVER
from tests.calls.quick import Time
from tests.support.conversation import Talk, conversation
from tests.support.unhurried import PATIENCE

HOUR = 3600.0


class Watched:
    """A server with one write in doubt, and its doubt_checker."""

    def __init__(self, talk: Talk, now: Time, order_id: str) -> None:
        self.talk = talk
        self.now = now
        self.order_id = order_id
        self.doubt_checker = doubt_checker_of(talk.app)

    @property
    def outcome(self) -> str | None:
        (intent,) = self.talk.app.intents.journal([self.talk.app.account.name])
        return intent.outcome

    async def reads(self, *named: str) -> int:
        """The requests that looking causes now; all of them reads of the order."""
        self.talk.mark()
        await self.doubt_checker.look(set(named))
        assert {(seen.method, seen.path.rpartition("/")[2]) for seen in self.talk.requests} <= {("GET", self.order_id)}
        return len(self.talk.requests)

    async def times(self, until: float, step: float = 30.0) -> list[float]:
        """The times of the looks until so many seconds have passed, in minutes from the write."""
        looks: list[float] = []
        while self.now.passed < until:
            self.now.pass_by(step)
            if await self.reads():
                looks.append(self.now.passed / 60)
        return looks


@asynccontextmanager
async def watched(fault: str, case: Case = CAPTURE) -> AsyncGenerator[Watched]:
    now = Time()
    settings: dict[str, Any] = {**SERVER, **only(case), "KUSTOM_CONFIRM": "flag"}
    async with conversation(host=now.run, **settings) as talk:
        order_id, given = case.begin(talk)
        in_doubt(talk, fault)
        answer = await talk.call(case.tool, given, confirm=True)
        assert answer["outcome"] == "unknown"
        line_mended(talk)
        now.passed = 0.0
        now.start = talk.app.intents.journal([talk.app.account.name])[0].sent
        yield Watched(talk, now, order_id)


async def test_what_was_done_is_found_a_minute_after() -> None:
    async with watched("lose_response") as server:
        server.now.pass_by(FIRST - 1)
        assert (await server.reads(), server.outcome) == (0, None)
        server.now.pass_by(1)
        assert (await server.reads(), server.outcome) == (1, "done")
        assert await server.reads() == 0


async def test_what_is_absent_is_looked_for_less_and_less_often_and_closed_when_its_day_ends() -> None:
    async with watched("reset") as server:
        assert await server.times(9 * HOUR) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
        assert server.outcome is None
        later = await server.times(RESOLVING_SECONDS + HOUR, step=600)
        assert [minutes // 60 for minutes in later] == [17, 24]
        assert server.outcome == "not_seen"
        assert await server.times(RESOLVING_SECONDS + 90 * HOUR, step=HOUR) == []


async def test_what_cannot_be_read_back_is_closed_as_never_known() -> None:
    async with watched("reset", DUE_DATE) as server:
        await server.times(RESOLVING_SECONDS + HOUR, step=HOUR)
        assert server.outcome == "never_known"


async def test_a_look_that_fails_is_no_look_and_is_tried_again_later() -> None:
    async with watched("lose_response") as server:
        server.talk.simulator.faults.add(Fault("GET", ORDER, "status", status=503, times=3))
        server.now.pass_by(FIRST)
        assert (await server.reads(), server.outcome) == (3, None)
        assert await server.reads() == 0
        server.now.pass_by(2 * FIRST)
        assert (await server.reads(), server.outcome) == (1, "done")


async def test_news_of_the_order_is_a_reason_to_look_but_no_flood_of_it() -> None:
    async with watched("reset") as server:
        assert await server.reads(server.order_id) == 0, "it may still be in flight"
        server.now.pass_by(FIRST)
        assert await server.reads() == 1
        assert [await server.reads(server.order_id) for _ in range(3)] == [0, 0, 0]
        server.now.pass_by(NAMED)
        assert [await server.reads("another"), await server.reads(server.order_id)] == [0, 1]


async def test_a_long_write_is_not_looked_for_while_it_may_be_in_flight() -> None:
    now = Time()
    settings: dict[str, Any] = {**SERVER, "KUSTOM_TIMEOUT": "300", "KUSTOM_CONFIRM": "flag"}
    async with conversation(host=now.run, **settings) as talk:
        order_id, given = CAPTURE.begin(talk)
        in_doubt(talk, "reset")
        assert (await talk.call(CAPTURE.tool, given, confirm=True))["outcome"] == "unknown"
        line_mended(talk)
        now.passed, now.start = 0.0, talk.app.intents.journal([talk.app.account.name])[0].sent
        assert await Watched(talk, now, order_id).times(11 * 60, step=15) == [5.25, 10.5]


async def test_a_record_that_nobody_can_look_for_is_tried_later_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with watched("reset") as server:
        server.now.pass_by(FIRST)
        with monkeypatch.context() as broken:
            broken.setattr(ReadCall, "order", _damaged)
            assert (await server.reads(), server.outcome) == (0, None)
        assert await server.reads() == 0, "not again at once"
        server.now.pass_by(FIRST)
        assert await server.reads() == 1


async def _damaged(*_: Any) -> Any:
    raise ValueError("a record that was damaged")


async def test_the_checker_goes_on_after_a_mistake_and_reads_when_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[set[str]] = []
    told = anyio.Event()

    async def look(_: DoubtChecker, named: set[str]) -> None:
        looks.append(named)
        if len(looks) == 1:
            raise RuntimeError
        told.set()

    async with watched("reset") as server:
        monkeypatch.setattr(DoubtChecker, "look", look)
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                group.start_soon(server.doubt_checker.run)
                await anyio.lowlevel.checkpoint()
                server.doubt_checker.note("one")
                while not looks:
                    await anyio.lowlevel.checkpoint()
                server.doubt_checker.note("two")
                await told.wait()
                group.cancel_scope.cancel()
    assert looks == [{"one"}, {"two"}]
