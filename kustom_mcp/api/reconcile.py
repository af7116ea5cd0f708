"""The resolution of a write in doubt: the answers of a check of its effect, and the client's report.

The caller checks, since it knows the entry in the order that its own write would make.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum


class Landed(Enum):
    """The answer of a look at the order for the effect of a write in doubt."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCLEAR = "unclear"


EffectCheck = Callable[[], Awaitable[Landed]]
"""A look whether the effect is there. It may raise, which counts as UNCLEAR."""


async def resend_without_looking() -> Landed:
    """Answer ABSENT for a write that cannot be read back and that may be repeated without harm, such as acknowledge.

    The client then resends, with the same key, up to three times, and reports the outcome as unknown after that.
    """
    return Landed.ABSENT


@dataclass(frozen=True)
class Written:
    """A write that was applied.

    `status` is the HTTP status of the 2xx, None when `resolved`: no attempt was answered so, but its effect was found.
    `new_id` is the id of a new capture or refund, where Kustom named it. `attempts` counts requests that were tried.
    """

    status: int | None
    new_id: str | None = None
    resolved: bool = False
    attempts: int = 1
    correlation_id: str | None = None


async def look(check_effect: EffectCheck | None) -> Landed:
    """Ask the caller to check the effect. No check, or one that fails, is UNCLEAR: doubt is not evidence."""
    if check_effect is None:
        return Landed.UNCLEAR
    try:
        return await check_effect()
    except Exception:  # whatever kept us from looking, the write may have happened
        return Landed.UNCLEAR
