"""Fairness: a flood of one caller is a calm day for the others, and nobody waits for a slot that is free."""

from __future__ import annotations

import random
from collections import Counter

import anyio
import pytest

from kustom_mcp.app.fair_queue import FORGET_AFTER, ConcurrencyLimiter, QueueTimeout, RateLimiter
from tests.support.unhurried import PATIENCE


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_caller_may_come_in_a_burst_and_then_at_a_pace() -> None:
    clock = Clock()
    limiter = RateLimiter(each=(2.0, 3.0), together=(100.0, 100.0), clock=clock)
    assert [limiter.wait("a") for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 0.5]
    clock.now += 0.5
    assert [limiter.wait("a"), limiter.wait("a")] == [0.0, 0.5]
    clock.now += 60
    assert [limiter.wait("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_one_caller_that_is_too_fast_does_not_slow_another() -> None:
    limiter = RateLimiter(each=(1.0, 2.0), together=(1.0, 5.0), clock=Clock())
    assert [limiter.wait("flood") > 0 for _ in range(100)] == [False, False, *[True] * 98]
    assert [limiter.wait("calm"), limiter.wait("calm"), limiter.wait("other")] == [0.0, 0.0, 0.0]
    assert limiter.wait("fourth") == 1.0


def test_a_caller_who_was_quiet_is_forgotten_and_the_others_are_not() -> None:
    clock = Clock()
    limiter = RateLimiter(each=(0.001, 1.0), together=(1000.0, 100000.0), clock=clock)
    for number in range(1000):
        limiter.wait(str(number))
    clock.now += FORGET_AFTER - 1
    assert limiter.wait("0") > 0
    clock.now += 2
    assert limiter.wait("1") == 0.0
    assert limiter.wait("0") > 0


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    clock = Clock()
    limiter = RateLimiter(each=(1.0, 1.0), together=(9.0, 9.0), clock=clock)
    assert limiter.wait("a") == 0.0
    clock.now -= 50
    assert limiter.wait("a") == 1.0


async def test_a_flood_leaves_lanes_for_others_and_waits_in_turn() -> None:
    limiter = ConcurrencyLimiter(total=4, each=3)
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    order: list[str] = []
    go = anyio.Event()

    async def request(caller: str) -> None:
        async with limiter.slot(caller, within=60):
            order.append(caller)
            running[caller] += 1
            most[caller] = max(most[caller], running[caller])
            await go.wait()
            await anyio.lowlevel.checkpoint()
            running[caller] -= 1

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(request, "flood")
            await anyio.wait_all_tasks_blocked()
            assert order == ["flood"] * 3
            for _ in range(3):
                group.start_soon(request, "calm")
            await anyio.wait_all_tasks_blocked()
            assert order == ["flood"] * 3 + ["calm"]
            go.set()
    assert (most["flood"], Counter(order)) == (3, Counter(flood=20, calm=3))
    assert order[:9].count("calm") == 3, "two who wait take turns"


async def test_who_waits_too_long_is_told_so_and_leaves_nothing_behind() -> None:
    limiter = ConcurrencyLimiter(total=1, each=1)
    async with limiter.slot("a", within=1):
        with pytest.raises(QueueTimeout):
            async with limiter.slot("b", within=0.01):
                raise AssertionError
        with pytest.raises(QueueTimeout):
            async with limiter.slot("a", within=0.01):
                raise AssertionError
    async with limiter.slot("b", within=0.01):
        pass


async def test_no_lane_is_ever_lost_or_given_twice_whoever_leaves() -> None:
    """Callers come, leave while they wait, are cancelled at any moment: in the end all slots are free."""
    chance = random.Random(20261123)
    limiter = ConcurrencyLimiter(total=3, each=2)
    running: Counter[str] = Counter()

    async def request(caller: str, patience: float, seconds: float) -> None:
        with anyio.move_on_after(patience):
            try:
                async with limiter.slot(caller, within=patience * 2):
                    running[caller] += 1
                    try:
                        assert running[caller] <= 2
                        assert running.total() <= 3
                        await anyio.sleep(seconds)
                    finally:
                        running[caller] -= 1
            except QueueTimeout:
                pass

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            for _ in range(400):
                group.start_soon(request, chance.choice("abc"), chance.random() * 0.05, chance.random() * 0.003)
                if chance.random() < 0.2:
                    await anyio.sleep(chance.random() * 0.003)
    assert running.total() == 0
    async with limiter.slot("a", within=0.01), limiter.slot("a", within=0.01), limiter.slot("b", within=0.01):
        pass
