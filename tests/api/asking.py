"""The usual questions to a scripted network: read the order, cancel the order, and how both fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from kustom_mcp.api.endpoints import CANCEL_ORDER, GET_ORDER
from kustom_mcp.api.errors import OmsError
from kustom_mcp.api.models import Order
from kustom_mcp.api.reconcile import EffectCheck, Landed, Written
from tests.api.scripted import APPROVED, KEY, ORDER_ID, World

CANCEL = ("POST", f"/ordermanagement/v1/orders/{ORDER_ID}/cancel", str(KEY))


async def read(world: World) -> Order:
    async with world.client as client:
        return await client.read(GET_ORDER, deadline=world.deadline, order_id=ORDER_ID)


async def read_failure(world: World) -> OmsError:
    with pytest.raises(OmsError) as caught:
        await read(world)
    assert caught.value.__context__ is None
    return caught.value


def looking(*found: Landed | Exception) -> EffectCheck:
    """A settlement that finds these, in order."""
    left = list(found)

    async def check_effect() -> Landed:
        step = left.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    return check_effect


async def cancel(
    world: World, check_effect: EffectCheck | None = None, before_send: Callable[[], Awaitable[None]] | None = None
) -> Written:
    async with world.client as client:
        return await client.write(
            CANCEL_ORDER,
            APPROVED,
            deadline=world.deadline,
            check_effect=check_effect,
            before_send=before_send,
            order_id=ORDER_ID,
        )


async def write_failure(world: World, check_effect: EffectCheck | None = None) -> OmsError:
    with pytest.raises(OmsError) as caught:
        await cancel(world, check_effect)
    assert caught.value.__context__ is None
    return caught.value
