"""How a write in doubt is settled: what looking found, and what the client reports.

Looking belongs to the caller, who knows what the effect of its own write would look like in the order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum


class Landed(Enum):
    """What looking at the order says about the effect of a write in doubt."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCLEAR = "unclear"


EffectCheck = Callable[[], Awaitable[Landed]]
"""Looks whether the effect is there. May raise; that counts as UNCLEAR."""


async def resend_without_looking() -> Landed:
    """For writes that nothing can read back and whose repetition harms nobody, such as acknowledge.

    The client then resends, with the same key, up to three times, and reports the outcome as unknown after that.
    """
    return Landed.ABSENT


@dataclass(frozen=True)
class Written:
    """A write that was applied.

    `status` is the HTTP status of the 2xx, None when `resolved`: no attempt was answered so, but its effect was found.
    `new_id` is the id of what was made, where the endpoint makes something and Kustom named it. `attempts` counts
    requests that were tried.
    """

    status: int | None
    new_id: str | None = None
    resolved: bool = False
    attempts: int = 1
    correlation_id: str | None = None


async def look(check_effect: EffectCheck | None) -> Landed:
    """Ask the caller to look. Not being able to, or failing to, is UNCLEAR: doubt is not evidence."""
    if check_effect is None:
        return Landed.UNCLEAR
    try:
        return await check_effect()
    except Exception:  # whatever kept us from looking, the write may have happened
        return Landed.UNCLEAR
