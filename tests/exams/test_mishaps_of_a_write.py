"""Every operation meets every mishap over a real socket, with each means of the gate, with and without keys.

That is thousands of stories and an exam. The usual run tells every fourth of them, so that every operation and every
mishap occurs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from tests.exams.faults import QUICK, SLOW, Means, Mishap
from tests.exams.operations import ACKNOWLEDGE, OPERATIONS, SHIPPING, Operation
from tests.exams.scripted_upstream import kustom
from tests.exams.story import Means as GateMeans
from tests.exams.story import begin, server

GATED = tuple(operation for operation in OPERATIONS if operation.gated)
AT_ONCE = 100
"""Stories at the same time, so that many wait at once."""


def expected(operation: Operation, mishap: Mishap, *, keys: bool) -> tuple[str, int]:
    """The outcome, and how often it is really applied. In doubt the order is read; where it shows nothing, nobody
    knows. What is harmless is sent again without looking."""
    readable = operation.shows or operation.harmless
    match mishap.means:
        case Means.REFUSED:
            return "rejected", 0
        case Means.NOT_ARRIVED | Means.APPLIED:
            return "applied", 1
        case Means.LOST:
            return ("applied", 1) if readable else ("unknown", 0)
        case Means.LOST_AFTER:
            return ("applied" if readable else "unknown"), 2 if operation.harmless and not keys else 1


async def tell(
    mishaps: Iterable[Mishap],
    means: GateMeans,
    *,
    keys: bool,
    operations: Sequence[Operation] = OPERATIONS,
    every: int = 1,
) -> list[str]:
    """Many stories at the same time, on orders of their own; `every` so many is told. What disagrees."""
    wrong: list[str] = []
    room = asyncio.Semaphore(AT_ONCE)
    async with kustom(keys=keys) as upstream, server(upstream, means=means) as talk:

        async def one(operation: Operation, mishap: Mishap) -> None:
            async with room:
                story = await begin(talk, upstream, operation, means)
                told = [(await story.act(talk, mishap.step), story.applied)]
                if told[0][0] == "unknown":  # an effect that cannot be seen stays in doubt, and is not sent again
                    told.append((await story.act(talk), story.applied))
            outcome = expected(operation, mishap, keys=keys)
            promised = [outcome] * (2 if outcome[0] == "unknown" else 1)
            if told != promised or story.lies():
                wrong.append(f"{mishap}, {'' if keys else 'no '}keys, {means}: {told} {story.lies()} {story}")

        async with asyncio.TaskGroup() as group:
            for number, mishap in enumerate(mishaps):
                for operation in operations[number % every :: every]:
                    group.create_task(one(operation, mishap))
    return wrong


EVERY = pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.exam)])


@EVERY
@pytest.mark.parametrize("kind", Means)
async def test_what_is_said_of_a_write_is_true_whatever_the_network_does(kind: Means, every: int) -> None:
    mishaps = [mishap for mishap in QUICK if mishap.means is kind]
    assert await tell(mishaps, "code", keys=True, every=every) == []
    if kind in (Means.LOST, Means.LOST_AFTER):  # elsewhere neither keys nor the means of the gate come into it
        assert await tell(mishaps, "flag", keys=False, operations=(*GATED, SHIPPING, ACKNOWLEDGE), every=every) == []


@EVERY
async def test_what_is_said_of_a_write_is_true_when_the_answer_never_ends(every: int) -> None:
    codes = tell(SLOW, "code", keys=True, every=every)
    flags = tell(SLOW, "flag", keys=False, operations=GATED, every=every)
    assert await asyncio.gather(codes, flags) == [[], []]
