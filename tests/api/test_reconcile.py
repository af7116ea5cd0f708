"""Writes in doubt: nothing is concluded without looking at the order."""

from __future__ import annotations

import anyio
import httpx2 as httpx
import pytest

from kustom_mcp.api.endpoints import ACKNOWLEDGE_ORDER, CANCEL_ORDER
from kustom_mcp.api.errors import NotAllowed, NotSent, OutcomeUnknown, RateLimited
from kustom_mcp.api.reconcile import EffectCheck, Landed, Written, resend_without_looking
from tests.api.asking import CANCEL, cancel, looking, write_failure
from tests.api.scripted import APPROVED, HANG, KEY, ORDER_ID, Step, World, answer, refused
from tests.support.unhurried import PATIENCE


@pytest.mark.parametrize("step", [answer(500), answer(408), answer(409), answer(504), httpx.ReadTimeout("")])
async def test_an_ambiguous_write_whose_effect_is_there_is_settled(step: Step) -> None:
    world = World(step)
    assert await cancel(world, looking(Landed.PRESENT)) == Written(None, resolved=True)
    assert world.sent == [CANCEL]


async def test_an_ambiguous_write_whose_effect_is_absent_is_sent_again_with_the_same_key() -> None:
    world = World(httpx.ReadError(""), answer(503), answer(204))
    assert await cancel(world, looking(Landed.ABSENT, Landed.ABSENT)) == Written(204, attempts=3)
    assert world.sent == [CANCEL] * 3


@pytest.mark.parametrize("check_effect", [None, looking(Landed.UNCLEAR), looking(RuntimeError("no answer"))])
async def test_an_ambiguous_write_that_cannot_be_settled_is_unknown(check_effect: EffectCheck | None) -> None:
    world = World(refused(500, "INTERNAL_ERROR", "boom", correlation_id="c-5"))
    error = await write_failure(world, check_effect)
    assert isinstance(error, OutcomeUnknown)
    assert (error.cause, error.status, error.error_code, error.correlation_id) == (
        "status",
        500,
        "INTERNAL_ERROR",
        "c-5",
    )
    assert world.sent == [CANCEL]
    assert str(error) == "The write was sent and may have happened: Kustom's answer does not tell (HTTP 500)."


async def test_an_effect_that_stays_absent_is_unknown_after_the_last_attempt() -> None:
    world = World(*[httpx.WriteError("")] * 4)
    error = await write_failure(world, looking(*[Landed.ABSENT] * 4))
    assert isinstance(error, OutcomeUnknown)
    assert (error.cause, error.status, len(world.sent)) == ("WriteError", None, 4)


async def test_the_order_is_looked_at_even_after_the_last_attempt() -> None:
    world = World(*[httpx.WriteError("")] * 4)
    found = await cancel(world, looking(*[Landed.ABSENT] * 3, Landed.PRESENT))
    assert found == Written(None, resolved=True, attempts=4)


async def test_a_wait_that_does_not_fit_still_leaves_one_look() -> None:
    world = World(answer(503, retry_after="100"))
    assert await cancel(world, looking(Landed.PRESENT)) == Written(None, resolved=True)
    assert isinstance(
        await write_failure(World(answer(503, retry_after="100")), looking(Landed.ABSENT)), OutcomeUnknown
    )


@pytest.mark.parametrize("later", [[httpx.ConnectError("")] * 3, [answer(429, retry_after="100")]])
async def test_doubt_about_an_earlier_attempt_outlasts_later_ones_that_were_not_sent(later: list[Step]) -> None:
    world = World(httpx.ReadTimeout(""), *later)
    error = await write_failure(world, looking(*[Landed.ABSENT] * 4))
    assert isinstance(error, OutcomeUnknown)
    assert (error.cause, isinstance(error.stopped, (NotSent, RateLimited))) == ("ReadTimeout", True)


async def test_a_deadline_in_doubt_is_unknown() -> None:
    world = World(httpx.ReadTimeout(""))

    async def slow() -> Landed:
        world.now = world.deadline
        return Landed.ABSENT

    error = await write_failure(world, slow)
    assert isinstance(error, OutcomeUnknown)
    assert world.sent == [CANCEL]


async def test_a_refusal_after_doubt_may_be_the_refusal_of_doing_it_twice() -> None:
    def world() -> World:
        return World(httpx.ReadTimeout(""), refused(403, "CANCEL_NOT_ALLOWED"))

    done = await cancel(world(), looking(Landed.ABSENT, Landed.PRESENT))
    assert done == Written(None, resolved=True, attempts=2)
    for seen in (Landed.UNCLEAR, Landed.ABSENT):  # what does not show yet may have been done all the same
        error = await write_failure(world(), looking(Landed.ABSENT, seen))
        assert isinstance(error, OutcomeUnknown)
        assert (error.cause, type(error.stopped)) == ("ReadTimeout", NotAllowed)


async def test_a_harmless_write_is_resent_three_times_without_looking() -> None:
    world = World(*[httpx.ReadError("")] * 4)
    async with world.client as client:
        with pytest.raises(OutcomeUnknown):
            await client.write(
                ACKNOWLEDGE_ORDER,
                APPROVED,
                deadline=world.deadline,
                check_effect=resend_without_looking,
                order_id=ORDER_ID,
            )
    assert world.sent == [("POST", CANCEL[1].replace("cancel", "acknowledge"), str(KEY))] * 4


async def test_an_empty_retry_budget_of_reads_puts_no_write_in_doubt() -> None:
    assert await cancel(World(httpx.ConnectError(""), answer(204), budget=0.0)) == Written(204, attempts=2)
    lost = World(httpx.ReadError(""), answer(204), budget=0.0)
    assert await cancel(lost, looking(Landed.ABSENT)) == Written(204, attempts=2)


async def test_a_lost_answer_leaves_time_to_look() -> None:
    world = World(HANG)
    looked: list[float] = []

    async def check_effect() -> Landed:
        looked.append(anyio.current_time() - started)
        return Landed.PRESENT

    with anyio.fail_after(PATIENCE):
        async with world.client as client:
            started = anyio.current_time()
            found = await client.write(
                CANCEL_ORDER, APPROVED, deadline=world.now + 0.3, check_effect=check_effect, order_id=ORDER_ID
            )
    assert found == Written(None, resolved=True)
    assert looked[0] < 0.3
